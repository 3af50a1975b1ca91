"""What comes after an instant changes nothing that was decided before it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from service.backtest.compare import EVERY
from service.backtest.market import DEFAULT_MENU, Walk
from service.backtest.ours import ABLATIONS, Tenor
from service.backtest.walk import Buy, Purchase, Series, Strategy, View, walk_forward
from service.forecast.phase_out import Kin
from tests.backtest.series import BEGIN, WEEK, wavy

WALK = Walk()


def _purchases(demand: Series, strategy: Strategy) -> tuple[Purchase, ...]:
    return walk_forward(demand, strategy, menu=DEFAULT_MENU, walk=WALK, begin=BEGIN).purchases


class Clairvoyant:
    """A cheat: holds the future, and buys what the next week will need."""

    def __init__(self, future: Series) -> None:
        self._future = future

    def __call__(self, view: View) -> Sequence[Buy]:
        week = self._future[view.now : view.now + WEEK]
        return (Buy(0, max(float(week.min()) - view.owned_now, 0.0)),)


def _scrambled(demand: Series, after: int) -> Series:
    changed = demand.copy()
    generator = np.random.default_rng(5)
    changed[after:] = generator.permutation(changed[after:]) * generator.uniform(0.1, 5)
    return changed


@pytest.mark.parametrize("name", [*EVERY, *ABLATIONS])
def test_scrambling_the_future_leaves_earlier_decisions_identical(name: str) -> None:
    make = {**EVERY, **ABLATIONS}[name]
    demand = wavy(92, growth=0.006, seed=3)
    bought = _purchases(demand, make())
    for week in (20, 55, 90):
        instant = week * WEEK
        # the decision at ``instant`` sees hours before it less the lag, and not one more
        changed = _scrambled(demand, instant - WALK.lag_hours)[: instant + 2 * WEEK]
        before = [buy for buy in bought if buy.hour <= instant]
        again = [buy for buy in _purchases(changed, make()) if buy.hour <= instant]
        assert before == again


def test_scrambling_the_future_of_its_kin_leaves_earlier_decisions_of_a_type_identical() -> None:
    demand = wavy(92, growth=0.006, seed=3)
    ended = np.where(np.arange(demand.size) < 60 * WEEK, demand, 0.0)
    kin = [
        Kin("one", "old", ended),
        Kin("one", "new", demand - ended),
        Kin("two", "old", demand),
    ]

    def bought(kin: Sequence[Kin]) -> tuple[Purchase, ...]:
        return walk_forward(
            kin[-1].seen,
            Tenor(),
            menu=DEFAULT_MENU,
            walk=WALK,
            begin=BEGIN,
            kin=kin,
            mine=len(kin) - 1,
        ).purchases

    every = bought(kin)
    for week in (60, 63, 90):
        instant, end = week * WEEK, (week + 2) * WEEK
        scrambled = [_scrambled(one.seen, instant - WALK.lag_hours)[:end] for one in kin[:2]]
        shown = [replace(one, seen=seen) for one, seen in zip(kin[:2], scrambled, strict=True)]
        again = bought([*shown, replace(kin[2], seen=demand[:end])])
        before = [buy for buy in every if buy.hour <= instant]
        assert before == [buy for buy in again if buy.hour <= instant]
    assert every != bought([kin[2]] * 3)


def test_scrambling_the_future_finds_a_strategy_that_looks_ahead() -> None:
    demand = wavy(60, growth=0.006)
    instant = 40 * WEEK
    changed = _scrambled(demand, instant - WALK.lag_hours)
    before = [buy for buy in _purchases(demand, Clairvoyant(demand)) if buy.hour <= instant]
    again = [buy for buy in _purchases(changed, Clairvoyant(changed)) if buy.hour <= instant]
    assert before != again


def test_a_strategy_cannot_change_what_later_decisions_see() -> None:
    demand = wavy(30)
    seen: list[float] = []

    def vandal(view: View) -> Sequence[Buy]:
        seen.append(float(view.seen.sum()))
        view.seen[:] = 0.0
        view.owned[:] = 1e9
        return ()

    run = walk_forward(demand, vandal, menu=DEFAULT_MENU, walk=WALK, begin=BEGIN)
    assert seen[-1] == pytest.approx(demand[: 29 * WEEK - 24].sum())
    assert run.owned.max() == 0.0
