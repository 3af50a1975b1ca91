"""Reads the inventory and settles what it proves, with this deployment's provider and grace."""

from __future__ import annotations

from datetime import timedelta

from service.domain.errors import LeaseLostError, PolicyError, TenorError
from service.observe.log import get_logger
from service.observe.tracing import traced
from service.operate.demoting import may_act_alone
from service.operate.situation import others
from service.reconcile import settle
from service.reconcile.settle import Reconciliation
from service.store import readings
from service.store.engine import reading
from service.store.lease import Lease
from service.wiring import Parts

log = get_logger(__name__)

JUST_READ = timedelta(minutes=15)
"""How old another cloud's reading may be for a purchase that is to be counted beside it.

At the most: half the age that the policy allows is less where that is less than half an hour.
"""


@traced("reconcile")
def reconcile(parts: Parts, *, lease: Lease) -> Reconciliation:
    """Compare the provider's inventory with the ledger, and settle what it proves."""
    done = settle.reconcile(
        provider=parts.cloud.provider,
        engine=parts.engine,
        reader=parts.cloud.reader,
        buyer=parts.cloud.buyer,
        clock=parts.clock,
        held=lease,
        grace=timedelta(hours=parts.settings.listing_lag_hours),
        finder=parts.cloud.finder,
        autopilot=may_act_alone(parts),
    )
    for finding in done.alarms:
        log.warning("reconcile.alarm", finding=type(finding).__name__, detail=str(finding))
    return done


def read_elsewhere(parts: Parts, *, lease: Lease) -> None:
    """Read the other clouds of this deployment, unless that was just done: caps count them all.

    One that cannot be read stays as old as it is, and the guard refuses for that.
    """
    now = parts.clock.now()
    with reading(parts.engine) as connection:
        known = readings.read_at(connection, others(parts), now=now)
    if not known:
        return
    young = _just_read(parts)
    for provider, at in sorted(known.items()):
        if at is not None and abs(now - at) < young:
            continue
        try:
            reconcile(parts.about(provider), lease=lease)
        except LeaseLostError:
            raise
        except TenorError as error:
            log.warning("reconcile.elsewhere", provider=provider, error=str(error))


def _just_read(parts: Parts) -> timedelta:
    """How young a reading is not made again: young enough to be in time still when it is judged."""
    try:
        limit = parts.policy().policy.freshness.max_inventory_age_hours
    except PolicyError:
        return JUST_READ  # whoever buys reads it too, and is told
    return min(JUST_READ, timedelta(hours=float(limit)) / 2)
