"""Puts the newest reports of several clouds together into one on the whole estate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

ZERO = Decimal(0)
SUMMED = (
    "on_demand_equivalent_usd",
    "on_demand_usd",
    "commitment_usd",
    "total_usd",
    "savings_usd",
    "unused_usd",
    "remaining_usd",
)


def whole_estate(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One document of the same shape: dollars summed, ratios from the sums, promises in a row.

    Lock-in is weighted by each cloud's commitment dollars. One document alone is itself.
    """
    if len(documents) == 1:
        return dict(documents[0])
    sums = {name: sum((Decimal(str(one[name])) for one in documents), ZERO) for name in SUMMED}
    weighted = sum(
        (
            Decimal(str(one["lock_in_months"])) * Decimal(str(one["commitment_usd"]))
            for one in documents
        ),
        ZERO,
    )
    equivalent, committed = sums["on_demand_equivalent_usd"], sums["commitment_usd"]
    ratios = {
        "effective_savings_rate": _ratio(equivalent - sums["total_usd"], equivalent),
        "coverage_ratio": _ratio(equivalent - sums["on_demand_usd"], equivalent),
        "utilization_ratio": _ratio(committed - sums["unused_usd"], committed),
        "lock_in_months": _ratio(weighted, committed),
    }
    return {
        "scope": "; ".join(dict.fromkeys(str(one["scope"]) for one in documents)),
        "basis": "; ".join(dict.fromkeys(str(one["basis"]) for one in documents)),
        **{name: format(round(value, 9), "f") for name, value in {**sums, **ratios}.items()},
        "promises": [promise for one in documents for promise in one["promises"]],
    }


def _ratio(part: Decimal, whole: Decimal) -> Decimal:
    return part / whole if whole else ZERO
