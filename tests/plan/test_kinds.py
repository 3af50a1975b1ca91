"""Every kind of offering in the tables: sized, billed and bounded alike."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from service.domain.commitments import Kind, Offering, Payment
from service.domain.hours import HourRange
from service.domain.ids import AccountId, OfferingId
from service.domain.plans import PlanStatus
from service.domain.usage import Dataset, Sku, SkuKey, Usage, UsageLine
from service.plan.optimise import optimise
from tests.plan.markets import START

# kind: provider, service, zone of its usage
KINDS = {
    Kind.AWS_COMPUTE_SP: ("aws", "ec2", ""),
    Kind.AWS_EC2_INSTANCE_SP: ("aws", "ec2", ""),
    Kind.AWS_DATABASE_SP: ("aws", "rds", ""),
    Kind.AWS_SAGEMAKER_SP: ("aws", "sagemaker", ""),
    Kind.AWS_RI_REGIONAL: ("aws", "ec2", ""),
    Kind.AWS_RI_ZONAL: ("aws", "ec2", "here-1a"),
    Kind.AWS_RDS_RI: ("aws", "rds", ""),
    Kind.AWS_ELASTICACHE_RI: ("aws", "elasticache", ""),
    Kind.AWS_OPENSEARCH_RI: ("aws", "opensearch", ""),
    Kind.AWS_REDSHIFT_RI: ("aws", "redshift", ""),
    Kind.AWS_MEMORYDB_RI: ("aws", "memorydb", ""),
    Kind.AZURE_RESERVATION: ("azure", "vm", ""),
    Kind.AZURE_SAVINGS_PLAN: ("azure", "vm", ""),
    Kind.GCP_RESOURCE_CUD: ("gcp", "compute", ""),
    Kind.GCP_FLEXIBLE_CUD: ("gcp", "compute", ""),
}
QUANTITY = [2.0, 3.0, 4.0, 5.0]


def dataset(kind: Kind, **changes: object) -> Dataset:
    """One SKU at $2 an hour, four hours, and one offering of ``kind`` at 60% of on demand."""
    provider, service, zone = KINDS[kind]
    key = SkuKey(provider, "here", "thing")
    sku = Sku(
        key, service, "f", Decimal(4), "linux", "shared", "Hrs", Decimal(2), Decimal(2)
    )  # fmt: skip
    fields: dict[str, object] = {
        "offering": OfferingId("offer"),
        "provider": provider,
        "kind": kind,
        "term_months": 12,
        "payment": Payment.NO_UPFRONT,
        "region": "here",
        "family": None,
        "platform": None,
        "tenancy": None,
        "zone": zone or None,
        "size_flexible": False,
        "rates_usd": {"thing": Decimal("1.2")},
        "upfront_usd": Decimal(0),
        "min_quantity": Decimal(0),
        "step": Decimal("0.001"),
    }
    offer = Offering(**{**fields, **changes})  # type: ignore[arg-type]
    line = UsageLine(provider, AccountId("a"), "here", zone, "thing")
    usage = Usage(HourRange(START, 4), (line,), np.array([QUANTITY]).T.copy())
    return Dataset(usage, {key: sku}, {offer.offering: offer}, ())


def test_every_kind_of_the_tables_is_tried() -> None:
    assert set(KINDS) == set(Kind)


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("flexible", [False, True])
def test_buys_three_units_of_any_kind(kind: Kind, flexible: bool) -> None:  # noqa: FBT001
    # The third unit is used in three hours of four and pays at 60%; the fourth in two: it does not.
    portfolio = optimise(dataset(kind, size_flexible=flexible and not kind.is_spend))
    (one,) = portfolio.purchases
    assert float(one.quantity) == pytest.approx(3.6 if kind.is_spend else 3.0, abs=1e-5)
    assert float(portfolio.after_usd) == pytest.approx(4 * 3.6 + 2 * (1 + 2), abs=1e-4)
    assert portfolio.status is PlanStatus.OPTIMAL


def test_a_zonal_reservation_leaves_other_zones_alone() -> None:
    there = dataset(Kind.AWS_RI_ZONAL, zone="here-1b")
    assert optimise(there).purchases == ()


def test_three_years_are_taken_over_one_where_cheaper_and_upfront_does_not_count() -> None:
    one = dataset(Kind.AWS_COMPUTE_SP)
    offer = one.offerings[OfferingId("offer")]
    three = replace(
        offer,
        offering=OfferingId("longer"),
        term_months=36,
        payment=Payment.ALL_UPFRONT,
        upfront_usd=Decimal(26280),
        rates_usd={"thing": Decimal("0.9")},
    )
    both = replace(one, offerings={**one.offerings, three.offering: three})
    (bought,) = optimise(both).purchases
    assert bought.offering == "longer"


def test_providers_are_planned_side_by_side() -> None:
    parts = [dataset(kind) for kind in (Kind.AWS_COMPUTE_SP, Kind.AZURE_RESERVATION)]
    offers = {
        OfferingId(f"{one.kind}"): replace(one, offering=OfferingId(f"{one.kind}"))
        for part in parts
        for one in part.offerings.values()
    }
    whole = Dataset(
        Usage(
            parts[0].usage.hours,
            tuple(line for part in parts for line in part.usage.lines),
            np.hstack([part.usage.quantity for part in parts]),
        ),
        {key: sku for part in parts for key, sku in part.skus.items()},
        offers,
        (),
    )
    portfolio = optimise(whole)
    assert {one.offering for one in portfolio.purchases} == set(offers)
    assert float(portfolio.after_usd) == pytest.approx(2 * (4 * 3.6 + 6), abs=1e-3)
