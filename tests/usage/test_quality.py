from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import RefusedError
from service.domain.hours import HOUR, HourRange
from service.usage.days import UsageDay
from service.usage.quality import decision_window

START = datetime(2026, 6, 1, tzinfo=UTC)
DAYS = 60
NOW = START + timedelta(days=DAYS, hours=3)
Weight = Callable[[int], float | None]


def steady(hour: int) -> float | None:
    """Ten dollars an hour, and a little more by day."""
    return 10.0 + hour % 24


def manifest(
    weight: Weight = steady, *, days: int = DAYS, provider: str = "aws", first: int = 0
) -> list[UsageDay]:
    """A manifest whose hour ``h`` since START weighs ``weight(h)``; ``None``: no row."""
    entries = []
    for day in range(first, days):
        weights = [weight(24 * day + hour) for hour in range(24)]
        present = [hour for hour, value in enumerate(weights) if value is not None]
        if not present:
            continue
        start = START + timedelta(days=day)
        entries.append(
            UsageDay(
                provider=provider, day=start.date(), file=f"{day}", digest="d", rows=len(present),
                hours_present=len(present), hours_mask=sum(1 << hour for hour in present),
                first_hour=start + present[0] * HOUR, last_hour=start + present[-1] * HOUR,
                seen_at=NOW, eligible_usd=Decimal(1), total_usd=Decimal(1),
                hour_weights=tuple(None if v is None else Decimal(str(v)) for v in weights),
            )
        )  # fmt: skip
    return entries


def window(
    weight: Weight = steady, *, now: datetime = NOW, want_hours: int = 1_000, lag_hours: int = 48
) -> HourRange:
    return decision_window(manifest(weight), now=now, lag_hours=lag_hours, want_hours=want_hours)


def refusal(weight: Weight = steady, *, now: datetime = NOW) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        window(weight, now=now)
    return refused.value


def test_the_window_ends_where_the_lag_begins() -> None:
    found = window()
    assert found.end == START + timedelta(days=DAYS - 2, hours=3)
    assert found.count == 1_000


def test_a_longer_lag_ends_the_window_earlier() -> None:
    assert window(lag_hours=72).end == window().end - timedelta(hours=24)


def test_history_shorter_than_wanted_is_used_from_its_beginning() -> None:
    found = window(want_hours=9_528)
    assert (found.start, found.count) == (START, (DAYS - 2) * 24 + 3)


def test_too_little_history_is_refused_with_both_numbers() -> None:
    with pytest.raises(RefusedError, match="51 decidable hours are known, at least 168") as refused:
        decision_window(manifest(days=4), now=START + timedelta(days=4, hours=3), want_hours=1_000)
    assert refused.value.rule == "usage_history"


def test_old_data_is_refused_and_data_just_young_enough_is_not() -> None:
    newest_end = START + timedelta(days=DAYS)
    assert window(now=newest_end + timedelta(hours=96)).end == newest_end
    refused = refusal(now=newest_end + timedelta(hours=97))
    assert refused.rule == "data_age"
    assert "97 hours old, at most 96" in refused.detail


def test_no_data_at_all_is_refused() -> None:
    with pytest.raises(RefusedError, match="data_age: no usage is known"):
        decision_window([], now=NOW, want_hours=1_000)


def test_a_missing_hour_inside_is_refused_and_one_before_is_not() -> None:
    hole = 24 * 30 + 5
    refused = refusal(lambda hour: None if hour == hole else steady(hour))
    assert (refused.rule, refused.detail) == (
        "usage_gap",
        "aws has no usage in 1 of 1000 hours, first in 2026-07-01T05:00:00Z",
    )
    assert window(lambda hour: None if hour == 5 else steady(hour)).count == 1_000


def test_a_missing_day_is_refused() -> None:
    assert (
        "24 of 1000 hours"
        in refusal(lambda hour: None if hour // 24 == 40 else steady(hour)).detail
    )


def test_hours_not_delivered_yet_end_the_window_instead() -> None:
    last = 24 * (DAYS - 3) + 7
    found = window(lambda hour: steady(hour) if hour <= last else None)
    assert found.end == START + timedelta(hours=last + 1)


def test_usage_that_is_zero_throughout_is_refused() -> None:
    assert refusal(lambda _hour: 0.0).rule == "usage_all_zero"


def test_negative_usage_is_refused() -> None:
    assert refusal(lambda hour: -1.0 if hour == 24 * 40 else steady(hour)).rule == "usage_negative"


CHECKED = 24 * (DAYS - 4) + 12


@pytest.mark.parametrize(
    ("factor", "refused"), [(0.04, True), (0.06, False), (19, False), (21, True)]
)
def test_a_fall_below_a_twentieth_or_a_rise_beyond_twenty_times_is_refused(
    factor: float,
    refused: bool,  # noqa: FBT001 - a column of the table above
) -> None:
    def jumping(hour: int) -> float | None:
        return 22.0 * factor if hour == CHECKED else steady(hour)

    if not refused:
        assert window(jumping).count == 1_000
        return
    refusing = refusal(jumping)
    assert refusing.rule == "usage_jump"
    assert f"{22.0 * factor:.6g} in 2026-07-27T12:00:00Z, {factor:.3g} times the usual 22" in (
        refusing.detail
    )


def test_a_lasting_step_is_accepted_once_it_is_usual() -> None:
    def step(at_day: int) -> Weight:
        return lambda hour: 1.0 if hour < 24 * at_day else 50.0

    assert refusal(step(DAYS - 5)).rule == "usage_jump"
    assert window(step(DAYS - 30)).count == 1_000


def test_with_two_providers_the_window_is_what_both_have() -> None:
    both = [*manifest(), *manifest(days=DAYS - 1, provider="azure", first=20)]
    found = decision_window(both, now=NOW, lag_hours=0, want_hours=9_999)
    assert found.start == START + timedelta(days=20)
    assert found.end == START + timedelta(days=DAYS - 1)
    alone = decision_window(both, now=NOW, lag_hours=0, want_hours=9_999, provider="aws")
    assert (alone.start, alone.end) == (START, START + timedelta(days=DAYS))


@settings(max_examples=60, deadline=None)
@given(
    lag=st.integers(0, 96), want=st.integers(168, 2_000), late=st.integers(0, 60),
    hole=st.none() | st.integers(0, 24 * DAYS - 1),
)  # fmt: skip
def test_a_window_never_holds_a_young_or_missing_hour(
    lag: int, want: int, late: int, hole: int | None
) -> None:
    now = NOW + timedelta(hours=late)
    entries = manifest(lambda hour: None if hour == hole else steady(hour))
    found, rule = None, None
    try:
        found = decision_window(entries, now=now, lag_hours=lag, want_hours=want)
    except RefusedError as refused:
        rule = refused.rule
    if found is None:
        assert rule == "data_age" or (rule == "usage_gap" and hole is not None)
        return
    assert 168 <= found.count <= want
    assert found.end <= now - timedelta(hours=lag)
    if hole is not None:
        missing = START + timedelta(hours=hole)
        assert not found.start <= missing < found.end
