"""Decides what has been used of the policy's caps, summed by the database.

The same purchases as the guard counts (``guard.context.spent_so_far``), without reading each of
them: a test holds both against each other. Recorded, called, unknown and bought intents count, and
what the inventory lists beside them; an intent that is listed lives as long as its listing says,
one that was until its term must be over, another until it is. What renews counts for the next term
too. What is listed at more than it was bought for counts at that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    ColumnElement,
    Connection,
    FromClause,
    Select,
    Subquery,
    and_,
    bindparam,
    case,
    func,
    not_,
    or_,
    select,
    type_coerce,
)

from service.domain.commitments import OWNED_STATES
from service.domain.hours import TERM_HOURS
from service.domain.money import from_nano
from service.domain.purchases import IntentState
from service.guard.caps import Sum
from service.guard.context import DAY
from service.store.intents import COUNTED, is_listed
from service.store.metadata import UtcInstant
from service.store.schema import commitments, intents

_OWNED = tuple(sorted(state.value for state in OWNED_STATES))
_COUNTED = tuple(sorted(state.value for state in COUNTED))
_LONGEST = max(TERM_HOURS.values())
_AMOUNTS = ("commit_usd_per_hour", "upfront_usd")


@dataclass(frozen=True, slots=True)
class Used:
    """What counts against the caps of the last 24 hours, and of all that is live."""

    day: Sum
    total: Sum


def used(connection: Connection, now: datetime) -> Used:
    """What is used by ``now`` (UTC)."""
    instants = {
        "now": now,
        "day_ago": now - DAY,
        **{_term_ago(hours).key: now - timedelta(hours=hours) for hours in TERM_HOURS.values()},
    }
    day, total = [Decimal(0)] * 3, [Decimal(0)] * 3
    for query in (_of_intents(), _of_inventory(), _of_renewals()):
        for in_day, lives, *amounts in connection.execute(query, instants):
            for index, amount in enumerate(amounts):
                usd = from_nano(int(amount))
                day[index] += usd if in_day else 0
                total[index] += usd if lives else 0
    return Used(day=Sum(*day), total=Sum(*total))


@cache
def _of_intents() -> Select[Any]:
    """What is bought, or may be, at the dearer of what was asked and what is listed."""
    item, parts = commitments.alias(), _parts()
    listed_usd = _with_parts(item, parts, "commit_usd_per_hour")
    commit = _dearer(_nano(intents.c.commit_usd_per_hour), listed_usd)
    # A term may have been lengthened since.
    hours_bought = _term_hours(intents.c.term_months)
    hours_listed = case((item.c.term_months.is_(None), 0), else_=_term_hours(item.c.term_months))
    owed = commit * case((hours_listed > hours_bought, hours_listed), else_=hours_bought)
    stated = _nano(intents.c.total_usd)
    obligation = case((stated > owed, stated), else_=owed)
    paid_at = _paid_at()
    begun = or_(
        *(
            and_(
                _months(intents.c.term_months, months),
                paid_at > _term_ago(hours),
            )
            for months, hours in TERM_HOURS.items()
        )
    )
    lives = case(
        (item.c.commitment_id.is_not(None), _is_live(item)), else_=or_(begun, not_(is_listed()))
    )
    upfront = _dearer(_nano(intents.c.upfront_usd), _with_parts(item, parts, "upfront_usd"))
    query = (
        _summed(paid_at, lives, (commit, upfront, obligation))
        .select_from(intents)
        .outerjoin(
            item,
            and_(
                item.c.commitment_id == intents.c.commitment_id,
                item.c.vanished_at.is_(None),
            ),
        )
        .outerjoin(
            parts,
            and_(
                parts.c.provider == item.c.provider,
                parts.c.commitment_id == item.c.commitment_id,
            ),
        )
    )
    return query.where(intents.c.state.in_(_COUNTED))


@cache
def _of_inventory() -> Select[Any]:
    """What is listed and stands for none of the intents that count."""
    item, named, tagged, beside = commitments, intents.alias(), _tagged(), _beside()
    # Joins, not one condition of several: the database then plans for what it finds.
    return (
        _summed(item.c.start_at, _is_live(item), _amounts(item))
        .select_from(item)
        .outerjoin(named, _is_named(named, item))
        .outerjoin(tagged, _is_first_tagged(tagged, item))
        .outerjoin(
            beside,
            and_(
                beside.c.provider == item.c.provider,
                beside.c.commitment_id == item.c.commitment_id,
            ),
        )
        .where(
            item.c.vanished_at.is_(None),
            named.c.intent_id.is_(None),
            tagged.c.intent_id.is_(None),
            beside.c.commitment_id.is_(None),
        )
    )


@cache
def _of_renewals() -> Select[Any]:
    """The next term of whatever is listed and renews."""
    item = commitments
    lives = item.c.state.in_(_OWNED)
    query = _summed(item.c.start_at, lives, _amounts(item))
    return query.where(item.c.vanished_at.is_(None), item.c.renews)


def _paid_at() -> ColumnElement[datetime]:
    """When an intent's money moves: at its call; now while it is to be called."""
    uncalled = case(
        (intents.c.state == IntentState.RECORDED.value, _instant("now")),
        else_=intents.c.updated_at,
    )
    return func.coalesce(intents.c.called_at, uncalled)


