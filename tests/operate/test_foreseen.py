"""The register of planned changes and the calendar of holidays, in a live cycle and its replay."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from service.cli import main
from service.domain.errors import InputError
from service.domain.ids import CycleId
from service.domain.plans import Plan
from service.operate.demo import Demo
from service.operate.foreseen import foreseen
from service.operate.replay import replay
from service.pipeline import Cycle, run_cycle
from service.store import records
from service.store.engine import reading
from service.store.lease import Lease

DECOMMISSION = """
- what: half of everything is switched off
  scope: "*"
  date: 2026-03-20
  ratio: 0.3
  probability: 1
"""
CALENDAR = """
- name: feast
  scope: "*"
  dates: [2026-02-12, 2026-02-26, 2026-03-26]
"""


def cycled(demo: Demo, lease: Lease, day: int = 2) -> Plan:
    due = datetime(2026, 3, day, 6, tzinfo=UTC)
    return run_cycle(demo.parts, Cycle(CycleId(f"cycle@{day}"), "cycle", due), lease=lease).plan


def told(demo: Demo, **files: Path) -> Demo:
    """The same demo with ``files`` set."""
    settings = demo.parts.settings.model_copy(update=files)
    return replace(demo, parts=replace(demo.parts, settings=settings))


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def committed_usd_per_hour(plan: Plan) -> Decimal:
    return sum((line.commit_usd_per_hour for line in plan.lines), Decimal(0))


def test_without_the_register_a_cycle_buys_for_what_it_saw(demo: Demo, lease: Lease) -> None:
    plan = cycled(demo, lease)
    assert committed_usd_per_hour(plan) > 0
    assert plan.given is not None
    assert (plan.given.changes, plan.given.holidays) == ("", "")


def test_a_decommission_next_month_shrinks_the_purchase_and_its_replay_is_identical(
    demo: Demo, lease: Lease, tmp_path: Path
) -> None:
    unaware = told(demo, changes_file=written(tmp_path, "none.yaml", "[]\n"))
    aware = told(demo, changes_file=written(tmp_path, "changes.yaml", DECOMMISSION))
    plan = cycled(aware, lease)
    assert plan.given is not None
    assert plan.given.changes == DECOMMISSION
    with reading(demo.parts.engine) as connection:
        assert records.find_plan(connection, plan.plan) == plan
        assert replay(connection, demo.parts.usage, plan.plan).differences == ()
    later = cycled(unaware, lease, day=3)  # the same week, and nobody knows of the decommission
    assert committed_usd_per_hour(plan) < committed_usd_per_hour(later)


def test_holidays_reach_the_decision_and_its_replay(
    demo: Demo, lease: Lease, tmp_path: Path
) -> None:
    aware = told(demo, holidays_file=written(tmp_path, "holidays.yaml", CALENDAR))
    plan = cycled(aware, lease)
    assert plan.lines
    assert plan.given is not None
    assert plan.given.holidays == CALENDAR
    with reading(demo.parts.engine) as connection:
        assert replay(connection, demo.parts.usage, plan.plan).differences == ()


@pytest.mark.parametrize("field", ["changes_file", "holidays_file"])
@pytest.mark.parametrize("text", ["- what: {", "what: no list", "- {when: never}"])
def test_a_live_cycle_refuses_a_file_that_it_cannot_use(
    demo: Demo, lease: Lease, tmp_path: Path, field: str, text: str
) -> None:
    broken = told(demo, **{field: written(tmp_path, "broken.yaml", text)})
    with pytest.raises(InputError, match=r"broken\.yaml"):
        cycled(broken, lease)
    with reading(demo.parts.engine) as connection:
        assert records.plan_of_cycle(connection, CycleId("cycle@2")) is None


def test_a_file_that_is_named_and_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        foreseen(tmp_path / "gone.yaml", None)
    with pytest.raises(InputError, match="there is no such file"):
        foreseen(None, tmp_path / "gone.yaml")
    assert foreseen(None, None).changes == ()


def test_the_check_of_the_settings_names_a_broken_register(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TENOR_CHANGES_FILE", str(written(tmp_path, "changes.yaml", "- 3")))
    assert main(["config", "check"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "changes.yaml" in error
