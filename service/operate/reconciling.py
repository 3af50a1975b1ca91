"""Reads the inventory and settles what it proves, with this deployment's provider and grace."""

from __future__ import annotations

from datetime import timedelta

from service.domain.purchases import IntentState
from service.observe.log import get_logger
from service.observe.tracing import traced
from service.operate.demoting import demote_on_drift
from service.reconcile import settle
from service.reconcile.findings import Duplicate, SettledBought
from service.reconcile.settle import Reconciliation
from service.store.engine import writing
from service.store.halt import set_halt
from service.store.lease import Lease
from service.store.ledger import SYSTEM
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
    )
    for finding in done.alarms:
        log.warning("reconcile.alarm", finding=type(finding).__name__, detail=str(finding))
    _halt_on_money(parts, done)
    demote_on_drift(parts, done)
    return done


def _halt_on_money(parts: Parts, done: Reconciliation) -> None:
    """Stop all buying when money moved that no decision asked for; a person must resume it.

    That is an intent with two commitments, or a purchase that had been written off, or that the
    ledger does not know to have called, and is there after all. None of it can come about without
    something being wrong with us or the provider.
    """
    for finding in done.findings:
        match finding:
            case Duplicate(intent=intent, items=items, is_new=True):
                reason = f"intent {intent.order.intent} was bought {len(items)} times"
            case SettledBought(intent=intent, alarming=True):
                was = "refused" if intent.state is IntentState.REFUSED else "never called"
                reason = f"intent {intent.order.intent} was {was} and is bought all the same"
            case _:
                continue
        with writing(parts.engine) as connection:
            set_halt(connection, halted=True, by=SYSTEM, reason=reason, now=parts.clock.now())
