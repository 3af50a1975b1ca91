"""The API's own reads of alterations: what is asked of something owned, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, func, select

from service.api import models, status_models
from service.api.reads import Slice, ordering, page_of, within_accounts
from service.domain.alterations import Alteration, AlterationState
from service.domain.ids import IntentId
from service.store import alterations as stored
from service.store.alteration_tables import alterations as table

People = Callable[[Alteration], int | None]


@dataclass(frozen=True, slots=True)
class AlterationFilter:
    """Which alterations are wanted; ``None`` for any. ``accounts`` is what the caller may see."""

    state: str | None = None
    alteration: str | None = None
    provider: str | None = None
    account: str | None = None
    accounts: frozenset[str] | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The filter as conditions on alterations."""
        named = ("state", "alteration", "provider", "account")
        found: list[ColumnElement[bool]] = [
            table.c[name] == getattr(self, name)
            for name in named
            if getattr(self, name) is not None
        ]
        return [*found, *within_accounts(table.c.account, self.accounts)]


def alterations(
    connection: Connection,
    *,
    limit: int,
    cursor: str | None = None,
    wanted: AlterationFilter | None = None,
    sort: str = "-asked_at",
    people: People | None = None,
) -> Slice[models.Alteration]:
    """Alterations by the instant that they were asked for, or that they expire.

    ``people`` says how many must approve one; ``None`` where that is not known.
    """
    query = select(table).where(*(wanted or AlterationFilter()).conditions())
    columns = [table.c.asked_at, table.c.expires_at]
    order = ordering("alterations", sort, columns, "alteration_id")
    found = page_of(connection, query, order, limit=limit, cursor=cursor)
    rows = [stored.alteration_of(row._mapping) for row in found.items]  # noqa: SLF001 - public
    return Slice(tuple(shown(one, people) for one in rows), found.cursor)


def alteration(
    connection: Connection, alteration_id: str, *, people: People | None = None
) -> models.Alteration | None:
    """One alteration."""
    found = stored.find(connection, IntentId(alteration_id))
    return None if found is None else shown(found, people)


def standing(
    connection: Connection, accounts: frozenset[str] | None
) -> status_models.OpenAlterations:
    """How many have not ended, of ``accounts`` or of all (``None``)."""
    live = [state.value for state in stored.LIVE]
    query = (
        select(table.c.state, func.count(), func.min(table.c.expires_at))
        .where(table.c.state.in_(live), *within_accounts(table.c.account, accounts))
        .group_by(table.c.state)
    )
    found = {
        AlterationState(state): (count, soonest)
        for state, count, soonest in connection.execute(query)
    }
    counts = {state: count for state, (count, _) in found.items()}
    waiting = AlterationState.WAITING
    return status_models.OpenAlterations(
        waiting=counts.get(waiting, 0),
        under_way=sum(
            counts.get(state, 0)
            for state in (
                AlterationState.APPROVED,
                AlterationState.RECORDED,
                AlterationState.CALLING,
            )
        ),
        unknown=counts.get(AlterationState.UNKNOWN, 0),
        next_expires_at=found[waiting][1] if waiting in found else None,
    )


def shown(found: Alteration, people: People | None = None) -> models.Alteration:
    """A stored alteration as the API shows it."""
    order = found.order
    return models.Alteration(
        id=order.intent,
        alteration=order.alteration,
        provider=found.provider,
        account=order.account,
        kind=order.kind,
        state=found.state,
        version=found.version,
        sources=list(order.sources),
        targets=[
            models.AlterationTarget(
                offering=one.offering,
                quantity=one.quantity,
                zone=one.zone,
                term_months=one.term_months,
                payment=one.payment,
            )
            for one in order.targets
        ],
        renew=order.renew,
        most_to_pay_usd=order.most_to_pay_usd,
        quoted_usd_per_hour=found.quoted_usd_per_hour,
        pay_usd=found.pay_usd,
        refund_usd=found.refund_usd,
        reason=found.reason,
        run=found.run,
        asked_at=found.asked_at,
        expires_at=found.expires_at,
        decided_by=found.decided_by,
        approved_by=list(found.approved_by),
        approvals_needed=None if people is None else people(found),
        recorded_at=found.recorded_at,
        called_at=found.called_at,
        updated_at=found.updated_at,
        detail=found.detail,
        made=list(found.made),
    )
