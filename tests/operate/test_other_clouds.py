"""Caps count every cloud: while one of them is not read, nothing is bought in the others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from service.domain.errors import ProviderError
from service.domain.ids import AccountId
from service.domain.plans import Decision
from service.domain.purchases import InventoryItem
from service.observe.events import ReconcileMatched
from service.operate.demo import Demo
from service.operate.guarding import oldest_reading_hours, too_old
from service.operate.reconciling import read_elsewhere
from service.operate.situation import read_situation
from service.pipeline import run_cycle
from service.providers.port import Identity, ProviderReader
from service.store import records
from service.store.engine import reading
from service.store.lease import Lease
from service.store.schema import events
from service.store.states import VerdictStage
from service.wiring import Parts
from tests.operate.test_cycle import a_cycle


class EmptyAzure:
    """An Azure that owns nothing, while its credentials are good."""

    def __init__(self, reader: ProviderReader) -> None:
        self._reader = reader
        self.refuses = True

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever a reader has
        return getattr(self._reader, name)

    def identity(self) -> Identity:
        if self.refuses:
            raise ProviderError(
                provider="azure", operation="token", code="401", detail="the secret has expired"
            )
        return Identity("azure", AccountId("billing"), "tenor")

    def inventory(self) -> Sequence[InventoryItem]:
        return ()


class At:
    """A clock that stands."""

    def __init__(self, instant: datetime) -> None:
        self._instant = instant

    def now(self) -> datetime:
        return self._instant


def beside_azure(demo: Demo) -> tuple[Parts, EmptyAzure]:
    own = demo.parts.cloud
    azure = EmptyAzure(own.reader)
    other = replace(own, provider="azure", reader=azure, finder=None, alterer=None)
    return replace(demo.parts, clouds=(own, other)), azure


def test_what_another_cloud_owns_must_be_known_for_anything_to_be_bought(
    demo: Demo, lease: Lease
) -> None:
    parts, azure = beside_azure(demo)
    blind = run_cycle(parts, a_cycle(2), lease=lease)
    assert (blind.acted.bought, blind.acted.proposed) == (0, 0)
    assert blind.plan.lines == () or blind.acted.refused > 0
    azure.refuses = False
    seen = run_cycle(parts, a_cycle(3), lease=lease)
    assert seen.acted.bought > 0
    with reading(parts.engine) as connection:
        verdicts = records.verdicts_of(connection, blind.plan.plan, stage=VerdictStage.PROPOSAL)
    for verdict in verdicts:
        (old,) = [one for one in verdict.results if one.rule == "inventory_age"]
        assert (old.decision, old.actual) == (Decision.REFUSE, "not known")
        assert "what azure lists was not read in time" in old.detail
        assert "tenor doctor" in old.detail


def test_the_inventory_is_as_old_as_the_oldest_of_all_clouds(demo: Demo) -> None:
    now = demo.parts.clock.now()
    known = read_situation(demo.parts, inventory_read_at=now - timedelta(hours=1))
    limit = float(known.policy.freshness.max_inventory_age_hours)

    def age(**elsewhere: datetime | None) -> object:
        situation = replace(known, now=now, elsewhere_read_at=elsewhere)
        return oldest_reading_hours(situation), too_old(situation) != ""

    assert age() == (1, False)
    assert age(azure=now, gcp=now - timedelta(hours=2)) == (2, False)
    assert age(azure=now, gcp=now - timedelta(hours=limit + 1)) == (limit + 1, True)
    assert age(azure=None, gcp=now) == (None, True)


@pytest.mark.parametrize(("hours_allowed", "read_again"), [("0.2", True), ("1", False)])
def test_what_would_be_too_old_when_it_is_judged_is_read_again(
    demo: Demo, lease: Lease, hours_allowed: str, *, read_again: bool
) -> None:
    parts, azure = beside_azure(demo)
    azure.refuses = False
    policy = parts.settings.policy_file
    text = policy.read_text(encoding="utf-8")
    field = r"max_inventory_age_hours: [0-9.]+"
    assert re.search(field, text)
    policy.write_text(
        re.sub(field, f"max_inventory_age_hours: {hours_allowed}", text), encoding="utf-8"
    )
    assert float(parts.policy().policy.freshness.max_inventory_age_hours) == float(hours_allowed)

    def read() -> int:
        read_elsewhere(parts, lease=lease)
        with reading(parts.engine) as connection:
            return connection.scalar(count) or 0

    count = select(func.count()).select_from(events).where(events.c.kind == ReconcileMatched.name)
    assert read() == 1
    parts = replace(parts, clock=At(parts.clock.now() + timedelta(minutes=10)))
    assert read() == (2 if read_again else 1)
