"""Decides how purchases are written down: one row per intent, moved only along its table.

A move names the state it starts from; when the row has meanwhile left it, nothing is written and
the caller is told. Transactions and fences are the caller's: see ``purchase.execute``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    and_,
    insert,
    or_,
    select,
    update,
)

from service.domain.commitments import Kind
from service.domain.errors import InvariantError
from service.domain.ids import (
    AccountId,
    ClientToken,
    CommitmentId,
    CycleId,
    IntentId,
    LineId,
    OfferingId,
    PlanId,
    ProposalId,
)
from service.domain.money import CommitUsdPerHour
from service.domain.plans import PlanLine
from service.domain.purchases import Intent, IntentState, PurchaseOrder
from service.purchase.lifecycle import Word, require_intent_move
from service.store.codec import from_document, to_document
from service.store.schema import commitments, intents

COUNTED = (
    IntentState.RECORDED,
    IntentState.CALLING,
    IntentState.UNKNOWN,
    IntentState.BOUGHT,
)
"""States whose money is taken as spent: all but a proven no."""

OPEN = (IntentState.CALLING, IntentState.UNKNOWN)
"""States in which a purchase may or may not exist."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where an open outcome blocks further purchases: one provider's account."""

    provider: str
    account: AccountId


def record(connection: Connection, intent: Intent, *, cycle: CycleId) -> None:
    """Write a new intent. The database refuses a second one for its line, proposal or token."""
    order, line = intent.order, intent.line
    if (order.start_at, order.companion) != (line.start_at, line.companion):
        msg = f"intent {order.intent} does not buy, or does not start, as its line does"
        raise InvariantError(msg)
    connection.execute(
        insert(intents).values(
            intent_id=order.intent,
            token=order.token,
            plan_id=intent.plan,
            line_id=line.line,
            cycle_id=cycle,
            proposal_id=intent.proposal,
            provider=line.provider,
            account=order.account,
            region=line.region,
            kind=order.kind.value,
            offering=order.offering,
            quantity=order.quantity,
            commit_usd_per_hour=line.commit_usd_per_hour,
            upfront_usd=order.upfront_usd,
            total_usd=line.total_usd,
            state=intent.state.value,
            fence=intent.fence,
            calls=0,
            recorded_at=intent.recorded_at,
            updated_at=intent.updated_at,
            commitment_id=intent.commitment,
            reference=order.reference,
            detail=intent.detail,
            line=to_document(line),
            term_months=line.term_months,
        )
    )


def move(
    connection: Connection,
    intent: IntentId,
    *,
    source: IntentState,
    target: IntentState,
    word: Word,
    now: datetime,
    detail: str,
    commitment: CommitmentId | None = None,
) -> bool:
    """Move one intent; ``False`` when it is no longer in ``source``. Illegal moves raise."""
    require_intent_move(source, target, word)
    values: dict[str, object] = {"state": target.value, "updated_at": now, "detail": detail}
    if commitment is not None:
        values["commitment_id"] = commitment
    return _update(connection, intent, source, values)


def begin_call(connection: Connection, intent: IntentId, *, fence: int, now: datetime) -> bool:
    """``recorded`` → ``calling``, counted and dated; ``False`` when it was not ``recorded``."""
    require_intent_move(IntentState.RECORDED, IntentState.CALLING, Word.TENOR)
    values: dict[str, object] = {
        "state": IntentState.CALLING.value,
        "fence": fence,
        "called_at": now,
        "updated_at": now,
        "calls": intents.c.calls + 1,
    }
    return _update(connection, intent, IntentState.RECORDED, values)


def note(
    connection: Connection, intent: IntentId, *, commitment: CommitmentId, detail: str
) -> None:
    """Keep what a late answer said, without moving the intent: evidence for reconciliation."""
    connection.execute(
        update(intents)
        .where(intents.c.intent_id == intent)
        .values(commitment_id=commitment, detail=detail)
    )


def requote(
    connection: Connection, intent: IntentId, *, line: PlanLine, reference: str | None
) -> bool:
    """Keep a new quote, ``line`` at its price, while nothing was called; ``False`` if it was.

    ``reference``: the id that the quote minted; ``None`` leaves the one before.
    """
    values: dict[str, object] = {
        "commit_usd_per_hour": line.commit_usd_per_hour,
        "upfront_usd": line.upfront_usd,
        "total_usd": line.total_usd,
        "line": to_document(line),
    }
    if reference is not None:
        values["reference"] = reference
    return _update(connection, intent, IntentState.RECORDED, values)


