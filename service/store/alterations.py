"""Decides how alterations are written down: one row each, moved only along its table.

From the moment that one is recorded until its outcome is proven, each of its sources is locked by
a row that no second alteration can have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from service.domain.alterations import (
    Alteration,
    AlterationKind,
    AlterationOrder,
    AlterationState,
)
from service.domain.hours import iso
from service.domain.ids import AccountId, CommitmentId, IntentId
from service.domain.money import text
from service.purchase.lifecycle import Word, require_alteration_move
from service.store.alteration_tables import alteration_locks, alterations
from service.store.codec import from_document, to_document
from service.store.intents import Scope

OPEN = (AlterationState.CALLING, AlterationState.UNKNOWN)
"""States in which the alteration may or may not have happened."""

UNDER_WAY = (AlterationState.RECORDED, *OPEN)
"""States in which nothing else is bought in the account, and the sources are locked."""

COUNTED = (*UNDER_WAY, AlterationState.ALTERED)
"""States whose payment is taken as spent: all from being written down but a proven no."""

LIVE = (AlterationState.WAITING, AlterationState.APPROVED, *UNDER_WAY)
"""States that are not an end."""


GIVING_BACK = (AlterationKind.RETURN, AlterationKind.CANCEL_QUEUED)
"""What ends a purchase as if it had never been made; the like of it is not bought again at once."""


def record(connection: Connection, alteration: Alteration) -> None:
    """Write a new alteration, not yet decided on."""
    order = alteration.order
    connection.execute(
        insert(alterations).values(
            alteration_id=order.intent,
            token=order.token,
            provider=alteration.provider,
            account=order.account,
            alteration=order.alteration.value,
            state=alteration.state.value,
            run_id=alteration.run,
            version=alteration.version,
            fence=alteration.fence,
            calls=0,
            pay_usd=alteration.pay_usd,
            refund_usd=alteration.refund_usd,
            asked_at=alteration.asked_at,
            expires_at=alteration.expires_at,
            updated_at=alteration.updated_at,
            reason=alteration.reason,
            detail=alteration.detail,
            made={"made": [], **_quoted(alteration)},
            document=to_document(order),
        )
    )


def _quoted(alteration: Alteration) -> dict[str, str]:
    """Kept beside the order, not in it: a replica that does not know it reads past it."""
    usd = alteration.quoted_usd_per_hour
    return {} if usd is None else {"quoted_usd_per_hour": text(usd)}


def move(
    connection: Connection,
    alteration: Alteration,
    *,
    target: AlterationState,
    word: Word,
    now: datetime,
    detail: str,
    **values: object,
) -> bool:
    """Move one alteration from where ``alteration`` says it is; ``False`` when it has left that.

    ``values`` are further columns. Locks go when an end is reached.
    """
    require_alteration_move(alteration.state, target, word)
    row = {"state": target.value, "updated_at": now, "detail": detail, **values}
    changed = connection.execute(
        update(alterations)
        .where(
            alterations.c.alteration_id == alteration.order.intent,
            alterations.c.state == alteration.state.value,
        )
        .values(version=alterations.c.version + 1, **row)
    ).rowcount
    if changed == 1 and target not in UNDER_WAY:
        unlock(connection, alteration.order.intent)
    return changed == 1


def write_down(
    connection: Connection,
    alteration: Alteration,
    order: AlterationOrder,
    *,
    pay_usd: Decimal,
    refund_usd: Decimal,
    before: Mapping[CommitmentId, str],
    obliged: Sequence[Mapping[str, object]],
    fence: int,
    now: datetime,
    held_until: datetime | None = None,
) -> bool:
    """Decided → ``recorded``, as quoted, its sources locked; ``False`` when it had moved on.

    ``before`` is each source's fingerprint now, which later readings are compared with;
    ``obliged`` what it counts as against caps until a listing shows it;
    ``held_until``: until when the like of what is given back is not bought.

    The database refuses with an ``IntegrityError`` where a source is locked already.
    """
    moved = move(
        connection,
        alteration,
        target=AlterationState.RECORDED,
        word=Word.TENOR,
        now=now,
        detail="",
        recorded_at=now,
        fence=fence,
        pay_usd=pay_usd,
        refund_usd=refund_usd,
        document=to_document(order),
        made={
            **_kept(connection, order.intent),
            "before": dict(before),
            "obliged": [dict(one) for one in obliged],
            "held_until": None if held_until is None else iso(held_until),
        },
    )
    if moved:
        rows = [
            {
                "provider": alteration.provider,
                "commitment_id": source,
                "alteration_id": order.intent,
            }
            for source in order.sources
        ]
        connection.execute(insert(alteration_locks), rows)
    return moved


def name_made(connection: Connection, alteration: IntentId, made: Iterable[CommitmentId]) -> None:
    """Keep what an alteration made."""
    kept = _kept(connection, alteration)
    _keep(connection, alteration, {**kept, "made": sorted({*kept["made"], *made})})


def add_approval(connection: Connection, alteration: IntentId, person: str, *, called: str) -> None:
    """Keep who said yes and what they are called, beside those who did before."""
    kept = _kept(connection, alteration)
    _keep(
        connection,
        alteration,
        {
            **kept,
            "approved_by": sorted({*kept.get("approved_by", ()), person}),
            "called": sorted({*kept.get("called", ()), called}),
        },
    )


def given_back(
    connection: Connection, *, now: datetime
) -> tuple[tuple[CommitmentId, str, datetime], ...]:
    """What was, or may have been, given back and is not to be bought again yet.

    Commitment, provider, and until when that holds.
    """
    query = select(alterations).where(
        alterations.c.alteration.in_([kind.value for kind in GIVING_BACK]),
        alterations.c.state.in_([state.value for state in COUNTED]),
    )
    found = []
    for row in connection.execute(query).mappings():
        held = row["made"].get("held_until")
        until = None if held is None else datetime.fromisoformat(held)
        if until is not None and until > now:
            order = from_document(AlterationOrder, row["document"])
            found += [(source, row["provider"], until) for source in order.sources]
    return tuple(found)


def _kept(connection: Connection, alteration: IntentId) -> dict[str, Any]:
    query = select(alterations.c.made).where(alterations.c.alteration_id == alteration)
    return dict(connection.execute(query).scalar_one())


def _keep(connection: Connection, alteration: IntentId, kept: Mapping[str, object]) -> None:
    connection.execute(
        update(alterations).where(alterations.c.alteration_id == alteration).values(made=dict(kept))
    )


def before(connection: Connection, *, provider: str) -> dict[str, dict[CommitmentId, str]]:
    """By alteration, each source's fingerprint when it was written down."""
    query = select(alterations.c.alteration_id, alterations.c.made).where(
        alterations.c.provider == provider
    )
    return {
        name: {CommitmentId(source): was for source, was in kept["before"].items()}
        for name, kept in connection.execute(query)
        if "before" in kept
    }


