"""Decides how a purchase goes on that another process, or another thread, left half done.

What was being called becomes unknown: only the inventory can tell. What was written and never
called is checked again and then bought with the same token, or refused; while facts are missing it
waits. After a day it is refused unasked, because it was sized, and perhaps approved, for another
day; unless the inventory lists what may be it, which reconciliation or a person settles. Its price
of now is held against the one that was decided on, however often it is taken up, and is stored,
with the name that a quote gives the purchase anew, before the call.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from service.domain.errors import InvariantError
from service.domain.hours import floor_hour, iso
from service.domain.ids import CommitmentId
from service.domain.plans import PlanLine
from service.domain.purchases import Idempotency, Intent, IntentState, Quote, Refused
from service.observe.log import get_logger
from service.purchase.checks import (
    JUDGED_AT_MOST,
    Stale,
    at_price,
    check_bought_elsewhere,
    check_guard,
    check_identity,
    check_switches,
    judge_ahead,
    price_now,
)
from service.purchase.desk import Declined, Desk, Executed, Request
from service.purchase.execute import complete
from service.purchase.written import abandon_call, refuse_recorded
from service.reconcile.findings import Known
from service.reconcile.match import is_alike
from service.store import holdings, intents, lease, ledger, proposals, records
from service.store.engine import reading, writing

log = get_logger(__name__)

ABANDONED_AFTER = timedelta(minutes=15)
"""An intent that has not moved for this long under our own lease has lost its thread. Far above
the longest call: purchase clients give up after a minute or two."""

RECORDED_FOR = timedelta(hours=24)
"""How long an intent that was never called may still be bought; later it is planned anew."""

START_AHEAD = timedelta(minutes=10)
"""How far ahead the start of a queued purchase must lie for its call to come in time."""


def resume(desk: Desk, *, abandoned_after: timedelta = ABANDONED_AFTER) -> tuple[Executed, ...]:
    """Go on where others left off, with the desk's provider; call at start and in every cycle.

    Intents of this very lease are left alone until they have not moved for ``abandoned_after``:
    another thread may be at work on them. Raises ``LeaseLostError`` when this process is not
    the executor.
    """
    now = desk.clock.now()
    with writing(desk.engine) as connection:
        lease.require(connection, desk.lease)
        ledger.lock(connection)
        calling = intents.list_intents(
            connection, states=(IntentState.CALLING,), provider=desk.provider
        )
        settled = [
            abandon_call(connection, intent, now=now)
            for intent in calling
            if _is_abandoned(desk, intent, now, abandoned_after)
        ]
        waiting = intents.list_intents(
            connection, states=(IntentState.RECORDED,), provider=desk.provider
        )
    resumed = (
        _resume_recorded(desk, intent)
        for intent in waiting
        if _is_abandoned(desk, intent, now, abandoned_after)
    )
    return (*settled, *(one for one in resumed if one is not None))


def _resume_recorded(desk: Desk, intent: Intent) -> Executed | None:
    """Buy an intent that was never called, with its own token, if every check still says yes.

    ``None``: something that passes is in the way, and the intent stays as it is.
    """
    with reading(desk.engine) as connection:
        shown = _shown(connection, desk, intent)
    if shown is not None:
        # Reconciliation settles it, or a person: however late, it is not written off unasked.
        log.warning("resume.held", intent=intent.order.intent, listed=shown)
        return None
    with reading(desk.engine) as connection:
        decided = _decided(connection, intent)
    late = _too_late(desk, intent)
    declined = late or check_identity(desk, intent.line)
    quote = declined or price_now(desk, decided, intent.order)
    if isinstance(quote, Declined):
        if not quote.final:
            return None
        refused = Refused(quote.rule, quote.detail)
        with writing(desk.engine) as connection:
            lease.require(connection, desk.lease)
            return refuse_recorded(connection, intent, refused, now=desk.clock.now())
    return _buy_recorded(desk, intent, decided, quote)


def _decided(connection: Connection, intent: Intent) -> PlanLine:
    """The intent's line at the price that was decided on, or approved; it starts as the intent.

    The intent's own line is at a quote, which may lie above that price already: the tolerance
    must not be taken twice.
    """
    if intent.proposal is None:
        decided = records.planned_line(connection, intent.plan, intent.line.line)
    else:
        proposal = proposals.find(connection, intent.proposal)
        decided = None if proposal is None else proposal.line
    if decided is None or decided.quantity != intent.order.quantity:
        msg = f"intent {intent.order.intent} does not buy what was decided on"
        raise InvariantError(msg)
    return replace(decided, start_at=intent.line.start_at)


def _buy_recorded(desk: Desk, intent: Intent, decided: PlanLine, quote: Quote) -> Executed | None:
    besides = intent.order.intent
    with reading(desk.engine) as connection:
        cycle = intents.cycle_of(connection, besides)
    line = at_price(decided, quote)
    request = Request(
        line=line,
        plan=intent.plan,
        cycle=cycle,
        proposal=intent.proposal,
        # Starts are on the hour; it may have turned between deciding and writing.
        starts_decided_at=floor_hour(intent.recorded_at),
    )
    declined: Declined | Stale | None = Stale.STALE
    for _ in range(JUDGED_AT_MOST):
        judged = judge_ahead(desk, request, quote=quote, besides=besides)
        with writing(desk.engine) as connection:
            lease.require(connection, desk.lease)
            ledger.lock(connection)
            shown = _shown(connection, desk, intent)
            if shown is not None:
                log.warning("resume.held", intent=besides, listed=shown)
                return None
            declined = (
                check_switches(connection, intent.line, besides=besides)
                or check_bought_elsewhere(connection, request)
                or check_guard(connection, desk, request, judged, besides=besides)
            )
            if isinstance(declined, Declined) and (declined.final or declined.rule == "halt"):
                refused = Refused(declined.rule, declined.detail)
                return refuse_recorded(connection, intent, refused, now=desk.clock.now())
            if declined is None:
                # Stored before the call: it counts at what is paid, and is found by the reference.
                intents.requote(connection, besides, line=line, reference=quote.reference)
        if not isinstance(declined, Stale):
            break
    if declined is not None:
        return None
    order = replace(
        intent.order,
        upfront_usd=line.upfront_usd,
        commit_usd_per_hour=line.commit_usd_per_hour,
        companion=line.companion,
        reference=quote.reference or intent.order.reference,
    )
    return complete(desk, replace(intent, order=order, line=line, fence=desk.lease.fence))


def _shown(connection: Connection, desk: Desk, intent: Intent) -> CommitmentId | None:
    """What the mirror already lists of a purchase that was never called, or what may be it.

    Then the log's tail was lost, and it is not bought again: by its tag, token or reference
    reconciliation settles it; where purchases carry none, a person does.
    """
    order = intent.order
    untagged = desk.buyer.idempotency(order.kind) is Idempotency.LOOKUP
    for holding in holdings.list_holdings(connection, provider=desk.provider):
        item = holding.item
        known = Known(item, holding.vanished_at is not None, holding.first_seen_at)
        ours = (
            item.intent == order.intent
            or item.commitment.commitment in {order.token, intent.commitment}
            or (order.reference is not None and item.reference == order.reference)
        )
        if ours or (untagged and is_alike(intent, item, known)):
            return item.commitment.commitment
    return None


def _too_late(desk: Desk, intent: Intent) -> Declined | None:
    start = intent.order.start_at
    if start is not None and start <= desk.clock.now() + START_AHEAD:
        # With another start it would be another purchase under the same token.
        return Declined("start", f"it was to be queued to start at {iso(start)}", final=True)
    if desk.clock.now() - intent.recorded_at < RECORDED_FOR:
        return None
    return Declined("too_late", f"it was decided at {iso(intent.recorded_at)}", final=True)


def _is_abandoned(desk: Desk, intent: Intent, now: datetime, after: timedelta) -> bool:
    return intent.fence != desk.lease.fence or now - intent.updated_at >= after
