"""``tenor policy`` as a person or a program meets it; and what the planner may ask beforehand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from service.cli import main
from service.domain.commitments import (
    Commitment,
    CommitmentState,
    Kind,
    Offering,
    Payment,
)
from service.domain.ids import (
    AccountId,
    ClientToken,
    CommitmentId,
    IntentId,
    LineId,
    OfferingId,
    PlanId,
)
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Companion, Decision
from service.domain.purchases import (
    Intent,
    IntentState,
    InventoryItem,
    PurchaseOrder,
)
from service.guard.caps import sum_of
from service.guard.context import spent_so_far, target_of, unknown_targets
from service.guard.menu import permitted, purchase_account, room_for
from service.guard.rules import judge
from tests.guard.cases import NOW, PAYER, POLICIES, SOUND, context, line, policy, refusing, shipped


def offering(kind: Kind = Kind.AWS_COMPUTE_SP, term_months: int = 12) -> Offering:
    return Offering(
        offering=OfferingId(f"{kind}-{term_months}"),
        provider="aws",
        kind=kind,
        term_months=term_months,
        payment=Payment.NO_UPFRONT,
        region=None,
        family=None,
        platform=None,
        tenancy=None,
        zone=None,
        size_flexible=False,
        rates_usd={},
        upfront_usd=Decimal(0),
        min_quantity=Decimal("0.001"),
        step=Decimal("0.001"),
    )


def intent(state: IntentState, *, plan: str = "p1", commit: str = "1", name: str = "i1") -> Intent:
    wanted = line(f"line-{name}", commit=commit)
    order = PurchaseOrder(
        IntentId(name),
        ClientToken("t"),
        PAYER,
        wanted.offering,
        wanted.kind,
        12,
        wanted.payment,
        wanted.quantity,
        wanted.upfront_usd,
    )
    bought = CommitmentId(f"sp-{name}") if state is IntentState.BOUGHT else None
    return Intent(order, PlanId(plan), None, wanted, state, 1, NOW, NOW, bought, "")


def item(name: str, *, by: str | None = None, ended: bool = False) -> InventoryItem:
    start = NOW - timedelta(days=400 if ended else 30)
    owned = Commitment(
        CommitmentId(name),
        OfferingId("offer"),
        AccountId(PAYER),
        None,
        None,
        Decimal(2),
        start,
        start + timedelta(days=365),
        CommitmentState.RETIRED if ended else CommitmentState.ACTIVE,
    )
    return InventoryItem(
        owned,
        Kind.AWS_COMPUTE_SP,
        12,
        Payment.NO_UPFRONT,
        None,
        None,
        CommitUsdPerHour(Decimal(2)),
        Decimal(0),
        IntentId(by) if by else None,
        None,
    )


def test_what_is_in_flight_unknown_or_owned_counts_once() -> None:
    intents = [
        intent(IntentState.BOUGHT, name="i1"),
        intent(IntentState.UNKNOWN, name="i2", plan="older"),
        intent(IntentState.REFUSED, name="i3"),
        intent(IntentState.RECORDED, name="i4"),
    ]
    inventory = [item("sp-i1"), item("sp-x", by="i2"), item("foreign"), item("gone", ended=True)]
    spent = spent_so_far(intents, inventory, now=NOW, run=PlanId("p1"))
    live = [one for one in spent if one.live]
    # What was bought for $1/h and is listed at $2/h is owed at $2/h.
    assert sum(one.commit_usd_per_hour for one in live) == Decimal(2 + 1 + 1 + 2)
    assert sum(one.in_run for one in spent) == 2
    assert len(unknown_targets(intents)) == 1
    excluding = spent_so_far(
        intents, inventory, now=NOW, run=None, excluding=frozenset({LineId("line-i4")})
    )
    assert len(excluding) == len(spent) - 1


@pytest.mark.parametrize(("bought_for", "owed"), [("1", "2"), ("3", "3"), ("NaN", "NaN")])
def test_a_purchase_counts_at_the_dearer_of_what_was_agreed_and_what_is_listed(
    bought_for: str, owed: str
) -> None:
    bought = [intent(IntentState.BOUGHT, commit=bought_for)]
    (one,) = spent_so_far(bought, [item("sp-i1")], now=NOW, run=None)
    assert str(one.commit_usd_per_hour) == owed
    assert str(one.obligation_usd) == ("NaN" if owed == "NaN" else str(int(owed) * 8760))


def test_a_second_commitment_of_one_intent_counts_too() -> None:
    bought = [intent(IntentState.BOUGHT, name="i1")]
    (alone,) = spent_so_far(bought, [item("sp-i1", by="i1")], now=NOW, run=None)
    twice = spent_so_far(
        bought, [item("sp-i1", by="i1"), item("sp-again", by="i1")], now=NOW, run=None
    )
    assert len(twice) == 2
    assert alone in twice


def test_a_line_judged_again_counts_neither_as_intent_nor_as_what_it_became() -> None:
    bought = [intent(IntentState.BOUGHT, name="i1", plan="p1")]
    listed = [item("sp-i1", by="i1")]
    again = frozenset({LineId("line-i1")})
    assert spent_so_far(bought, listed, now=NOW, run=PlanId("p1"), excluding=again) == ()
    assert len(spent_so_far(bought, listed, now=NOW, run=PlanId("p2"), excluding=again)) == 1


def test_a_purchase_that_was_never_listed_is_owed_until_it_is() -> None:
    """However late it begins, and however late it is found."""
    bought = [intent(IntentState.BOUGHT), intent(IntentState.UNKNOWN, name="i2")]
    spent = spent_so_far(bought, [], now=NOW + timedelta(days=800), run=None)
    assert [one.live for one in spent] == [True, True]


def test_what_renews_counts_for_the_next_term_too_and_on_when_its_own_is_over() -> None:
    renewing = replace(item("sp-i1", by="i1"), renews=True)
    bought = [intent(IntentState.BOUGHT, name="i1")]
    (one, again) = spent_so_far(bought, [renewing], now=NOW, run=None)
    assert (again.commit_usd_per_hour, again.obligation_usd, again.live) == (
        renewing.commit_usd_per_hour,
        renewing.commit_usd_per_hour * 8_760,
        True,
    )
    assert one.live
    end = renewing.commitment.end
    (over, renewed) = spent_so_far(bought, [renewing], now=end, run=None)
    assert (over.live, renewed.live) == (False, True)
    gone = replace(
        renewing, commitment=replace(renewing.commitment, state=CommitmentState.RETURNED)
    )
    assert not any(one.live for one in spent_so_far(bought, [gone], now=NOW, run=None))


def test_a_purchase_that_is_not_listed_any_more_is_owed_until_its_term_must_be_over() -> None:
    bought = [replace(intent(IntentState.BOUGHT), ever_listed=True)]
    (early,) = spent_so_far(bought, [], now=NOW + timedelta(days=364), run=None)
    (late,) = spent_so_far(bought, [], now=NOW + timedelta(days=365), run=None)
    assert early.live
    assert not late.live


@pytest.mark.parametrize(
    ("state", "called_ago"),
    [(IntentState.BOUGHT, timedelta(minutes=2)), (IntentState.RECORDED, None)],
)
def test_a_purchase_counts_on_the_day_of_its_call_not_of_its_writing_down(
    state: IntentState, called_ago: timedelta | None
) -> None:
    written = NOW - timedelta(hours=24, minutes=1)
    called_at = None if called_ago is None else NOW - called_ago
    made = replace(
        intent(state, commit="7.5"), recorded_at=written, updated_at=written, called_at=called_at
    )
    one = line("another")
    spent = spent_so_far([made], [], now=NOW, run=None)
    (verdict,) = judge([one], policy=policy(), context=replace(context(one), spent=spent))
    assert "day_commit" in refusing(verdict)
    later = NOW + timedelta(hours=24, minutes=1)
    (spend,) = spent_so_far([made], [], now=later, run=None)
    assert (later - spend.at >= timedelta(hours=24)) is (state is IntentState.BOUGHT)


def test_a_line_of_unknown_outcome_stops_the_next_one_like_it() -> None:
    facts = replace(context(), open_unknown=unknown_targets([intent(IntentState.CALLING)]))
    (verdict,) = judge([line()], policy=policy(), context=facts)
    assert verdict.decision is Decision.REFUSE


def test_the_menu_keeps_what_is_allowed_and_says_why_not_the_rest() -> None:
    offers = [offering(), offering(Kind.AWS_DATABASE_SP), offering(term_months=36)]
    kept, refusals = permitted(offers, policy=shipped("default.yaml"), account=PAYER)
    assert [one.offering for one in kept] == ["aws_compute_sp-12"]
    assert [(one.rule, one.offering) for one in refusals] == [
        ("kind", "aws_database_sp-12"),
        ("term", "aws_compute_sp-36"),
    ]
    assert "12" in refusals[1].detail


def test_a_line_sized_to_the_room_left_passes_every_cap_and_a_cent_more_does_not() -> None:
    earlier = spent_so_far(
        [intent(IntentState.BOUGHT, commit="3", plan="other")], [], now=NOW, run=None
    )
    facts = replace(context(pool_usd_per_hour="100"), spent=earlier)
    first = line("first", commit="2")
    asked = [(target_of(first), sum_of(first))]
    room = room_for(target_of(line()), policy=policy(), context=facts, asked=asked)
    most = room.most_usd_per_hour(12, Decimal(0))
    assert most == Decimal(3)
    for extra, passes in (("0", True), ("0.01", False)):
        second = line("second", commit=str(most + Decimal(extra)), saving="2")
        lines = [first, second]
        now = replace(facts, pools=context(*lines, pool_usd_per_hour="100").pools)
        verdict = judge(lines, policy=policy(), context=now)[1]
        assert (verdict.decision is not Decision.REFUSE) is passes


def test_what_a_line_begins_with_takes_its_room_from_every_cap_of_the_line_too() -> None:
    begun = line(commit="2")
    whole = room_for(target_of(begun), policy=policy(), context=context(), asked=[])
    rest = room_for(
        target_of(begun), policy=policy(), context=context(), asked=[], begun=sum_of(begun)
    )
    for one in (whole, rest):
        assert one.most_usd_per_hour(12, Decimal(0)) > 0
    taken = whole.commit_usd_per_hour - rest.commit_usd_per_hour
    assert taken == 2
    assert whole.obligation_usd - rest.obligation_usd == begun.total_usd


@pytest.mark.parametrize(
    ("quantity", "commit", "sound"),
    [("4", "0.5", True), ("0", "0", False), ("NaN", "0.5", False), ("4", "1.5", False)],
)
def test_what_comes_beside_is_some_and_its_money_part_of_the_lines(
    quantity: str, commit: str, *, sound: bool
) -> None:
    beside = Companion(
        OfferingId("ram"), Decimal(quantity), CommitUsdPerHour(Decimal(commit)), "GB"
    )
    one = replace(line(), companion=beside)
    (verdict,) = judge([one], policy=policy(), context=context(one))
    assert (verdict.decision is not Decision.REFUSE) is sound


def test_there_is_no_room_where_past_spending_is_not_known() -> None:
    facts = replace(context(), spent=None)
    room = room_for(target_of(line()), policy=policy(), context=facts, asked=[])
    assert room.most_usd_per_hour(12, Decimal(0)) == 0


def test_upfront_cash_limits_the_room_too() -> None:
    room = room_for(target_of(line()), policy=policy(), context=context(), asked=[])
    assert room.most_usd_per_hour(12, Decimal(8760)) == Decimal(10000) / 8760


def test_no_account_is_invented_where_the_policy_names_none() -> None:
    assert purchase_account(policy(), "aws") == PAYER
    assert purchase_account(policy(), "gcp") is None


def test_check_names_every_problem_and_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text(
        SOUND.replace("mode: autopilot", "mode: auto").replace("max: 0.9}", "max: 9}"),
        encoding="utf-8",
    )
    good = str(POLICIES / "default.yaml")
    assert main(["policy", "check", good, str(bad), "--json"]) == 2
    answer = json.loads(capsys.readouterr().out)
    assert answer["sound"] is False
    assert [one["sound"] for one in answer["policies"]] == [True, False]
    assert [one["line"] for one in answer["policies"][1]["problems"]] == [3, 14]
    assert main(["policy", "check", str(bad)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 2


def test_check_of_sound_files_exits_0_and_tells_the_digest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["policy", "check", str(POLICIES / "default.yaml")]) == 0
    assert shipped("default.yaml").digest in capsys.readouterr().out


def test_schema_prints_what_is_published(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["policy", "schema"]) == 0
    published = (POLICIES / "policy.schema.json").read_text(encoding="utf-8")
    assert capsys.readouterr().out == published


def test_explain_tells_the_mode_the_scopes_and_all_caps(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = str(POLICIES / "multi-account-sign-off.yaml")
    plan = ["--kind", "aws_ec2_instance_sp", "--region", "us-east-1", "--family", "m5"]
    assert main(["policy", "explain", file, *plan, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["mode"] == "copilot"
    assert answer["purchase_account"] == PAYER
    assert answer["scopes"] == [{"name": "instance-plans", "mode": "copilot", "fields": 2}]
    assert answer["blackouts"]["weekly"][0]["start"] == "17:00"
    assert {cap["of"] for cap in answer["caps"]} == {"policy", "instance-plans"}
    assert main(["policy", "explain", file, "--account", "999900001111"]) == 0
    assert "account 999900001111" in capsys.readouterr().out


def test_the_clock_of_the_cases_is_outside_every_shipped_blackout() -> None:
    assert datetime(2026, 3, 4, 10, tzinfo=UTC) == NOW
