"""A type replaced in one region is suspected in the others, and its successor inherits its past."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from service.forecast.level import Series
from service.forecast.phase_out import Kin, Kindred, inherited, suspected

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
WEEK = 168


def level(*parts: tuple[int, float]) -> Series:
    """So many weeks at each level, one after the other."""
    return np.concatenate([np.full(weeks * WEEK, usd) for weeks, usd in parts])


def migrating(region: str, at: int, weeks: int, *, usd: float = 100.0) -> list[Kin]:
    """Type ``old`` replaced by ``new`` in week ``at``, beside a steady third."""
    return [
        Kin(region, "old", level((at, usd), (weeks - at, 0.0))),
        Kin(region, "new", level((at, 0.0), (weeks - at, 0.9 * usd))),
        Kin(region, "other", level((weeks, 30.0))),
    ]


def keeping(region: str, weeks: int) -> list[Kin]:
    return [Kin(region, "old", level((weeks, 80.0))), Kin(region, "other", level((weeks, 20.0)))]


def chance(kin: list[Kin], region: str, name: str = "old") -> float:
    (mine,) = [one for one in kin if (one.region, one.name) == (region, name)]
    found = suspected(mine, Kindred(kin), begin=BEGIN, now=mine.seen.size + 24)
    return found[0].probability if found else 0.0


def test_a_type_replaced_elsewhere_is_expected_to_go_here_too() -> None:
    kin = [*migrating("one", 50, 52), *keeping("two", 52)]
    (mine,) = [one for one in kin if (one.region, one.name) == ("two", "old")]
    found = suspected(mine, Kindred(kin), begin=BEGIN, now=52 * WEEK + 24)
    assert [one.probability for one in found] == pytest.approx([2 / (3 + 2 / 52)] * 3)
    now = BEGIN + timedelta(hours=52 * WEEK + 24)
    assert [one.at - now for one in found] == [
        timedelta(weeks=26),
        timedelta(weeks=78),
        timedelta(weeks=130),
    ]
    assert all(one.suspected and one.ratio == 0 for one in found)
    assert found[0].what == "old was replaced in 1 of 2 regions"


def test_nothing_is_suspected_before_it_happened_or_of_other_types() -> None:
    assert chance([*migrating("one", 51, 52), *keeping("two", 52)], "two") == 0
    assert chance([*migrating("one", 50, 52), *keeping("two", 52)], "two", "other") == 0


def test_demand_that_ended_without_a_successor_is_no_phase_out() -> None:
    closed = [
        Kin("one", "old", level((50, 100.0), (10, 0.0))),
        Kin("one", "other", level((60, 30.0))),
    ]
    assert chance([*closed, *keeping("two", 60)], "two") == 0


def test_a_type_that_comes_back_was_not_replaced() -> None:
    back = migrating("one", 50, 60)
    back[0] = Kin("one", "old", level((50, 100.0), (6, 0.0), (4, 60.0)))
    assert chance([*back, *keeping("two", 60)], "two") == 0


def test_what_was_never_a_hundredth_of_its_region_tells_nothing() -> None:
    assert chance([*migrating("one", 50, 60, usd=0.2), *keeping("two", 60)], "two") == 0


def test_a_type_that_has_gone_here_already_has_nothing_more_to_expect() -> None:
    assert chance([*migrating("one", 50, 60), *migrating("two", 55, 60)], "two") == 0


def test_every_year_that_a_region_lasts_makes_it_less_likely_and_every_replacement_more() -> None:
    early = chance([*migrating("one", 50, 54), *keeping("two", 54)], "two")
    late = chance([*migrating("one", 50, 130), *keeping("two", 130)], "two")
    both = chance(
        [*migrating("one", 50, 130), *migrating("three", 90, 130), *keeping("two", 130)], "two"
    )
    many = [one for name in ("two", "four", "five") for one in keeping(name, 130)]
    assert early > both > late > chance([*migrating("one", 50, 130), *many], "two") > 0


def test_the_unit_of_demand_changes_nothing() -> None:
    kin = [*migrating("one", 50, 60), *keeping("two", 60)]
    larger = [Kin(one.region, one.name, one.seen * 1000) for one in kin]
    assert chance(kin, "two") == chance(larger, "two") > 0


def test_a_successor_inherits_the_past_at_its_own_scale() -> None:
    kin = migrating("one", 50, 60)
    kin[0] = Kin("one", "old", level((25, 50.0), (25, 100.0), (10, 0.0)))
    seen = inherited(kin[1], Kindred(kin))
    assert seen == pytest.approx(level((25, 45.0), (35, 90.0)))


def test_what_took_over_little_or_at_another_time_inherits_nothing() -> None:
    kin = migrating("one", 50, 70)
    small = Kin("one", "small", level((50, 0.0), (20, 40.0)))
    later = Kin("one", "later", level((62, 0.0), (8, 90.0)))
    kindred = Kindred([*kin, small, later])
    assert inherited(small, kindred) is small.seen
    assert inherited(later, kindred) is later.seen
    assert inherited(kin[2], kindred) is kin[2].seen


def test_a_type_used_from_the_start_has_its_own_past() -> None:
    kin = [
        Kin("one", "old", level((4, 100.0), (30, 0.0))),
        Kin("one", "new", level((4, 0.0), (30, 90.0))),
    ]
    assert inherited(kin[1], Kindred(kin)) is kin[1].seen
