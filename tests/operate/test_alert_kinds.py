"""Every kind of alert is raised by what really happens: a sandbox cloud, the jobs, the ledger.

The limits are such that the little that happens here passes them; what lies on which side of a
limit is tested beside the rules.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from service.domain.alterations import AlterationKind, AlterationOrder
from service.domain.errors import RefusedError
from service.domain.ids import ClientToken, IntentId
from service.domain.purchases import InventoryItem
from service.notify.alerts import AlertKind
from service.notify.config import AlertsConfig, Limits
from service.operate import undoing
from service.operate.alerting import collect
from service.operate.altering import do_decided
from service.operate.demo import STEP_HOURS, Demo
from service.operate.ingesting import ingest
from service.operate.reconciling import reconcile
from service.pipeline import run_cycle
from service.purchase.written_alterations import approve_alteration, ask
from service.sandbox.faults import Fault, FaultKind
from service.store import alerts, due, holdings
from service.store.engine import reading, writing
from service.store.halt import set_halt
from service.store.lease import Lease
from tests.operate.test_cycle import a_cycle
from tests.operate.test_demoting import sell_to_somebody
from tests.operate.test_undoing import facts

CREATE, RETURN = "savingsplans.CreateSavingsPlan", "savingsplans.ReturnSavingsPlan"
OF_PRODUCTS = (
    AlertKind.PROPOSAL_WAITING,
    AlertKind.PURCHASE_MADE,
    AlertKind.PURCHASE_REFUSED,
    AlertKind.CHANGE_MADE,
    AlertKind.CHANGE_UNKNOWN,
    AlertKind.UNDO_NOT_JUDGED,
    AlertKind.EXPIRY_AHEAD,
)
CONFIG = AlertsConfig(
    version=1,
    limits=Limits(
        utilization_floor_ratio=Decimal(1),
        budget_ratio=Decimal("0.001"),
        expiry_days=(366,),
        data_age_hours=Decimal(200),
    ),
)


def kinds(demo: Demo) -> list[AlertKind]:
    """The kinds of the alerts that looking once more newly raises."""
    before = known(demo)
    raised = collect(demo.parts, CONFIG)
    after = known(demo)
    assert len(after) == len(before) + raised
    return [AlertKind(after[key]) for key in after.keys() - before.keys()]


def known(demo: Demo) -> dict[str, str]:
    with reading(demo.parts.engine) as connection:
        return {one.alert: one.kind for one in alerts.list_alerts(connection, limit=1_000)}


def in_words(demo: Demo) -> bool:
    """Whether every alert on a purchase or something owned names a product and an account."""
    wanted = {kind.value for kind in OF_PRODUCTS}
    with reading(demo.parts.engine) as connection:
        told = alerts.list_alerts(connection, limit=1_000)
    bodies = [one.body for one in told if one.kind in wanted]
    return all(", account " in body and "AWS" in body for body in bodies) and bodies != []


def a_return(item: InventoryItem, name: str) -> AlterationOrder:
    """An order to give ``item`` back."""
    return AlterationOrder(
        intent=IntentId(name),
        token=ClientToken(name),
        alteration=AlterationKind.RETURN,
        account=item.commitment.account,
        kind=item.kind,
        sources=(item.commitment.commitment,),
        targets=(),
        most_to_pay_usd=item.upfront_usd * 0,
    )


def give_back(demo: Demo, item: InventoryItem, name: str) -> None:
    """A person asks for a return and approves it."""
    now, order = demo.parts.clock.now(), a_return(item, name)
    with writing(demo.parts.engine) as connection:
        asked = ask(
            connection,
            order,
            provider="aws",
            run="test",
            reason="not needed",
            expires_at=now + timedelta(days=1),
            now=now,
        )
        assert asked is not None
        approve_alteration(
            connection, order.intent, version=asked.version, by="ann", comment="", now=now
        )


def pass_hours(demo: Demo, hours: int) -> None:
    """Let the cloud go on, as the demo's clock does."""
    for _ in range(hours // STEP_HOURS):
        demo.estate.advance(STEP_HOURS)


def test_every_kind_of_alert_is_raised_by_what_happens(demo: Demo, lease: Lease) -> None:
    faults, parts = demo.cloud.world.faults, demo.parts
    faults.add(Fault(CREATE, FaultKind.REFUSE))
    run_cycle(parts, a_cycle(2), lease=lease)
    told = set(kinds(demo))
    assert told >= {AlertKind.PURCHASE_REFUSED, AlertKind.PURCHASE_MADE, AlertKind.PROPOSAL_WAITING}
    assert told >= {AlertKind.BUDGET_REACHED, AlertKind.EXPIRY_AHEAD}
    assert kinds(demo) == []

    pass_hours(demo, 6)
    read_at = reconcile(parts, lease=lease).read_at
    # Without the register of planned changes nothing can be judged.
    settings = parts.settings.model_copy(update={"changes_file": Path("nowhere.csv")})
    fallen = facts(demo, lease, usage_ratio=0.02)
    undoing.give_back(replace(parts, settings=settings), fallen, lease=lease)
    told.update(now := kinds(demo))
    assert AlertKind.UNDO_NOT_JUDGED in now
    with reading(parts.engine) as connection:
        one, other = holdings.inventory(connection)[:2]
    give_back(demo, one, "first")
    do_decided(parts, lease=lease, inventory_read_at=read_at, stands=lambda _: None)
    told.update(now := kinds(demo))
    assert set(now) == {AlertKind.PROPOSAL_WAITING, AlertKind.CHANGE_MADE}
    give_back(demo, other, "second")
    faults.add(Fault(RETURN, FaultKind.ERROR_AFTER))
    do_decided(parts, lease=lease, inventory_read_at=read_at, stands=lambda _: None)
    told.update(now := kinds(demo))
    assert set(now) == {AlertKind.PROPOSAL_WAITING, AlertKind.CHANGE_UNKNOWN}
    assert in_words(demo)

    sell_to_somebody(demo, "400.0")  # far more than is used
    reconcile(parts, lease=lease)
    with writing(parts.engine) as connection:
        set_halt(connection, halted=True, by="ann", reason="drill", now=parts.clock.now())
    told.update(now := kinds(demo))
    assert set(now) >= {AlertKind.DRIFT, AlertKind.AUTOPILOT_DEMOTED, AlertKind.HALT}

    pass_hours(demo, 96)
    told.update(now := kinds(demo))
    assert AlertKind.PROPOSAL_EXPIRING in now
    ingest(parts)
    run_cycle(parts, a_cycle(6), lease=lease)
    told.update(now := kinds(demo))
    assert AlertKind.UTILIZATION_LOW in now
    pass_hours(demo, 192)
    with pytest.raises(RefusedError, match="data_age"):
        run_cycle(parts, a_cycle(14), lease=lease)
    told.update(now := kinds(demo))
    assert set(now) >= {AlertKind.DATA_LATE, AlertKind.CYCLE_FAILED}
    missing = set(AlertKind) - told
    elsewhere = {AlertKind.PURCHASE_UNKNOWN, AlertKind.POLICY_UNREADABLE, AlertKind.TEST}
    assert missing == elsewhere


def test_a_change_that_waits_is_told_of_once_before_it_expires(demo: Demo, lease: Lease) -> None:
    run_cycle(demo.parts, a_cycle(2), lease=lease)
    reconcile(demo.parts, lease=lease)
    with reading(demo.parts.engine) as connection:
        (item, *_) = holdings.inventory(connection)
    now = demo.parts.clock.now()
    with writing(demo.parts.engine) as connection:
        asked = ask(
            connection,
            a_return(item, "expiring"),
            provider="aws",
            run="drill",
            reason="drill",
            expires_at=now + timedelta(hours=60),
            now=now,
        )
    assert asked is not None

    def told() -> list[str]:
        collect(demo.parts, CONFIG)
        with reading(demo.parts.engine) as connection:
            raised = alerts.list_alerts(connection, limit=1_000)
        expiring = [one for one in raised if one.kind == AlertKind.PROPOSAL_EXPIRING.value]
        return [str(one.data["alteration"]) for one in expiring if "alteration" in one.data]

    assert told() == []
    pass_hours(demo, 48)
    assert told() == ["expiring"]
    pass_hours(demo, 6)
    assert told() == ["expiring"], "told once"


def test_a_purchase_whose_answer_is_lost_is_told_at_once(demo: Demo, lease: Lease) -> None:
    demo.cloud.world.faults.add(Fault(CREATE, FaultKind.ERROR_AFTER))
    run_cycle(demo.parts, a_cycle(2), lease=lease)
    assert kinds(demo).count(AlertKind.PURCHASE_UNKNOWN) == 1


class At:
    """A clock that stands."""

    def __init__(self, instant: datetime) -> None:
        self._instant = instant

    def now(self) -> datetime:
        return self._instant


def test_usage_that_never_arrived_is_late_once_it_was_looked_for_long_enough(
    demo: Demo, lease: Lease
) -> None:
    began, cloud = demo.parts.clock.now(), demo.parts.cloud
    parts = replace(demo.parts, clouds=(cloud, replace(cloud, provider="azure")))
    with writing(parts.engine) as connection:
        assert due.claim(connection, schedule="ingest-azure", due_at=began, lease=lease, now=began)

    def late(hours: int) -> list[str]:
        collect(replace(parts, clock=At(began + timedelta(hours=hours))), CONFIG)
        with reading(parts.engine) as connection:
            raised = alerts.list_alerts(connection, limit=1_000)
        late = [one for one in raised if one.kind == AlertKind.DATA_LATE.value]
        return [one.body for one in late if one.data["provider"] == "azure"]

    assert late(200) == []
    (told,) = late(201)
    assert told.startswith("No usage of Azure ever came in 201 hours;")
