"""Decides what has been used of the policy's caps, summed by the database.

The same purchases as the guard counts (``guard.context.spent_so_far``), without reading each of
them: a test holds both against each other. Recorded, called, unknown and bought intents count, and
what the inventory lists beside them; an intent that is listed lives as long as its listing says,
another until its term must be over. What is listed at more than it was bought for counts at that.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    FromClause,
    Subquery,
    and_,
    case,
    func,
    literal,
    or_,
    select,
    type_coerce,
)

from service.domain.commitments import OWNED_STATES
from service.domain.hours import TERM_HOURS
from service.domain.money import from_nano
from service.guard.caps import Sum
from service.guard.context import DAY
from service.store.intents import COUNTED
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
    day, total = _of_intents(connection, now), _of_inventory(connection, now)
    return Used(day=day[0] + total[0], total=day[1] + total[1])


def _of_intents(connection: Connection, now: datetime) -> tuple[Sum, Sum]:
    item, parts = commitments.alias(), _parts()
    listed_usd = _with_parts(item, parts, "commit_usd_per_hour")
    commit = _dearer(_nano(intents.c.commit_usd_per_hour), listed_usd)
    # A term may have been lengthened since.
    hours_bought = _term_hours(intents.c.term_months)
    hours_listed = case((item.c.term_months.is_(None), 0), else_=_term_hours(item.c.term_months))
    owed = commit * case((hours_listed > hours_bought, hours_listed), else_=hours_bought)
    stated = _nano(intents.c.total_usd)
    obligation = case((stated > owed, stated), else_=owed)
    begun = or_(
        *(
            and_(
                _months(intents.c.term_months, months),
                intents.c.recorded_at > now - timedelta(hours=hours),
            )
            for months, hours in TERM_HOURS.items()
        )
    )
    listed = item.c.commitment_id.is_not(None)
    lives = case(
        (listed, and_(item.c.state.in_(_OWNED), item.c.end_at > now)),
        else_=begun,
    )
    upfront = _dearer(_nano(intents.c.upfront_usd), _with_parts(item, parts, "upfront_usd"))
    amounts = (commit, upfront, obligation)
    query = (
        select(*_sums(intents.c.recorded_at > now - DAY, amounts), *_sums(lives, amounts))
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
        .where(intents.c.state.in_(_COUNTED))
    )
    return _two(connection.execute(query).one())


def _of_inventory(connection: Connection, now: datetime) -> tuple[Sum, Sum]:
    """What is listed and stands for none of the intents that count."""
    item, whole = commitments, commitments.alias()
    of_one_that_stands = (
        select(literal(1))
        .where(whole.c.vanished_at.is_(None), _is_part(item, whole), _stands_for_an_intent(whole))
        .exists()
    )
    owed = _nano(item.c.commit_usd_per_hour) * _term_hours(item.c.term_months)
    upfront = _nano(item.c.upfront_usd)
    amounts = (
        _nano(item.c.commit_usd_per_hour),
        upfront,
        case((upfront > owed, upfront), else_=owed),
    )
    lives = and_(item.c.state.in_(_OWNED), item.c.end_at > now)
    query = select(*_sums(item.c.start_at > now - DAY, amounts), *_sums(lives, amounts)).where(
        item.c.vanished_at.is_(None), ~_stands_for_an_intent(item), ~of_one_that_stands
    )
    return _two(connection.execute(query).one())


def _stands_for_an_intent(item: FromClause) -> ColumnElement[bool]:
    """What an intent that counts became: by its own word, else the first with its tag."""
    first = commitments.alias()
    by_name = (
        select(literal(1))
        .where(intents.c.commitment_id == item.c.commitment_id, intents.c.state.in_(_COUNTED))
        .exists()
    )
    earlier = (
        select(literal(1))
        .where(
            first.c.intent_id == item.c.intent_id,
            first.c.vanished_at.is_(None),
            or_(
                first.c.first_seen_at < item.c.first_seen_at,
                and_(
                    first.c.first_seen_at == item.c.first_seen_at,
                    first.c.commitment_id < item.c.commitment_id,
                ),
            ),
        )
        .exists()
    )
    by_tag = (
        select(literal(1))
        .where(
            intents.c.intent_id == item.c.intent_id,
            intents.c.commitment_id.is_(None),
            intents.c.state.in_(_COUNTED),
        )
        .exists()
    )
    return or_(by_name, and_(by_tag, ~earlier))


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


def _sums(
    counts: ColumnElement[bool], amounts: tuple[ColumnElement[int], ...]
) -> list[ColumnElement[Any]]:
    return [func.sum(case((counts, amount), else_=0)) for amount in amounts]


def _two(row: Any) -> tuple[Sum, Sum]:  # noqa: ANN401 - six sums
    amounts = [from_nano(int(amount)) if amount is not None else Decimal(0) for amount in row]
    return Sum(*amounts[:3]), Sum(*amounts[3:])
