"""What is decided on hours that were estimated from days: savings plans on all, the rest on proof.

Each hour's total is the provider's own, and a savings plan lives on totals: it covers whatever runs
in the hour. A reservation covers one size in one region, and how that size's day lay over its
hours is an estimate: level where it really peaked, a reservation would look used and would not be.
Level usage is no estimate (``UsageLine.level``): a reservation no larger than that is used
whatever the rest did. So reservations are decided on level usage alone, beside which all that is
owned takes level usage first. Whether one should be given back is not decided at all: that it is
not used cannot be told from usage of which only the least is known.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from service.domain.commitments import Offering
from service.domain.ids import OfferingId
from service.domain.plans import PlanInputs, PlanLine, Refusal
from service.domain.usage import Dataset

RULE = "estimated_hours"


def decidable(
    dataset: Dataset, menu: Sequence[OfferingId], inputs: PlanInputs
) -> tuple[Dataset, tuple[Refusal, ...]]:
    """``dataset`` with ``menu`` as it may be decided on such usage, and what is declined, in words.

    Of the dataset's usage, reservations on the menu see its level lines only.
    """
    if not inputs.estimated_days:
        return dataset, ()
    usage = dataset.usage
    spent = [
        (line.level, float(mean) * float(dataset.skus[line.key].on_demand_usd))
        for line, mean in zip(usage.lines, usage.quantity.mean(axis=0), strict=True)
    ]
    whole, level = sum(usd for _, usd in spent), sum(usd for proven, usd in spent if proven)
    detail = (
        f"the hours of {inputs.estimated_days} days are estimated from daily rows: each hour's "
        "total is told, one SKU's part of it is not, but for machines that ran all day; "
        f"reservations are decided on those alone, which are {level:.2f} of {whole:.2f} USD/h of "
        "on-demand use; savings plans on all of it"
    )
    offerings = on_level(dataset.offerings, menu)
    return replace(dataset, offerings=offerings), (Refusal(RULE, None, detail),)


def on_level(
    offerings: Mapping[OfferingId, Offering], names: Collection[OfferingId]
) -> Mapping[OfferingId, Offering]:
    """``offerings``, those of ``names`` that are of capacity judged by level usage alone."""
    return {
        name: replace(one, level_only=True) if name in names and not one.kind.is_spend else one
        for name, one in offerings.items()
    }


def with_warning(lines: Iterable[PlanLine], inputs: PlanInputs) -> tuple[PlanLine, ...]:
    """``lines``, each saying that it was decided on estimated hours, if it was."""
    if not inputs.estimated_days:
        return tuple(lines)
    days = f" The hours of {inputs.estimated_days} days behind this are estimated from daily rows"
    return tuple(
        replace(line, reason=f"{line.reason}{days}{'.' if line.kind.is_spend else _PROVEN}")
        for line in lines
    )


_PROVEN = ": it is decided on machines that ran all day, of which every hour is known."
