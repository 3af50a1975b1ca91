"""Which scope decides, and when blackouts hold."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.commitments import Kind
from service.guard.context import Target
from service.guard.fields import Mode
from service.guard.policy import Policy
from service.guard.scopes import mode_for, mode_of
from service.guard.windows import blackout_at
from tests.guard.cases import PAYER, policy

SOUND = policy()
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "providers": st.just(("aws",)),
        "accounts": st.sampled_from(((PAYER,), ("999900001111",))),
        "regions": st.sampled_from((("us-east-1",), ("unbound",))),
        "families": st.sampled_from((("m5",), ("*",))),
        "kinds": st.just(("aws_compute_sp",)),
        "terms_months": st.just((12,)),
    },
).filter(bool)
TARGETS = st.builds(
    Target,
    provider=st.sampled_from(("aws", "azure")),
    account=st.just(PAYER),
    region=st.sampled_from(("us-east-1", None)),
    family=st.sampled_from(("m5", None)),
    kind=st.sampled_from((Kind.AWS_COMPUTE_SP, Kind.AWS_EC2_INSTANCE_SP)),
    term_months=st.sampled_from((12, 36)),
)


def with_scopes(scopes: list[dict[str, object]]) -> Policy:
    named = tuple({"name": f"s{index}", **scope} for index, scope in enumerate(scopes))
    raw = {name: getattr(SOUND, name) for name in Policy.model_fields}
    return Policy.model_validate({**raw, "mode": "observe", "scopes": named})


def mode(found: Policy, **changed: object) -> Mode:
    wanted: dict[str, object] = {
        "provider": "aws",
        "account": PAYER,
        "region": "us-east-1",
        "family": "m5",
        "kind": Kind.AWS_EC2_INSTANCE_SP,
        **changed,
    }
    return mode_for(found, **wanted)  # type: ignore[arg-type]


def test_the_policys_mode_holds_where_no_scope_matches() -> None:
    found = with_scopes([{"match": {"regions": ("eu-west-1",)}, "mode": "autopilot"}])
    assert mode(found) is Mode.OBSERVE
    assert mode(found, region="eu-west-1") is Mode.AUTOPILOT


def test_the_scope_that_states_more_fields_wins_even_when_it_permits_more() -> None:
    found = with_scopes(
        [
            {"match": {"accounts": (PAYER,)}, "mode": "copilot"},
            {"match": {"accounts": (PAYER,), "families": ("m5",)}, "mode": "autopilot"},
        ]
    )
    assert mode(found) is Mode.AUTOPILOT
    assert mode(found, family="c6i") is Mode.COPILOT


def test_the_more_cautious_of_two_equally_specific_scopes_wins() -> None:
    found = with_scopes(
        [
            {"match": {"families": ("m5",)}, "mode": "autopilot"},
            {"match": {"regions": ("us-east-1",)}, "mode": "copilot"},
        ]
    )
    assert mode(found) is Mode.COPILOT


def test_unbound_means_plans_that_are_tied_to_no_family() -> None:
    found = with_scopes([{"match": {"families": ("unbound",)}, "mode": "copilot"}])
    assert mode(found, family=None) is Mode.COPILOT
    assert mode(found) is Mode.OBSERVE


def test_a_scope_that_states_terms_does_not_hold_for_an_unstated_term() -> None:
    found = with_scopes([{"match": {"terms_months": (12,)}, "mode": "autopilot"}])
    assert mode(found) is Mode.OBSERVE
    assert mode(found, term_months=12) is Mode.AUTOPILOT


@given(
    st.lists(st.tuples(MATCHES, st.sampled_from([*Mode])), max_size=5),
    TARGETS,
    st.randoms(use_true_random=False),
)
def test_the_order_of_scopes_never_matters(
    pairs: list[tuple[dict[str, object], Mode]], target: Target, shuffler: random.Random
) -> None:
    scopes: list[dict[str, object]] = [{"match": match, "mode": str(mode)} for match, mode in pairs]
    before = mode_of(with_scopes(scopes), target)
    shuffler.shuffle(scopes)
    assert mode_of(with_scopes(scopes), target) is before


WINDOWS = """\
blackouts:
  weekly:
  - {name: weekend, timezone: Europe/Berlin, days: [fri], start: "16:00", end: "24:00"}
  - {name: night, timezone: America/New_York, days: [mon, sun], start: "22:00", end: "06:00"}
  dates:
  - {name: freeze, timezone: Asia/Tokyo, first_day: 2026-12-24, last_day: 2027-01-03}
worth:"""


@pytest.mark.parametrize(
    ("instant", "window"),
    [
        ("2026-03-06T14:59:59", None),  # Friday 15:59 in Berlin
        ("2026-03-06T15:00:00", "weekend"),
        ("2026-03-06T22:59:59", "weekend"),
        ("2026-03-06T23:00:00", None),  # Saturday in Berlin
        ("2026-07-03T14:00:00", "weekend"),  # summer time: 16:00 comes an hour earlier in UTC
        ("2026-03-03T02:59:59", None),  # Monday 21:59 in New York
        ("2026-03-03T03:00:00", "night"),
        ("2026-03-03T10:59:59", "night"),  # the window that began on Monday, on Tuesday 05:59
        ("2026-03-03T11:00:00", None),
        ("2026-03-04T04:00:00", None),  # Tuesday 23:00: the window does not begin on Tuesdays
        ("2026-12-23T14:59:59", None),
        ("2026-12-23T15:00:00", "freeze"),  # the 24th has begun in Tokyo
        ("2027-01-03T14:59:59", "freeze"),
        ("2027-01-03T15:00:00", None),
    ],
)
def test_blackouts_hold_in_their_own_time_zone(instant: str, window: str | None) -> None:
    found = policy("worth:", WINDOWS)
    now = datetime.fromisoformat(instant).replace(tzinfo=UTC)
    assert blackout_at(found.blackouts, now) == window
