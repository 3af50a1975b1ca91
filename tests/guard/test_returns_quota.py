"""How many returns a year are allowed: as many as the policy says, and not one more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from service.domain.alterations import Alteration, AlterationKind, AlterationState
from service.domain.ids import IntentId
from service.domain.plans import RuleResult
from service.guard.alterations import judge_alteration
from tests.guard.cases import NOW, line, policy
from tests.guard.test_judge_alteration import a_quote, an_order, known

MOST = 3


def returned(number: int, *, days_ago: int) -> Alteration:
    quote = a_quote(an_order(AlterationKind.RETURN, line()))
    at = NOW - timedelta(days=days_ago)
    order = replace(an_order(AlterationKind.RETURN, line()), intent=IntentId(f"earlier-{number}"))
    return Alteration(
        order=order,
        provider="aws",
        state=AlterationState.ALTERED,
        run=f"run-{number}",
        version=1,
        fence=1,
        pay_usd=quote.pay_usd,
        refund_usd=quote.refund_usd,
        asked_at=at,
        expires_at=at + timedelta(days=1),
        recorded_at=at,
        called_at=at,
        updated_at=at,
        decided_by=None,
        reason="drill",
        detail="",
        made=(),
    )


def quota(others: Sequence[Alteration]) -> RuleResult:
    limits = policy("finance:", f"alterations: {{max_returns_per_year: {MOST}}}\nfinance:")
    order = an_order(AlterationKind.RETURN, line())
    facts = replace(known(line()), others=tuple(others))
    said = judge_alteration(order, a_quote(order), policy=limits, facts=facts)
    (found,) = (one for one in said.results if one.rule == "returns")
    return found


@pytest.mark.parametrize("done", range(MOST + 2))
def test_as_many_returns_a_year_as_the_policy_says_and_not_one_more(done: int) -> None:
    found = quota([returned(number, days_ago=2 + number) for number in range(done)])
    assert (found.decision.value == "allow") is (done < MOST)


def test_returns_of_more_than_a_year_ago_are_no_longer_counted() -> None:
    assert quota([returned(number, days_ago=366) for number in range(MOST)]).decision == "allow"
