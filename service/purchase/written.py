"""Decides what is written at each step of a purchase, and which event tells of it.

Every function works in the caller's transaction. Those that come before the call expect the
lease to be locked there already; the outcome is a fact and is written whoever holds the lease.
"""

from __future__ import annotations

from datetime import datetime
from typing import assert_never

from sqlalchemy import Connection

from service.domain.errors import InvariantError
from service.domain.ids import CommitmentId
from service.domain.plans import Decision, RuleResult, Verdict
from service.domain.purchases import (
    Bought,
    Intent,
    IntentState,
    Outcome,
    Proposal,
    ProposalState,
    PurchaseOrder,
    Refused,
    Unknown,
)
from service.observe.events import (
    Event,
    IntentRecorded,
    LineRefused,
    ProposalRefused,
    PurchaseBought,
    PurchaseCalled,
    PurchaseRefused,
    PurchaseUnknown,
)
from service.purchase.checks import (
    Judged,
    Stale,
    check_bought_elsewhere,
    check_guard,
    check_switches,
)
from service.purchase.desk import Declined, Desk, Executed, Execution, Request
from service.purchase.last_look import why_halted
from service.purchase.lifecycle import INTENT_START, Word
from service.reconcile.stopping import stop_at_late_yes
from service.store import intents, ledger, proposals, records
from service.store.states import VerdictStage


def write_intent(
    connection: Connection,
    desk: Desk,
    request: Request,
    *,
    order: PurchaseOrder,
    judged: Judged | None,
) -> Intent | Execution | Stale:
    """The new intent, written with its token, when every check says yes; else what stands.

    ``request.line`` is at the quoted price. Budget and intent are read and written together: a
    verdict on other facts than those of this transaction is stale, and nothing is written.
    """
    ledger.lock(connection)
    known = intents.find_for_line(connection, request.plan, request.line.line)
    if known is not None:
        return standing(known)
    approved = _approved(connection, desk, request)
    if isinstance(approved, Declined):
        return approved
    declined = (
        check_switches(connection, request.line)
        or check_bought_elsewhere(connection, request)
        or check_guard(connection, desk, request, judged)
    )
    if isinstance(declined, Stale):
        return declined
    if declined is not None:
        return decline(connection, desk, request, declined)
    now = desk.clock.now()
    intent = Intent(
        order=order,
        plan=request.plan,
        proposal=request.proposal,
        line=request.line,
        state=INTENT_START,
        fence=desk.lease.fence,
        recorded_at=now,
        updated_at=now,
        commitment=None,
        detail="",
    )
    intents.record(connection, intent, cycle=request.cycle)
    if approved is not None:
        _move_proposal(connection, approved, ProposalState.EXECUTED)
    ledger.append(connection, _recorded(intent), now=now)
    return intent


def _recorded(intent: Intent) -> IntentRecorded:
    order = intent.order
    return IntentRecorded(
        intent=order.intent,
        plan=intent.plan,
        proposal=intent.proposal,
        account=order.account,
        offering=order.offering,
        quantity=order.quantity,
        commit_usd_per_hour=intent.line.commit_usd_per_hour,
        upfront_usd=order.upfront_usd,
        fence=intent.fence,
        start_at=order.start_at,
        companion=None if order.companion is None else order.companion.offering,
        companion_quantity=None if order.companion is None else order.companion.quantity,
    )


def decline(connection: Connection, desk: Desk, request: Request, declined: Declined) -> Execution:
    """Write down a final no, on the proposal or on the line. A passing one leaves no trace."""
    ledger.lock(connection)
    known = intents.find_for_line(connection, request.plan, request.line.line)
    if known is not None:
        return standing(known)
    if not declined.final:
        return declined
    now = desk.clock.now()
    if request.proposal is None:
        # Its last word, so that the line is not tried again: a price that moved will be planned
        # anew, at that price.
        _keep_last_word(connection, request, declined, now=now)
        refused = LineRefused(
            plan=request.plan,
            line=request.line.line,
            rule=declined.rule,
            detail=declined.detail,
        )
        ledger.append(connection, refused, now=now)
        return declined
    approved = _approved(connection, desk, request)
    if isinstance(approved, Proposal):
        _move_proposal(connection, approved, ProposalState.REFUSED)
        event = ProposalRefused(
            proposal=approved.proposal, rule=declined.rule, detail=declined.detail
        )
        ledger.append(connection, event, now=now)
    return declined


