import re
from datetime import UTC, datetime
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from service.api.routes_exports import HourlyPicture
from service.web.hours_chart import day_means, last_weeks, mean, typical_week

MONDAY = datetime(2026, 2, 2, tzinfo=UTC)
AMOUNT = st.decimals(min_value=0, max_value=10**6, places=6, allow_nan=False)


def a_picture(
    usage: Decimal, owned: Decimal, proposed: Decimal, *, capacity: Decimal, hours: int = 336
) -> HourlyPicture:
    """The same amounts in every hour."""
    return HourlyPicture(
        start=MONDAY,
        hours=hours,
        usage_usd_per_hour=[usage] * hours,
        owned_usd_per_hour=[owned] * hours,
        proposed_usd_per_hour=[proposed] * hours,
        capacity_usd_per_hour=capacity,
        unused_ratio=Decimal(0),
        week_usage_usd_per_hour=[usage] * 168,
        week_owned_usd_per_hour=[owned] * 168,
        week_proposed_usd_per_hour=[proposed] * 168,
    )


def heights(drawn: str, name: str) -> set[float]:
    """Where the shape called ``name`` runs, from the top of the picture down, in 200ths."""
    points = re.findall(rf'class="{name}" points="([^"]+)"', drawn)[0]
    return {float(point.split(",")[1]) for point in points.split(" ")}


def test_layers_lie_on_each_other_to_one_scale() -> None:
    seen = a_picture(Decimal(8), Decimal(2), Decimal(3), capacity=Decimal(4))
    for drawn in (str(typical_week(seen)), str(last_weeks(seen))):
        assert "$10/h" in drawn
        assert "$5/h" in drawn
        assert heights(drawn, "usage") == {40.0}
        assert heights(drawn, "owned") == {160.0, 200.0}
        assert heights(drawn, "proposed") == {100.0, 160.0}
        assert heights(drawn, "ceiling") == {80.0}


@settings(max_examples=60)
@given(AMOUNT, AMOUNT, AMOUNT, AMOUNT)
def test_nothing_is_drawn_outside_the_picture(
    usage: Decimal, owned: Decimal, proposed: Decimal, capacity: Decimal
) -> None:
    owned, proposed = min(owned, usage), min(proposed, usage - min(owned, usage), capacity)
    drawn = str(typical_week(a_picture(usage, owned, proposed, capacity=capacity)))
    for name in ("usage", "owned", "proposed", "demand", "ceiling"):
        assert all(-0.05 <= height <= 200 for height in heights(drawn, name))


def test_the_picture_says_in_words_what_it_shows() -> None:
    drawn = str(last_weeks(a_picture(Decimal(8), Decimal(2), Decimal(3), capacity=Decimal(4))))
    assert "Every hour from 2026-02-02 to 2026-02-16" in drawn
    assert "owned commitments cover $2.00 of it on average" in drawn
    assert "the proposal would cover $3.00 more" in drawn
    assert [">02 Feb<" in drawn, ">09 Feb<" in drawn, ">16 Feb<" in drawn] == [True, True, False]


def test_hours_that_nobody_has_seen_are_not_drawn_as_nought() -> None:
    seen = a_picture(Decimal(8), Decimal(2), Decimal(3), capacity=Decimal(4))
    gap = seen.model_copy(
        update={"week_usage_usd_per_hour": [None, *seen.week_usage_usd_per_hour[1:]]}
    )
    assert typical_week(gap) == ""
    assert day_means(gap) == []
    assert len(day_means(seen)) == 7


def test_the_days_in_numbers_add_up_to_the_usage() -> None:
    seen = a_picture(Decimal(8), Decimal(2), Decimal(3), capacity=Decimal(4))
    monday = day_means(seen)[0]
    assert (monday.name, monday.usage, monday.left) == ("Mon", Decimal(8), Decimal(3))
    assert mean([Decimal(1), None, Decimal(3)]) == 2
    assert mean([]) == 0
