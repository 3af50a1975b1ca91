"""Tightening a policy never permits more: any tightening, any lines, any facts."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from service.domain.commitments import Kind
from service.domain.plans import Decision, PlanLine, Verdict
from service.guard.context import GuardContext
from service.guard.policy import Policy
from service.guard.results import STRICTNESS
from service.guard.rules import judge
from tests.guard.cases import NOW, context, line
from tests.guard.tightenings import (
    Draw,
    facts,
    lines_of_a_run,
    loose_policies,
    parsed,
    sound,
    tightened,
)


def is_looser(one: Verdict, other: Verdict) -> bool:
    return STRICTNESS[one.decision] < STRICTNESS[other.decision]


Judge = Callable[..., tuple[Verdict, ...]]


def check_each_line(judged_by: Judge, draw: Draw) -> None:
    lines = draw(lines_of_a_run)
    context_now = draw(facts(lines))
    raw = draw(loose_policies())
    loose = parsed(raw)
    tight = parsed(tightened(raw, draw, observe=False))
    before = judged_by(lines, policy=loose, context=context_now)
    after = judged_by(lines, policy=tight, context=context_now)
    assert not any(is_looser(new, old) for new, old in zip(after, before, strict=True))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_tighter_limit_never_gives_any_line_a_looser_verdict(data: st.DataObject) -> None:
    check_each_line(judge, data.draw)


def judge_counting_only_what_was_let_through(
    lines: list[PlanLine], *, policy: Policy, context: GuardContext
) -> tuple[Verdict, ...]:
    let_through: list[PlanLine] = []
    verdicts = []
    for item in lines:
        verdict = judge([*let_through, item], policy=policy, context=context)[-1]
        verdicts.append(verdict)
        if verdict.decision is not Decision.REFUSE:
            let_through.append(item)
    return tuple(verdicts)


def test_the_property_notices_a_guard_that_counts_only_what_was_let_through() -> None:
    @settings(
        max_examples=2000,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
    )
    @given(st.data())
    def counting(data: st.DataObject) -> None:
        check_each_line(judge_counting_only_what_was_let_through, data.draw)

    with pytest.raises(AssertionError):
        counting()


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_what_a_tighter_policy_lets_through_the_looser_one_does_too(data: st.DataObject) -> None:
    lines = data.draw(lines_of_a_run)
    context_now = data.draw(facts(lines))
    raw = data.draw(loose_policies())
    tight = parsed(tightened(raw, data.draw, observe=True))
    let_through = {
        verdict.line: verdict
        for verdict in judge(lines, policy=tight, context=context_now)
        if verdict.decision is not Decision.REFUSE
    }
    asked = [item for item in lines if item.line in let_through]
    for verdict in judge(asked, policy=parsed(raw), context=context_now):
        assert not is_looser(let_through[verdict.line], verdict)


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_what_is_let_through_stays_within_every_cap(data: st.DataObject) -> None:
    lines = data.draw(lines_of_a_run)
    context_now = data.draw(facts(lines))
    policy = parsed(data.draw(loose_policies()))
    verdicts = judge(lines, policy=policy, context=context_now)
    bought = [
        item
        for item, verdict in zip(lines, verdicts, strict=True)
        if verdict.decision is not Decision.REFUSE
    ]
    if not bought:
        return
    asked = sum(item.commit_usd_per_hour for item in bought)
    spent = context_now.spent or ()
    day = sum(
        item.commit_usd_per_hour
        for item in spent
        if item.in_run or item.at > NOW - timedelta(hours=24)
    )
    total = sum(item.commit_usd_per_hour for item in spent if item.live)
    assert asked + day <= policy.caps.per_day.commit_usd_per_hour
    assert asked + total <= policy.caps.in_total.commit_usd_per_hour


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_losing_a_fact_never_gives_a_looser_verdict(data: st.DataObject) -> None:
    lines = data.draw(lines_of_a_run)
    known = data.draw(facts(lines))
    lost = data.draw(
        st.sampled_from(
            (
                "halted",
                "holds_lease",
                "data_age_hours",
                "prices_age_hours",
                "inventory_age_hours",
                "gap_ratio",
                "coverage_ratio_after",
                "utilization_ratio_after",
                "spent",
                "open_unknown",
            )
        )
    )
    blind: GuardContext = replace(known, **{lost: None})  # type: ignore[arg-type]
    policy = parsed(data.draw(loose_policies()))
    verdicts = judge(lines, policy=policy, context=blind)
    assert all(verdict.decision is Decision.REFUSE for verdict in verdicts)


def test_the_property_can_tell_a_looser_policy_from_a_tighter_one() -> None:
    raw = sound()
    tight = copy.deepcopy(raw)
    tight["caps"]["per_line"]["commit_usd_per_hour"] = 1
    lines = [
        line(
            family="m5",
            region="us-east-1",
            commit="2",
            saving="0.8",
            kind=Kind.AWS_EC2_INSTANCE_SP,
        )
    ]
    (loose_verdict,) = judge(lines, policy=parsed(raw), context=context())
    (tight_verdict,) = judge(lines, policy=parsed(tight), context=context())
    assert loose_verdict.decision is Decision.ALLOW
    assert is_looser(loose_verdict, tight_verdict)
