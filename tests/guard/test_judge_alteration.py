"""What may be done to what is owned: no tighter policy permits more, and no fact goes unasked."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.alterations import (
    AlterationKind,
    AlterationOrder,
    AlterationQuote,
    Target,
)
from service.domain.commitments import Commitment, CommitmentState, Payment
from service.domain.ids import AccountId, ClientToken, CommitmentId, IntentId, OfferingId
from service.domain.plans import Decision, PlanLine, Verdict
from service.domain.purchases import InventoryItem
from service.guard.alterations import AlterationFacts, judge_alteration
from service.guard.obliging import TargetEvidence
from service.guard.policy import Policy
from service.guard.results import STRICTNESS
from tests.guard.cases import NOW, PAYER, context, line, refusing
from tests.guard.tightenings import (
    loose_policies,
    money,
    parsed,
    sound,
    sound_lines,
    spends,
    tightened,
    wild_lines,
)

KINDS = (
    AlterationKind.RETURN,
    AlterationKind.EXCHANGE,
    AlterationKind.SET_RENEWAL,
    AlterationKind.UPGRADE_TERM,
)
SOURCE = CommitmentId("source")


def source(made: PlanLine, commit: Decimal = Decimal(1)) -> InventoryItem:
    """What is given: as long and paid as what is made, a year from now."""
    return InventoryItem(
        commitment=Commitment(
            commitment=SOURCE,
            offering=OfferingId("old"),
            account=AccountId(PAYER),
            scope=None,
            zone=None,
            quantity=made.quantity if made.quantity.is_finite() else Decimal(1),
            start=NOW,
            end=NOW + timedelta(days=365),
            state=CommitmentState.ACTIVE,
        ),
        kind=made.kind,
        term_months=made.term_months,
        payment=made.payment,
        region=made.region,
        family="m5",
        commit_usd_per_hour=line(commit=str(commit)).commit_usd_per_hour,
        upfront_usd=Decimal(100),
        intent=None,
        returnable_until=None,
    )


def an_order(kind: AlterationKind, made: PlanLine) -> AlterationOrder:
    targets = (Target(made.offering, made.quantity, None, made.term_months, made.payment),)
    return AlterationOrder(
        intent=IntentId("order"),
        token=ClientToken("key"),
        alteration=kind,
        account=AccountId(PAYER),
        kind=made.kind,
        sources=(SOURCE,),
        targets=() if kind is AlterationKind.RETURN else targets,
        most_to_pay_usd=Decimal(10**6),
        renew=True if kind is AlterationKind.SET_RENEWAL else None,
    )


def a_quote(order: AlterationOrder, **changes: Decimal) -> AlterationQuote:
    quote = AlterationQuote(
        allowed=True,
        detail="",
        pay_usd=Decimal(0),
        refund_usd=Decimal(100),
        source_value_usd=Decimal(50),
        target_value_usd=Decimal(60),
        targets=order.targets,
        reference=None,
        quoted_at=NOW,
    )
    return replace(quote, **changes)  # type: ignore[arg-type]


def known(made: PlanLine, *, approvals: int = 0) -> AlterationFacts:
    told = context(made, pool_usd_per_hour="100")
    return AlterationFacts(
        now=NOW,
        halted=False,
        holds_lease=True,
        inventory_age_hours=Decimal(0),
        sources=(source(made),),
        others=(),
        open_outcome=False,
        obligation_usd=Decimal(0),
        run="run",
        approved=approvals > 0,
        demoted=frozenset(),
        approvals=approvals,
        spent=(),
        ours=frozenset({SOURCE}),
        evidence=TargetEvidence(
            lines=(made,),
            pools=told.pools,
            data_age_hours=told.data_age_hours,
            prices_age_hours=told.prices_age_hours,
            coverage_ratio_after=told.coverage_ratio_after,
            utilization_ratio_after=told.utilization_ratio_after,
        ),
    )


def judged(
    kind: AlterationKind,
    made: PlanLine,
    policy: Policy,
    *,
    approvals: int = 0,
    **quoted: Decimal,
) -> Verdict:
    order = an_order(kind, made)
    facts = known(made, approvals=approvals)
    return judge_alteration(order, a_quote(order, **quoted), policy=policy, facts=facts)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_tighter_limit_never_gives_an_alteration_a_looser_verdict(data: st.DataObject) -> None:
    made = data.draw(st.one_of(sound_lines, wild_lines))
    order = an_order(data.draw(st.sampled_from(KINDS)), made)
    quote = a_quote(
        order,
        pay_usd=data.draw(money),
        refund_usd=data.draw(money) * 10,
        target_value_usd=data.draw(money) * 1000,
    )
    facts = replace(
        known(made, approvals=data.draw(st.integers(0, 2))),
        spent=data.draw(st.one_of(st.none(), st.just(()), spends)),
    )
    raw = data.draw(loose_policies())
    tight = tightened(raw, data.draw, observe=True)
    before = judge_alteration(order, quote, policy=parsed(raw), facts=facts)
    after = judge_alteration(order, quote, policy=parsed(tight), facts=facts)
    assert STRICTNESS[after.decision] >= STRICTNESS[before.decision]


GOOD = line(commit="1.2", saving="0.5")


def on_autopilot() -> Policy:
    raw = sound()
    raw["scopes"] = []
    return parsed(raw)


@pytest.mark.parametrize("kind", KINDS)
def test_a_sound_alteration_is_allowed(kind: AlterationKind) -> None:
    """Positive control of what follows."""
    assert refusing(judged(kind, GOOD, on_autopilot())) == set()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_a_denied_target_is_refused_whatever_is_left_of_the_source(kind: AlterationKind) -> None:
    made = replace(GOOD, family="p4d", term_months=36)
    raw = sound()
    raw["denied"] = {"families": ["p4d"], "terms_months": [36]}
    raw["scopes"] = []
    assert {"family", "term"} <= refusing(judged(kind, made, parsed(raw)))


def test_only_what_is_owed_beyond_the_source_counts_against_the_caps() -> None:
    """A source of 1 USD/h and 50 USD left becomes 4.9 USD/h: 3.9 more, of which 4 may be a line."""
    made = replace(GOOD, commit_usd_per_hour=line(commit="4.9").commit_usd_per_hour)
    made = replace(made, expected_savings_usd_per_hour=Decimal(2))
    refused = judged(AlterationKind.EXCHANGE, made, on_autopilot(), approvals=1)
    assert "line_commit" not in refusing(refused)
    # A renewal begins when the source has ended, and is owed in full.
    renewed = judged(AlterationKind.SET_RENEWAL, made, on_autopilot(), approvals=1)
    assert "line_commit" in refusing(renewed)


@pytest.mark.parametrize(("approvals", "decision"), [(1, Decision.REFUSE), (2, Decision.ALLOW)])
def test_an_exchange_above_the_amount_needs_two_people(approvals: int, decision: Decision) -> None:
    raw = sound()
    raw["scopes"], raw["mode"] = [], "copilot"
    raw["sign_off"]["two_person_above_usd"] = 1000
    verdict = judged(
        AlterationKind.EXCHANGE,
        GOOD,
        parsed(raw),
        approvals=approvals,
        target_value_usd=Decimal(2000),
    )
    assert verdict.decision is decision


def test_turning_renewal_off_obliges_to_nothing() -> None:
    order = replace(an_order(AlterationKind.SET_RENEWAL, GOOD), renew=False)
    facts = replace(known(GOOD), evidence=None)
    verdict = judge_alteration(order, a_quote(order), policy=on_autopilot(), facts=facts)
    assert verdict.decision is Decision.ALLOW
    on = replace(order, renew=True)
    assert "target" in refusing(
        judge_alteration(on, a_quote(on), policy=on_autopilot(), facts=facts)
    )


def test_evidence_of_something_else_is_none() -> None:
    order = an_order(AlterationKind.EXCHANGE, replace(GOOD, payment=Payment.ALL_UPFRONT))
    verdict = judge_alteration(order, a_quote(order), policy=on_autopilot(), facts=known(GOOD))
    assert "target" in refusing(verdict)
