"""Random markets for the planner's tests and benchmarks: seeded, with every price made up."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from service.domain.commitments import Kind, Offering, Payment
from service.domain.hours import HourRange
from service.domain.ids import AccountId, OfferingId
from service.domain.usage import Dataset, Sku, SkuKey, Usage, UsageLine

START = datetime(2025, 1, 1, tzinfo=UTC)
REGION = "us-east-1"
SIZES = (Decimal("0.5"), Decimal(1), Decimal(2), Decimal(4), Decimal(8), Decimal(16))

Floats = NDArray[np.float64]


def dollars(value: float) -> Decimal:
    """A price with six decimals."""
    return Decimal(str(round(value, 6)))


def demand(random: np.random.Generator, skus: int, hours: int) -> Floats:
    """Hours × SKUs: levels that drift, daily and weekly cycles, late starters, noise."""
    hour = np.arange(hours)[:, None]
    base = random.gamma(1.5, 10, skus)
    day = random.uniform(0, 0.6, skus) * np.sin(
        (hour + random.uniform(0, 24, skus)) / 24 * 2 * np.pi
    )
    week = random.uniform(0, 0.4, skus) * ((hour // 24) % 7 < 5)
    drift = np.cumsum(random.normal(0, 0.5 / np.sqrt(hours), (hours, skus)), axis=0)
    noise = 1 + 0.1 * random.normal(size=(hours, skus))
    quantity = np.maximum(0.0, base * (1 + day + week + drift) * noise)
    late = np.where(random.random(skus) < 0.2, random.integers(0, hours, skus), 0)
    quantity[hour < late] = 0.0
    return np.asarray(np.round(quantity, 6), dtype=np.float64)


def market(
    *,
    skus: int = 40,
    families: int = 8,
    hours: int = 240,
    seed: int = 0,
    terms: tuple[int, ...] = (12, 36),
    capacity: bool = True,
    accounts: int = 1,
    spread: float = 0.1,
) -> Dataset:
    """``families`` of EC2-like SKUs; compute and instance plans, regional reservations.

    ``spread``: how far prices stray from being proportional to size within a family.
    """
    random = np.random.default_rng(seed)
    prices: dict[SkuKey, Sku] = {}
    unit_usd = random.lognormal(-2.5, 0.7, families)
    keys, family_of = [], np.arange(skus) % families
    for index in range(skus):
        family = int(family_of[index])
        size = SIZES[(index // families) % len(SIZES)]
        stray = 1 + spread * float(random.uniform(-1, 1))
        key = SkuKey("aws", REGION, f"BoxUsage:f{family}.{index}")
        usd = dollars(float(unit_usd[family]) * float(size) * stray)
        keys.append(key)
        prices[key] = Sku(key, "ec2", f"f{family}", size, "linux", "shared", "Hrs", usd, usd)
    quantity = demand(random, skus, hours)
    lines, columns = [], []
    for index, key in enumerate(keys):
        shares = random.dirichlet(np.ones(accounts))
        for account in range(accounts):
            lines.append(UsageLine("aws", AccountId(f"acct{account}"), REGION, "", key.sku))
            columns.append(np.round(quantity[:, index] * shares[account], 6))
    order = sorted(range(len(lines)), key=lambda one: lines[one])
    usage = Usage(
        HourRange(START, hours),
        tuple(lines[one] for one in order),
        np.ascontiguousarray(np.array(columns)[order].T),
    )
    offerings = _offerings(random, keys, prices, family_of, terms, capacity=capacity)
    return Dataset(usage, prices, {one.offering: one for one in offerings}, ())


def _offerings(
    random: np.random.Generator,
    keys: list[SkuKey],
    prices: dict[SkuKey, Sku],
    family_of: NDArray[np.int64],
    terms: tuple[int, ...],
    *,
    capacity: bool,
) -> list[Offering]:
    flexible = 1 - random.uniform(0.2, 0.35, len(keys))
    instance = flexible - random.uniform(0.03, 0.2, len(keys))
    found: list[Offering] = []
    for term in terms:
        longer = 0.75 if term == 36 else 1.0
        rates = {
            key.sku: dollars(float(prices[key].on_demand_usd) * flexible[index] * longer)
            for index, key in enumerate(keys)
        }
        found.append(offering(f"csp-{term}", Kind.AWS_COMPUTE_SP, term, None, rates))
        for family in sorted({int(one) for one in family_of}):
            own = [index for index in range(len(keys)) if family_of[index] == family]
            rates = {
                keys[index].sku: dollars(
                    float(prices[keys[index]].on_demand_usd) * instance[index] * longer
                )
                for index in own
            }
            name = f"f{family}"
            found.append(
                offering(f"isp-{name}-{term}", Kind.AWS_EC2_INSTANCE_SP, term, name, rates)
            )
            if capacity:
                unit = prices[keys[own[0]]]
                usd = float(unit.on_demand_usd) * (1 - random.uniform(0.3, 0.5)) * longer
                rates = {keys[own[0]].sku: dollars(usd)}
                found.append(offering(f"ri-{name}-{term}", Kind.AWS_RI_REGIONAL, term, name, rates))
    return found


def offering(
    name: str,
    kind: Kind,
    term: int,
    family: str | None,
    rates: dict[str, Decimal],
    **changes: object,
) -> Offering:
    """An AWS offering in the test region without upfront payment."""
    fields: dict[str, object] = {
        "offering": OfferingId(name),
        "provider": "aws",
        "kind": kind,
        "term_months": term,
        "payment": Payment.NO_UPFRONT,
        "region": None if kind is Kind.AWS_COMPUTE_SP else REGION,
        "family": family,
        "platform": None if kind.is_spend else "linux",
        "tenancy": None if kind.is_spend else "shared",
        "zone": None,
        "size_flexible": not kind.is_spend,
        "rates_usd": rates,
        "upfront_usd": Decimal(0),
        "min_quantity": Decimal("0.001"),
        "step": Decimal("0.001"),
    }
    return Offering(**{**fields, **changes})  # type: ignore[arg-type]
