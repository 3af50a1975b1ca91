"""The page of commitments: what is owned, how much of it is used, when it ends, what may go back.

How much is used is billed from the newest week of usage, as the bill of each provider would have
it. Where that cannot be done, the page says why and shows the rest.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Annotated, Any

from fastapi import Query
from fastapi.responses import HTMLResponse
from sqlalchemy import Connection, Row, select

from service.api import reads
from service.api.context import AppContext
from service.api.cursor import next_link
from service.api.problems import Kind, ProblemError
from service.api.reads import CommitmentFilter
from service.api.status import OWNED
from service.domain.alterations import Alteration
from service.domain.commitments import CommitmentState
from service.domain.errors import InvariantError, RefusedError, TenorError
from service.store import alterations, schema
from service.store.engine import reading
from service.web.frame import ReadingVisitor, Visitor

ROWS = 50
USE_HOURS = 168
USE_KEPT_SECONDS = 300.0
UNDO_SHOWN = 10
_MONTHS_SHOWN = 36
Cursor = Annotated[str | None, Query(max_length=1000)]


@dataclass(frozen=True, slots=True)
class Step:
    """One month in which commitments end: how many, their $/h, and what still runs after it."""

    month: datetime
    ending: int
    ending_usd_per_hour: Decimal
    left_usd_per_hour: Decimal


@dataclass(frozen=True, slots=True)
class Use:
    """Used share (0-1) of each commitment by its id, over the ``hours`` before ``through``."""

    ratios: Mapping[str, Decimal]
    through: Mapping[str, datetime]
    problems: Mapping[str, str]


def commitments(
    visitor: ReadingVisitor,
    state: CommitmentState | None = None,
    cursor: Cursor = None,
) -> HTMLResponse:
    """What is owned, or was; what is about to be altered."""
    wanted = None if state is None else state.value
    with reading(visitor.context.engine) as connection:
        page = reads.commitments(
            connection,
            limit=ROWS,
            cursor=cursor,
            wanted=CommitmentFilter(state=wanted, accounts=visitor.accounts),
        )
        owned = owned_rows(connection, visitor.accounts)
        changes = visible_alterations(connection, visitor)
    older = None
    if page.cursor is not None:
        kept = {} if wanted is None else {"state": wanted}
        older = next_link("/commitments", limit=ROWS, cursor=page.cursor, filters=kept)
    now = visitor.context.clock.now()
    undo = [row for row in owned if row.returnable_until and row.returnable_until > now]
    undo.sort(key=lambda row: (row.returnable_until, row.commitment_id))
    return visitor.page(
        "commitments.html",
        {
            "page": page,
            "wanted": wanted,
            "states": [one.value for one in CommitmentState],
            "ladder": [(row.end_at, row.commit_usd_per_hour) for row in owned],
            "steps": steps(owned, now),
            "undo": undo[:UNDO_SHOWN],
            "undo_more": len(undo[UNDO_SHOWN:]),
            "use": used(visitor.context, {row.provider for row in owned}),
            "alterations": changes,
            "older": older,
        },
        live=cursor is None,
    )


def owned_rows(connection: Connection, accounts: frozenset[str] | None) -> Sequence[Row[Any]]:
    """Every commitment that is owned, those that end first first."""
    table = schema.commitments
    return connection.execute(
        select(table)
        .where(
            table.c.state.in_(OWNED),
            table.c.vanished_at.is_(None),
            *reads.within_accounts(table.c.account, accounts),
        )
        .order_by(table.c.end_at, table.c.commitment_id)
    ).all()


def visible_alterations(connection: Connection, visitor: Visitor) -> list[Alteration]:
    """Alterations that have not ended, of the visitor's accounts, those that wait first."""
    found = alterations.list_alterations(connection, states=alterations.LIVE)
    return [one for one in found if visitor.sees(one.order.account)]


def steps(owned: Sequence[Row[Any]], now: datetime) -> list[Step]:
    """The ladder of expiries as a table: a row for each month in which something ends."""
    months: dict[datetime, list[Decimal]] = defaultdict(list)
    for row in owned:
        if row.end_at > now:
            month = row.end_at.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            months[month].append(row.commit_usd_per_hour)
    left = sum((sum(ending, Decimal(0)) for ending in months.values()), Decimal(0))
    found = []
    for month in sorted(months)[:_MONTHS_SHOWN]:
        ending = sum(months[month], Decimal(0))
        left -= ending
        found.append(Step(month, len(months[month]), ending, left))
    return found


def used(context: AppContext, providers: set[str]) -> Use:
    """How much of each commitment of ``providers`` the newest week of usage used."""
    ratios: dict[str, Decimal] = {}
    through: dict[str, datetime] = {}
    problems: dict[str, str] = {}
    for provider in sorted(providers):
        try:
            found = context.kept.value(
                ("use", id(context.engine), provider),
                None,
                seconds=USE_KEPT_SECONDS,
                make=partial(_used, context, provider),
            )
        except InvariantError:
            raise
        except RefusedError as error:
            problems[provider] = error.detail
        except (ProblemError, TenorError) as error:
            problems[provider] = str(error)
        else:
            ratios |= found[0]
            through[provider] = found[1]
    return Use(ratios, through, problems)


def _used(context: AppContext, provider: str) -> tuple[dict[str, Decimal], datetime]:
    from service.billing.bill import bill  # noqa: PLC0415 - numpy

    if context.usage is None:
        raise ProblemError(Kind.CONFLICT, "no usage is kept here")
    dataset = context.usage.dataset(provider, hours=USE_HOURS, end=None)
    result = bill(dataset)
    ratios = {
        str(name): use.utilization_ratio
        for name, use in result.commitments.items()
        if use.committed_usd > 0
    }
    return ratios, dataset.usage.hours.end