def _amounts(item: FromClause) -> tuple[ColumnElement[int], ...]:
    """What a listed commitment comes to: hourly, at once, and over its term."""
    commit, upfront = _nano(item.c.commit_usd_per_hour), _nano(item.c.upfront_usd)
    owed = commit * _term_hours(item.c.term_months)
    return (commit, upfront, case((upfront > owed, upfront), else_=owed))


def _is_named(named: FromClause, item: FromClause) -> ColumnElement[bool]:
    """What an intent that counts became, by its own word."""
    return and_(named.c.commitment_id == item.c.commitment_id, named.c.state.in_(_COUNTED))


def _is_first_tagged(tagged: FromClause, item: FromClause) -> ColumnElement[bool]:
    return and_(tagged.c.intent_id == item.c.intent_id, tagged.c.first == item.c.commitment_id)


def _tagged() -> Subquery:
    """What the intents that count and name nothing became: the first with their tag."""
    return (
        select(commitments.c.intent_id, func.min(commitments.c.commitment_id).label("first"))
        .join(intents, intents.c.intent_id == commitments.c.intent_id)
        .where(
            commitments.c.vanished_at.is_(None),
            intents.c.commitment_id.is_(None),
            intents.c.state.in_(_COUNTED),
        )
        .group_by(commitments.c.intent_id)
        .subquery()
    )


def _beside() -> Subquery:
    """What was bought beside something that an intent that counts became."""
    whole, part = commitments.alias(), commitments.alias()
    named, tagged = intents.alias(), _tagged()
    return (
        select(part.c.provider, part.c.commitment_id)
        .join(whole, _is_part(part, whole))
        .outerjoin(named, _is_named(named, whole))
        .outerjoin(tagged, _is_first_tagged(tagged, whole))
        .where(
            whole.c.vanished_at.is_(None),
            part.c.vanished_at.is_(None),
            or_(named.c.intent_id.is_not(None), tagged.c.intent_id.is_not(None)),
        )
        .distinct()
        .subquery()
    )


def _is_live(item: FromClause) -> ColumnElement[bool]:
    """Owned, and its end is not reached."""
    return and_(item.c.state.in_(_OWNED), item.c.end_at > _instant("now"))


def _is_part(part: FromClause, whole: FromClause) -> ColumnElement[bool]:
    """Bought in one purchase, as ``domain.purchases.is_part_of`` has it."""
    prefix = whole.c.commitment_id + "/"
    return and_(
        part.c.intent_id == whole.c.intent_id,
        part.c.reference == whole.c.reference,
        func.substr(part.c.commitment_id, 1, func.length(prefix)) == prefix,
    )


def _parts() -> Subquery:
    """What was bought with each commitment that something was bought with, summed once."""
    whole, part = commitments.alias(), commitments.alias()
    sums = (func.sum(_nano(part.c[name])).label(name) for name in _AMOUNTS)
    return (
        select(whole.c.provider, whole.c.commitment_id, *sums)
        .join(part, and_(part.c.vanished_at.is_(None), _is_part(part, whole)))
        .group_by(whole.c.provider, whole.c.commitment_id)
        .subquery()
    )


def _with_parts(item: FromClause, parts: FromClause, column: str) -> ColumnElement[int]:
    """An amount of ``item`` and of what was bought with it; missing where ``item`` is."""
    beside = func.coalesce(type_coerce(parts.c[column], BigInteger), 0)
    return _nano(item.c[column]) + type_coerce(beside, BigInteger)


def _nano(column: ColumnElement[Any]) -> ColumnElement[int]:
    """An amount as the whole nano-dollars that the database holds."""
    return type_coerce(column, BigInteger)


def _dearer(bought_for: ColumnElement[int], listed: ColumnElement[int]) -> ColumnElement[int]:
    """The greater of two amounts; the first where the second is missing."""
    return case((listed > bought_for, listed), else_=bought_for)


def _months(column: ColumnElement[Any], months: int) -> ColumnElement[bool]:
    """True for a term of ``months``; an unknown one counts as the longest."""
    if TERM_HOURS[months] == _LONGEST:
        return or_(column == months, column.is_(None), column.not_in(list(TERM_HOURS)))
    return column == months


def _term_hours(column: ColumnElement[Any]) -> ColumnElement[int]:
    return case(
        *((column == months, hours) for months, hours in TERM_HOURS.items()), else_=_LONGEST
    )


def _instant(name: str) -> BindParameter[datetime]:
    return bindparam(name, type_=UtcInstant)


def _term_ago(hours: int) -> BindParameter[datetime]:
    """The instant at which a term of ``hours`` that is over now began."""
    return _instant(f"hours_ago_{hours}")


def _summed(
    begun_at: ColumnElement[Any],
    lives: ColumnElement[bool],
    amounts: tuple[ColumnElement[int], ...],
) -> Select[Any]:
    """Sums of ``amounts`` by whether it began in the last day, and whether it lives."""
    kinds = (
        (begun_at > _instant("day_ago")).label("in_day"),
        case((lives, 1), else_=0).label("lives"),
    )
    sums = [func.sum(amount) for amount in amounts]
    return select(*kinds, *sums).group_by(*(kind.name for kind in kinds))
