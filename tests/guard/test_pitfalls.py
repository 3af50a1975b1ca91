"""How limits on money were evaded elsewhere, one test each; the number is that of the list."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from service.domain.commitments import Payment
from service.domain.purchases import IntentState
from service.guard.context import spent_so_far
from service.guard.rules import judge
from tests.guard.cases import NOW, context, line, policy, refusing
from tests.guard.test_command_and_menu import intent


def test_44_no_upfront_payment_is_no_way_round_a_ceiling() -> None:
    """The amount checked was what is due at purchase: a plan without any passed every limit."""
    cheap = line(payment=Payment.NO_UPFRONT, upfront="0", commit="3.9", term_months=36, saving="2")
    (verdict,) = judge([cheap], policy=policy(), context=context(cheap))
    assert "line_obligation" in refusing(verdict)
    assert "line_upfront" not in refusing(verdict)


@pytest.mark.parametrize("state", [IntentState.RECORDED, IntentState.CALLING, IntentState.UNKNOWN])
def test_24_what_is_under_way_or_unknown_counts_against_the_day(state: IntentState) -> None:
    """A daily cap ignored what was in flight, and what it could not read."""
    made = replace(intent(state, commit="7.5"), recorded_at=NOW)
    spent = spent_so_far([made], [], now=NOW, run=None)
    one = line("another")
    (verdict,) = judge([one], policy=policy(), context=replace(context(one), spent=spent))
    assert "day_commit" in refusing(verdict)
    (unread,) = judge([one], policy=policy(), context=replace(context(one), spent=None))
    assert {"run_commit", "day_commit", "total_commit"} <= refusing(unread)


def test_22_a_plan_of_any_size_is_not_one_instance() -> None:
    """A limit on instances counted a Savings Plan as one, whatever it committed."""
    huge = line(commit="400", saving="160")
    (verdict,) = judge([huge], policy=policy(), context=context(huge, pool_usd_per_hour="9000"))
    assert {"line_commit", "line_obligation"} <= refusing(verdict)
    assert huge.quantity == Decimal(400)
