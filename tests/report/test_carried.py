"""Promises go where their commitments go: shared when split, summed when merged."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from service.domain.ids import CommitmentId
from service.report.promise import Promise, Recast, carried, renewed

MONEY = st.decimals(min_value=-5, max_value=5, places=4)
WEIGHT = st.decimals(min_value=Decimal("0.001"), max_value=50, places=3)


def promise(name: str, rate: str = "4") -> Promise:
    mean = Decimal(rate)
    return Promise(CommitmentId(name), mean / 2, mean, mean * 2, term_hours=8760)


def recast(sources: str, made: str) -> Recast:
    def names(text: str) -> tuple[CommitmentId, ...]:
        return tuple(CommitmentId(one) for one in text.split())

    return Recast(names(sources), names(made))


def moved(promises: list[Promise], recasts: list[Recast], **usd: str) -> dict[str, Decimal]:
    """The means by commitment. ``usd``: what each commits; in upper case where it is owned."""
    found = carried(
        promises,
        recasts,
        commit_usd_per_hour={CommitmentId(one.lower()): Decimal(each) for one, each in usd.items()},
        owned={CommitmentId(one.lower()) for one in usd if one.isupper()},
    )
    assert all(one.low_usd_per_hour * 2 == one.expected_usd_per_hour for one in found)
    assert all(one.high_usd_per_hour == 2 * one.expected_usd_per_hour for one in found)
    return {str(one.commitment): one.expected_usd_per_hour for one in found}


def test_the_parts_of_a_split_share_its_promise_in_proportion() -> None:
    assert moved([promise("s")], [recast("s", "a b")], s="8", A="2", B="6") == {
        "a": Decimal(1),
        "b": Decimal(3),
    }


def test_what_is_left_of_a_source_is_one_of_the_parts() -> None:
    assert moved([promise("s")], [recast("s", "a")], S="6", A="2") == {
        "a": Decimal(1),
        "s": Decimal(3),
    }


def test_a_source_that_is_split_twice_is_as_large_the_first_time_as_it_was_then() -> None:
    split_twice = [recast("s", "a"), recast("s", "b")]
    assert moved([promise("s")], split_twice, S="1", A="2", B="1") == {
        "a": Decimal(2),
        "b": Decimal(1),
        "s": Decimal(1),
    }


def test_a_merge_sums_what_its_sources_were_promised() -> None:
    both = [promise("x", "1"), promise("y", "2"), promise("z", "9")]
    assert moved(both, [recast("x y", "m")], x="1", y="1", M="2") == {
        "m": Decimal(3),
        "z": Decimal(9),
    }


def test_what_is_split_and_merged_again_is_promised_what_it_was() -> None:
    back = [recast("s", "a b"), recast("a b", "m")]
    assert moved([promise("s")], back, s="8", a="2", b="6", M="8") == {"m": Decimal(4)}


def test_merged_with_what_nobody_promised_it_is_not_held_against_a_part_of_it() -> None:
    assert moved([promise("x")], [recast("x y", "m")], x="1", y="1", M="2") == {}


def test_until_a_listing_shows_it_the_promise_stays_where_it_was() -> None:
    assert moved([promise("s")], [recast("s", "")], S="8") == {"s": Decimal(4)}


def test_what_was_bought_beside_counts_with_what_it_was_bought_with() -> None:
    names = {"a": "1", "a/ram": "1", "b": "3", "b/ram": "3"}
    found = carried(
        [promise("s")],
        [recast("s", "a b")],
        commit_usd_per_hour={CommitmentId(one): Decimal(each) for one, each in names.items()},
        owned={CommitmentId(one) for one in names},
    )
    assert [one.expected_usd_per_hour for one in found] == [Decimal(1), Decimal(3)]


def test_a_term_that_followed_is_promised_what_the_one_before_was() -> None:
    own = promise("own", "7")
    found = renewed(
        [promise("one"), own],
        {
            CommitmentId("one"): CommitmentId("two"),
            CommitmentId("two"): CommitmentId("three"),
            CommitmentId("nobodys"): CommitmentId("next"),
            CommitmentId("three"): CommitmentId("own"),
        },
    )
    assert {str(one.commitment): one.expected_usd_per_hour for one in found} == {
        "one": Decimal(4),
        "own": Decimal(7),
        "two": Decimal(4),
        "three": Decimal(4),
    }


@given(rate=MONEY, weights=st.lists(WEIGHT, min_size=1, max_size=6))
def test_nothing_of_a_promise_is_lost_or_made(rate: Decimal, weights: list[Decimal]) -> None:
    made = [f"p{number}" for number in range(len(weights))]
    found = carried(
        [promise("s", str(rate))],
        [recast("s", " ".join(made))],
        commit_usd_per_hour=dict(zip(map(CommitmentId, made), weights, strict=True)),
        owned=frozenset(map(CommitmentId, made)),
    )
    total = sum((one.expected_usd_per_hour for one in found), Decimal(0))
    assert abs(total - rate) < Decimal("1e-20")
