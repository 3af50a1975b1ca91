"""The worked hours of the FOCUS specification itself, of commitments used, half used and unused.

FOCUS specification, ``specification/data``: CSV examples of the commitment discount appendices.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from service.billing.bill import bill
from service.billing.focus import NONE, focus_rows
from service.domain.commitments import Kind
from service.domain.hours import TERM_HOURS
from service.domain.usage import Dataset
from tests.billing.worlds import held, offer, sku, used, world


def rows(dataset: Dataset) -> list[tuple[int, bool, bool, Decimal]]:
    """Hour, whether it is usage, whether a commitment paid, and the dollars of each row."""
    found = focus_rows(dataset, bill(dataset))
    return [
        (int(hour), line != NONE, held != NONE, Decimal(int(nano)) / 10**9)
        for hour, line, held, nano in zip(
            found.hour, found.line, found.commitment, found.effective_nano_usd, strict=True
        )
    ]


@pytest.mark.parametrize(
    ("provider", "kind", "usd_per_hour", "on_demand_usd", "upfront_usd"),
    [
        ("azure", Kind.AZURE_SAVINGS_PLAN, "52.74", "79.11", "462002.40"),
        ("aws", Kind.AWS_EC2_INSTANCE_SP, "79.11", "118.67", "693003.60"),
    ],
)
@pytest.mark.parametrize("hours_used", [24, 12])
def test_a_plan_paid_upfront_is_spread_over_its_hours_used_or_not(
    *,
    provider: str,
    kind: Kind,
    usd_per_hour: str,
    on_demand_usd: str,
    upfront_usd: str,
    hours_used: int,
) -> None:
    """Files azure_savings_plan_all_upfront_100pct, aws_savings_plan_all_upfront_100pct and _50pct.

    A year's upfront payment is $52.74 (Azure) or $79.11 (AWS) for each of its 8,760 hours; a
    machine takes all of it in an hour in which it runs, and the whole is unused in any other.
    """
    assert Decimal(upfront_usd) / TERM_HOURS[12] == Decimal(usd_per_hour)
    dataset = world(
        [sku("machine", on_demand_usd, provider=provider, service="vm")],
        [used("machine", *[1.0] * hours_used, *[0.0] * (24 - hours_used), provider=provider)],
        [offer("plan", kind, {"machine": usd_per_hour})],
        [held("sp", "plan", usd_per_hour)],
    )
    result = bill(dataset)
    assert result.on_demand_usd == 0
    assert result.total_usd == 24 * Decimal(usd_per_hour)
    assert result.on_demand_equivalent_usd == hours_used * Decimal(on_demand_usd)
    assert result.utilization_ratio == Decimal(hours_used) / 24
    assert rows(dataset) == [
        (hour, hour < hours_used, True, Decimal(usd_per_hour)) for hour in range(24)
    ]


def test_two_medium_machines_fill_one_reserved_xlarge() -> None:
    """File one_hundred_percent_utilization_with_commitment_discount_flexibility_with_2_resources.

    VM_XLARGE is 4 normalised hours for $2.00; each VM_MEDIUM takes 2 of them, $1.00.
    """
    dataset = world(
        [sku("VM_MEDIUM", "2.00", family="vm", size="2"),
         sku("VM_XLARGE", "4.00", family="vm", size="4")],
        [used("VM_MEDIUM", 1, zone=zone) for zone in ("a", "b")],
        [offer("ri", Kind.AWS_RI_REGIONAL, {"VM_XLARGE": "2.00"}, family="vm", flexible=True)],
        [held("ri", "ri", "1")],
    )  # fmt: skip
    assert bill(dataset).utilization_ratio == 1
    assert rows(dataset) == [(0, True, True, Decimal("1.00"))] * 2


def test_a_reservation_of_fixed_size_is_unused_beside_a_machine_of_another() -> None:
    """File zero_percent_utilization_without_commitment_discount_flexibility.

    VM_LARGE is reserved for $1.50 an hour, VM_MEDIUM runs at $2.00: both are paid for.
    """
    dataset = world(
        [sku("VM_MEDIUM", "2.00", family="vm", size="2"),
         sku("VM_LARGE", "3.00", family="vm", size="3")],
        [used("VM_MEDIUM", 1)],
        [offer("ri", Kind.AWS_RI_REGIONAL, {"VM_LARGE": "1.50"}, family="vm")],
        [held("ri", "ri", "1")],
    )  # fmt: skip
    assert sorted(rows(dataset)) == [
        (0, False, True, Decimal("1.50")),
        (0, True, False, Decimal("2.00")),
    ]
    assert bill(dataset).total_usd == Decimal("3.50")
