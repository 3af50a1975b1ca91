"""Decides what has been spent: everything that was asked for and not proven refused.

Read it in the transaction that writes the intent, after the lease is locked: then two approvals
cannot both see the room that only one of them may use.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, RowMapping, and_, or_, select

from service.domain.commitments import CommitmentState
from service.domain.ids import AccountId, CycleId, IntentId
from service.store.intents import COUNTED
from service.store.schema import commitments, intents

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Amount:
    """Hourly obligation (amortised $/h) and cash due at purchase."""

    commit_usd_per_hour: Decimal
    upfront_usd: Decimal


@dataclass(frozen=True, slots=True)
class Spent:
    """What Tenor's intents have spent: in one cycle, in the 24 hours before now, and in all.

    Recorded, calling, unknown and bought intents count alike. In ``total``, the hourly
    obligation of a commitment that has ended, failed or been returned counts no longer; the
    cash that it cost does.
    """

    run: Amount
    day: Amount
    total: Amount


def spent(
    connection: Connection,
    *,
    now: datetime,
    cycle: CycleId,
    provider: str | None = None,
    account: AccountId | None = None,
    besides: IntentId | None = None,
) -> Spent:
    """What has been spent by ``now``; within one provider or account when named.

    ``besides`` leaves out an intent that is judged again and must not count against itself.
    """
    same = or_(
        commitments.c.intent_id == intents.c.intent_id,
        and_(
            commitments.c.provider == intents.c.provider,
            commitments.c.commitment_id == intents.c.commitment_id,
        ),
    )
    query = select(
        intents, commitments.c.state.label("owned_state"), commitments.c.end_at.label("owned_until")
    ).select_from(intents.outerjoin(commitments, same))
    query = query.where(intents.c.state.in_([state.value for state in COUNTED]))
    if provider is not None:
        query = query.where(intents.c.provider == provider)
    if account is not None:
        query = query.where(intents.c.account == account)
    # An intent that matches two listed rows is still one purchase.
    rows = {row["intent_id"]: row for row in connection.execute(query).mappings()}
    rows.pop(besides, None)
    counted = tuple(rows.values())
    recent = tuple(row for row in counted if row["recorded_at"] > now - DAY)
    in_run = tuple(row for row in counted if row["cycle_id"] == cycle)
    live = tuple(row for row in counted if _is_live(row, now))
    return Spent(
        run=Amount(_commit(in_run), _upfront(in_run)),
        day=Amount(_commit(recent), _upfront(recent)),
        total=Amount(_commit(live), _upfront(counted)),
    )


def _is_live(row: RowMapping, now: datetime) -> bool:
    if row["owned_state"] is None:
        return True
    owned: bool = CommitmentState(row["owned_state"]).is_owned and row["owned_until"] > now
    return owned


def _commit(rows: tuple[RowMapping, ...]) -> Decimal:
    return sum((row["commit_usd_per_hour"] for row in rows), Decimal(0))


def _upfront(rows: tuple[RowMapping, ...]) -> Decimal:
    return sum((row["upfront_usd"] for row in rows), Decimal(0))
