"""A plan's decision taken again from what was kept of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import update

from service.domain.errors import InputError
from service.domain.ids import CycleId
from service.domain.plans import Plan
from service.operate.demo import Demo, prepared
from service.operate.ingesting import ingest
from service.operate.replay import Replayed, replay
from service.pipeline import Cycle, run_cycle
from service.store import lease as leases
from service.store.codec import to_document
from service.store.engine import reading, writing
from service.store.schema import plans


@dataclass(frozen=True)
class Kept:
    """A demo that has been through two cycles, and their plans."""

    demo: Demo
    first: Plan
    second: Plan

    def replayed(self, plan: str) -> Replayed:
        with reading(self.demo.parts.engine) as connection:
            return replay(connection, self.demo.parts.usage, plan)

    def rewrite(self, plan: Plan) -> None:
        with writing(self.demo.parts.engine) as connection:
            same = plans.c.plan_id == plan.plan
            connection.execute(update(plans).where(same).values(document=to_document(plan)))

    @contextmanager
    def rewritten(self, plan: Plan) -> Iterator[str]:
        """The first plan as ``plan`` for a while."""
        self.rewrite(plan)
        yield plan.plan
        self.rewrite(self.first)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("replay")
    with prepared(seed=7, port=0, folder=folder / "demo", history_days=45) as demo:
        demo.cloud.world.faults.clear()
        ingest(demo.parts)
        with writing(demo.parts.engine) as connection:
            lease = leases.acquire(
                connection, holder=demo.parts.holder, lifetime=demo.parts.lease_lifetime
            )
        assert lease is not None
        made = []
        for day in (2, 3):
            due = datetime(2026, 3, day, 6, tzinfo=UTC)
            cycle = Cycle(CycleId(f"cycle@{due.isoformat()}"), "cycle", due)
            made.append(run_cycle(demo.parts, cycle, lease=lease).plan)
        yield Kept(demo, *made)


def test_the_decision_of_a_cycle_comes_out_identical(kept: Kept) -> None:
    assert kept.first.lines
    assert kept.second.given is not None
    assert kept.second.given.commitments  # what the first cycle bought, at its own rates
    for plan in (kept.first, kept.second):
        found = kept.replayed(plan.plan)
        assert found.differences == ()
        assert found.identical
        assert found.plan == plan


def test_a_plan_that_was_tampered_with_is_not_identical(kept: Kept) -> None:
    with kept.rewritten(replace(kept.first, after_usd=kept.first.after_usd + Decimal(1))) as plan:
        found = kept.replayed(plan)
    assert not found.identical
    (difference,) = found.differences
    assert difference.startswith("after_usd: ")


def test_another_code_version_is_told_and_compared_all_the_same(kept: Kept) -> None:
    older = replace(kept.first.inputs, code_version="0.0.0")
    with kept.rewritten(replace(kept.first, inputs=older)) as plan:
        found = kept.replayed(plan)
    assert found.code_version_now != found.plan.inputs.code_version == "0.0.0"
    assert all(one.startswith("plan: ") for one in found.differences)  # the id holds the version


def test_caps_that_were_asked_more_often_then_are_told(kept: Kept) -> None:
    given = kept.first.given
    assert given is not None
    longer = replace(given, rooms=(*given.rooms, Decimal(1)))
    with kept.rewritten(replace(kept.first, given=longer)) as plan:
        found = kept.replayed(plan)
    assert found.differences == ("room under the caps: asked 1 times less",)


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"prices_digest": "gone"}, "its prices is gone"),
        ({"policy_digest": "gone"}, "its policy is gone"),
        ({"usage_digest": "gone"}, "restated"),
        ({"commitments_digest": "gone"}, "what was owned is gone"),
        ({"provider": "gcp"}, "its usage is gone"),
    ],
)
def test_inputs_that_are_gone_are_named(kept: Kept, changes: dict[str, str], what: str) -> None:
    inputs = replace(kept.first.inputs, **changes)  # type: ignore[arg-type]  # digests and a name
    with (
        kept.rewritten(replace(kept.first, inputs=inputs)) as plan,
        pytest.raises(InputError, match=what),
    ):
        kept.replayed(plan)


def test_a_plan_from_before_its_inputs_were_kept_is_named(kept: Kept) -> None:
    with (
        kept.rewritten(replace(kept.first, given=None)) as plan,
        pytest.raises(InputError, match="before that was kept"),
    ):
        kept.replayed(plan)


def test_a_plan_that_never_was_is_named(kept: Kept) -> None:
    with pytest.raises(InputError, match="there is no plan"):
        kept.replayed("none")
