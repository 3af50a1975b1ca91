"""A cloud in one file that also takes back and exchanges, and the bench to do it at."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TypedDict, Unpack

from sqlalchemy import Engine

from service.domain.alterations import (
    Alteration,
    AlterationKind,
    AlterationOrder,
    AlterationOutcome,
    AlterationQuote,
    AlterationState,
    Altered,
    Target,
)
from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.ids import ClientToken, CommitmentId, IntentId, LineId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Decision, RuleResult, Verdict
from service.domain.purchases import InventoryItem, PurchaseOrder, Refused, Unknown
from service.guard.alterations import AlterationFacts, judge_alteration
from service.guard.obliging import TargetEvidence
from service.guard.policy import Policy
from service.providers.port import StillWanted, always_wanted
from service.purchase.alter import Bench, Valuer
from service.purchase.desk import Desk
from service.purchase.written_alterations import ask
from service.reconcile.settle import Reconciliation, reconcile
from service.store import alterations
from service.store.engine import reading, writing
from tests.guard.cases import context, line
from tests.guard.cases import policy as policy_with
from tests.purchase.cloud import ACCOUNT, PROVIDER, Fault, FileCloud
from tests.purchase.world import START, HandClock

NOTHING = Decimal(0)


@dataclass
class Alterer:
    """Alters what ``cloud`` sold, with the cloud's own fault."""

    cloud: FileCloud
    clock: HandClock
    fault: Fault = Fault.NONE
    pay_usd: Decimal = NOTHING
    refund_usd: Decimal = Decimal(100)
    source_value_usd: Decimal = Decimal(100)
    target_value_usd: Decimal = Decimal(100)
    allowed: bool = True
    targets: tuple[Target, ...] | None = None
    calls: list[AlterationOrder] = field(default_factory=list)

    def ways(self, item: InventoryItem, now: datetime) -> frozenset[AlterationKind]:
        del item, now
        return frozenset({AlterationKind.RETURN, AlterationKind.EXCHANGE})

    def quote_alteration(self, order: AlterationOrder) -> AlterationQuote:
        return AlterationQuote(
            allowed=self.allowed,
            detail="" if self.allowed else "the window is over",
            pay_usd=self.pay_usd,
            refund_usd=self.refund_usd if order.alteration is AlterationKind.RETURN else NOTHING,
            source_value_usd=self.source_value_usd,
            target_value_usd=self.target_value_usd,
            targets=order.targets if self.targets is None else self.targets,
            reference="session-1",
            quoted_at=self.clock.now(),
        )

    def alter(
        self, order: AlterationOrder, *, still_wanted: StillWanted = always_wanted
    ) -> AlterationOutcome:
        stopped = still_wanted()
        if stopped is not None:
            return stopped
        self.calls.append(order)
        if self.fault is Fault.REFUSE:
            return Refused("NotEligible", "no")
        if self.fault is Fault.TIMEOUT_BEFORE:
            return Unknown("timed out")
        made = self._effect(order)
        if self.fault in {Fault.TIMEOUT_AFTER, Fault.ERROR_AFTER}:
            return Unknown(self.fault.value)
        return Altered(made, self.pay_usd, NOTHING)

    def _effect(self, order: AlterationOrder) -> tuple[CommitmentId, ...]:
        if order.alteration is AlterationKind.SET_RENEWAL:
            self.cloud.renewing.update(order.sources)
            return ()
        if order.alteration is AlterationKind.UPGRADE_TERM:
            for source, longer in zip(order.sources, order.targets, strict=True):
                self.cloud.lengthen(source, longer.term_months)
            return ()
        gone = CommitmentState.RETURNED if order.alteration is AlterationKind.RETURN else None
        for source in order.sources:
            self.cloud.set_state(source, gone or CommitmentState.RETIRED)
        return tuple(
            self.cloud.sell_to_somebody(
                PurchaseOrder(
                    intent=IntentId(""),
                    token=ClientToken(f"{order.token}-{number}"),
                    account=order.account,
                    offering=target.offering or OfferingId("same"),
                    kind=order.kind,
                    term_months=target.term_months,
                    payment=target.payment,
                    quantity=target.quantity,
                    upfront_usd=NOTHING,
                )
            )
            for number, target in enumerate(order.targets)
        )


def target(offering: str = "compute-9", quantity: str = "1") -> Target:
    return Target(
        offering=OfferingId(offering),
        quantity=Decimal(quantity),
        zone=None,
        term_months=12,
        payment=Payment.PARTIAL_UPFRONT,
    )


