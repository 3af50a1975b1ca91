"""Decides which alterations have happened and are in no listing yet that caps could count.

Between the provider's yes to an exchange and the next reading that shows what it made, the mirror
still has what was given, or has lost it and not gained the new: either way the sum is not known.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, and_, or_, select, update

from service.domain.alterations import MAKING, OBLIGING, AlterationState
from service.domain.ids import AccountId, IntentId
from service.store.alteration_tables import alterations
from service.store.alterations import UNDER_WAY
from service.store.intents import Scope

_LISTED = "listed"


def unlisted(connection: Connection) -> dict[IntentId, Scope]:
    """Alterations that happened and that no reading has shown yet, with where."""
    query = select(
        alterations.c.alteration_id,
        alterations.c.provider,
        alterations.c.account,
        alterations.c.made,
    ).where(
        alterations.c.state == AlterationState.ALTERED.value,
        alterations.c.alteration.in_([kind.value for kind in MAKING]),
    )
    return {
        IntentId(name): Scope(provider, AccountId(account))
        for name, provider, account, kept in connection.execute(query)
        if not kept.get(_LISTED, False)
    }


def obliged(connection: Connection) -> dict[IntentId, tuple[dict[str, Any], ...] | None]:
    """What alterations count as that are under way, or that no reading has shown.

    As ``alterations.write_down`` kept it; ``None`` for one of which it was not written down.
    """
    state, kind = alterations.c.state, alterations.c.alteration
    done = state == AlterationState.ALTERED.value
    query = select(alterations.c.alteration_id, state, alterations.c.made).where(
        kind.in_([one.value for one in OBLIGING]),
        or_(
            state.in_([one.value for one in UNDER_WAY]),
            and_(done, kind.in_([one.value for one in MAKING])),
        ),
    )
    return {
        IntentId(name): None if "obliged" not in kept else tuple(kept["obliged"])
        for name, at, kept in connection.execute(query)
        if at != AlterationState.ALTERED.value or not kept.get(_LISTED, False)
    }


def note_listed(connection: Connection, alteration: IntentId) -> None:
    """Note that a reading has shown what an alteration did."""
    key = alterations.c.alteration_id == alteration
    kept = connection.execute(select(alterations.c.made).where(key)).scalar_one()
    connection.execute(update(alterations).where(key).values(made={**kept, _LISTED: True}))
