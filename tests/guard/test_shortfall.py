"""The limits on expected shortfall hold when a line is judged, at execution as at proposal."""

from __future__ import annotations

from decimal import Decimal

import pytest

from service.domain.plans import Decision, PlanLine, Shortfall, Verdict
from service.guard.policy import Policy
from service.guard.rules import judge
from tests.guard.cases import context, line, policy, refusing, result

BEFORE = "risk: {budget_usd_per_run: 5000"
PER_POOL, TOTAL = "expected_shortfall_usd_per_pool: 500", "expected_shortfall_usd_total: 900"


def limited(*limits: str) -> Policy:
    return policy(BEFORE, ", ".join((BEFORE, *limits)))


def losing(pool: str, total: str, tail: str = "0.05") -> PlanLine:
    return line(shortfall=Shortfall(Decimal(pool), Decimal(total), Decimal(tail)))


def judged(one: PlanLine, by: Policy) -> Verdict:
    (verdict,) = judge([one], policy=by, context=context())
    return verdict


def test_a_line_within_both_limits_is_allowed_and_shows_them() -> None:
    verdict = judged(losing("500", "900"), limited(PER_POOL, TOTAL))
    assert verdict.decision is Decision.ALLOW
    assert result(verdict, "shortfall").limit == "500 USD"
    assert result(verdict, "shortfall_total").actual == "900 USD"


@pytest.mark.parametrize(
    ("pool", "total", "refused"),
    [
        ("500.01", "600", {"shortfall"}),
        ("-3", "900.01", {"shortfall_total"}),
        ("501", "901", {"shortfall", "shortfall_total"}),
        ("NaN", "Infinity", {"shortfall", "shortfall_total"}),
    ],
)
def test_refuses_by_the_limit_that_the_plan_exceeds(
    pool: str, total: str, refused: set[str]
) -> None:
    verdict = judged(losing(pool, total), limited(PER_POOL, TOTAL))
    assert verdict.decision is Decision.REFUSE
    assert refusing(verdict) == refused


def test_refuses_a_line_whose_shortfall_was_not_measured_when_a_limit_is_set() -> None:
    unmeasured = line(shortfall=None)
    assert refusing(judged(unmeasured, limited(PER_POOL))) == {"shortfall"}
    assert refusing(judged(unmeasured, limited(TOTAL))) == {"shortfall_total"}
    assert judged(unmeasured, policy()).decision is Decision.ALLOW  # no limit, nothing to know


def test_refuses_what_was_measured_over_more_scenarios_than_count_now() -> None:
    tail = "expected_shortfall_tail_ratio: 0.02"
    verdict = judged(losing("10", "10"), limited(PER_POOL, tail))
    assert refusing(verdict) == {"shortfall"}
    assert "0.05" in result(verdict, "shortfall").detail
    worse = judged(losing("10", "10", tail="0.01"), limited(PER_POOL, tail))
    assert worse.decision is Decision.ALLOW
