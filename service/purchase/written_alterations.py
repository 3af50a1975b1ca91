"""Decides what is written at each step of an alteration, and which event tells of it.

Every function works in the caller's transaction, with the ledger's lock taken first.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import assert_never

from sqlalchemy import Connection

from service.domain.alterations import (
    Alteration,
    AlterationOrder,
    AlterationOutcome,
    AlterationQuote,
    AlterationState,
    Altered,
)
from service.domain.errors import InvariantError
from service.domain.ids import IntentId
from service.domain.purchases import InventoryItem, Refused, Unknown
from service.guard.context import Spend
from service.observe.events import (
    AlterationApproved,
    AlterationAsked,
    AlterationCalled,
    AlterationDone,
    AlterationRecorded,
    AlterationRefused,
    AlterationUnknown,
    AlterationWithdrawn,
    Event,
)
from service.purchase.desk import Desk
from service.purchase.last_look import why_halted
from service.purchase.lifecycle import ALTERATION_START, Word
from service.purchase.people import identity_of, may_have_altered
from service.purchase.propose import NotDecided, Obstacle
from service.reconcile.altered import fingerprint
from service.store import alterations, demotion, holdings, ledger
from service.store.codec import to_document


def ask(
    connection: Connection,
    order: AlterationOrder,
    *,
    provider: str,
    run: str,
    reason: str,
    expires_at: datetime,
    now: datetime,
    quoted_usd_per_hour: Decimal | None = None,
) -> Alteration | None:
    """Write down that something owned is to be altered; ``None`` when that is asked for already.

    One alteration at a time is asked for of any commitment. ``quoted_usd_per_hour``: what its
    targets are quoted to cost, above which it is not done.
    """
    ledger.lock(connection)
    live = alterations.list_alterations(connection, states=alterations.LIVE, provider=provider)
    if any(set(one.order.sources) & set(order.sources) for one in live):
        return None
    asked = Alteration(
        order=order,
        provider=provider,
        state=ALTERATION_START,
        run=run,
        version=1,
        fence=0,
        pay_usd=order.most_to_pay_usd,
        refund_usd=order.most_to_pay_usd * 0,
        asked_at=now,
        expires_at=expires_at,
        recorded_at=None,
        called_at=None,
        updated_at=now,
        decided_by=None,
        reason=reason,
        detail="",
        made=(),
        quoted_usd_per_hour=quoted_usd_per_hour,
    )
    alterations.record(connection, asked)
    event = AlterationAsked(
        intent=order.intent,
        alteration=order.alteration.value,
        account=order.account,
        commitment=order.sources[0],
        sources=", ".join(order.sources),
        reason=reason,
    )
    ledger.append(connection, event, now=now)
    return asked


def approve_alteration(
    connection: Connection,
    alteration: IntentId,
    *,
    version: int,
    by: str,
    comment: str,
    now: datetime,
    person: str | None = None,
    label: str | None = None,
) -> NotDecided | None:
    """Take a person's yes to the version that they saw; why not, when it was not taken.

    Nobody says yes twice: where two people must, the second is another one. ``person`` identifies
    who says it, and ``label`` is what they are called (``by``, unless given).
    """
    ledger.lock(connection)
    found = alterations.find(connection, alteration)
    who = (by if person is None else person, by if label is None else label)
    obstacle = _obstacle(found, alteration, version=version, who=who, now=now)
    if obstacle is not None or found is None:
        return obstacle
    moved = alterations.move(
        connection,
        found,
        target=AlterationState.APPROVED,
        word=Word.PERSON,
        now=now,
        detail=comment,
        decided_by=by,
    )
    if not moved:
        return _changed(version)
    alterations.add_approval(
        connection, alteration, identity_of(who[0]), called=identity_of(who[1])
    )
    event = AlterationApproved(intent=alteration, by=by, comment=comment, version=version)
    ledger.append(connection, event, now=now, actor=by)
    return None


def _obstacle(
    found: Alteration | None,
    alteration: IntentId,
    *,
    version: int,
    who: tuple[str, str],
    now: datetime,
) -> NotDecided | None:
    if found is None:
        return NotDecided(Obstacle.NOT_FOUND, f"There is no alteration {alteration}.")
    if found.state is not AlterationState.WAITING:
        return NotDecided(Obstacle.DECIDED, f"It is {found.state.value} already.")
    if found.version != version:
        return _changed(version)
    if found.expires_at <= now:
        return NotDecided(Obstacle.EXPIRED, "Its lifetime is over.")
    if may_have_altered(found, person=who[0], label=who[1]):
        return NotDecided(Obstacle.SAME_PERSON, "You approved it already; another person must.")
    return None


def _changed(version: int) -> NotDecided:
    detail = f"It has changed: version {version} was decided on. Read it again."
    return NotDecided(Obstacle.CHANGED, detail)


def ask_another(connection: Connection, found: Alteration, *, detail: str, now: datetime) -> bool:
    """Let what one person approved wait for a second one."""
    ledger.lock(connection)
    return alterations.move(
        connection,
        found,
        target=AlterationState.WAITING,
        word=Word.TENOR,
        now=now,
        detail=f"sign_off: {detail}",
    )


def withdraw(
    connection: Connection,
    found: Alteration,
    *,
    rule: str,
    detail: str,
    word: Word,
    now: datetime,
    by: str = ledger.SYSTEM,
) -> bool:
    """End one that was not written down yet: nobody wants it, or it may not be done."""
    ledger.lock(connection)
    moved = alterations.move(
        connection,
        found,
        target=AlterationState.WITHDRAWN,
        word=word,
        now=now,
        detail=f"{rule}: {detail}",
    )
    if moved:
        event = AlterationWithdrawn(intent=found.order.intent, rule=rule, detail=detail)
        ledger.append(connection, event, now=now, actor=by)
    return moved


def expire_alterations(connection: Connection, *, now: datetime) -> int:
    """End those whose lifetime is over before they were written down; how many."""
    ledger.lock(connection)
    states = (AlterationState.WAITING, AlterationState.APPROVED)
    return sum(
        withdraw(
            connection,
            one,
            rule="lifetime",
            detail="nobody decided, or nothing came of it, in time",
            word=Word.TIME,
            now=now,
        )
        for one in alterations.list_alterations(connection, states=states)
        if one.expires_at <= now
    )


def write_down(
    connection: Connection,
    found: Alteration,
    order: AlterationOrder,
    *,
    quote: AlterationQuote,
    sources: tuple[InventoryItem, ...],
    obliged: tuple[Spend, ...],
    fence: int,
    now: datetime,
    held_until: datetime | None = None,
) -> Alteration:
    """The alteration as ``recorded``, its sources locked and fingerprinted.

    ``obliged``: what it counts as against the caps of purchases until a listing shows it.
    ``held_until``: until when the like of what is given back is not bought.
    """
    moved = alterations.write_down(
        connection,
        found,
        order,
        pay_usd=quote.pay_usd,
        refund_usd=quote.refund_usd,
        before={item.commitment.commitment: fingerprint(item) for item in sources},
        obliged=[to_document(one) for one in obliged],
        fence=fence,
        now=now,
        held_until=held_until,
    )
    written = alterations.find(connection, order.intent)
    if not moved or written is None:
        msg = f"alteration {order.intent} moved while its row was being written"
        raise InvariantError(msg)
    event = AlterationRecorded(
        intent=order.intent, pay_usd=quote.pay_usd, refund_usd=quote.refund_usd, fence=fence
    )
    ledger.append(connection, event, now=now)
    return written


def mark_calling(connection: Connection, desk: Desk, written: Alteration) -> Refused | None:
    """Mark the call, or refuse it when buying was halted since; ``None`` means call."""
    ledger.lock(connection)
    now, fence = desk.clock.now(), desk.lease.fence
    halted = why_halted(connection, desk)
    if halted is not None:
        refuse_recorded(connection, written, halted, now=now)
        return halted
    if not alterations.begin_call(connection, written, fence=fence, now=now):
        return Refused("moved", "it is no longer to be called")
    event = AlterationCalled(intent=written.order.intent, fence=fence)
    ledger.append(connection, event, now=now)
    return None


def refuse_recorded(
    connection: Connection, written: Alteration, refused: Refused, *, now: datetime
) -> None:
    """Refuse one that was written down and never called."""
    ledger.lock(connection)
    moved = alterations.move(
        connection,
        written,
        target=AlterationState.REFUSED,
        word=Word.TENOR,
        now=now,
        detail=f"{refused.code}: {refused.detail}",
    )
    if moved:
        event = AlterationRefused(
            intent=written.order.intent, code=refused.code, detail=refused.detail
        )
        ledger.append(connection, event, now=now)


def abandon(connection: Connection, desk: Desk, calling: Alteration) -> Unknown:
    """Make a call that nobody is waiting for any more unknown."""
    outcome = Unknown("the process died, or lost its lease, while it was calling")
    record_outcome(connection, desk, calling, outcome, word=Word.PROVIDER)
    return outcome


def record_outcome(
    connection: Connection,
    desk: Desk,
    calling: Alteration,
    outcome: AlterationOutcome,
    *,
    word: Word,
) -> AlterationOutcome:
    """Write the answer to a call. One that comes late moves nothing; what it named is kept.

    But a yes to what was written off since is counted again, and ends autopilot.
    """
    ledger.lock(connection)
    now, identity = desk.clock.now(), calling.order.intent
    target, detail = _as_state(outcome)
    values: dict[str, object] = {}
    if isinstance(outcome, Altered):
        values = {"pay_usd": outcome.paid_usd, "refund_usd": outcome.refunded_usd}
    moved = alterations.move(
        connection, calling, target=target, word=word, now=now, detail=detail, **values
    )
    if not moved and isinstance(outcome, Altered):
        refused = replace(calling, state=AlterationState.REFUSED)
        detail = f"the provider answers that {', '.join(calling.order.sources)} was altered"
        moved = alterations.move(
            connection, refused, target=target, word=word, now=now, detail=detail, **values
        )
        if moved and desk.acts_alone():
            detail = f"{identity} was refused; {detail}"
            demotion.demote(connection, calling.provider, rule="drift", detail=detail, now=now)
    if isinstance(outcome, Altered):
        alterations.name_made(connection, identity, outcome.made)
        holdings.tie(connection, calling.provider, outcome.made, to=identity)
    if moved:
        ledger.append(connection, _event(identity, outcome), now=now)
    return outcome


def _as_state(outcome: AlterationOutcome) -> tuple[AlterationState, str]:
    match outcome:
        case Altered():
            return AlterationState.ALTERED, ""
        case Refused(code=code, detail=detail):
            return AlterationState.REFUSED, f"{code}: {detail}"
        case Unknown(detail=detail):
            return AlterationState.UNKNOWN, detail
        case _:
            assert_never(outcome)


def _event(identity: IntentId, outcome: AlterationOutcome) -> Event:
    match outcome:
        case Altered(made=made, paid_usd=paid, refunded_usd=refunded):
            return AlterationDone(
                intent=identity,
                made=", ".join(made),
                pay_usd=paid,
                refund_usd=refunded,
                evidence="the provider says yes",
            )
        case Refused(code=code, detail=detail):
            return AlterationRefused(intent=identity, code=code, detail=detail)
        case Unknown(detail=detail):
            return AlterationUnknown(intent=identity, detail=detail)
        case _:
            assert_never(outcome)
