"""Learning: made demand is the same for the same seed, and slopes are those of the true bill."""

from __future__ import annotations

import numpy as np
import pytest

from service.backtest.learn.population import KINDS, case
from service.backtest.learn.search import (
    HOURS_KEPT,
    TERM_WEEKS,
    Lessons,
    halves,
    lessons,
    savings,
    search,
    slopes,
    walked,
)
from service.backtest.market import DEFAULT_MENU, Walk
from service.backtest.rivals import FillTo
from service.backtest.score import score
from service.backtest.walk import walk_forward
from tests.backtest.series import BEGIN, WEEK, wavy

REGIONS = [np.log(np.linspace(100, 300, 156)), np.log(np.linspace(50, 400, 156))]


@pytest.mark.parametrize("kind", KINDS)
def test_made_demand_is_real_demand_and_the_same_for_the_same_seed(kind: str) -> None:
    made = case(kind, 3, REGIONS)
    assert made.size >= 156 * WEEK
    assert np.isfinite(made).all()
    assert made.min() >= 0
    assert made.max() > 0
    assert np.array_equal(made, case(kind, 3, REGIONS))
    assert not np.array_equal(made[: 100 * WEEK], case(kind, 5, REGIONS)[: 100 * WEEK])


def test_what_is_learnt_on_is_what_the_backtest_bills() -> None:
    demand = wavy(90, growth=-0.005, seed=2)
    level = 70.0

    def fixed(_seen: np.ndarray[tuple[int], np.dtype[np.float64]], _discount: float) -> float:
        return level

    walk = Walk()
    run = walk_forward(demand, FillTo(fixed), menu=DEFAULT_MENU, walk=walk, begin=BEGIN)
    figures = score(demand, run, first=walk.warmup_hours, hindsight_usd=0.0)
    weeks = demand[walk.warmup_hours :].reshape(-1, WEEK)
    owned, bought = walked(np.full((1, weeks.shape[0]), level))
    hours = np.sort(weeks, axis=1)[None].astype(np.float32)
    saved, _ = savings(hours, np.full((1, weeks.shape[0]), float(WEEK)), owned)
    assert saved.sum() == pytest.approx(figures.on_demand_usd - figures.cost_usd, rel=1e-4)
    assert int((bought > 0).sum()) == len(run.purchases) == 2


def test_slopes_are_those_of_the_bill_in_every_weeks_level() -> None:
    draw = np.random.default_rng(1)
    weeks = TERM_WEEKS + 40
    hours = np.sort(draw.uniform(50, 150, (2, weeks, HOURS_KEPT)), axis=2).astype(np.float32)
    counted = np.full((2, weeks), float(HOURS_KEPT))
    levels = draw.uniform(40, 160, (2, weeks))

    def total(at: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
        return float(savings(hours, counted, walked(at)[0])[0].sum())

    owned, bought = walked(levels)
    found = slopes(bought, savings(hours, counted, owned)[1])
    moved = 0
    for place in np.ndindex(levels.shape):
        up, down = levels.copy(), levels.copy()
        up[place] += 1e-4
        down[place] -= 1e-4
        slope = (total(up) - total(down)) / 2e-4
        assert slope == pytest.approx(found[place], abs=0.05)
        moved += abs(slope) > 1
    assert moved > 3


def test_two_halves_are_all_cases_of_every_kind() -> None:
    kinds = ("drop", "flat") * 4
    hours = np.random.default_rng(0).random((8, 5, HOURS_KEPT)).astype(np.float32)
    flat, table = np.ones((8, 5)), np.zeros((8, 5, 1), dtype=np.float32)
    given = Lessons(("age",), hours, flat, flat, table, np.arange(1.0, 9.0), kinds)
    one, other = halves(given, 2), halves(given, 3)
    assert sorted(one.kinds) == sorted(other.kinds) == ["drop", "drop", "flat", "flat"]
    both = np.concatenate([one.hours, other.hours])
    assert sorted(both.sum(axis=(1, 2))) == pytest.approx(sorted(given.hours.sum(axis=(1, 2))))
    assert one.weights.sum() + other.weights.sum() == pytest.approx(2 * given.weights.sum())


def test_means_of_sorted_hours_bill_as_all_hours_do() -> None:
    demand = wavy(90, growth=0.003, seed=4)
    given = lessons([("grow", demand)], {"grow": 1.0})
    owned = np.full(given.counted.shape, float(np.quantile(demand, 0.3)))
    saved, _ = savings(given.hours, given.counted, owned)
    weeks = np.sort(demand[Walk().warmup_hours :].reshape(1, -1, WEEK), axis=2).astype(np.float32)
    every, _ = savings(weeks, np.full(weeks.shape[:2], float(WEEK)), owned)
    assert saved.sum() * WEEK / HOURS_KEPT == pytest.approx(every.sum(), rel=2e-3)


def test_searching_saves_more_than_the_start() -> None:
    cases = [(kind, case(kind, 1, REGIONS)) for kind in ("decline", "drop")]
    given = lessons(cases, dict.fromkeys(KINDS, 1.0))
    told: list[float] = []
    search(given, hidden=2, rounds=25, seed=0, tell=lambda _round, saved: told.append(saved))
    assert max(told[-5:]) > told[0] + 0.002