def _keep_last_word(
    connection: Connection, request: Request, declined: Declined, *, now: datetime
) -> None:
    """Keep what was declined before the guard was asked; what the guard said is kept already."""
    stage = VerdictStage.EXECUTION
    judged = records.verdicts_of(connection, request.plan, stage=stage)
    if any(verdict.line == request.line.line for verdict in judged):
        return
    result = RuleResult(declined.rule, Decision.REFUSE, "as planned", "not so", declined.detail)
    verdict = Verdict(request.line.line, Decision.REFUSE, (result,))
    records.record_verdict(connection, request.plan, verdict, stage=stage, now=now)


def standing(intent: Intent) -> Executed:
    """Where an intent that exists already stands, in the words of an outcome."""
    return Executed(intent.order.intent, _outcome_of(intent))


def mark_calling(connection: Connection, desk: Desk, intent: Intent) -> Executed | None:
    """Mark the call, or refuse the intent when buying was halted since; ``None`` means call."""
    ledger.lock(connection)
    now = desk.clock.now()
    halted = why_halted(connection, desk)
    if halted is not None:
        return refuse_recorded(connection, intent, halted, now=now)
    if not intents.begin_call(connection, intent.order.intent, fence=desk.lease.fence, now=now):
        return _standing_now(connection, intent)
    event = PurchaseCalled(intent=intent.order.intent, fence=desk.lease.fence)
    ledger.append(connection, event, now=now)
    return None


def refuse_recorded(
    connection: Connection, intent: Intent, refused: Refused, *, now: datetime
) -> Executed:
    """Refuse an intent that was written and never called."""
    ledger.lock(connection)
    moved = intents.move(
        connection,
        intent.order.intent,
        source=IntentState.RECORDED,
        target=IntentState.REFUSED,
        word=Word.TENOR,
        now=now,
        detail=f"{refused.code}: {refused.detail}",
    )
    if not moved:
        return _standing_now(connection, intent)
    event = PurchaseRefused(intent=intent.order.intent, code=refused.code, detail=refused.detail)
    ledger.append(connection, event, now=now)
    return Executed(intent.order.intent, refused)


def abandon_call(connection: Connection, intent: Intent, *, now: datetime) -> Executed:
    """Make a call that nobody is waiting for any more unknown."""
    ledger.lock(connection)
    outcome = Unknown("the process died, or lost its lease, while it was calling")
    return _answer(connection, intent, outcome, word=Word.PROVIDER, now=now)


def record_outcome(
    connection: Connection,
    desk: Desk,
    intent: Intent,
    outcome: Outcome,
    *,
    word: Word = Word.PROVIDER,
) -> Executed:
    """Write the answer to a call, or (``word`` tenor) that it was not made after all.

    An answer that comes after a new holder made the intent unknown moves nothing; a commitment
    id in it is kept as evidence for reconciliation. A yes to what was written off since is money
    that nobody counts: it is bought, and buying halts.
    """
    ledger.lock(connection)
    now = desk.clock.now()
    if isinstance(outcome, Bought):
        outcome = _unclaimed(connection, intent, outcome)
        if isinstance(outcome, Bought) and _bought_late(connection, desk, intent, outcome, now=now):
            return Executed(intent.order.intent, outcome)
    return _answer(connection, intent, outcome, word=word, now=now)


def _bought_late(
    connection: Connection, desk: Desk, intent: Intent, bought: Bought, *, now: datetime
) -> bool:
    """Whether ``intent`` was refused when the provider's yes came, and is bought by it now."""
    identity, commitment = intent.order.intent, bought.commitment
    moved = intents.move(
        connection,
        identity,
        source=IntentState.REFUSED,
        target=IntentState.BOUGHT,
        word=Word.PROVIDER,
        now=now,
        detail=_late(commitment),
        commitment=commitment,
    )
    if moved:
        ledger.append(connection, _event_of(intent, bought), now=now)
        provider, alone = intent.line.provider, desk.acts_alone()
        stop_at_late_yes(connection, provider, identity, commitment, autopilot=alone, now=now)
    return moved