def make_order(
    *sources: CommitmentId,
    kind: AlterationKind = AlterationKind.RETURN,
    targets: tuple[Target, ...] = (),
    number: int = 1,
    most: str = "0",
) -> AlterationOrder:
    return AlterationOrder(
        intent=IntentId(f"alteration-{number}"),
        token=ClientToken(f"key-{number}"),
        alteration=kind,
        account=ACCOUNT,
        kind=Kind.AWS_COMPUTE_SP,
        sources=sources,
        targets=targets,
        most_to_pay_usd=Decimal(most),
    )


def ask_for(
    engine: Engine, order: AlterationOrder, *, now: datetime = START, run: str = "run-1"
) -> Alteration | None:
    with writing(engine) as connection:
        return ask(
            connection,
            order,
            provider=PROVIDER,
            run=run,
            reason="regret: it loses",
            expires_at=now + timedelta(days=3),
            now=now,
        )


def ask_for_in(engine: Engine, order: AlterationOrder, provider: str, *, now: datetime) -> None:
    """Ask for an alteration in any cloud."""
    with writing(engine) as connection:
        asked = ask(
            connection,
            order,
            provider=provider,
            run="run-1",
            reason="regret: it loses",
            expires_at=now + timedelta(days=3),
            now=now,
        )
    assert asked is not None


def rules(mode: str = "autopilot", *, pay: str = "0", kinds: str = "") -> Policy:
    """A sound policy with everything but the alterations out of the way."""
    more = kinds or "cancel_queued, return, exchange"
    text = (
        f"alterations: {{allowed: [{more}], max_pay_usd_per_run: {pay}, "
        f"max_pay_usd_per_day: {pay}, max_pay_usd_in_total: {pay}}}\nfinance:"
    )
    made = policy_with("finance:", text)
    account = made.purchase_accounts.model_copy(update={"aws": str(ACCOUNT)})
    changed = {"mode": type(made.mode)(mode), "scopes": (), "purchase_accounts": account}
    return made.model_copy(update=changed)


def yes(order: AlterationOrder, quote: AlterationQuote, facts: AlterationFacts) -> Verdict:
    """A guard that allows everything."""
    del quote, facts
    result = RuleResult("rule", Decision.ALLOW, "1", "1", "")
    return Verdict(LineId(order.intent), Decision.ALLOW, (result,))


class Bent(TypedDict, total=False):
    """What of the evidence's lines is to be otherwise."""

    family: str
    commit_usd_per_hour: CommitUsdPerHour
    expected_savings_usd_per_hour: Decimal


def worth(order: AlterationOrder, quote: AlterationQuote, **kept: Unpack[Bent]) -> TargetEvidence:
    """Evidence by which every target is worth having; ``kept`` bends its lines."""
    lines = tuple(
        replace(
            line(f"target-{number}", term_months=one.term_months, payment=one.payment),
            quantity=one.quantity,
            account=order.account,
            offering=one.offering or OfferingId("same"),
        )
        for number, one in enumerate(quote.targets)
    )
    lines = tuple(replace(one, **kept) for one in lines)
    facts = context(*lines)
    return TargetEvidence(
        lines=lines,
        pools=facts.pools,
        data_age_hours=facts.data_age_hours,
        prices_age_hours=facts.prices_age_hours,
        coverage_ratio_after=facts.coverage_ratio_after,
        utilization_ratio_after=facts.utilization_ratio_after,
    )


def open_bench(
    desk: Desk, alterer: Alterer, policy: Policy | None = None, evidence: Valuer = worth
) -> Bench:
    """A bench whose guard is ``policy``'s, or one that allows everything."""

    def judge(order: AlterationOrder, quote: AlterationQuote, facts: AlterationFacts) -> Verdict:
        return (
            yes(order, quote, facts)
            if policy is None
            else judge_alteration(order, quote, policy=policy, facts=facts)
        )

    return Bench(
        desk=desk,
        alterer=alterer,
        judge=judge,
        inventory_read_at=desk.clock.now(),
        evidence=evidence,
    )


def read_inventory(desk: Desk, cloud: FileCloud, hours: float = 1) -> Reconciliation:
    return reconcile(
        provider=PROVIDER,
        engine=desk.engine,
        reader=cloud,
        buyer=cloud,
        clock=desk.clock,
        held=desk.lease,
        grace=timedelta(hours=hours),
        autopilot=False,
    )


def altered_states(engine: Engine) -> list[AlterationState]:
    with reading(engine) as connection:
        return [one.state for one in alterations.list_alterations(connection)]
