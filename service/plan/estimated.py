"""What is decided on hours that were estimated from days: savings plans, and no reservations.

Each hour's total is the provider's own, and a savings plan lives on totals: it covers whatever runs
in the hour. A reservation covers one size in one region, and how that size's day lay over its
hours is an estimate: level where it really peaked, a reservation would look used and would not be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from service.domain.commitments import Offering
from service.domain.ids import OfferingId
from service.domain.plans import PlanInputs, PlanLine, Refusal

RULE = "estimated_hours"


def decidable(
    menu: Sequence[OfferingId], offerings: Mapping[OfferingId, Offering], inputs: PlanInputs
) -> tuple[tuple[OfferingId, ...], tuple[Refusal, ...]]:
    """The part of ``menu`` that may be decided on such usage, and what is declined, in words."""
    if not inputs.estimated_days:
        return tuple(menu), ()
    kept = tuple(one for one in menu if offerings[one].kind.is_spend)
    detail = (
        f"the hours of {inputs.estimated_days} days are estimated from daily rows: each hour's "
        f"total is told, one SKU's part of it is not, so that {len(menu) - len(kept)} "
        "reservations on sale are not decided on; savings plans are"
    )
    return kept, (Refusal(RULE, None, detail),)


def with_warning(lines: Sequence[PlanLine], inputs: PlanInputs) -> tuple[PlanLine, ...]:
    """``lines``, each saying that it was decided on estimated hours, if it was."""
    if not inputs.estimated_days:
        return tuple(lines)
    said = f" The hours of {inputs.estimated_days} days behind this are estimated from daily rows."
    return tuple(replace(line, reason=line.reason + said) for line in lines)
