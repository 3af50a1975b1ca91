"""What independent checkers see once a year is at rest: the world's own books against the ledger.

Years of purchases and years of the whole service are looked at by the same checkers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sqlalchemy import Engine, select

from service.billing.bill import bill
from service.domain.hours import HOUR, HourRange, floor_hour
from service.domain.purchases import IntentState, InventoryItem
from service.store import alterations, holdings, ledger, schema
from service.store.engine import reading
from tests.purchase.simulation.clouds import SimCloud

MADE_UP = ("untagged", "token", "console")
"""How the worlds name what was paid for and says nobody's intent."""


def problems_at_rest(
    engine: Engine, cloud: SimCloud, listed: Iterable[InventoryItem]
) -> Iterator[str]:
    """Where ledger and cloud differ, what is stuck, and bills that disagree; ``listed``: now."""
    paid = cloud.paid()
    with reading(engine) as connection:
        rows = connection.execute(select(schema.intents)).mappings().all()
        mirrored = holdings.inventory(connection, provider=cloud.provider)
        held = holdings.list_holdings(connection, provider=cloud.provider)
        changed = alterations.list_alterations(connection)
        ledger.verify(connection)
    bought = {row["intent_id"] for row in rows if row["state"] == IntentState.BOUGHT}
    ours = {row["intent_id"] for row in rows}
    altered = {one.order.intent for one in changed}
    made_up = {name for name in paid if name.startswith(MADE_UP)}
    for one in sorted(set(paid) - ours - altered - made_up):
        yield f"{one} paid for without an intent"
    for one in sorted({name for name in paid if name in ours} - bought):
        yield f"{one} is paid for and not bought in the ledger"
    for row in rows:
        if row["state"] not in {"bought", "refused"}:
            yield f"an intent is stuck in {row['state']}"
    for alteration in changed:
        if alteration.state in {*alterations.UNDER_WAY}:
            yield f"an alteration is stuck in {alteration.state}"
    for intent, times in cloud.called.items():
        if times > 1:
            yield f"{intent} was called {times} times"
    mirror = {item.commitment.commitment: item for item in mirrored}
    seen = {item.commitment.commitment: item for item in listed}
    if {k: _face(v) for k, v in seen.items()} != {k: _face(v) for k, v in mirror.items()}:
        yield "the mirror is not the cloud's inventory"
    yield from _problems_of_bills(cloud, {one.item.commitment.commitment for one in held})


def _problems_of_bills(cloud: SimCloud, known: set[str]) -> Iterator[str]:
    """The cloud's own bill of the last week is the bill of what the ledger knows of."""
    end = floor_hour(cloud.now()).replace(hour=0)
    dataset = cloud.world.dataset(HourRange(end - 7 * 24 * HOUR, 7 * 24))
    ledgers = tuple(
        one
        for one in dataset.commitments
        if any(one.commitment == name or _part_of(one.commitment, name) for name in known)
    )
    whole, ours = bill(dataset), bill(replace(dataset, commitments=ledgers))
    if whole.total_usd != ours.total_usd:
        yield f"billed {whole.total_usd}, the ledger explains {ours.total_usd}"


def _part_of(commitment: str, name: str) -> bool:
    """True for one stretch, or one resource, of the commitment that is listed as ``name``."""
    parts = (f"{name} before ", f"{name}/")
    _, is_order, order = name.rpartition("orders/")
    return commitment.startswith(parts) or (is_order != "" and commitment == f"order/{order}")


def _face(item: InventoryItem) -> tuple[object, ...]:
    one = item.commitment
    return (one.state, one.quantity, one.start, one.end, item.renews)
