"""Each rule alone: bent one fact at a time from a case that is allowed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from service.domain.commitments import Kind, Payment
from service.domain.errors import InvariantError
from service.domain.plans import Decision, PlanLine
from service.guard.context import GuardContext, Spend, Target
from service.guard.rules import judge, reasons, would_be
from tests.guard.cases import NOW, PAYER, context, line, policy, refusing, result

NAN = Decimal("NaN")


def spend(
    commit: str = "1",
    *,
    upfront: str = "0",
    hours_ago: int = 1,
    live: bool = True,
    in_run: bool = False,
    loss: str = "0",
    family: str | None = None,
) -> Spend:
    return Spend(
        target=Target("aws", PAYER, None, family, Kind.AWS_COMPUTE_SP, 12),
        commit_usd_per_hour=Decimal(commit),
        upfront_usd=Decimal(upfront),
        obligation_usd=Decimal(commit) * 8760,
        loss_usd=Decimal(loss),
        at=NOW - timedelta(hours=hours_ago),
        live=live,
        in_run=in_run,
    )


def test_allows_a_line_that_breaks_no_rule() -> None:
    (verdict,) = judge([line()], policy=policy(), context=context())
    assert verdict.decision is Decision.ALLOW
    assert refusing(verdict) == set()
    assert reasons(verdict) == ()


def test_every_line_has_a_result_from_every_rule_with_limit_and_actual() -> None:
    lines = [line("a"), line("b", commit="9")]
    first, second = judge(lines, policy=policy(), context=context(*lines))
    assert [item.rule for item in first.results] == [item.rule for item in second.results]
    assert len(first.results) > 30
    assert all(item.limit and item.actual for item in (*first.results, *second.results))
    assert result(second, "line_commit").limit == "4 USD/h"
    assert result(second, "line_commit").actual == "9 USD/h"


BENT_FACTS: list[tuple[str, dict[str, object]]] = [
    ("halt", {"halted": True}),
    ("halt", {"halted": None}),
    ("lease", {"holds_lease": False}),
    ("lease", {"holds_lease": None}),
    ("data_age", {"data_age_hours": Decimal("72.01")}),
    ("data_age", {"data_age_hours": None}),
    ("data_age", {"data_age_hours": NAN}),
    ("data_age", {"data_age_hours": Decimal(-1)}),
    ("price_age", {"prices_age_hours": Decimal(25)}),
    ("price_age", {"prices_age_hours": None}),
    ("inventory_age", {"inventory_age_hours": Decimal(3)}),
    ("inventory_age", {"inventory_age_hours": None}),
    ("solver_gap", {"gap_ratio": Decimal("0.0011")}),
    ("solver_gap", {"gap_ratio": None}),
    ("coverage_after", {"coverage_ratio_after": Decimal("0.91")}),
    ("coverage_after", {"coverage_ratio_after": None}),
    ("utilization_after", {"utilization_ratio_after": Decimal("0.89")}),
    ("utilization_after", {"utilization_ratio_after": Decimal("Infinity")}),
    ("utilization_after", {"utilization_ratio_after": None}),
    ("pool_share", {"pools": {}}),
    ("open_unknown", {"open_unknown": None}),
    ("open_unknown", {"open_unknown": (spend().target,)}),
]


@pytest.mark.parametrize(("rule", "bent"), BENT_FACTS)
def test_refuses_by_exactly_the_rule_whose_fact_is_bad_or_missing(
    rule: str, bent: dict[str, object]
) -> None:
    facts: GuardContext = replace(context(), **bent)  # type: ignore[arg-type]
    (verdict,) = judge([line()], policy=policy(), context=facts)
    assert verdict.decision is Decision.REFUSE
    assert refusing(verdict) == {rule}
    assert [item.rule for item in reasons(verdict)] == [rule]


def test_refuses_whatever_adds_up_when_past_spending_is_not_known() -> None:
    (verdict,) = judge([line()], policy=policy(), context=replace(context(), spent=None))
    spans = {f"{span}_{what}" for span in ("run", "day", "total") for what in AMOUNTS}
    assert refusing(verdict) == spans | {"risk_budget"}


AMOUNTS = ("commit", "upfront", "obligation")

BENT_LINES: list[tuple[str, PlanLine]] = [
    ("kind", line(kind=Kind.AWS_DATABASE_SP)),
    ("saving", line(saving="0.1")),
    ("saving", line(saving="-0.4")),
    ("break_even", line(break_even="10.1")),
    ("break_even", line(break_even="NaN")),
    ("line_utilization", line(utilization="0.79")),
    ("line_utilization", line(utilization="NaN")),
    ("risk_budget", line(low="-0.6")),
    ("risk_budget", line(low="-Infinity")),
    ("purchase_account", line(account="999900001111")),
    ("line_upfront", line(payment=Payment.PARTIAL_UPFRONT, upfront="10001")),
    ("line_commit", line(commit="4.000001", saving="1.5")),
    ("line_obligation", line(commit="3.9", term_months=36, saving="1.5")),
]


@pytest.mark.parametrize(("rule", "bent"), BENT_LINES)
def test_refuses_by_exactly_the_rule_that_the_line_breaks(rule: str, bent: PlanLine) -> None:
    (verdict,) = judge([bent], policy=policy(), context=context())
    assert rule in refusing(verdict)
    assert refusing(verdict) <= {rule, "saving", "pool_share"}


@pytest.mark.parametrize("field", ["quantity", "commit_usd_per_hour", "upfront_usd", "total_usd"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "sNaN", "-0.01"])
def test_refuses_amounts_that_no_purchase_can_have(field: str, value: str) -> None:
    bent = replace(line(), **{field: Decimal(value)})  # type: ignore[arg-type]
    bad, good = judge([bent, line("b")], policy=policy(), context=context(bent, line("b")))
    assert "line" in refusing(bad)
    assert good.decision is Decision.ALLOW


def test_refuses_a_term_that_nobody_sells() -> None:
    (verdict,) = judge([line(term_months=24)], policy=policy(), context=context())
    assert {"line", "term"} <= refusing(verdict)


def test_an_understated_obligation_does_not_pass_the_caps() -> None:
    lying = line(commit="3.9", term_months=36, saving="1.5", total="1")
    (verdict,) = judge([lying], policy=policy(), context=context())
    assert result(verdict, "line_obligation").actual == "102492 USD"
    assert "line_obligation" in refusing(verdict)


def test_lines_of_a_run_add_up_and_the_first_over_the_cap_is_refused() -> None:
    lines = [line(name, commit="2.5", saving="1") for name in "abc"]
    verdicts = judge(lines, policy=policy(), context=context(*lines, pool_usd_per_hour="40"))
    assert [verdict.decision for verdict in verdicts] == ["allow", "allow", "refuse"]
    assert refusing(verdicts[2]) == {"run_commit"}
    assert result(verdicts[2], "run_commit").actual == "7.5 USD/h"


def test_purchases_of_the_last_day_count_and_older_ones_do_not() -> None:
    today = replace(context(), spent=(spend("7.5"),))
    yesterday = replace(context(), spent=(spend("7.5", hours_ago=25),))
    (refused,) = judge([line()], policy=policy(), context=today)
    (allowed,) = judge([line()], policy=policy(), context=yesterday)
    assert refusing(refused) == {"day_commit"}
    assert result(refused, "day_commit").actual == "8.5 USD/h"
    assert allowed.decision is Decision.ALLOW


def test_live_commitments_count_in_total_and_ended_ones_do_not() -> None:
    live = replace(context(), spent=(spend("19.5", hours_ago=900),))
    ended = replace(context(), spent=(spend("19.5", hours_ago=900, live=False),))
    (refused,) = judge([line()], policy=policy(), context=live)
    (allowed,) = judge([line()], policy=policy(), context=ended)
    assert refusing(refused) == {"total_commit"}
    assert allowed.decision is Decision.ALLOW


def test_purchases_made_earlier_in_the_run_count_when_a_line_is_judged_again_alone() -> None:
    earlier = replace(context(), spent=(spend("5.5", in_run=True),))
    (verdict,) = judge([line()], policy=policy(), context=earlier)
    assert refusing(verdict) == {"run_commit"}


def test_spending_that_is_not_a_number_refuses_instead_of_passing() -> None:
    for value in ("NaN", "Infinity"):
        broken = replace(spend(), commit_usd_per_hour=Decimal(value))
        facts = replace(context(), spent=(broken,))
        (verdict,) = judge([line()], policy=policy(), context=facts)
        assert {"day_commit", "total_commit"} <= refusing(verdict)


def test_a_line_above_the_sign_off_amount_waits_and_passes_once_signed_off() -> None:
    big = line(commit="3.5", saving="1.4")
    (waiting,) = judge([big], policy=policy(), context=context())
    (signed,) = judge(
        [big], policy=policy(), context=replace(context(), signed_off=frozenset({big.line}))
    )
    assert waiting.decision is Decision.NEEDS_SIGN_OFF
    assert [item.rule for item in reasons(waiting)] == ["sign_off_commit"]
    assert signed.decision is Decision.ALLOW


def test_a_sign_off_does_not_lift_any_limit() -> None:
    big = line(commit="4.5", saving="1.4")
    facts = replace(context(), signed_off=frozenset({big.line}))
    (verdict,) = judge([big], policy=policy(), context=facts)
    assert refusing(verdict) == {"line_commit"}


def test_copilot_asks_a_person_and_buys_after_the_sign_off() -> None:
    copilot = policy("mode: autopilot", "mode: copilot")
    (waiting,) = judge([line()], policy=copilot, context=context())
    facts = replace(context(), signed_off=frozenset({line().line}))
    (signed,) = judge([line()], policy=copilot, context=facts)
    assert waiting.decision is Decision.NEEDS_SIGN_OFF
    assert signed.decision is Decision.ALLOW


def test_observe_refuses_even_what_was_signed_off_and_says_what_it_would_have_been() -> None:
    observe = policy("mode: autopilot", "mode: observe")
    facts = replace(context(), signed_off=frozenset({line().line}))
    (verdict,) = judge([line()], policy=observe, context=facts)
    assert refusing(verdict) == {"mode"}
    assert would_be(verdict) is Decision.ALLOW


def test_a_halt_written_in_the_policy_refuses_every_line() -> None:
    lines = [line("a"), line("b")]
    halted = policy("mode: autopilot", "mode: autopilot\nhalt: true")
    verdicts = judge(lines, policy=halted, context=context(*lines))
    assert [refusing(verdict) for verdict in verdicts] == [{"halt"}, {"halt"}]


def test_an_unknown_outcome_stops_its_own_scope_and_no_other() -> None:
    unknown = Target("aws", PAYER, "us-east-1", "m5", Kind.AWS_EC2_INSTANCE_SP, 12)
    lines = [
        line("same", region="us-east-1", family="m5"),
        line("elsewhere", region="eu-west-1", family="m5"),
        line("anywhere"),
    ]
    facts = replace(context(*lines), open_unknown=(unknown,))
    same, elsewhere, anywhere = judge(lines, policy=policy(), context=facts)
    assert refusing(same) == {"open_unknown"}
    assert elsewhere.decision is Decision.ALLOW
    assert refusing(anywhere) == {"open_unknown"}


def test_what_is_only_watched_takes_no_room_from_what_is_bought() -> None:
    mixed = policy(
        "mode: autopilot",
        "mode: observe\nscopes: [{name: plans, match: {kinds: [aws_compute_sp]}, mode: autopilot}]",
    )
    watched = line("watched", kind=Kind.AWS_EC2_INSTANCE_SP, commit="3", saving="1")
    bought = line("bought", commit="3", saving="1")
    more = line("more", kind=Kind.AWS_EC2_INSTANCE_SP, commit="3.5", saving="1")
    facts = context(watched, bought, more, pool_usd_per_hour="100")
    first, second, third = judge([watched, bought, more], policy=mixed, context=facts)
    assert (first.decision, second.decision) == (Decision.REFUSE, Decision.ALLOW)
    assert would_be(first) is Decision.ALLOW
    assert refusing(third) == {"mode", "run_commit"}


def test_the_caps_of_a_scope_hold_on_top_of_the_policys_own() -> None:
    small = "{commit_usd_per_hour: 1.5, upfront_usd: 0, obligation_usd: 20000}"
    scoped = policy(
        "mode: autopilot",
        "mode: autopilot\nscopes:\n- name: m5\n  match: {families: [m5]}\n  mode: autopilot\n"
        f"  caps: {{per_line: {small}, per_run: {small}, per_day: {small}, in_total: {small}}}",
    )
    lines = [line("a", family="m5"), line("b", family="m5"), line("c", family="c6i")]
    one, two, other = judge(lines, policy=scoped, context=context(*lines))
    assert one.decision is Decision.ALLOW
    assert {item for item in refusing(two) if "commit" in item} == {
        "run_commit[m5]",
        "day_commit[m5]",
        "total_commit[m5]",
    }
    assert other.decision is Decision.ALLOW
    owned = replace(context(*lines), spent=(spend("1", family="m5", hours_ago=900),))
    again, _, _ = judge(lines, policy=scoped, context=owned)
    assert "total_commit[m5]" in refusing(again)


def test_splitting_a_tranche_into_lines_does_not_pass_the_share_of_the_pool() -> None:
    lines = [line(name) for name in "ab"]
    facts = context(*lines, pool_usd_per_hour="5")
    first, second = judge(lines, policy=policy(), context=facts)
    assert result(first, "pool_share").actual == "0.28 ratio"
    assert first.decision is Decision.ALLOW
    assert refusing(second) == {"pool_share"}


def test_denied_wins_over_allowed() -> None:
    denying = policy("worth:", "denied: {families: [unbound], regions: [eu-west-1]}\nworth:")
    lines = [
        line("a"),
        line("b", family="m5", region="us-east-1"),
        line("c", family="m5", region="eu-west-1"),
    ]
    verdicts = judge(lines, policy=denying, context=context(*lines))
    assert [refusing(verdict) for verdict in verdicts] == [{"family"}, set(), {"region"}]


def test_two_lines_with_one_id_are_an_invariant_broken() -> None:
    with pytest.raises(InvariantError, match="same id"):
        judge([line(), line()], policy=policy(), context=context())


def test_forbidding_one_line_makes_no_room_for_another() -> None:
    lines = [line("m4", family="m4", commit="3", saving="1.2"), line("b", commit="3.5", saving="1")]
    facts = context(*lines, pool_usd_per_hour="100")
    denying = policy("worth:", "denied: {families: [m4]}\nworth:")
    loose = judge(lines, policy=policy(), context=facts)
    tight = judge(lines, policy=denying, context=facts)
    assert [refusing(verdict) for verdict in loose] == [set(), {"run_commit"}]
    assert [refusing(verdict) for verdict in tight] == [{"family"}, {"run_commit"}]
