"""Decides the order in which something owned is altered. The only caller of ``alter``.

As with a purchase: ask who we are and what it comes to; in one transaction under the lease check
everything, write the order down with its token and the quote's reference, and lock its sources; in
a second one mark the call; look at halt and lease once more; call, with no transaction open; write
the outcome in a third. What a killed process leaves behind, ``resume_alterations`` takes up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Protocol

from sqlalchemy import Connection

from service.domain.alterations import (
    Alteration,
    AlterationKind,
    AlterationOrder,
    AlterationOutcome,
    AlterationQuote,
    AlterationState,
)
from service.domain.errors import ProviderError
from service.domain.ids import AccountId, IntentId
from service.domain.plans import Decision, Verdict
from service.domain.purchases import InventoryItem, Refused, Unknown
from service.guard.alterations import AlterationFacts
from service.guard.context import Spend, if_bought, spent_so_far
from service.guard.obliging import TargetEvidence, obliges
from service.providers.port import ProviderAlterer
from service.purchase.checks import PASSING_RULES, altering
from service.purchase.desk import Declined, Desk, Step
from service.purchase.last_look import LastLook, look
from service.purchase.lifecycle import Word
from service.purchase.still_as_asked import moved
from service.purchase.written_alterations import (
    abandon,
    ask_another,
    mark_calling,
    record_outcome,
    refuse_recorded,
    withdraw,
    write_down,
)
from service.store import alterations, demotion, holdings, intents, lease, ledger, proposals
from service.store.engine import reading, writing
from service.store.halt import is_halted
from service.store.states import Origin
from service.store.unlisted import unlisted

DECIDED = (AlterationState.WAITING, AlterationState.APPROVED)
ABANDONED_AFTER = timedelta(minutes=15)
_FEW = "sign_off"
"""The guard's rule that fewer people said yes than must."""


class AlterationJudge(Protocol):
    """The guard on one alteration. Called inside a transaction: quick, pure."""

    def __call__(
        self, order: AlterationOrder, quote: AlterationQuote, facts: AlterationFacts
    ) -> Verdict:
        """The verdict on ``order`` at its fresh quote."""
        ...


Valuer = Callable[[AlterationOrder, AlterationQuote], TargetEvidence | None]
"""What an alteration's targets are worth now; ``None`` where the facts for it cannot be had."""


def _no_evidence(_: AlterationOrder, __: AlterationQuote) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Bench:
    """Where alterations of one provider are done: its till's desk, its alterer, and the guard.

    ``inventory_read_at``: when the mirror was read last. ``pay_tolerance_ratio``: how far the
    provider's last price may lie above the quote that was checked. ``evidence`` says what the
    targets of what obliges to more are worth. ``rebuy_held_for``: how long the like of what is
    given back is not bought again.
    """

    desk: Desk
    alterer: ProviderAlterer
    judge: AlterationJudge
    inventory_read_at: datetime
    pay_tolerance_ratio: Decimal = Decimal("0.001")
    evidence: Valuer = _no_evidence
    rebuy_held_for: timedelta = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class AlterationDone:
    """Where an alteration stands after it was written down."""

    alteration: IntentId
    outcome: AlterationOutcome


def alter(bench: Bench, alteration: IntentId) -> AlterationDone | Declined:
    """Do what was asked for, once, if the guard says yes to what the provider quotes now.

    Raises ``LeaseLostError`` when this process is not, or no longer, the executor.
    """
    desk = bench.desk
    with reading(desk.engine) as connection:
        found = alterations.find(connection, alteration)
    if found is None or found.state not in DECIDED or found.provider != desk.provider:
        said = "unknown here" if found is None else found.state.value
        return Declined("alteration", f"it is {said}", final=False)
    declined = _check_identity(bench, found.order.account)
    if declined is not None:
        return declined
    try:
        quote = bench.alterer.quote_alteration(found.order)
    except ProviderError as error:
        return Declined("no_quote", f"the provider quotes nothing: {error}", final=False)
    evidence = bench.evidence(found.order, quote) if obliges(found.order) else None
    desk.reached(Step.CHECKED)
    with writing(desk.engine) as connection:
        lease.require(connection, desk.lease)
        ledger.lock(connection)
        written = _write_intent(connection, bench, found, quote, evidence)
    if isinstance(written, Declined):
        return written
    desk.reached(Step.INTENT_COMMITTED)
    return _complete(bench, written)


