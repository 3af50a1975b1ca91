"""Random datasets of all three providers and every kind of commitment, for property tests."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from service.domain.commitments import Commitment, CommitmentState, Kind, Offering
from service.domain.usage import Dataset, Sku, UsageLine
from tests.billing.worlds import held, offer, sku, used, world

ACCOUNTS = ("A", "B", "C")

PRICES = st.integers(1, 4000).map(lambda tenths: str(Decimal(tenths) / 10000))
SHARES = st.sampled_from(["0.4", "0.55", "0.7", "0.73", "1", "1.2"])
AMOUNTS = st.one_of(
    st.just(0.0),
    st.integers(1, 30).map(float),
    st.integers(1, 999).map(lambda hundredths: hundredths / 100),
    st.sampled_from([0.1, 0.3, 1 / 3, 0.123456789, 1e-6, 2.7182818284590452]),
)
LEVELS = st.integers(0, 400).map(lambda hundredths: str(Decimal(hundredths) / 100))

# Name, provider, service, family, size, platform, tenancy and unit of each SKU.
SHAPES = (
    ("m5.large", "aws", "ec2", "m5", "4", "linux", "shared", "Hrs"),
    ("m5.xlarge", "aws", "ec2", "m5", "8", "linux", "shared", "Hrs"),
    ("m5.3xlarge", "aws", "ec2", "m5", "24", "linux", "shared", "Hrs"),
    ("m5.large-win", "aws", "ec2", "m5", "4", "windows", "shared", "Hrs"),
    ("m5.xlarge-ded", "aws", "ec2", "m5", "8", "linux", "dedicated", "Hrs"),
    ("g5.xlarge", "aws", "ec2", "g5", "8", "linux", "shared", "Hrs"),
    ("g5.2xlarge", "aws", "ec2", "g5", "16", "linux", "shared", "Hrs"),
    ("fargate", "aws", "fargate", None, None, None, None, "vCPU-Hours"),
    ("db.r6.large", "aws", "rds", "db.r6", "4", "mysql", None, "Hrs"),
    ("db.r6.large-maz", "aws", "rds", "db.r6", "8", "mysql", None, "Hrs"),
    ("cache.r6.large", "aws", "elasticache", "r6", "4", "redis", None, "Hrs"),
    ("cache.r6.valkey", "aws", "elasticache", "r6", "3.2", "valkey", None, "Hrs"),
    ("ml.m5.large", "aws", "sagemaker", "ml.m5", None, None, None, "Hrs"),
    ("D2s_v5", "azure", "vm", "DSv5", "1", "linux", None, "Hrs"),
    ("D4s_v5", "azure", "vm", "DSv5", "2", "windows", None, "Hrs"),
    ("E4s_v5", "azure", "vm", "ESv5", "2", "linux", None, "Hrs"),
    ("n2-core", "gcp", "compute", "n2", "1", None, None, "vCPU-Hours"),
    ("n2-ram", "gcp", "compute", "n2", "1", None, None, "GB-Hours"),
    ("n2-custom-core", "gcp", "compute", "n2", "1", None, None, "vCPU-Hours"),
    ("e2-core", "gcp", "compute", "e2", "1", None, None, "vCPU-Hours"),
)

CAPACITY = (
    (Kind.AWS_RI_REGIONAL, "m5.large", True), (Kind.AWS_RI_REGIONAL, "m5.xlarge", True),
    (Kind.AWS_RI_REGIONAL, "m5.large-win", True), (Kind.AWS_RI_REGIONAL, "m5.xlarge", False),
    (Kind.AWS_RI_REGIONAL, "g5.xlarge", True), (Kind.AWS_RI_ZONAL, "m5.large", False),
    (Kind.AWS_RI_ZONAL, "g5.2xlarge", True), (Kind.AWS_RDS_RI, "db.r6.large", True),
    (Kind.AWS_ELASTICACHE_RI, "cache.r6.large", True), (Kind.AWS_REDSHIFT_RI, "m5.large", True),
    (Kind.AZURE_RESERVATION, "D2s_v5", True), (Kind.AZURE_RESERVATION, "D4s_v5", False),
    (Kind.GCP_RESOURCE_CUD, "n2-core", True), (Kind.GCP_RESOURCE_CUD, "n2-ram", True),
)  # fmt: skip

SPEND = (
    (Kind.AWS_COMPUTE_SP, ("m5", "g5", None), None), (Kind.AWS_EC2_INSTANCE_SP, ("m5",), "m5"),
    (Kind.AWS_EC2_INSTANCE_SP, ("g5",), "g5"), (Kind.AWS_DATABASE_SP, ("db.r6", "r6"), None),
    (Kind.AWS_SAGEMAKER_SP, ("ml.m5",), None), (Kind.AZURE_SAVINGS_PLAN, ("DSv5", "ESv5"), None),
    (Kind.GCP_FLEXIBLE_CUD, ("n2", "e2"), None),
)  # fmt: skip


@st.composite
def skus(draw: st.DrawFn) -> list[Sku]:
    """Every shape at a random price above 0, those of ``m5`` in two regions."""
    return [
        sku(name, draw(PRICES), provider=provider, region=region, service=service, family=family,
            size=size, platform=platform, tenancy=tenancy, unit=unit)
        for name, provider, service, family, size, platform, tenancy, unit in SHAPES
        for region in (("us-east-1", "eu-west-1") if family == "m5" else ("us-east-1",))
    ]  # fmt: skip


@st.composite
def offers(draw: st.DrawFn, prices: list[Sku]) -> list[Offering]:
    """One offering or two of every kind."""
    found = []
    for index, (kind, unit, flexible) in enumerate(CAPACITY):
        region = draw(st.sampled_from(["us-east-1", "us-east-1", "eu-west-1", None]))
        if (kind, region) != (Kind.AWS_RI_REGIONAL, "us-east-1") and not unit.startswith("m5"):
            region = "us-east-1"
        rate = {unit: draw(PRICES)}
        found.append(offer(f"cap{index}", kind, rate, region=region, flexible=flexible))
    for index, (kind, families, family) in enumerate(SPEND):
        for term in (12, 36):
            rates = {
                one.key.sku: str(one.on_demand_usd * Decimal(draw(SHARES)))
                for one in prices
                if one.key.provider == kind.split("_")[0]
                and one.family in families
                and (kind is not Kind.AWS_COMPUTE_SP or one.service in {"ec2", "fargate"})
            }
            found.append(offer(f"sp{index}-{term}", kind, rates, family=family, term_months=term))
    return found


@st.composite
def holdings(draw: st.DrawFn, offerings: list[Offering], hours: int) -> list[Commitment]:
    """Up to seven commitments with windows, owners, scopes, zones and states."""
    found = []
    for index in range(draw(st.integers(0, 7))):
        first = draw(st.integers(-2, hours))
        scope = draw(
            st.one_of(
                st.none(), st.none(), st.sets(st.sampled_from(ACCOUNTS), min_size=1, max_size=3)
            )
        )
        found.append(
            held(
                f"c{index}",
                draw(st.sampled_from(offerings)).offering,
                draw(LEVELS),
                account=draw(st.sampled_from(ACCOUNTS)),
                scope=None if scope is None else sorted(scope),
                zone=draw(st.sampled_from(["z1", "z2"])),
                first_hour=first,
                last_hour=first + draw(st.integers(1, hours + 3)),
                state=draw(
                    st.sampled_from([CommitmentState.ACTIVE] * 4 + [CommitmentState.QUEUED])
                ),
            )
        )
    return found


@st.composite
def datasets(draw: st.DrawFn, max_hours: int = 3) -> Dataset:
    """A whole dataset: up to ten lines over up to ``max_hours`` hours."""
    hours = draw(st.integers(1, max_hours))
    prices = draw(skus())
    chosen = draw(
        st.lists(
            st.tuples(
                st.sampled_from(prices), st.sampled_from(ACCOUNTS), st.sampled_from(["z1", "z2"])
            ),
            min_size=1,
            max_size=10,
            unique_by=lambda one: (one[0].key, one[1], one[2]),
        )
    )
    usage: list[tuple[UsageLine, tuple[float, ...]]] = [
        used(
            one.key.sku,
            *(draw(AMOUNTS) for _ in range(hours)),
            account=account,
            zone=zone,
            provider=one.key.provider,
            region=one.key.region,
        )
        for one, account, zone in chosen
    ]
    offerings = draw(offers(prices))
    return world(prices, usage, offerings, draw(holdings(offerings, hours)))
