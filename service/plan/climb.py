"""Improves a portfolio by what the ordered bound points to, until bill and bound meet.

Decides levels and a proven bound together. In every round the families that could do better at
the present outside prices move to their best levels, all at once and then one by one, and the
outer offerings are fitted again; a move is kept only when the true bill falls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from service.domain.ids import OfferingId
from service.plan.ordered import Ordered

Levels = Mapping[OfferingId, float]

_APART = 6  # families that are also moved one by one
_LEAST_GAIN_RATIO = 1e-8


@dataclass(frozen=True, slots=True)
class Climbed:
    """``levels`` are quantities; ``usd`` their bill; the bound leaves owned cost out."""

    levels: Levels
    usd: float
    lower_bound_usd: float


def climb(
    ordered: Ordered,
    bill_usd: Callable[[Levels], float],
    start: Levels,
    *,
    owned_usd: float,
    enough_usd: float,
    within_ratio: float | None,
    rounds: int,
    expired: Callable[[], bool],
) -> Climbed:
    """From ``start`` for at most ``rounds`` rounds, or until bill and bound are ``enough_usd`` off.

    ``bill_usd`` includes ``owned_usd``, the owned commitments' cost. ``within_ratio`` as in
    ``Ordered.bound``.
    """
    levels, usd, lower = start, bill_usd(start), 0.0
    for _ in range(rounds):
        before = usd
        found = ordered.bound(levels, within_ratio=within_ratio)
        lower = max(lower, found.lower_bound_usd)
        fitted = bill_usd(found.fitted)
        if fitted < usd:
            levels, usd = found.fitted, fitted
        together = {name: level for gain in found.gains for name, level in gain.levels.items()}
        for move in (together, *(gain.levels for gain in found.gains[:_APART])):
            if not move or usd - owned_usd - lower <= enough_usd or expired():
                break
            moved = ordered.fitted({**levels, **move})
            billed = bill_usd(moved)
            if billed < usd:
                levels, usd = moved, billed
        if usd >= before * (1.0 - _LEAST_GAIN_RATIO) or usd - owned_usd - lower <= enough_usd:
            break
    return Climbed(levels, usd, lower)