def find(connection: Connection, intent: IntentId) -> Intent | None:
    """One intent, or ``None``."""
    return _one(connection, intents.c.intent_id == intent)


def find_for_line(connection: Connection, plan: PlanId, line: LineId) -> Intent | None:
    """The intent that a plan line became, if it has."""
    return _one(connection, (intents.c.plan_id == plan) & (intents.c.line_id == line))


def claimant(connection: Connection, provider: str, commitment: CommitmentId) -> IntentId | None:
    """The intent that a commitment is tied to, if any."""
    found = connection.execute(
        select(intents.c.intent_id).where(
            intents.c.provider == provider, intents.c.commitment_id == commitment
        )
    ).scalar_one_or_none()
    return None if found is None else IntentId(found)


def cycle_of(connection: Connection, intent: IntentId) -> CycleId:
    """The cycle whose plan asked for the intent."""
    query = select(intents.c.cycle_id).where(intents.c.intent_id == intent)
    return CycleId(connection.execute(query).scalar_one())


def list_intents(
    connection: Connection,
    *,
    states: Iterable[IntentState] | None = None,
    provider: str | None = None,
) -> tuple[Intent, ...]:
    """Intents in ``states`` (all when ``None``), oldest first."""
    query = _select().order_by(intents.c.recorded_at, intents.c.intent_id)
    if states is not None:
        query = query.where(intents.c.state.in_([state.value for state in states]))
    if provider is not None:
        query = query.where(intents.c.provider == provider)
    return tuple(_intent(row) for row in connection.execute(query).mappings())


def open_scopes(connection: Connection, *, besides: IntentId | None = None) -> frozenset[Scope]:
    """Scopes in which a purchase may or may not exist, ``besides`` left out."""
    query = select(intents.c.provider, intents.c.account).where(
        intents.c.state.in_([state.value for state in OPEN])
    )
    if besides is not None:
        query = query.where(intents.c.intent_id != besides)
    return frozenset(
        Scope(provider, AccountId(account)) for provider, account in connection.execute(query)
    )


def _update(
    connection: Connection, intent: IntentId, source: IntentState, values: dict[str, object]
) -> bool:
    changed = connection.execute(
        update(intents)
        .where(intents.c.intent_id == intent, intents.c.state == source.value)
        .values(**values)
    ).rowcount
    return changed == 1


def is_listed() -> ColumnElement[bool]:
    """True for an intent of which the mirror has something, by its tag or its commitment's id.

    By the provider's id as well: a listing need not carry the tag that ties it to the intent.
    """
    listed = or_(
        commitments.c.intent_id == intents.c.intent_id,
        and_(
            commitments.c.provider == intents.c.provider,
            commitments.c.commitment_id == intents.c.commitment_id,
        ),
    )
    return select(commitments.c.commitment_id).where(listed).correlate(intents).exists()


def _select() -> Select[Any]:
    return select(intents, is_listed().label("ever_listed"))


def _one(connection: Connection, condition: ColumnElement[bool]) -> Intent | None:
    row = connection.execute(_select().where(condition)).mappings().one_or_none()
    return None if row is None else _intent(row)


def _intent(row: RowMapping) -> Intent:
    line = from_document(PlanLine, row["line"])
    intent = Intent(
        order=PurchaseOrder(
            intent=IntentId(row["intent_id"]),
            token=ClientToken(row["token"]),
            account=AccountId(row["account"]),
            offering=OfferingId(row["offering"]),
            kind=Kind(row["kind"]),
            term_months=line.term_months,
            payment=line.payment,
            quantity=row["quantity"],
            upfront_usd=row["upfront_usd"],
            commit_usd_per_hour=CommitUsdPerHour(row["commit_usd_per_hour"]),
            reference=row["reference"],
            start_at=line.start_at,
            companion=line.companion,
        ),
        plan=PlanId(row["plan_id"]),
        proposal=None if row["proposal_id"] is None else ProposalId(row["proposal_id"]),
        line=line,
        state=IntentState(row["state"]),
        fence=row["fence"],
        recorded_at=row["recorded_at"],
        updated_at=row["updated_at"],
        commitment=None if row["commitment_id"] is None else CommitmentId(row["commitment_id"]),
        detail=row["detail"],
        ever_listed=bool(row["ever_listed"]),
        called_at=row["called_at"],
    )
    if (line.account, line.offering, line.quantity) != (
        intent.order.account,
        intent.order.offering,
        intent.order.quantity,
    ):
        msg = f"intent {intent.order.intent} does not buy what its line says"
        raise InvariantError(msg)
    return intent