def _late(commitment: CommitmentId) -> str:
    return f"the provider answered late with {commitment}"


def _answer(
    connection: Connection, intent: Intent, outcome: Outcome, *, word: Word, now: datetime
) -> Executed:
    identity = intent.order.intent
    target, detail = _as_state(outcome)
    commitment = outcome.commitment if isinstance(outcome, Bought) else None
    moved = intents.move(
        connection,
        identity,
        source=IntentState.CALLING,
        target=target,
        word=word,
        now=now,
        detail=detail,
        commitment=commitment,
    )
    if moved:
        ledger.append(connection, _event_of(intent, outcome), now=now)
        return Executed(identity, outcome)
    if commitment is not None:
        intents.note(connection, identity, commitment=commitment, detail=_late(commitment))
    return _standing_now(connection, intent)


def _unclaimed(connection: Connection, intent: Intent, bought: Bought) -> Outcome:
    """``bought``, unless the commitment it names is another intent's: then nothing is proven."""
    claimant = intents.claimant(connection, intent.line.provider, bought.commitment)
    if claimant is None or claimant == intent.order.intent:
        return bought
    return Unknown(f"the answer names {bought.commitment}, which intent {claimant} bought")


def _as_state(outcome: Outcome) -> tuple[IntentState, str]:
    match outcome:
        case Bought():
            return IntentState.BOUGHT, ""
        case Refused(code=code, detail=detail):
            return IntentState.REFUSED, f"{code}: {detail}"
        case Unknown(detail=detail):
            return IntentState.UNKNOWN, detail
        case _:
            assert_never(outcome)


def _event_of(intent: Intent, outcome: Outcome) -> Event:
    order = intent.order
    match outcome:
        case Bought(commitment=commitment):
            return PurchaseBought(
                intent=order.intent,
                commitment=commitment,
                account=order.account,
                offering=order.offering,
                quantity=order.quantity,
                commit_usd_per_hour=intent.line.commit_usd_per_hour,
                upfront_usd=order.upfront_usd,
                companion=None if order.companion is None else order.companion.offering,
                companion_quantity=None if order.companion is None else order.companion.quantity,
            )
        case Refused(code=code, detail=detail):
            return PurchaseRefused(intent=order.intent, code=code, detail=detail)
        case Unknown(detail=detail):
            return PurchaseUnknown(intent=order.intent, detail=detail)
        case _:
            assert_never(outcome)


def _outcome_of(intent: Intent) -> Outcome:
    if intent.state is IntentState.BOUGHT and intent.commitment is not None:
        return Bought(intent.commitment)
    if intent.state is IntentState.REFUSED:
        code, _, detail = intent.detail.partition(": ")
        return Refused(code, detail)
    return Unknown(intent.detail or f"the purchase is {intent.state.value}")


def _standing_now(connection: Connection, intent: Intent) -> Executed:
    found = intents.find(connection, intent.order.intent)
    if found is None:
        msg = f"intent {intent.order.intent} is gone from the store"
        raise InvariantError(msg)
    return standing(found)


def _approved(connection: Connection, desk: Desk, request: Request) -> Proposal | Declined | None:
    """The request's proposal while it is approved and alive; ``None`` on autopilot."""
    if request.proposal is None:
        return None
    found = proposals.find(connection, request.proposal)
    if found is None or (found.plan, found.line.line) != (request.plan, request.line.line):
        msg = f"proposal {request.proposal} is not for line {request.line.line}"
        raise InvariantError(msg)
    if found.state is not ProposalState.APPROVED:
        return Declined("sign_off", f"the proposal is {found.state.value}", final=False)
    if found.expires_at <= desk.clock.now():
        return Declined("sign_off", "the proposal's lifetime is over", final=False)
    return found


def _move_proposal(connection: Connection, proposal: Proposal, target: ProposalState) -> None:
    if not proposals.move(connection, proposal, target=target, word=Word.TENOR):
        msg = f"proposal {proposal.proposal} moved while its row was being executed"
        raise InvariantError(msg)