def begin_call(
    connection: Connection, alteration: Alteration, *, fence: int, now: datetime
) -> bool:
    """``recorded`` → ``calling``, counted and dated; ``False`` when it was not ``recorded``."""
    return move(
        connection,
        alteration,
        target=AlterationState.CALLING,
        word=Word.TENOR,
        now=now,
        detail="",
        called_at=now,
        fence=fence,
        calls=alterations.c.calls + 1,
    )


def unlock(connection: Connection, alteration: IntentId) -> None:
    """Let the sources of an alteration be altered again."""
    connection.execute(
        delete(alteration_locks).where(alteration_locks.c.alteration_id == alteration)
    )


def locked(connection: Connection, provider: str) -> frozenset[CommitmentId]:
    """Commitments that an alteration under way is about."""
    query = select(alteration_locks.c.commitment_id).where(alteration_locks.c.provider == provider)
    return frozenset(CommitmentId(one) for one in connection.execute(query).scalars())


def open_scopes(connection: Connection, *, besides: IntentId | None = None) -> frozenset[Scope]:
    """Accounts in which an alteration is under way, ``besides`` left out."""
    query = select(alterations.c.provider, alterations.c.account).where(
        alterations.c.state.in_([state.value for state in UNDER_WAY])
    )
    if besides is not None:
        query = query.where(alterations.c.alteration_id != besides)
    return frozenset(
        Scope(provider, AccountId(account)) for provider, account in connection.execute(query)
    )


def find(connection: Connection, alteration: IntentId) -> Alteration | None:
    """One alteration, or ``None``."""
    query = select(alterations).where(alterations.c.alteration_id == alteration)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else alteration_of(row)


def list_alterations(
    connection: Connection,
    *,
    states: Iterable[AlterationState] | None = None,
    provider: str | None = None,
) -> tuple[Alteration, ...]:
    """Alterations in ``states`` (all when ``None``), oldest first."""
    query = select(alterations).order_by(alterations.c.asked_at, alterations.c.alteration_id)
    if states is not None:
        query = query.where(alterations.c.state.in_([state.value for state in states]))
    if provider is not None:
        query = query.where(alterations.c.provider == provider)
    return tuple(alteration_of(row) for row in connection.execute(query).mappings())


def alteration_of(row: RowMapping) -> Alteration:
    """A whole row of the table as what it is."""
    quoted = row["made"].get("quoted_usd_per_hour")
    return Alteration(
        order=from_document(AlterationOrder, row["document"]),
        provider=row["provider"],
        state=AlterationState(row["state"]),
        run=row["run_id"],
        version=row["version"],
        fence=row["fence"],
        pay_usd=row["pay_usd"],
        refund_usd=row["refund_usd"],
        asked_at=row["asked_at"],
        expires_at=row["expires_at"],
        recorded_at=row["recorded_at"],
        called_at=row["called_at"],
        updated_at=row["updated_at"],
        decided_by=row["decided_by"],
        reason=row["reason"],
        detail=row["detail"],
        made=tuple(CommitmentId(one) for one in row["made"]["made"]),
        approved_by=tuple(row["made"].get("approved_by", ())),
        called=tuple(row["made"].get("called", ())),
        quoted_usd_per_hour=None if quoted is None else Decimal(quoted),
    )
