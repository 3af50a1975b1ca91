"""The pages of what happened: the ledger with its chain, and the alerts that were raised."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import Query
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from service.api import reads
from service.api.context import AppContext, address_of, slow_down
from service.api.cursor import next_link
from service.api.reads import AuditFilter
from service.api.shapes import STORABLE
from service.domain.errors import InvariantError
from service.observe.events import CATALOGUE
from service.store import alerts as kept_alerts
from service.store import ledger
from service.store.agreement import disagreement
from service.store.alert_tables import DeliveryState
from service.store.engine import reading, snapshot
from service.store.schema import ledger_head
from service.web.frame import Visitor, WholeVisitor

ROWS = 50
ALERTS_SHOWN = 100
CHECKED_UNASKED_MAX = 2_000
"""A ledger of at most so many events is checked whenever it is shown."""

Cursor = Annotated[str | None, Query(max_length=1000)]
Named = Annotated[str, Query(max_length=200, pattern=STORABLE)]
Day = Annotated[str, Query(pattern=r"^$|^\d{4}-\d\d-\d\d$")]


@dataclass(frozen=True, slots=True)
class Chain:
    """The ledger's last number and hash, and whether all before it was found as written.

    ``problem``: ``None`` when it was found sound or was not looked at (``is_checked``).
    """

    events: int
    head: str
    is_checked: bool
    problem: str | None


def audit(
    *,
    visitor: WholeVisitor,
    kind: Named = "",
    actor: Named = "",
    subject: Named = "",
    since: Day = "",
    until: Day = "",
    check: Named = "",
    cursor: Cursor = None,
) -> HTMLResponse:
    """The ledger of what happened, filtered, newest first."""
    given = {"kind": kind, "actor": actor, "subject": subject, "since": since, "until": until}
    asked = {name: value.strip() for name, value in given.items() if value.strip()}
    is_proposal = asked.get("subject", "").startswith("p-")
    wanted = AuditFilter(
        kind=asked.get("kind"),
        actor=asked.get("actor"),
        proposal=asked.get("subject") if is_proposal else None,
        intent=None if is_proposal else asked.get("subject"),
        since=_midnight(asked.get("since")),
        until=_after(asked.get("until")),
    )
    if check:
        slow_down(visitor.context.access.limiter.chain_check(_who(visitor)))
    with reading(visitor.context.engine) as connection:
        page = reads.audit(connection, limit=ROWS, cursor=cursor, wanted=wanted)
    older = None
    if page.cursor is not None:
        older = next_link("/audit", limit=ROWS, cursor=page.cursor, filters=asked)
    return visitor.page(
        "audit.html",
        {
            "page": page,
            "asked": {**dict.fromkeys(given, ""), **asked},
            "kinds": sorted(CATALOGUE),
            "chain": chain(visitor.context, is_asked=bool(check)),
            "older": older,
        },
    )


def _who(visitor: Visitor) -> str:
    signed_in = visitor.signed_in
    return address_of(visitor.request) if signed_in is None else signed_in.caller.person


def _midnight(day: str | None) -> datetime | None:
    if day is None:
        return None
    try:
        found = date.fromisoformat(day)
    except ValueError:
        return None
    return datetime(found.year, found.month, found.day, tzinfo=UTC)


def _after(day: str | None) -> datetime | None:
    """The end of ``day``, which is meant to be included."""
    start = _midnight(day)
    return None if start is None or start.year == date.max.year else start + timedelta(days=1)


def chain(context: AppContext, *, is_asked: bool) -> Chain:
    """How the ledger stands; long ones are walked when somebody asks for it.

    What is said to be whole has just been read: a change of the past leaves the last hash as it
    was, so nothing that was found earlier can be shown again.
    """
    with reading(context.engine) as connection:
        head = connection.execute(select(ledger_head)).one_or_none()
    count, newest = (0, ledger.GENESIS) if head is None else (head.sequence, head.hash)
    if count > CHECKED_UNASKED_MAX and not is_asked:
        return Chain(count, newest, is_checked=False, problem=None)
    return Chain(count, newest, is_checked=True, problem=_broken(context))


def _broken(context: AppContext) -> str | None:
    with snapshot(context.engine) as connection:
        try:
            ledger.verify(connection)
        except InvariantError as error:
            return str(error)
        return disagreement(connection)


def alerts(visitor: WholeVisitor) -> HTMLResponse:
    """What was worth an alert, newest first, and what became of sending it."""
    states = (DeliveryState.WAITING, DeliveryState.SENDING, DeliveryState.DEAD)
    with reading(visitor.context.engine) as connection:
        raised = kept_alerts.list_alerts(connection, limit=ALERTS_SHOWN)
        counts = kept_alerts.counts(connection)
        unsent = kept_alerts.list_deliveries(connection, states=states)
    return visitor.page(
        "alerts.html", {"alerts": raised, "counts": counts, "unsent": unsent}, live=True
    )
