"""Reads the inventory and settles what it proves, with this deployment's provider and grace."""

from __future__ import annotations

from datetime import timedelta

from service.observe.log import get_logger
from service.observe.tracing import traced
from service.operate.demoting import may_act_alone
from service.reconcile import settle
from service.reconcile.settle import Reconciliation
from service.store.lease import Lease
from service.wiring import Parts

log = get_logger(__name__)


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
