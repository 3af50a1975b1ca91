"""Decides which alterations have happened and are in no listing yet that caps could count.

Between the provider's yes to an exchange and the next reading that shows what it made, the mirror
still has what was given, or has lost it and not gained the new: either way the sum is not known.
Likewise between the yes to a renewal and the reading that shows it: what renews seems to end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, select, update

from service.domain.alterations import (
    IN_PLACE,
    OBLIGING,
    SHOWN_LATER,
    AlterationKind,
    AlterationState,
)
from service.domain.ids import AccountId, IntentId
from service.store.alteration_tables import alterations
from service.store.alterations import COUNTED
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
        alterations.c.alteration.in_([kind.value for kind in SHOWN_LATER]),
    )
    return {
        IntentId(name): Scope(provider, AccountId(account))
        for name, provider, account, kept in connection.execute(query)
        if not kept.get(_LISTED, False)
    }


def obliged(
    connection: Connection,
    kinds: Iterable[AlterationKind] = OBLIGING,
    *,
    run: str | None = None,
) -> dict[IntentId, tuple[dict[str, Any], ...] | None]:
    """What alterations count as that are under way, or that no reading has shown.

    As ``alterations.write_down`` kept it; ``None`` for one of which it was not written down. What
    a reading has shown is owed with what is listed. Here it counts on in ``run``, where it was of
    that, and where it was done in place in its day: what is listed is dated as of old.
    """
    query = select(
        alterations.c.alteration_id,
        alterations.c.alteration,
        alterations.c.state,
        alterations.c.run_id,
        alterations.c.made,
    ).where(
        alterations.c.alteration.in_([one.value for one in kinds]),
        alterations.c.state.in_([one.value for one in COUNTED]),
    )
    found: dict[IntentId, tuple[dict[str, Any], ...] | None] = {}
    for name, kind, state, of, kept in connection.execute(query):
        listed = state == AlterationState.ALTERED.value and kept.get(_LISTED, False)
        if listed and AlterationKind(kind) not in IN_PLACE and of != run:
            continue
        spends = kept.get("obliged", [] if listed else None)
        marks = {"in_run": of == run} | ({"live": False} if listed else {})
        found[IntentId(name)] = (
            None if spends is None else tuple({**one, **marks} for one in spends)
        )
    return found


def note_listed(connection: Connection, alteration: IntentId) -> None:
    """Note that a reading has shown what an alteration did."""
    key = alterations.c.alteration_id == alteration
    kept = connection.execute(select(alterations.c.made).where(key)).scalar_one()
    connection.execute(update(alterations).where(key).values(made={**kept, _LISTED: True}))
