"""Decides whether the inventory is all that the organisation owns, before anything is sized on it.

A plan that a member account bought discounts everybody's usage and is not in the purchase
account's inventory: sized without it, its usage would be covered twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from service.domain.commitments import Commitment, CommitmentState
from service.domain.errors import RefusedError
from service.domain.hours import DAY_HOURS, HourRange, floor_hour
from service.store import holdings
from service.store.engine import reading
from service.wiring import Parts

TOLD_AFTER = timedelta(hours=72)
"""How old a day must be for its commitment to be told in full; providers lag a day or two."""

SLACK_RATIO = Decimal("0.01")


def refuse_unlisted(parts: Parts) -> None:
    """``RefusedError`` when the organisation was charged for more plans than are listed.

    Looks at one whole day, the newest that is told in full; a plan that is younger is not seen.
    """
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


def charged_usd(plans: Iterable[Commitment], day: date) -> Decimal:
    """What ``plans`` commit on ``day`` (UTC), in dollars; an hour begun counts whole."""
    hours = HourRange(datetime.combine(day, time.min, UTC), DAY_HOURS)
    total = Decimal(0)
    for one in plans:
        if one.state is not CommitmentState.FAILED:
            first, last = hours.clip(floor_hour(one.start), one.end)
            total += one.quantity * max(0, last - first)
    return total
