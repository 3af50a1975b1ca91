"""Decides whether the inventory is all that the organisation owns, before anything is sized on it.

A plan that a member account bought discounts everybody's usage and is not in the purchase
account's inventory: sized without it, its usage would be covered twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from service.domain.commitments import Commitment, CommitmentState
from service.domain.errors import RefusedError
from service.domain.hours import DAY_HOURS, HOUR, HourRange, floor_hour
from service.store import holdings
from service.store.engine import reading
from service.usage.days import SeenCommitment
from service.wiring import Parts

TOLD_AFTER = timedelta(hours=72)
"""How old a day must be for its commitment to be told in full; providers lag a day or two."""

SEEN_WITHIN = timedelta(days=5)
"""How far back exports are asked which commitments they name; older ones may have ended."""

NAMED_ALIKE = frozenset({"aws", "azure"})
"""Providers whose exports name commitments as their inventories do. Google's bills name
subscriptions instead; there the charges alone are compared."""

NAMED_AT_MOST = 3

SLACK_RATIO = Decimal("0.01")


def refuse_unlisted(parts: Parts) -> None:
    """``RefusedError`` when exports or charges know of more commitments than are listed.

    Charges: one whole day, the newest that is told in full; a plan that is younger is not seen.
    """
    _refuse_unnamed(parts)
    if parts.cloud.committed_usd is None:
        return
    day = (parts.clock.now() - TOLD_AFTER).date()
    told_usd = parts.cloud.committed_usd(day)
    with reading(parts.engine) as connection:
        known = holdings.list_holdings(connection, provider=parts.cloud.provider)
    plans = [one.item.commitment for one in known if one.item.kind.is_spend]
    listed_usd = charged_usd(plans, day)
    if told_usd > listed_usd * (1 + SLACK_RATIO):
        raise RefusedError(
            rule="unlisted_commitments",
            detail=f"the organisation was charged {told_usd:.2f} USD of plans on {day}, the "
            f"purchase account's inventory explains {listed_usd:.2f}: another account owns the "
            "rest, and its usage would be covered twice",
        )


def _refuse_unnamed(parts: Parts) -> None:
    """Refuse while recent exports name commitments that no inventory reading ever listed."""
    provider = parts.cloud.provider
    if provider not in NAMED_ALIKE:
        return
    seen = [one for one in _seen(parts) if not is_advice_only(one)]
    with reading(parts.engine) as connection:
        known = holdings.list_holdings(connection, provider=provider)
    names = [str(one.item.commitment.commitment) for one in known]
    missing = unnamed([one.commitment for one in seen], names)
    if missing:
        raise RefusedError(
            rule="unlisted_commitments",
            detail=f"exports name {', '.join(missing[:NAMED_AT_MOST])}"
            f"{' and more' if len(missing) > NAMED_AT_MOST else ''}, which the inventory does not "
            "list: somebody owns what cannot be seen, and its usage would be covered twice",
        )


def advice_only(parts: Parts) -> list[str]:
    """Reserved capacity that exports name and no call lists; what it covers was set aside."""
    return sorted({one.commitment for one in _seen(parts) if is_advice_only(one)})


def is_advice_only(one: SeenCommitment) -> bool:
    """True for DynamoDB's reserved capacity, which AWS sells and shows in its console alone."""
    return (
        one.provider == "aws" and re.match(r"arn:aws[a-z-]*:dynamodb:", one.commitment) is not None
    )


def _seen(parts: Parts) -> list[SeenCommitment]:
    """What recent exports name of the provider's."""
    now = floor_hour(parts.clock.now())
    recent = HourRange(now - SEEN_WITHIN, SEEN_WITHIN // HOUR)
    provider = parts.cloud.provider
    return [one for one in parts.usage.commitments_seen(recent) if one.provider == provider]


def unnamed(seen: Iterable[str], known: Iterable[str]) -> list[str]:
    """Those of ``seen`` that are none of ``known``: the last part of an ARN or path is the id."""
    listed = {_last_part(one) for one in known}
    return sorted({one for one in seen if _last_part(one) not in listed})


def _last_part(name: str) -> str:
    return name.rstrip("/").rpartition("/")[2].lower()


def charged_usd(plans: Iterable[Commitment], day: date) -> Decimal:
    """What ``plans`` commit on ``day`` (UTC), in dollars; an hour begun counts whole."""
    hours = HourRange(datetime.combine(day, time.min, UTC), DAY_HOURS)
    total = Decimal(0)
    for one in plans:
        if one.state is not CommitmentState.FAILED:
            first, last = hours.clip(floor_hour(one.start), one.end)
            total += one.quantity * max(0, last - first)
    return total
