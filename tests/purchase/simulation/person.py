"""What a person does about a purchase of which an alert says that no evidence will settle it."""

from __future__ import annotations

from sqlalchemy import Connection, Engine

from service.domain.ids import CommitmentId
from service.domain.purchases import Intent
from service.observe.events import ReconcileDrift
from service.purchase.by_hand import SETTLED_BY_HAND, settle_purchase
from service.reconcile.match import is_alike
from service.store import intents, ledger
from service.store.engine import writing
from tests.purchase.simulation.clouds import SimCloud


def settle_held(engine: Engine, cloud: SimCloud) -> int:
    """Settle what was told of as held, by the provider's own log of calls; how many there were.

    What is open and was never told of stays, and is found to be stuck.
    """
    with writing(engine) as connection:
        held = [
            one
            for one in intents.list_intents(connection, states=SETTLED_BY_HAND)
            if one.line.provider == cloud.provider
            and ledger.holds(connection, ReconcileDrift.name, intent=one.order.intent)
        ]
        for one in held:
            called = bool(cloud.called[one.order.intent])
            settle_purchase(
                connection,
                one.order.intent,
                bought=_bought_by(connection, one, cloud) if called else None,
                by="ops",
                reason="the provider's log",
                now=cloud.now(),
            )
    return len(held)


def _bought_by(connection: Connection, one: Intent, cloud: SimCloud) -> CommitmentId | None:
    """The first listed commitment that is like what was asked for, and nobody's."""
    alike = (item.commitment.commitment for item in cloud.inventory() if is_alike(one, item, None))
    provider = one.line.provider
    return next(
        (name for name in alike if intents.claimant(connection, provider, name) is None), None
    )
