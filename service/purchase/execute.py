"""Decides the order in which a purchase happens. The only caller of ``ProviderBuyer.buy``.

Ask the provider who we are and what it costs, and the guard what it says; then, in one transaction
under the lease, check that nothing has changed and write the intent with its token and the quote's
reference; in a second one mark the call; look at halt and lease once more; call, with no
transaction open, where the adapter has them looked at again right before it sends; write the
outcome in a third. A process killed
anywhere leaves a row that says how far it came: ``purchase.resume`` goes on from there, and what
may have been bought is settled by reconciliation alone.
"""

from __future__ import annotations

from dataclasses import replace

from service.domain.ids import ClientToken, CycleId, IntentId, PlanId, ProposalId
from service.domain.money import from_nano, nano
from service.domain.plans import PlanLine
from service.domain.purchases import (
    Intent,
    Outcome,
    ProposalState,
    PurchaseOrder,
    Unknown,
)
from service.purchase.checks import (
    JUDGED_AT_MOST,
    Stale,
    at_price,
    check_identity,
    judge_ahead,
    price_now,
)
from service.purchase.desk import Declined, Desk, Executed, Execution, Request, Step
from service.purchase.last_look import LastLook, look
from service.purchase.lifecycle import Word
from service.purchase.written import (
    decline,
    mark_calling,
    record_outcome,
    write_intent,
)
from service.store import lease, proposals
from service.store.engine import reading, writing


def execute(
    desk: Desk,
    *,
    line: PlanLine,
    plan: PlanId,
    cycle: CycleId,
    proposal: ProposalId | None = None,
) -> Execution:
    """Buy one plan line, once. A line that has an intent already is not bought again.

    ``proposal`` names the approved proposal that asks for it; ``None`` on autopilot. The plan
    must be stored. Raises ``LeaseLostError`` when this process is not, or no longer, the
    executor.
    """
    declined = check_identity(desk, line)
    if declined is not None:
        return declined
    now = desk.clock.now()
    line = replace(line, start_at=desk.start_at(line, now))
    request = Request(line=line, plan=plan, cycle=cycle, proposal=proposal, starts_decided_at=now)
    order = _mint(desk, line)
    quote = price_now(desk, line, order)
    if isinstance(quote, Declined):
        with writing(desk.engine) as connection:
            lease.require(connection, desk.lease)
            return decline(connection, desk, request, quote)
    desk.reached(Step.CHECKED)
    priced = replace(request, line=at_price(line, quote))
    order = replace(
        order,
        upfront_usd=priced.line.upfront_usd,
        commit_usd_per_hour=priced.line.commit_usd_per_hour,
        reference=quote.reference,
        companion=priced.line.companion,
    )
    for _ in range(JUDGED_AT_MOST):
        judged = judge_ahead(desk, priced, quote=quote)
        with writing(desk.engine) as connection:
            lease.require(connection, desk.lease)
            written = write_intent(connection, desk, priced, order=order, judged=judged)
        if isinstance(written, Intent):
            desk.reached(Step.INTENT_COMMITTED)
            return complete(desk, written)
        if not isinstance(written, Stale):
            return written
    return Declined("contended", "the facts changed each time they were judged", final=False)


def execute_proposal(desk: Desk, proposal: ProposalId) -> Execution:
    """Buy what an approved proposal asks for, priced and guarded again, once.

    A guard or price that says no refuses the proposal; a passing obstacle (halt, an open
    outcome, no answer to a question) leaves it approved until it expires.
    """
    with reading(desk.engine) as connection:
        found = proposals.find(connection, proposal)
        if found is None:
            return Declined("no_proposal", f"there is no proposal {proposal}", final=True)
        cycle = proposals.cycle_of(connection, found.plan)
    return execute(desk, line=found.line, plan=found.plan, cycle=cycle, proposal=proposal)


def execute_approved(desk: Desk) -> tuple[tuple[ProposalId, Execution], ...]:
    """Buy what every approved proposal of the desk's provider asks for, oldest first."""
    with reading(desk.engine) as connection:
        approved = proposals.list_proposals(connection, states=(ProposalState.APPROVED,))
    return tuple(
        (proposal.proposal, execute_proposal(desk, proposal.proposal))
        for proposal in approved
        if proposal.line.provider == desk.provider
    )


def complete(desk: Desk, intent: Intent) -> Executed:
    """Call the provider for an intent that is ``recorded``, and write what came of it.

    For ``execute`` and ``resume``, which have just checked everything.
    """
    with writing(desk.engine) as connection:
        lease.require(connection, desk.lease)
        stopped = mark_calling(connection, desk, intent)
        if stopped is not None:
            return stopped
    desk.reached(Step.CALLING_COMMITTED)
    halted = look(desk)
    if halted is not None:
        with writing(desk.engine) as connection:
            return record_outcome(connection, desk, intent, halted, word=Word.TENOR)
    desk.reached(Step.ABOUT_TO_CALL)
    outcome: Outcome = Unknown("the call ended without an answer")
    wanted = LastLook(desk)
    try:
        outcome = desk.buyer.buy(intent.order, still_wanted=wanted)
        desk.reached(Step.ANSWERED)
    finally:
        # An adapter that raises has broken its contract; what it did is not known all the same.
        with writing(desk.engine) as connection:
            word = Word.TENOR if outcome is wanted.refused else Word.PROVIDER
            recorded = record_outcome(connection, desk, intent, outcome, word=word)
    desk.reached(Step.OUTCOME_COMMITTED)
    return recorded


def _mint(desk: Desk, line: PlanLine) -> PurchaseOrder:
    return PurchaseOrder(
        intent=IntentId(desk.new_key()),
        token=ClientToken(desk.new_key()),
        account=line.account,
        offering=line.offering,
        kind=line.kind,
        term_months=line.term_months,
        payment=line.payment,
        quantity=line.quantity,
        upfront_usd=from_nano(nano(line.upfront_usd)),
        start_at=line.start_at,
        companion=line.companion,
    )
