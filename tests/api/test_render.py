from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.commitments import Kind
from service.domain.plans import Decision, RuleResult
from service.domain.wording import counted, unit_name, usd
from service.web.charts import interval, ladder
from service.web.render import (
    age,
    ident,
    number,
    outcome,
    percent,
    relative,
    rule_told,
    sentences,
    whole,
)
from tests.api.world import NOW

MONEY = st.decimals(
    min_value=Decimal(-(10**9)), max_value=Decimal(10**9), places=9, allow_nan=False
)


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("0", "$0.00"),
        ("1.25", "$1.25"),
        ("0.0713", "$0.0713"),
        ("9.9999", "$9.9999"),
        ("10.005", "$10.00"),
        ("1234.5", "$1,234.50"),
        ("123456.7", "$123,457"),
        ("-3", "−$3.00"),
    ],
)
def test_dollars_are_shown_with_the_cents_that_matter(amount: str, shown: str) -> None:
    assert usd(Decimal(amount)) == shown


@given(MONEY)
def test_shown_dollars_are_never_further_off_than_they_look(amount: Decimal) -> None:
    shown = usd(amount)
    value = Decimal(shown.replace("$", "").replace(",", "").replace("−", "-"))
    places = len(shown.partition(".")[2])
    assert abs(value - amount) <= Decimal(1).scaleb(-places) / 2


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [("0", "0.0 %"), ("-0", "0.0 %"), ("-0.0001", "0.0 %"), ("-0.05", "−5.0 %"), ("1", "100.0 %")],
)
def test_ratios_are_shown_as_per_cent(ratio: str, shown: str) -> None:
    assert percent(Decimal(ratio)) == shown


def test_what_is_not_known_is_a_dash_and_never_a_nought() -> None:
    assert usd(None) == percent(None) == number(None) == relative(None, NOW) == "–"


@pytest.mark.parametrize(
    ("distance", "shown"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=5), "in 5 min"),
        (timedelta(hours=-3, minutes=-4), "3 h 4 min ago"),
        (timedelta(days=2, hours=1), "in 2 d 1 h"),
        (timedelta(days=-40), "40 d ago"),
    ],
)
def test_distances_are_told_in_the_units_that_matter(distance: timedelta, shown: str) -> None:
    assert relative(NOW + distance, NOW) == shown


def test_old_data_is_told_in_days() -> None:
    assert (age(Decimal("50.5")), age(Decimal(97))) == ("50.5 h", "4 d")


def test_a_reason_is_cut_between_its_thoughts() -> None:
    assert sentences("buy 1 USD/h; used in 72% of hours; ") == [
        "buy 1 USD/h",
        "used in 72% of hours",
    ]


def test_what_a_cycle_came_to_is_told_in_order_and_with_what_is_new() -> None:
    told = {"bought": 3, "lines": 9, "plan": "a<b", "unknown": 0, "problem": "<late>"}
    assert outcome(told) == (
        '9 lines, 3 bought, 0 unknown at first (<a href="/plans/a%3Cb">plan</a>), '
        "problem: &lt;late&gt;"
    )
    assert outcome({}) == ""


def test_a_sum_to_compare_has_no_cents() -> None:
    assert [whole(Decimal(one)) for one in ("2559.84", "-3.2", "120000.4")] == [
        "$2,560",
        "−$3",
        "$120,000",
    ]


def test_of_a_long_id_the_last_part_is_shown_and_nothing_is_lost() -> None:
    assert ident("sp-1<b>") == "<code>sp-1&lt;b&gt;</code>"
    assert ident("/providers/r-123456789012") == (
        '<code title="/providers/r-123456789012">…/r-123456789012</code>'
    )
    assert ">…/r-123456789/memory<" in str(ident("x/r-123456789/memory"))
    assert ident("a/b") == "<code>a/b</code>"
    assert ident(None) == "–"


def test_the_ladder_steps_down_as_commitments_end() -> None:
    ends = [
        (datetime(2027, 3, 2, tzinfo=UTC), Decimal(1)),
        (datetime(2026, 9, 2, tzinfo=UTC), Decimal(3)),
        (datetime(2026, 1, 1, tzinfo=UTC), Decimal(9)),
    ]
    drawn = str(ladder(ends, NOW))
    line = drawn.split('class="line" points="')[1].split('"', maxsplit=1)[0]
    heights = [float(point.split(",")[1]) for point in line.split(" ")]
    assert heights == [4.0, 4.0, 101.5, 101.5, 134.0]
    assert "$4.00 an hour now" in drawn
    assert ">2027<" in drawn
    assert ladder(ends[2:], NOW) == ""


@given(MONEY, MONEY, MONEY, st.none() | MONEY)
def test_an_interval_is_drawn_inside_its_picture(
    low: Decimal, middle: Decimal, high: Decimal, actual: Decimal | None
) -> None:
    low, middle, high = sorted((low, middle, high))
    drawn = str(interval(low, middle, high, actual))
    if drawn:
        places = [float(part.split('"')[0]) for part in drawn.split('x1="')[1:]]
        assert all(8 <= place <= 992 for place in places)


def test_one_of_a_thing_is_not_told_as_many() -> None:
    shown = [unit_name(Kind.GCP_RESOURCE_CUD, Decimal(count)) for count in (1, 2)]
    assert shown == ["vCPU", "vCPUs"]
    assert unit_name(Kind.AZURE_RESERVATION) == "units"
    assert [counted(count, "day") for count in (0, 1, 2)] == ["0 days", "1 day", "2 days"]


def test_the_mode_is_told_as_english_and_amounts_as_amounts() -> None:
    mode = RuleResult("mode", Decision.NEEDS_SIGN_OFF, "autopilot", "copilot", "")
    assert rule_told(mode) == "it is in copilot, only autopilot buys without asking"
    cap = RuleResult("cap_upfront_usd", Decision.REFUSE, "100", "120", "")
    assert rule_told(cap) == "cap upfront usd: 120, limit 100"
