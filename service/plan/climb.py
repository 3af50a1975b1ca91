"""Improves a portfolio by what the ordered bound points to, until bill and bound meet.

Decides levels and a proven bound together. In every round the families that could do better at
the present outside prices move to their best levels, all at once and then one by one, and the
outer offerings are fitted again; a move is kept only when the true bill falls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from service.domain.ids import OfferingId
from service.plan.ordered import Found, Ordered, Prices

Levels = Mapping[OfferingId, float]

_APART = 6  # families that are also moved one by one
_LEAST_GAIN_RATIO = 1e-8
_BLUNT = 10.0  # gaps of so many times what is enough are worth sharper prices
_SHARES = (0.6, 0.3, 0.15, 0.05)
_FAR = 40.0  # gaps of so many times what is enough are worth jolts and the long way up
_STEPS_A_ROUND = 12
_STEP, _SHORTER, _PATIENCE, _TRIES = 0.7, 0.6, 6, 4
_REPLAY_EVERY = 5


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
    jolted: Callable[[Levels], Levels],
    expired: Callable[[], bool],
) -> Climbed:
    """From ``start`` for at most ``rounds`` rounds, or until bill and bound are ``enough_usd`` off.

    ``bill_usd`` includes ``owned_usd``, the owned commitments' cost. ``within_ratio`` as in
    ``Ordered.bound``. ``jolted``: better levels out of reach of slopes, asked for where a wide gap
    is to be closed.
    """
    state = _State(ordered, bill_usd, start, within_ratio)
    _rounds(state, owned_usd, enough_usd, rounds, expired)
    if within_ratio is not None:
        before = state.usd
        if state.gap_usd - owned_usd > _FAR * enough_usd and not expired():
            state.consider(jolted(state.levels))
        if state.usd < before * (1.0 - _LEAST_GAIN_RATIO):
            _rounds(state, owned_usd, enough_usd, rounds, expired)
        _sharpen(state, owned_usd + _BLUNT * enough_usd, rounds, expired)
        _ascend(state, owned_usd, _FAR * enough_usd, rounds * _STEPS_A_ROUND, expired)
    return Climbed(state.levels, state.usd, state.lower_usd)


def _rounds(
    state: _State,
    owned_usd: float,
    enough_usd: float,
    rounds: int,
    expired: Callable[[], bool],
) -> None:
    """Move families to better levels at the present prices, until none gains."""
    ordered = state.ordered
    for _ in range(rounds):
        before = state.usd
        found = state.bounded(ordered.prices(state.levels))
        state.consider(found.fitted)
        together = {name: level for gain in found.gains for name, level in gain.levels.items()}
        for move in (together, *(gain.levels for gain in found.gains[:_APART])):
            if not move or state.gap_usd - owned_usd <= enough_usd or expired():
                break
            state.consider(ordered.fitted({**state.levels, **move}))
        if state.usd >= before * (1.0 - _LEAST_GAIN_RATIO):
            break
        if state.gap_usd - owned_usd <= enough_usd:
            break


class _State:
    """The best levels and the highest bound so far."""

    def __init__(
        self,
        ordered: Ordered,
        bill_usd: Callable[[Levels], float],
        levels: Levels,
        within_ratio: float | None,
    ) -> None:
        self.ordered = ordered
        self._bill_usd = bill_usd
        self._within_ratio = within_ratio
        self.levels, self.usd, self.lower_usd = levels, bill_usd(levels), 0.0

    @property
    def gap_usd(self) -> float:
        """Bill less bound, the owned commitments' cost included."""
        return self.usd - self.lower_usd

    def bounded(self, prices: Prices) -> Found:
        """The bound at ``prices``, counted if it is the highest."""
        found = self.ordered.bound(self.levels, prices=prices, within_ratio=self._within_ratio)
        self.lower_usd = max(self.lower_usd, found.lower_bound_usd)
        return found

    def consider(self, levels: Levels) -> None:
        """Take ``levels`` where they are billed less."""
        usd = self._bill_usd(levels)
        if usd < self.usd:
            self.levels, self.usd = levels, usd


def _sharpen(state: _State, blunt_usd: float, rounds: int, expired: Callable[[], bool]) -> None:
    """Raise the bound where families stand between two optima.

    The bound is concave in the prices. Those beside the families' best answers lie across the
    ridge, so the highest point between them and the present ones is higher.
    """
    ordered = state.ordered
    here = ordered.prices(state.levels)
    found, height = None, -1.0
    for _ in range(rounds):
        if state.gap_usd <= blunt_usd or expired():
            return
        if found is None:
            found = state.bounded(here)
            height = found.lower_bound_usd
        answers = {name: level for gain in found.gains for name, level in gain.levels.items()}
        if not answers:
            return
        moved = ordered.fitted({**state.levels, **answers})
        state.consider(moved)
        there = ordered.prices(moved)
        found = None
        for share in _SHARES:
            tried = here.towards(there, share)
            of = state.bounded(tried)
            if of.lower_bound_usd > height * (1.0 + _LEAST_GAIN_RATIO):
                here, found, height = tried, of, of.lower_bound_usd
                break
        if found is None:
            return


def _ascend(
    state: _State,
    owned_usd: float,
    enough_usd: float,
    steps: int,
    expired: Callable[[], bool],
) -> None:
    """Raise the bound step by step along its slope (Polyak's steps towards the bill).

    Where several families stand between two optima at once, no mixture of two prices is the
    highest point; the slope leads there, slowly.
    """
    ordered = state.ordered
    at = best = ordered.prices(state.levels)
    height, share, stale, tries = 0.0, _STEP, 0, 0
    for number in range(steps):
        if state.gap_usd - owned_usd <= enough_usd or expired():
            return
        found = state.bounded(at)
        if found.lower_bound_usd > height * (1.0 + _LEAST_GAIN_RATIO):
            best, height, stale, tries = at, found.lower_bound_usd, 0, 0
        elif stale == _PATIENCE:
            at, share, stale, tries = best, share * _SHORTER, 0, tries + 1
            if tries == _TRIES:
                return
            continue
        else:
            stale += 1
        answers = {name: level for gain in found.gains for name, level in gain.levels.items()}
        levels = {**state.levels, **answers}
        if number % _REPLAY_EVERY == 0:
            state.consider(ordered.fitted(levels))
        rise_usd = share * (state.usd - owned_usd - found.lower_bound_usd)
        at = ordered.stepped(at, levels, rise_usd)