def resume_alterations(
    bench: Bench, *, abandoned_after: timedelta = ABANDONED_AFTER
) -> tuple[AlterationDone, ...]:
    """Take up what another process, or thread, left half done.

    What was being called becomes unknown. What was written down and never called is refused, and
    may be asked for anew: its quote was for another moment.
    """
    desk = bench.desk
    now = desk.clock.now()
    with writing(desk.engine) as connection:
        lease.require(connection, desk.lease)
        ledger.lock(connection)
        left = alterations.list_alterations(
            connection,
            states=(AlterationState.RECORDED, AlterationState.CALLING),
            provider=desk.provider,
        )
        done = []
        for one in left:
            if one.fence == desk.lease.fence and now - one.updated_at < abandoned_after:
                continue
            if one.state is AlterationState.CALLING:
                outcome: AlterationOutcome = abandon(connection, desk, one)
            else:
                outcome = Refused("abandoned", "the process died before it called")
                refuse_recorded(connection, one, outcome, now=now)
            done.append(AlterationDone(one.order.intent, outcome))
    return tuple(done)


def _check_identity(bench: Bench, account: AccountId) -> Declined | None:
    try:
        who = bench.desk.reader.identity()
    except ProviderError as error:
        return Declined("identity", f"the provider does not say who we are: {error}", final=False)
    if (who.provider, who.account) != (bench.desk.provider, account):
        detail = f"the credentials are for {who.provider} {who.account}, the order for {account}"
        return Declined("identity", detail, final=False)
    return None


def _write_intent(
    connection: Connection,
    bench: Bench,
    asked: Alteration,
    quote: AlterationQuote,
    evidence: TargetEvidence | None,
) -> Alteration | Declined:
    """The alteration, written down as quoted, when every check says yes."""
    desk = bench.desk
    found = alterations.find(connection, asked.order.intent)
    if found is None or (found.state, found.version) != (asked.state, asked.version):
        return Declined("alteration", "it has moved since it was read", final=False)
    now = desk.clock.now()
    if found.expires_at <= now:
        return Declined("sign_off", "its lifetime is over", final=False)
    sources = _sources(connection, desk.provider, found.order)
    # What may be paid counts, not what is quoted: the last price may be higher by the tolerance.
    most = _most_to_pay_usd(found.order, quote, bench.pay_tolerance_ratio)
    dearest = replace(quote, pay_usd=max(quote.pay_usd, most))
    declined = _check(connection, bench, found, dearest, sources, evidence=evidence)
    if declined is None:
        declined = moved(found, quote, tolerance_ratio=desk.price_tolerance_ratio)
    if declined is not None:
        if declined.rule == _FEW and found.state is AlterationState.APPROVED:
            ask_another(connection, found, detail=declined.detail, now=now)
        elif declined.final:
            withdraw(
                connection,
                found,
                rule=declined.rule,
                detail=declined.detail,
                word=Word.TENOR,
                now=now,
            )
        return declined
    # How many an exchange gives, the provider says: at most what was asked for.
    exchanged = found.order.alteration is AlterationKind.EXCHANGE and bool(quote.targets)
    order = replace(
        found.order,
        most_to_pay_usd=most,
        reference=quote.reference or found.order.reference,
        targets=quote.targets if exchanged else found.order.targets,
    )
    held_for = bench.rebuy_held_for
    holds = order.alteration in alterations.GIVING_BACK and held_for > timedelta(0)
    return write_down(
        connection,
        found,
        order,
        quote=dearest,
        sources=sources,
        obliged=_obliged(evidence, dearest, now) if evidence else (),
        fence=desk.lease.fence,
        now=now,
        held_until=now + held_for if holds else None,
    )


def _obliged(evidence: TargetEvidence, quote: AlterationQuote, now: datetime) -> tuple[Spend, ...]:
    """What is made counts as if it were bought whole; the first of it for the cash that is due."""
    whole = (if_bought(line, at=now) for line in evidence.lines)
    return tuple(
        one if number else replace(one, upfront_usd=max(one.upfront_usd, quote.pay_usd))
        for number, one in enumerate(whole)
    )


def _most_to_pay_usd(
    order: AlterationOrder, quote: AlterationQuote, tolerance_ratio: Decimal
) -> Decimal:
    """The most that the provider's last price may come to; below 0, what must come back.

    Never above what was asked for, which is what a person said yes to.
    """
    most = min(quote.pay_usd * (1 + tolerance_ratio), order.most_to_pay_usd)
    if order.alteration is AlterationKind.RETURN:
        most -= quote.refund_usd * (1 - tolerance_ratio)
    return most


