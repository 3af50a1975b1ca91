"""Which part of Azure's days is proven to have run through all of them, and is kept apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from service.domain.hours import DAY_HOURS, HourRange
from service.store.usage_days import UsageDays
from service.usage.day_shapes import DayCost, Shaping, covered_shares
from service.usage.ingest import read_export
from service.usage.level_usage import split_level
from service.usage.refresh import refresh
from service.usage.rows import STAGED_COLUMNS
from tests.usage.azure_days import DAY, SCALE_SET, DayRow, at, charges_of, write_days

NOW = datetime(2026, 9, 10, tzinfo=UTC)
WHOLE_DAY = HourRange(at(0), DAY_HOURS)
SIZE = "Standard_D2s_v5"
FLAT = ["1"] * DAY_HOURS
BY_DAY = ["0"] * 12 + ["1"] * 12

Hours = dict[tuple[str, bool], list[float]]


def shaping(rows: Sequence[DayRow], shape: Sequence[str] = FLAT) -> Shaping:
    """Charges in proportion to ``shape`` that come to what the uncovered rows cost."""
    usd = sum(Decimal(row.quantity) * Decimal(row.usd) for row in rows if not row.covered)
    total = sum(map(Decimal, shape))
    return Shaping(charges_of(str(usd * Decimal(one) / total) for one in shape), Decimal("0.01"))


def hours_of(folder: Path, rows: Sequence[DayRow], how: Shaping) -> Hours:
    """What each size used in each hour, its level part (``True``) and the rest."""
    with read_export(write_days(folder / "days.csv", rows), shaping=how) as export:
        (day,) = export.days
        day.write(folder / "day.parquet")
    found: Hours = {}
    for row in pq.read_table(folder / "day.parquet").to_pylist():
        found.setdefault((row["sku"], row["level"]), []).append(row["quantity"])
    return found


@pytest.mark.parametrize(
    "rows",
    [
        [DayRow("24", name="set", kind=SCALE_SET)],
        [DayRow("48", name="set", kind=SCALE_SET)],
        [DayRow("12", name="one"), DayRow("12", name="other")],
        [DayRow("48", name="one")],
        [DayRow("24", name="one"), DayRow("24", name="one", covered=True)],
        [DayRow("24", name="one", unit="Days")],
        [DayRow("23", name="one")],
        [DayRow("12", name="one"), DayRow("12", name="one", size="Standard_D4s_v5")],
    ],
    ids=[
        "a scale set",
        "two machines all day or four for half of it",
        "two half days",
        "more hours than a day has",
        "more hours than a day has, half of them covered",
        "not hours",
        "a whole hour off",
        "resized at noon",
    ],
)
def test_what_may_have_stood_still_in_an_hour_is_not_level(
    rows: list[DayRow], tmp_path: Path
) -> None:
    found = hours_of(tmp_path, rows, shaping(rows))
    assert found
    assert not any(level for _, level in found)


def test_a_machine_that_ran_all_day_is_level_and_nothing_else_is(tmp_path: Path) -> None:
    rows = [DayRow("24", name="one"), DayRow("60", name="set", kind=SCALE_SET)]
    found = hours_of(tmp_path, rows, shaping(rows, ["1"] * 12 + ["6"] * 12))
    assert found[SIZE, True] == [1.0] * DAY_HOURS
    assert found[SIZE, False] == pytest.approx([0.0] * 12 + [5.0] * 12, abs=1e-12)


def test_a_day_that_rounding_made_longer_is_one_machine(tmp_path: Path) -> None:
    rows = [DayRow("24.0001", name="one")]
    found = hours_of(tmp_path, rows, shaping(rows))
    assert found[SIZE, True] == pytest.approx([1.0] * DAY_HOURS, abs=1e-12)
    assert sum(found[SIZE, False]) == pytest.approx(0.0001)


def test_the_level_part_is_never_more_than_a_machine_ran_in_any_hour(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    rows, least = [], {}
    for number in range(1, 61):
        off = random.dirichlet(np.ones(24) * random.uniform(0.02, 2)) * random.uniform(0, 2)
        if number == 1:
            off = 0.4 * (np.arange(24) == 5)
        ran = np.round(np.clip(1 - off, 0, 1), 6)
        size = f"Standard_D{number}s_v5"
        rows.append(DayRow(f"{ran.sum():.6f}", name=f"vm{number}", size=size))
        least[size] = float(ran.min())
    found = hours_of(tmp_path, rows, shaping(rows))
    proven = {size: found[size, True][0] for size in least if (size, True) in found}
    assert len(proven) > 20
    assert all(proven[size] <= least[size] + 1e-9 for size in proven)
    assert all(found[size, True] == pytest.approx([one] * 24) for size, one in proven.items())
    # Of one that is off in one hour alone it is all that there is to prove.
    assert proven["Standard_D1s_v5"] == pytest.approx(0.6)


def test_hours_that_a_commitment_covered_count_with_the_machines_others(tmp_path: Path) -> None:
    rows = [DayRow("10", covered=True), DayRow("14")]
    found = hours_of(tmp_path, rows, shaping(rows, BY_DAY))
    assert found == {(SIZE, True): pytest.approx([1.0] * DAY_HOURS, abs=1e-12)}


def test_a_windows_machine_is_one_machine_with_and_without_its_licence(tmp_path: Path) -> None:
    """A reservation covers the machine at the Linux meter; the licence is billed beside it."""
    windows = DayRow("14", usd="0.19", product="Dsv5 Series Windows")
    rows = [DayRow("10", covered=True), windows]
    found = hours_of(tmp_path, rows, shaping(rows, BY_DAY))
    assert set(found) == {(SIZE, True), (f"{SIZE} windows", True)}
    assert [sum(pair) for pair in zip(*found.values(), strict=True)] == pytest.approx([1.0] * 24)


def test_a_full_reservation_beside_machines_of_half_a_day_hides_no_peak(tmp_path: Path) -> None:
    """Ten machines all day, ten by day; a reservation of ten covers whichever it meets first."""
    rows = [
        *(DayRow("12", name=f"all {one}", covered=True) for one in range(5)),
        *(DayRow("12", name=f"all {one}") for one in range(5)),
        *(DayRow("24", name=f"covered {one}", covered=True) for one in range(5)),
        *(DayRow("6", name=f"day {one}", covered=True) for one in range(10)),
        *(DayRow("6", name=f"day {one}") for one in range(10)),
    ]
    found = hours_of(tmp_path, rows, shaping(rows, BY_DAY))
    assert found[SIZE, True] == pytest.approx([10.0] * DAY_HOURS)
    assert found[SIZE, False] == pytest.approx([0.0] * 12 + [10.0] * 12, abs=1e-9)


def test_what_is_covered_is_level_where_no_machine_was_covered_in_part() -> None:
    noon = tuple(Decimal(hour >= 12) for hour in range(DAY_HOURS))
    cost = DayCost(Decimal(5), Decimal(7), covered_usd=Decimal(9))
    assert len({round(until / (hour + 1), 12) for hour, until in enumerate(
        covered_shares(noon, cost)
    )}) == 1  # fmt: skip
    mixed = covered_shares(noon, replace(cost, mixed_usd=Decimal(3)))
    assert mixed[11] == Decimal(6) / 24 * 12 / 9
    assert mixed[-1] == 1


def test_a_day_costs_the_same_to_the_last_digit_whatever_of_it_is_level(tmp_path: Path) -> None:
    machines = [
        DayRow(quantity, name=f"vm{number}", usd="0.0973")
        for number, quantity in enumerate(("24", "23.98", "23.017391", "11.3", "24.0003"))
    ]
    sets = [replace(row, kind=SCALE_SET) for row in machines]
    days = []
    for number, rows in enumerate((machines, sets)):
        path = write_days(tmp_path / f"{number}.csv", rows)
        with read_export(path, shaping=shaping(rows)) as export:
            (day,) = export.days
            days.append((day.total_usd, day.eligible_usd, day.hour_weights, day.hours_mask))
            assert export.source_rows == len(rows)
    assert days[0] == days[1]


@settings(max_examples=15)
@given(
    st.lists(
        st.tuples(
            st.decimals("0.000000001", "24.2", places=9),
            st.sampled_from(["vm1", "vm2", None]),
            st.sampled_from(["covered", "other"]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_the_level_part_and_the_rest_are_the_quantity_as_it_was_billed(
    rows: list[tuple[Decimal, str | None, str]],
) -> None:
    with duckdb.connect() as database:
        database.execute(f"CREATE TABLE staged ({STAGED_COLUMNS})")
        database.execute("CREATE TABLE whole_day_skus AS SELECT 'azure' AS provider, 'D2' AS size")
        database.executemany(
            "INSERT INTO staged BY NAME SELECT 0 AS part, DATE '2026-09-01' AS hour, 1 AS "
            "row_count, 'azure' AS provider, FALSE AS level, ? AS quantity, ? AS machine, "
            "? AS spread",
            rows,
        )
        before = _totals(database)
        split_level(database, "n.provider = staged.provider")
        after = _totals(database)
        machines = database.execute("SELECT count(machine) FROM staged").fetchall()
    assert after == before == (sum(quantity for quantity, _, _ in rows), len(rows))
    assert machines == [(0,)]


def _totals(database: duckdb.DuckDBPyConnection) -> tuple[Decimal, int]:
    ((quantity, count),) = database.execute(
        "SELECT sum(quantity), sum(row_count) FROM staged WHERE quantity > 0"
    ).fetchall()
    return Decimal(quantity), int(count)


@pytest.fixture
def days(sqlite_engine: Engine, tmp_path: Path) -> UsageDays:
    return UsageDays(sqlite_engine, tmp_path / "usage")


def put(days: UsageDays, folder: Path, rows: Sequence[DayRow]) -> None:
    write_days(folder / "days.csv", rows)
    refresh(days, folder, now=NOW, shaping=shaping(rows, ["1"] * 12 + ["2"] * 12))


def test_a_restated_day_replaces_both_parts(days: UsageDays, tmp_path: Path) -> None:
    rest = DayRow("72", name="set", kind=SCALE_SET)
    put(days, tmp_path / "exports", [DayRow("24"), rest])
    assert _by_part(days) == pytest.approx({True: 24.0, False: 72.0})
    put(days, tmp_path / "exports", [DayRow("23.5"), rest])
    assert _by_part(days) == pytest.approx({True: 12.0, False: 83.5})
    put(days, tmp_path / "exports", [DayRow("20"), rest])
    assert _by_part(days) == pytest.approx({False: 92.0})
    assert [one.day for one in days.manifest()] == [DAY]


def _by_part(days: UsageDays) -> dict[bool, float]:
    usage = days.load(WHOLE_DAY, level=True)
    return {
        line.level: float(total)
        for line, total in zip(usage.lines, usage.quantity.sum(axis=0), strict=True)
    }


def test_whoever_does_not_ask_sees_one_line_of_both_parts(days: UsageDays, tmp_path: Path) -> None:
    put(days, tmp_path / "exports", [DayRow("24"), DayRow("72", name="set", kind=SCALE_SET)])
    apart, whole = days.load(WHOLE_DAY, level=True), days.load(WHOLE_DAY)
    assert [line.level for line in apart.lines] == [False, True]
    assert [line.level for line in whole.lines] == [False]
    assert whole.quantity[:, 0] == pytest.approx(apart.quantity.sum(axis=1), rel=1e-12)
    assert len({one.key for one in apart.lines}) == 1
    assert repr(whole.lines[0]).endswith("resource_group='')")
