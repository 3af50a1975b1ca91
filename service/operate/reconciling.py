"""Reads the inventory and settles what it proves, with this deployment's provider and grace."""

from __future__ import annotations

from datetime import timedelta

from service.observe.log import get_logger
from service.reconcile import settle
from service.reconcile.settle import Reconciliation
from service.store.lease import Lease
from service.wiring import Parts

log = get_logger(__name__)


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
    )
    for finding in done.alarms:
        log.warning("reconcile.alarm", finding=type(finding).__name__, detail=str(finding))
    return done