def _check(
    connection: Connection,
    bench: Bench,
    found: Alteration,
    quote: AlterationQuote,
    sources: tuple[InventoryItem, ...],
    *,
    evidence: TargetEvidence | None,
) -> Declined | None:
    desk, order = bench.desk, found.order
    locked = alterations.locked(connection, desk.provider) & set(order.sources)
    if locked:
        detail = f"{', '.join(sorted(locked))}: another alteration is under way"
        return Declined("locked", detail, final=False)
    scope = intents.Scope(desk.provider, order.account)
    open_scopes = intents.open_scopes(connection) | alterations.open_scopes(connection)
    if obliges(order):
        # Not to be counted against a cap before it is listed.
        open_scopes |= frozenset(unlisted(connection).values())
    everything = alterations.list_alterations(connection)
    now = desk.clock.now()
    spent = _spent(connection, now, run=found.run)
    facts = AlterationFacts(
        now=now,
        halted=is_halted(connection),
        holds_lease=True,
        inventory_age_hours=_hours(now - bench.inventory_read_at),
        sources=sources,
        others=tuple(one for one in everything if one.order.intent != order.intent),
        open_outcome=scope in open_scopes,
        obligation_usd=None
        if spent is None
        else sum((one.obligation_usd for one in spent if one.live), Decimal(0)),
        run=found.run,
        approved=found.state is AlterationState.APPROVED,
        demoted=demotion.demoted(connection),
        approvals=len(found.approved_by),
        spent=spent,
        holds=proposals.holding(connection, now=now),
        ours=frozenset(
            one.item.commitment.commitment
            for one in holdings.list_holdings(connection, provider=desk.provider)
            if one.origin is Origin.TENOR
        ),
        evidence=evidence,
    )
    verdict = bench.judge(order, quote, facts)
    if verdict.decision is Decision.ALLOW:
        return None
    against = [one for one in verdict.results if one.decision is verdict.decision]
    passing = PASSING_RULES | {"halt", "open_unknown", "lease", "returns_today", "target"}
    waits = verdict.decision is Decision.NEEDS_SIGN_OFF
    lasting = [one for one in against if one.rule not in passing]
    first = (lasting or against)[0]
    detail = f"{first.detail} (limit {first.limit}, actual {first.actual})".strip()
    return Declined(first.rule, detail, final=bool(lasting) and not waits)


def _spent(connection: Connection, now: datetime, *, run: str) -> tuple[Spend, ...] | None:
    """With what alterations oblige to, in every account, those of ``run`` as of this run."""
    counted = intents.list_intents(connection, states=intents.COUNTED)
    altered = altering(connection, run=run)
    if altered is None:
        return None
    spent = spent_so_far(counted, holdings.owed(connection, now=now), now=now, run=None)
    return (*spent, *altered)


def _sources(
    connection: Connection, provider: str, order: AlterationOrder
) -> tuple[InventoryItem, ...]:
    listed = holdings.inventory(connection, provider=provider)
    return tuple(
        item
        for item in listed
        if item.commitment.commitment in order.sources and item.commitment.state.is_owned
    )


def _hours(age: timedelta) -> Decimal:
    return Decimal(round(age.total_seconds())) / 3600


def _complete(bench: Bench, written: Alteration) -> AlterationDone:
    """Call the provider for an alteration that is ``recorded``, and write what came of it."""
    desk = bench.desk
    identity = written.order.intent
    with writing(desk.engine) as connection:
        lease.require(connection, desk.lease)
        stopped = mark_calling(connection, desk, written)
        if isinstance(stopped, Refused):
            return AlterationDone(identity, stopped)
    calling = replace(written, state=AlterationState.CALLING)
    desk.reached(Step.CALLING_COMMITTED)
    halted = look(desk)
    if halted is not None:
        with writing(desk.engine) as connection:
            return AlterationDone(
                identity,
                record_outcome(connection, desk, calling, halted, word=Word.TENOR),
            )
    desk.reached(Step.ABOUT_TO_CALL)
    outcome: AlterationOutcome = Unknown("the call ended without an answer")
    wanted = LastLook(desk)
    try:
        outcome = bench.alterer.alter(written.order, still_wanted=wanted)
        desk.reached(Step.ANSWERED)
    finally:
        # An adapter that raises has broken its contract; what it did is not known all the same.
        with writing(desk.engine) as connection:
            word = Word.TENOR if outcome is wanted.refused else Word.PROVIDER
            recorded = record_outcome(connection, desk, calling, outcome, word=word)
    desk.reached(Step.OUTCOME_COMMITTED)
    return AlterationDone(identity, recorded)
