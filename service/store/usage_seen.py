"""Which commitments the exports of stored days name, and from when until when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from sqlalchemy import Connection, delete, func, insert, select

from service.domain.hours import HourRange
from service.store.usage_tables import commitments_seen
from service.usage.days import NamedCommitment, SeenCommitment

_TABLE = commitments_seen.c


def note_commitments(
    connection: Connection, named: Mapping[tuple[str, date], Sequence[NamedCommitment]]
) -> None:
    """Note what each provider's day names, in place of what was noted of it before."""
    for (provider, day), commitments in named.items():
        connection.execute(
            delete(commitments_seen).where(_TABLE.provider == provider, _TABLE.day == day)
        )
        if commitments:
            rows = [
                {
                    "provider": provider,
                    "day": day,
                    "commitment": one.commitment,
                    "account": one.account,
                    "category": one.category,
                }
                for one in commitments
            ]
            connection.execute(insert(commitments_seen), rows)


def seen_commitments(connection: Connection, hours: HourRange) -> tuple[SeenCommitment, ...]:
    """The commitments named on the days that ``hours`` fall in, by provider and id."""
    last_day = (hours.end - timedelta(hours=1)).date()
    query = (
        select(
            _TABLE.provider,
            _TABLE.commitment,
            func.max(_TABLE.account),
            func.max(_TABLE.category),
            func.min(_TABLE.day),
            func.max(_TABLE.day),
        )
        .where(_TABLE.day >= hours.start.date(), _TABLE.day <= last_day)
        .group_by(_TABLE.provider, _TABLE.commitment)
        .order_by(_TABLE.provider, _TABLE.commitment)
    )
    return tuple(SeenCommitment(*row) for row in connection.execute(query))
