"""Several clouds' reports as one on the whole estate."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from service.report.estate import whole_estate


def _document(equivalent: int, on_demand: int, committed: int, unused: int, lock: int) -> Any:  # noqa: ANN401
    total = on_demand + committed
    return {
        "scope": "eligible usage",
        "basis": "accrual",
        "on_demand_equivalent_usd": str(equivalent),
        "on_demand_usd": str(on_demand),
        "commitment_usd": str(committed),
        "total_usd": str(total),
        "savings_usd": str(equivalent - total),
        "unused_usd": str(unused),
        "remaining_usd": "10",
        "lock_in_months": str(lock),
        "effective_savings_rate": "0",
        "coverage_ratio": "0",
        "utilization_ratio": "0",
        "promises": [{"commitment": f"c-{equivalent}"}],
    }


def test_one_cloud_alone_is_its_own_report() -> None:
    one = _document(1000, 400, 400, 10, 6)
    assert whole_estate([one]) == one


def test_dollars_add_up_and_ratios_come_from_the_sums() -> None:
    both = whole_estate([_document(1000, 400, 400, 40, 6), _document(3000, 1500, 600, 60, 16)])
    amounts = {name: Decimal(value) for name, value in both.items() if name.endswith("_usd")}
    assert amounts["on_demand_equivalent_usd"] == 4000
    assert amounts["savings_usd"] == 1100
    assert amounts["remaining_usd"] == 20
    assert Decimal(both["effective_savings_rate"]) == Decimal("0.275")
    assert Decimal(both["coverage_ratio"]) == Decimal("0.525")
    assert Decimal(both["utilization_ratio"]) == Decimal("0.9")
    assert Decimal(both["lock_in_months"]) == 12
    assert both["scope"] == "eligible usage"
    assert [one["commitment"] for one in both["promises"]] == ["c-1000", "c-3000"]


def test_nothing_owned_anywhere_divides_by_nothing() -> None:
    both = whole_estate([_document(0, 0, 0, 0, 0), _document(0, 0, 0, 0, 0)])
    assert Decimal(both["utilization_ratio"]) == 0
