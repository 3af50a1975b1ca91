"""When a purchase starts: what the policy wants, what cannot be queued, what a month's end eats."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.commitments import QUEUEABLE_KINDS, Kind
from service.domain.errors import PolicyError
from service.domain.ids import OfferingId
from service.domain.plans import Decision, PlanLine
from service.guard.context import target_of
from service.guard.menu import permitted
from service.guard.policy import Policy
from service.guard.rules import judge
from service.guard.starts import MONTH_ENDS, start_for, start_now
from tests.guard.cases import NOW, PAYER, context, line, policy
from tests.guard.test_command_and_menu import offering

TIMING = "timing: {proposal_lifetime_hours: 168, lead_time_hours: 336}"
DELAYED = TIMING.replace("336}", "336, purchase_delay_hours: 48}")
OFFERINGS = [replace(offering(kind), offering=OfferingId(kind.value)) for kind in Kind]
EVERYTHING = "kinds: [aws_compute_sp, aws_ec2_instance_sp]"


def delayed(scopes: str = "") -> Policy:
    return policy(TIMING, DELAYED + scopes)


def said(one: PlanLine, of: Policy) -> tuple[Decision, ...]:
    [verdict] = judge((one,), policy=of, context=context(one))
    return tuple(result.decision for result in verdict.results if result.rule == "start")


def test_at_once_is_what_a_policy_wants_that_says_nothing() -> None:
    one = line()
    assert start_for(policy(), target_of(one), NOW) is None
    assert said(one, policy()) == ()


def test_a_delay_queues_to_the_next_whole_hour_after_it() -> None:
    at = datetime(2026, 3, 4, 10, 0, 1, tzinfo=UTC)
    assert start_for(delayed(), target_of(line()), at) == datetime(2026, 3, 6, 11, tzinfo=UTC)
    assert start_for(delayed(), target_of(line()), NOW) == NOW + timedelta(hours=48)


@given(st.datetimes(datetime(2026, 1, 1), datetime(2028, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001 - the zone is drawn
def test_no_start_is_early_or_in_the_last_day_of_a_month(at: datetime) -> None:
    """AWS fails the payment of what is not invoiced in the month that it starts in."""
    start = start_for(delayed(), target_of(line()), at)
    assert start is not None
    assert at + timedelta(hours=48) <= start < at + timedelta(hours=49) + MONTH_ENDS
    assert start.replace(minute=0, second=0, microsecond=0) == start
    assert (start + MONTH_ENDS - timedelta(hours=1)).month == start.month


SCOPES = """
scopes:
  - {name: a, match: {families: [m5]}, mode: autopilot, purchase_delay_hours: 36}
  - {name: b, match: {regions: [us-east-1]}, mode: autopilot, purchase_delay_hours: 72}
  - {name: c, match: {regions: [us-east-1], families: [c6i]}, mode: autopilot,
     purchase_delay_hours: 0}
  - {name: d, match: {kinds: [aws_compute_sp]}, mode: autopilot}"""


@pytest.mark.parametrize(
    ("family", "region", "hours"),
    [("m5", "eu-west-1", 36), ("m5", "us-east-1", 72), ("c6i", "us-east-1", 0), (None, None, 48)],
)
def test_the_most_specific_scope_that_states_a_delay_decides(
    family: str | None, region: str | None, hours: int
) -> None:
    one = line(family=family, region=region)
    start = start_for(delayed(SCOPES), target_of(one), NOW)
    assert start == (NOW + timedelta(hours=hours) if hours else None)


def test_what_cannot_be_queued_is_refused_where_a_delay_is_wanted() -> None:
    of = policy(TIMING, DELAYED)
    for kind in Kind:
        start = start_for(of, target_of(line(kind=kind)), NOW)
        one = replace(line(kind=kind), start_at=start)
        wanted = Decision.ALLOW if kind in QUEUEABLE_KINDS else Decision.REFUSE
        assert said(one, of) == (wanted,)
    zonal = line(kind=Kind.AWS_RI_ZONAL)
    scope = "\nscopes: [{name: z, match: {kinds: [aws_ri_zonal]}, mode: autopilot, "
    assert said(zonal, delayed(scope + "purchase_delay_hours: 0}]")) == ()


def test_what_cannot_be_queued_is_not_planned_either() -> None:
    every = ", ".join(kind.value for kind in Kind)
    base = policy(EVERYTHING, f"kinds: [{every}]")
    at_once, _ = permitted(OFFERINGS, policy=base, account=PAYER)
    timing = base.timing.model_copy(update={"purchase_delay_hours": Decimal(48)})
    kept, refusals = permitted(
        OFFERINGS, policy=base.model_copy(update={"timing": timing}), account=PAYER
    )
    assert {one.kind for one in kept} == {one.kind for one in at_once} & QUEUEABLE_KINDS
    barred = {one.offering for one in at_once} - {one.offering for one in kept}
    assert barred == {one.offering for one in refusals if one.rule == "start"} != set()


def test_a_line_without_a_start_or_with_one_that_has_passed_is_refused() -> None:
    assert said(line(), delayed()) == (Decision.REFUSE,)
    assert said(replace(line(), start_at=NOW), delayed()) == (Decision.REFUSE,)
    assert said(replace(line(), start_at=NOW + timedelta(hours=1)), delayed()) == (Decision.ALLOW,)


def test_what_is_bought_later_than_decided_still_has_its_time_to_be_taken_back() -> None:
    shown = NOW + timedelta(hours=48)
    one = replace(line(), start_at=shown)
    assert start_now(delayed(), one, NOW) == shown
    assert start_now(delayed(), one, NOW + timedelta(hours=60)) == NOW + timedelta(hours=108)
    # The policy wants no delay by now: not before what was shown, and at once after it.
    assert start_now(policy(), one, NOW + timedelta(hours=1)) == shown
    assert start_now(policy(), one, NOW + timedelta(hours=60)) is None
    # The policy wants a delay since the line was decided without one.
    assert start_now(delayed(), line(), NOW) == shown


@pytest.mark.parametrize(("since", "wanted"), [(0, Decision.ALLOW), (1, Decision.REFUSE)])
def test_a_start_that_was_decided_must_have_the_delay_of_now(since: int, wanted: Decision) -> None:
    one = replace(line(), start_at=NOW + timedelta(hours=48))
    at = replace(context(one), starts_decided_at=NOW + timedelta(seconds=since))
    [verdict] = judge((one,), policy=delayed(), context=at)
    assert [one.decision for one in verdict.results if one.rule == "start"] == [wanted]


@pytest.mark.parametrize("hours", ["-1", "1", "24.9", "721", "2d"])
def test_a_delay_is_none_or_more_than_a_day_up_to_thirty_days(hours: str) -> None:
    with pytest.raises(PolicyError, match="purchase_delay_hours"):
        policy(TIMING, TIMING.replace("336}", f"336, purchase_delay_hours: {hours}}}"))
