from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine

from service.domain.errors import InvariantError, RefusedError
from service.domain.hours import HourRange
from service.domain.usage import Usage, UsageLine
from service.store.engine import open_engine
from service.store.usage_days import IngestSummary, UsageDays
from service.usage.ingest import read_export
from tests.usage.exports import LINUX_LARGE, START, Charge, hours_of, write_export

NOW = datetime(2026, 9, 10, tzinfo=UTC)
TWO_DAYS = HourRange(START, 48)
ROOT = Path(__file__).resolve().parents[2]


def ingest(
    days: UsageDays, source: Path, *, now: datetime = NOW, allow_smaller: bool = False
) -> IngestSummary:
    with read_export(source) as export:
        return days.replace(export.days, now=now, allow_smaller=allow_smaller)


def export_of(folder: Path, name: str, charges: list[Charge]) -> Path:
    return write_export(folder / name, charges)


def files_below(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.parquet"))


@pytest.fixture
def sqlite_engine(sqlite_database_url: str) -> Iterator[Engine]:
    engine = open_engine(sqlite_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "usage"


def test_days_are_added_then_unchanged_then_replaced(
    engine: Engine, folder: Path, tmp_path: Path
) -> None:
    days = UsageDays(engine, folder)
    first = export_of(tmp_path, "first.csv", hours_of(48))
    summary = ingest(days, first)
    assert (summary.added, summary.replaced, summary.unchanged) == (2, 0, 0)
    assert (summary.rows, summary.newest_hour) == (48, START + timedelta(hours=47))
    assert summary.eligible_usd == Decimal("4.32")
    seen = days.manifest()
    assert [(entry.day, entry.rows, entry.hours_present) for entry in seen] == [
        (date(2026, 9, 1), 24, 24),
        (date(2026, 9, 2), 24, 24),
    ]
    assert seen[0].hour_weights == (Decimal("0.09"),) * 24

    again = ingest(days, first, now=NOW + timedelta(hours=1))
    assert (again.added, again.replaced, again.unchanged) == (0, 0, 2)
    assert days.manifest() == seen

    charges = [*hours_of(24, Charge(quantity="3")), *hours_of(48)[24:]]
    third = ingest(days, export_of(tmp_path, "restated.csv", charges))
    assert (third.added, third.replaced, third.unchanged) == (0, 1, 1)
    assert days.load(TWO_DAYS).quantity.sum() == 24 * 3 + 24
    assert len(files_below(folder)) == 2


def test_a_day_that_another_process_restates_is_told_at_once(
    sqlite_engine: Engine, folder: Path, tmp_path: Path
) -> None:
    ours, theirs = UsageDays(sqlite_engine, folder), UsageDays(sqlite_engine, folder)
    ingest(ours, export_of(tmp_path, "first.csv", hours_of(48)))
    before = ours.manifest()
    assert theirs.manifest() == before
    charges = [*hours_of(24, Charge(quantity="3")), *hours_of(48)[24:]]
    ingest(theirs, export_of(tmp_path, "restated.csv", charges))
    after = ours.manifest()
    assert after == theirs.manifest() == UsageDays(sqlite_engine, folder).manifest()
    assert (after[0].hour_weights, after[1]) == ((Decimal("0.27"),) * 24, before[1])


def test_usage_is_dense_over_exactly_the_hours_asked_for(
    sqlite_engine: Engine, folder: Path, tmp_path: Path
) -> None:
    fargate = Charge(usage_type="USW2-Fargate-GB-Hours", operation="", quantity="8", zone="")
    charges = [*hours_of(48), *hours_of(2, fargate, start=START + timedelta(hours=30))]
    days = UsageDays(sqlite_engine, folder)
    ingest(days, export_of(tmp_path, "export.csv", charges))
    usage = days.load(HourRange(START + timedelta(hours=20), 20))
    assert [line.sku for line in usage.lines] == ["USW2-Fargate-GB-Hours/", LINUX_LARGE]
    assert usage.lines[1] == UsageLine(
        "aws", usage.lines[1].account, "us-west-2", "us-west-2a", LINUX_LARGE
    )
    assert usage.quantity.dtype == np.float64
    assert np.flatnonzero(usage.quantity[:, 0]).tolist() == [10, 11]
    assert (usage.quantity[:, 1] == 1).all()


def test_only_eligible_usage_is_loaded_unless_all_is_asked_for(
    sqlite_engine: Engine, folder: Path, tmp_path: Path
) -> None:
    spot = Charge(usage_type="USW2-SpotUsage:m5.large", operation="RunInstances:SV001")
    days = UsageDays(sqlite_engine, folder)
    ingest(days, export_of(tmp_path, "export.csv", [*hours_of(48), *hours_of(48, spot)]))
    assert {line.sku for line in days.load(TWO_DAYS).lines} == {LINUX_LARGE}
    assert len(days.load(TWO_DAYS, eligible_only=False).lines) == 2


def test_a_missing_hour_is_refused_and_never_read_as_zero(
    sqlite_engine: Engine, folder: Path, tmp_path: Path
) -> None:
    charges = hours_of(48)
    del charges[30]
    days = UsageDays(sqlite_engine, folder)
    ingest(days, export_of(tmp_path, "export.csv", charges))
    with pytest.raises(RefusedError, match=r"1 of 48 hours, first in 2026-09-02T06:00:00Z"):
        days.load(TWO_DAYS)
    assert days.load(HourRange(START, 30)).quantity.sum() == 30


def test_hours_beyond_what_is_known_are_refused(
    sqlite_engine: Engine, folder: Path, tmp_path: Path
) -> None:
    days = UsageDays(sqlite_engine, folder)
    with pytest.raises(RefusedError, match="no usage is known"):
        days.load(TWO_DAYS)
    ingest(days, export_of(tmp_path, "export.csv", hours_of(24)))
    with pytest.raises(RefusedError, match="24 of 48 hours"):
        days.load(TWO_DAYS)


def test_a_partial_export_may_not_shrink_a_day_unless_told_so(
    sqlite_engine: Engine, folder: Path, tmp_path: Path
) -> None:
    days = UsageDays(sqlite_engine, folder)
    accounts = [
        *hours_of(48),
        *hours_of(48, Charge(account="222222222222")),
        *hours_of(48, Charge(account="333333333333")),
    ]
    ingest(days, export_of(tmp_path, "all.csv", accounts))
    before, files = days.manifest(), files_below(folder)
    early = [charge for charge in accounts if charge.at < START + timedelta(hours=40)]
    shorter = export_of(tmp_path, "shorter.csv", early)
    with pytest.raises(RefusedError, match="has 24 hours, the export 16") as fewer_hours:
        ingest(days, shorter)
    assert fewer_hours.value.rule == "day_loses_hours"
    thinner = export_of(tmp_path, "thinner.csv", accounts[:48])
    with pytest.raises(RefusedError, match="has 72 rows, the export 24") as fewer_rows:
        ingest(days, thinner)
    assert fewer_rows.value.rule == "day_loses_rows"
    assert (days.manifest(), files_below(folder)) == (before, files)
    assert ingest(days, thinner, allow_smaller=True).replaced == 2


def test_opening_sweeps_files_that_no_day_names(
    sqlite_engine: Engine, folder: Path, tmp_path: Path
) -> None:
    ingest(UsageDays(sqlite_engine, folder), export_of(tmp_path, "export.csv", hours_of(24)))
    (kept,) = files_below(folder)
    orphan = folder / "aws" / "2026" / "2026-09-01-0000000000000000.parquet"
    orphan.write_bytes(b"left over")
    (folder / ".incoming" / "half.parquet").write_bytes(b"half")
    days = UsageDays(sqlite_engine, folder)
    assert files_below(folder) == [kept]
    assert days.load(HourRange(START, 24)).quantity.sum() == 24


def test_a_lost_usage_file_is_an_error_not_a_zero(
    sqlite_engine: Engine, folder: Path, tmp_path: Path
) -> None:
    days = UsageDays(sqlite_engine, folder)
    ingest(days, export_of(tmp_path, "export.csv", hours_of(24)))
    next(folder.rglob("*.parquet")).unlink()
    with pytest.raises(InvariantError, match="not there"):
        days.load(HourRange(START, 24))


def test_prices_come_from_the_newest_hour_that_tells(
    sqlite_engine: Engine, folder: Path, tmp_path: Path
) -> None:
    newer = hours_of(48, Charge(contracted_usd="0.08"))[24:]
    days = UsageDays(sqlite_engine, folder)
    ingest(days, export_of(tmp_path, "export.csv", [*hours_of(24), *newer]))
    assert [price.contracted_usd for price in days.prices(TWO_DAYS)] == [Decimal("0.08")]
    assert [p.contracted_usd for p in days.prices(HourRange(START, 24))] == [Decimal("0.09")]
    assert days.prices(HourRange(START - timedelta(days=9), 24)) == ()


class Killing:
    """Old usage in a store, a newer export, and a process that dies while ingesting it."""

    def __init__(self, url: str, tmp_path: Path) -> None:
        self.url = url
        self.folder = tmp_path / "usage"
        self.newer = export_of(
            tmp_path, "newer.csv", [*hours_of(24, Charge(quantity="5")), *hours_of(48)[24:]]
        )
        engine = open_engine(url)
        ingest(UsageDays(engine, self.folder), export_of(tmp_path, "old.csv", hours_of(25)))
        engine.dispose()

    def run(self, stop_at: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tests.usage.killed_ingest", self.url]
        return subprocess.run(
            [*command, str(self.folder), str(self.newer), str(stop_at)],
            cwd=ROOT, capture_output=True, text=True, check=False,
        )  # fmt: skip

    def finish(self) -> None:
        """Ingest the newer export in a process that lives."""
        engine = open_engine(self.url)
        ingest(UsageDays(engine, self.folder), self.newer)
        engine.dispose()

    def usage(self) -> tuple[Usage, int]:
        """What a new process finds: usage of all hours known, and how many files there are."""
        engine = open_engine(self.url)
        days = UsageDays(engine, self.folder)
        last = days.manifest()[-1].last_hour
        found = days.load(HourRange(START, (last - START) // timedelta(hours=1) + 1))
        engine.dispose()
        return found, len(files_below(self.folder))


def test_an_ingest_killed_at_any_point_leaves_every_day_old_or_every_day_new(
    sqlite_template: Path, tmp_path: Path
) -> None:
    def fresh(name: str) -> Killing:
        place = tmp_path / name
        place.mkdir()
        shutil.copyfile(sqlite_template, place / "tenor.db")
        return Killing(f"sqlite:///{place / 'tenor.db'}", place)

    whole = fresh("whole").run(0)
    points = whole.stdout.split()
    assert points == [
        *("written", "synced") * 2, "renamed", "renamed",
        "before_transaction", "in_transaction", "in_transaction", "committed", "swept",
    ]  # fmt: skip
    states = []
    for number, point in enumerate(points, start=1):
        killing = fresh(f"{number}-{point}")
        assert killing.run(number).returncode == -9
        usage, files = killing.usage()
        states.append((usage.hours.count, usage.quantity.sum(), files))
        killing.finish()
        usage, files = killing.usage()
        assert (usage.hours.count, usage.quantity.sum(), files) == (48, 24 * 5 + 24, 2)
    old, new = (25, 25.0, 2), (48, 24 * 5 + 24.0, 2)
    assert states == [*[old] * 9, new, new]
