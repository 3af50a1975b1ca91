"""The interval around a capture: wide where regions differ, nothing where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from service.backtest.bootstrap import spreads
from service.backtest.compare import Scored, Setup, chosen, each_case
from service.backtest.families import Case
from tests.backtest.series import BEGIN, SHORT_MENU, SHORT_WALK, wavy

SETUP = Setup(SHORT_MENU, SHORT_WALK, BEGIN)


def _scored(*cases: Case) -> dict[str, tuple[Scored, ...]]:
    return dict(each_case(cases, chosen(["tenor", "provider-30d"]), SETUP))


def _capture(ones: tuple[Scored, ...], strategy: str) -> float:
    mine = [one.figures for one in ones if one.strategy == strategy]
    saved = sum(one.on_demand_usd - one.cost_usd for one in mine)
    return saved / sum(one.possible_usd for one in mine)


def test_the_capture_lies_inside_its_interval() -> None:
    cases = [
        Case("grow", f"{region} {seed}", wavy(30, growth=growth, seed=seed), region)
        for region, growth in (("a", 0.01), ("b", -0.03), ("c", 0.0))
        for seed in range(3)
    ]
    scored = _scored(*cases)
    found = spreads(scored, ["grow"])
    for name in ("tenor", "provider-30d"):
        low, high = found[name].families["grow"]
        assert low < _capture(scored["grow"], name) < high
        assert found[name].mean == found[name].families["grow"]


def test_regions_that_differ_widen_the_interval_more_than_cases_of_one() -> None:
    calm, steep = wavy(30, seed=1), wavy(30, growth=-0.04, seed=2)
    apart = _scored(Case("drop", "x", calm, "a"), Case("drop", "y", steep, "b"))
    one = _scored(Case("drop", "x", calm, "a"), Case("drop", "y", calm * 1.001, "b"))
    wide, narrow = (spreads(each, ["drop"])["tenor"].families["drop"] for each in (apart, one))
    assert wide.high - wide.low > 10 * (narrow.high - narrow.low)


def test_a_single_region_and_a_sum_of_all_have_no_spread_between_regions() -> None:
    scored = _scored(Case("pooled", "all", wavy(30), ""), Case("grow", "a", wavy(30), "a"))
    found = spreads(scored, ["grow"])["tenor"]
    for family in ("pooled", "grow"):
        low, high = found.families[family]
        assert low == pytest.approx(high)
        assert low == pytest.approx(_capture(scored[family], "tenor"))


def test_demand_that_nobody_could_save_on_has_no_interval_but_zero() -> None:
    scored = _scored(Case("stop", "none", np.zeros(20 * 168), "a"))
    assert spreads(scored, [])["tenor"].families["stop"] == (0.0, 0.0)
