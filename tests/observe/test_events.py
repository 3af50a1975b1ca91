import json
import re
from dataclasses import fields
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from service.domain.errors import InvariantError
from service.domain.ids import CycleId, LineId, PlanId, ProposalId
from service.domain.plans import PlanStatus
from service.observe import events, events_altering, events_buying, events_running


def test_every_event_type_of_the_module_is_in_the_catalogue_under_its_own_name() -> None:
    written = {
        kind
        for module in (events_altering, events_buying, events_running)
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__ == module.__name__
    }
    assert written == set(events.CATALOGUE.values())
    assert len(written) == len(events.CATALOGUE)
    assert all(kind.name == name for name, kind in events.CATALOGUE.items())


@pytest.mark.parametrize("name", sorted(events.CATALOGUE))
def test_names_are_a_subject_and_a_past_fact(name: str) -> None:
    assert re.fullmatch(r"[a-z]+\.[a-z_]+", name)
    irregular = {"set", "bought", "lost", "drift", "unknown", "withdrawn"}
    verb = name.partition(".")[2].rpartition("_")[2]
    assert verb.endswith("ed") or verb in irregular


@pytest.mark.parametrize("kind", events.CATALOGUE.values(), ids=list(events.CATALOGUE))
def test_fields_with_dollars_or_ratios_carry_the_unit_in_their_name(
    kind: type[events.Event],
) -> None:
    for field in fields(kind):
        if field.type == "Decimal":
            assert field.name.endswith(("_usd", "_usd_per_hour", "_ratio", "quantity", "_rate"))


def test_payload_is_json_with_exact_decimals_and_instants_in_utc() -> None:
    event = events.ProposalRecorded(
        proposal=ProposalId("p-1"),
        plan=PlanId("plan-1"),
        line=LineId("l-1"),
        commit_usd_per_hour=Decimal("1.2300"),
        upfront_usd=Decimal("0E-9"),
        expires_at=datetime(2026, 3, 1, 12, tzinfo=UTC),
    )
    assert json.loads(json.dumps(events.to_payload(event))) == {
        "proposal": "p-1",
        "plan": "plan-1",
        "line": "l-1",
        "commit_usd_per_hour": "1.23",
        "upfront_usd": "0",
        "expires_at": "2026-03-01T12:00:00Z",
    }


def test_payload_writes_an_enumeration_as_its_value_and_absence_as_null() -> None:
    decided = events.PlanDecided(
        plan=PlanId("plan-1"),
        cycle=CycleId("c-1"),
        status=PlanStatus.OPTIMAL,
        lines=2,
        before_usd=Decimal(10),
        after_usd=Decimal(8),
        gap_ratio=Decimal("0.001"),
    )
    assert events.to_payload(decided)["status"] == "optimal"
    changed = events.PolicyChanged(digest="abc", previous=None)
    assert events.to_payload(changed) == {"digest": "abc", "previous": None}


def test_a_naive_instant_is_refused() -> None:
    naive = datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(InvariantError, match="naive"):
        events.to_payload(events.CycleStarted(cycle=CycleId("c"), due_at=naive))


def test_an_amount_that_is_not_a_number_is_refused() -> None:
    report = events.ReportRecorded(
        through=datetime(2026, 3, 1, tzinfo=UTC),
        realised_usd=Decimal("NaN"),
        promised_usd=Decimal(1),
        effective_savings_rate=Decimal(0),
    )
    with pytest.raises(InvariantError, match="realised_usd"):
        events.to_payload(report)
