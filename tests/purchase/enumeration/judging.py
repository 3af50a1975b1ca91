"""What an independent look at a cloud says once a case has come to rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Engine, select

from service.domain.alterations import AlterationKind, AlterationOrder, AlterationState
from service.domain.hours import HOUR
from service.domain.ids import CommitmentId
from service.domain.purchases import IntentState, InventoryItem
from service.store import ledger, schema
from service.store.alteration_tables import alterations
from service.store.engine import reading
from tests.purchase.enumeration.sites import Site


def judge_purchase(engine: Engine, site: Site, before: list[str]) -> list[str]:
    """What is wrong with a ledger, and with what a cloud sold since ``before``."""
    sold = [name for name in site.paid() if name not in before]
    with reading(engine) as connection:
        rows = connection.execute(select(schema.intents)).mappings().all()
        ledger.verify(connection)
    states = [row["state"] for row in rows]
    bought = [row for row in rows if row["state"] == IntentState.BOUGHT]
    found = [f"stuck in {one}" for one in states if one not in {"bought", "refused"}]
    if len(sold) != 1:
        found.append(f"{len(sold)} sold under a cap for one: {sold}, {states}")
    if len(bought) != len(sold):
        found.append(f"{len(bought)} bought in the ledger, {len(sold)} sold")
    if any(row["calls"] > 1 for row in rows):
        found.append("an intent was called twice")
    return found


Listed = Mapping[CommitmentId, InventoryItem]


def judge_change(
    engine: Engine,
    site: Site,
    order: AlterationOrder,
    listed: tuple[Listed, Listed],
    *,
    calls: int,
    uncalled: bool,
) -> list[str]:
    """What is wrong with one alteration, by the ledger and the listings before and after it."""
    before, after = listed
    changed = [name for name in order.sources if _face(before[name]) != _face(after.get(name))]
    with reading(engine) as connection:
        row = connection.execute(select(alterations)).mappings().one()
        ledger.verify(connection)
    state = AlterationState(row["state"])
    found = []
    if state in {AlterationState.CALLING, AlterationState.UNKNOWN, AlterationState.RECORDED}:
        found.append(f"stuck in {state}")
    if uncalled and calls:
        found.append(f"called {calls} times by a process that was to die before")
    if calls > 1 or row["calls"] > 1:
        found.append(f"called {calls} times")
    if changed and len(changed) != len(order.sources):
        found.append(f"half done: {changed}")
    if bool(changed) != (state is AlterationState.ALTERED):
        found.append(f"{state} in the ledger, {changed or 'nothing'} changed in the cloud")
    if changed and order.alteration is AlterationKind.EXCHANGE:
        found += judge_exchange(site, order, listed, pay_usd=row["pay_usd"])
    return found


def judge_ceiling(after: Listed, ceiling_usd_per_hour: Decimal) -> list[str]:
    """What is wrong when all that a cloud lists as owned comes to more than was allowed."""
    owned = sum(
        (one.commit_usd_per_hour for one in after.values() if one.commitment.state.is_owned),
        Decimal(0),
    )
    fits = owned <= ceiling_usd_per_hour
    return [] if fits else [f"{owned} USD/h owned, {ceiling_usd_per_hour} allowed"]


def judge_exchange(
    site: Site, order: AlterationOrder, listed: tuple[Listed, Listed], *, pay_usd: Decimal
) -> list[str]:
    """What an exchange made: no more than was asked for, worth no less, at no more than written."""
    before, after = listed
    now = site.clock.now()
    made = {
        name: item
        for name, item in after.items()
        if name not in before and item.intent in {None, order.intent}
    }
    wanted = sum((one.quantity for one in order.targets), Decimal(0))
    got = sum((one.commitment.quantity for one in made.values()), Decimal(0))
    given = sum((_left_usd(before[name], now) for name in order.sources), Decimal(0))
    worth = sum((_left_usd(one, now) for one in made.values()), Decimal(0))
    cost = charged_usd(site, order, tuple(made))
    found = []
    if not 0 < got <= wanted:
        found.append(f"{got} made, at most {wanted} asked for")
    if worth < given:
        found.append(f"{given} USD was left to pay for, and became {worth}")
    if not cost <= pay_usd <= order.most_to_pay_usd:
        found.append(f"{cost} USD charged, {pay_usd} written, {order.most_to_pay_usd} allowed")
    return found


def _left_usd(item: InventoryItem, now: datetime) -> Decimal:
    """What is left to be used of a commitment, at what it comes to by the hour."""
    one = item.commitment
    return item.commit_usd_per_hour * Decimal((one.end - max(now, one.start)) // HOUR)


def charged_usd(site: Site, order: AlterationOrder, made: Sequence[CommitmentId]) -> Decimal:
    """What the cloud's own books say was paid at once for an exchange, less what came back."""
    world = site.cloud.world
    if site.provider == "aws":
        due = world.upfront_due()
        return sum((due[name] for name in made), Decimal(0))
    done = [one for one in world.changes.exchanges.values() if one.used]
    last = next(
        one
        for one in done
        if {each.reservation.resource_id for each in one.giving} == set(order.sources)
    )
    return Decimal(last.purchases_usd - last.refunds_usd)


def _face(item: InventoryItem | None) -> tuple[object, ...]:
    """What an alteration of any kind changes of a commitment, as the cloud lists it."""
    if item is None:
        return ("gone",)
    one = item.commitment
    return (one.state.is_owned, one.quantity, one.end, item.term_months, item.renews)
