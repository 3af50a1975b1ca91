"""Which offerings have a best amount at all, and why the others have none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from service.domain.commitments import Offering
from service.domain.hours import TERM_HOURS
from service.domain.ids import OfferingId
from service.domain.plans import Refusal


def sizable(
    offerings: Mapping[OfferingId, Offering], menu: Iterable[OfferingId]
) -> tuple[tuple[OfferingId, ...], tuple[Refusal, ...]]:
    """The menu's offerings that can be sized, in order of their ids, and why others cannot."""
    names, refusals = [], []
    for name in sorted(set(menu)):
        offering = offerings[name]
        if offering.term_months not in TERM_HOURS:
            detail = f"a term of {offering.term_months} months is not sold"
            refusals.append(Refusal("term", name, detail))
        elif max(offering.rates_usd.values()) <= 0:
            refusals.append(Refusal("rate", name, "a rate of 0 has no best amount"))
        else:
            names.append(name)
    return tuple(names), tuple(refusals)
