"""What a pool's own past made of caution: believed where it saved, doubted where it cost."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from service.plan.ladder import tranche
from service.plan.ladder_bounds import RECORD, Caution
from service.plan.ladder_record import PRIOR_RATIO, belief
from service.plan.ladder_terms import PoolState, Series, Term

WEEK = 168
YEAR = Term("year", 52 * WEEK, 0.73)


def _course(weeks: int, growth: float) -> Series:
    """A week by week course that wavers, so that not every caution is idle."""
    draw = np.random.default_rng(2)
    means = 100 * np.exp(growth * np.arange(weeks) + 0.03 * draw.standard_normal(weeks))
    return np.repeat(means, WEEK)


def test_a_pool_too_young_to_judge_by_believes_as_all_pools_do() -> None:
    assert belief(_course(13, 0.0), YEAR) == PRIOR_RATIO
    assert belief(np.zeros(40 * WEEK), YEAR) == PRIOR_RATIO


def test_a_pool_that_fell_believes_caution_more_and_one_that_grew_less() -> None:
    fell, grew = belief(_course(90, -0.01), YEAR), belief(_course(90, 0.01), YEAR)
    assert 0 < grew < PRIOR_RATIO < fell <= 1
    assert fell > 0.95


def test_belief_is_the_same_at_any_scale() -> None:
    course = _course(80, -0.004)
    assert belief(1e4 * course, YEAR) == pytest.approx(belief(course, YEAR))


def test_the_level_lies_between_the_learnt_shares_and_todays_best() -> None:
    begin = datetime(2024, 1, 1, tzinfo=UTC)
    for growth in (-0.01, 0.0, 0.01):
        seen = _course(90, growth)
        pool = PoolState(seen=seen, begin=begin, now=seen.size + 24, owned=np.zeros(WEEK))
        without = Caution(without=frozenset({RECORD}))
        alone = tranche(pool, [YEAR], reasons=False, caution=without).level_usd_per_hour
        level = tranche(pool, [YEAR], reasons=False).level_usd_per_hour
        best = float(min(np.quantile(seen[-days * 24 :], 0.27) for days in (28, 7)))
        assert level == pytest.approx(best * (alone / best) ** belief(seen, YEAR))
        assert level != alone
