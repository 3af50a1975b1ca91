"""What a person rejected is not asked for again for a while; two people sign large sums."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from service.domain.ids import AccountId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Decision, PlanLine, RuleResult
from service.guard.checks import people_needed
from service.guard.context import GuardContext
from service.guard.holds import Hold
from service.guard.rules import judge
from tests.guard.cases import NOW, context, line, policy

HOUR = timedelta(hours=1)


def hold_of(one: PlanLine, *, until: timedelta = HOUR) -> Hold:
    return Hold(
        provider=one.provider,
        account=one.account,
        offering=one.offering,
        kind=one.kind,
        region=one.region,
        family=one.family,
        until=NOW + until,
        by="Ada",
        reason="we leave this region",
    )


def rule(name: str, one: PlanLine, facts: GuardContext) -> RuleResult:
    (verdict,) = judge([one], policy=policy(), context=facts)
    return next(result for result in verdict.results if result.rule == name)


def test_what_was_rejected_is_refused_with_who_and_why() -> None:
    found = rule("rejected", line(), replace(context(), holds=(hold_of(line()),)))
    assert found.decision is Decision.REFUSE
    assert "Ada" in found.actual
    assert found.detail == "we leave this region"


def test_another_term_of_the_same_kind_for_the_same_usage_is_refused_too() -> None:
    other = replace(line(), offering=OfferingId("another"), term_months=36)
    facts = replace(context(), holds=(hold_of(line()),))
    assert rule("rejected", other, facts).decision is Decision.REFUSE


def test_without_a_hold_nothing_is_rejected() -> None:
    assert rule("rejected", line(), context()).decision is Decision.ALLOW


@pytest.mark.parametrize("until", [timedelta(0), -HOUR])
def test_a_hold_that_is_over_refuses_nothing(until: timedelta) -> None:
    facts = replace(context(), holds=(hold_of(line(), until=until),))
    assert rule("rejected", line(), facts).decision is Decision.ALLOW


def test_a_hold_in_another_account_or_for_another_pool_refuses_nothing() -> None:
    base = hold_of(line())
    elsewhere = replace(base, account=AccountId("999999999999"))
    family = replace(base, offering=OfferingId("other"), family="another family")
    for one in (elsewhere, family):
        facts = replace(context(), holds=(one,))
        assert rule("rejected", line(), facts).decision is Decision.ALLOW


def test_a_line_that_a_person_approved_is_not_held() -> None:
    one = line()
    facts = replace(context(), holds=(hold_of(one),), signed_off=frozenset({one.line}))
    assert rule("rejected", one, facts).decision is Decision.ALLOW


def test_two_people_are_needed_above_the_amount_and_one_at_it() -> None:
    owed = replace(
        line(), commit_usd_per_hour=CommitUsdPerHour(Decimal(1)), total_usd=Decimal(8760)
    )

    def needed(above: str) -> int:
        sign_off = policy().sign_off.model_copy(update={"two_person_above_usd": Decimal(above)})
        return people_needed(owed, policy().model_copy(update={"sign_off": sign_off}))

    assert (needed("8760"), needed("8759.99")) == (1, 2)
    assert people_needed(owed, policy()) == 1


def test_what_needs_two_people_is_never_bought_without_any() -> None:
    sign_off = policy().sign_off.model_copy(update={"two_person_above_usd": Decimal(0)})
    strict = policy().model_copy(update={"sign_off": sign_off})
    (verdict,) = judge([line()], policy=strict, context=context())
    asked = {r.rule: r.decision for r in verdict.results}
    assert asked["sign_off_two_person"] is Decision.NEEDS_SIGN_OFF


def test_a_line_that_too_few_approved_is_refused_when_it_is_about_to_be_bought() -> None:
    sign_off = policy().sign_off.model_copy(update={"two_person_above_usd": Decimal(0)})
    strict = policy().model_copy(update={"sign_off": sign_off})
    one = line()

    def decision(given: int) -> Decision:
        facts = replace(context(), signed_off=frozenset({one.line}), approvals={one.line: given})
        (verdict,) = judge([one], policy=strict, context=facts)
        return verdict.decision

    assert decision(1) is Decision.REFUSE
    assert decision(2) is Decision.ALLOW
