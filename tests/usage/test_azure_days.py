"""Azure's rows of whole days: refused, or spread over their hours in the open."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from service.domain.errors import InputError
from service.store.usage_days import UsageDays
from service.usage.day_shapes import (
    DISAGREE,
    LEVEL,
    NO_CHARGES,
    DayCost,
    Disagreement,
    Shaping,
    shares_of,
)
from service.usage.hourly_charges import FILE, keep_charges, read_charges
from service.usage.ingest import Export, read_export
from service.usage.refresh import Refreshed, refresh
from service.usage.rows import QUANTITY_TYPE
from service.usage.whole_days import used_until
from tests.usage.azure_days import (
    DAY,
    SCALE_SET,
    DayRow,
    at,
    charges_of,
    write_days,
)

TENTH = Decimal("0.1")
NOW = datetime(2026, 9, 10, tzinfo=UTC)
NEXT = DAY + timedelta(days=1)
HALF_DAY = ["0"] * 12 + ["1"] * 12
"""All of the day's 12 USD in its second half."""

money = st.decimals("0", "1000", places=4)


def shaping(usd: Iterable[str], tolerance: Decimal = TENTH) -> Shaping:
    return Shaping(charges_of(usd), tolerance)


def hours_of(folder: Path, rows: Sequence[DayRow], how: Shaping) -> dict[str, list[float]]:
    """What each size used in each hour of the day, as read."""
    with read_export(write_days(folder / "days.csv", rows), shaping=how) as export:
        (day,) = export.days
        day.write(folder / "day.parquet")
    found: dict[str, list[float]] = {}
    for row in pq.read_table(folder / "day.parquet").to_pylist():
        assert row["hour"] == at(len(found.setdefault(row["sku"], []))).replace(tzinfo=None)
        found[row["sku"]].append(row["quantity"])
    return found


@given(charges=st.lists(money, min_size=24, max_size=24), steady=money, tilt=st.integers(-9, 9))
def test_shares_never_fall_and_end_with_all_of_the_day(
    charges: list[Decimal], steady: Decimal, tilt: int
) -> None:
    told = sum(charges, Decimal(0))
    billed = told * (1 + Decimal(tilt) / 100)
    level = min(steady, billed)
    found = shares_of(tuple(charges), DayCost(level, billed - level), TENTH)
    if isinstance(found, Disagreement):
        assert "USD" in found.detail
        return
    assert len(found) == 24
    assert list(found) == sorted(found)
    assert found[0] >= 0
    assert found[-1] == 1


@given(
    charges=st.lists(money, min_size=24, max_size=24).filter(lambda one: sum(one) > 1),
    ratio=st.decimals("0", "1", places=3),
)
def test_each_hour_costs_what_azure_told_whatever_ran_all_day(
    charges: list[Decimal], ratio: Decimal
) -> None:
    steady = min(charges) * 24 * ratio
    told = sum(charges, Decimal(0))
    shares = shares_of(tuple(charges), DayCost(steady, told - steady), Decimal(0))
    assert not isinstance(shares, Disagreement)
    before = Decimal(0)
    for share, charge in zip(shares, charges, strict=True):
        assert math.isclose(steady / 24 + (share - before) * (told - steady), charge, abs_tol=1e-9)
        before = share


def test_a_day_that_costs_something_else_than_its_hours_is_not_spread() -> None:
    charges = tuple(charges_of(HALF_DAY).values())
    assert not isinstance(
        shares_of(charges, DayCost(Decimal(0), Decimal("10.9")), TENTH), Disagreement
    )
    found = shares_of(charges, DayCost(Decimal(0), Decimal("10.7")), TENTH)
    assert isinstance(found, Disagreement)
    assert "10.70 USD" in found.detail
    assert "12.00 USD" in found.detail
    assert "1.20 USD" in found.detail


def test_hours_cheaper_than_what_ran_in_all_of_them_are_not_believed() -> None:
    charges = tuple(charges_of(HALF_DAY).values())
    found = shares_of(charges, DayCost(Decimal(12), Decimal(0)), TENTH)
    assert isinstance(found, Disagreement)
    assert "0.50 USD an hour" in found.detail


def test_a_day_on_which_nothing_is_charged_is_level() -> None:
    nothing = (Decimal(0),) * 24
    assert shares_of(nothing, DayCost(Decimal(0), Decimal(0)), TENTH) == LEVEL


def test_what_did_not_run_all_day_follows_the_charges(tmp_path: Path) -> None:
    rows = [DayRow("120", name="set", kind=SCALE_SET)]
    assert hours_of(tmp_path, rows, shaping(HALF_DAY)) == {
        "Standard_D2s_v5": [0.0] * 12 + [10.0] * 12
    }


def test_a_machine_that_ran_all_day_ran_in_every_hour(tmp_path: Path) -> None:
    steady = DayRow("24", size="Standard_D4s_v5", usd="0.2")
    rest = DayRow("72", name="set", kind=SCALE_SET)
    usd = ["0.2"] * 12 + ["0.8"] * 12
    found = hours_of(tmp_path, [steady, rest], shaping(usd))
    assert found["Standard_D4s_v5"] == [1.0] * 24
    assert found["Standard_D2s_v5"] == pytest.approx([0.0] * 12 + [6.0] * 12, abs=1e-12)


@pytest.mark.parametrize(
    "changed", [{"quantity": "12"}, {"kind": SCALE_SET}, {"unit": "100 Hours"}], ids=str
)
def test_only_one_machine_that_was_billed_for_all_hours_is_level(
    changed: dict[str, str], tmp_path: Path
) -> None:
    row = replace(DayRow("24", usd="0.5"), **changed)  # type: ignore[arg-type]
    cost = Decimal(row.quantity) * Decimal(row.usd)
    usd = [str(cost / 12 * (hour >= 12)) for hour in range(24)]
    (hours,) = hours_of(tmp_path, [row], shaping(usd)).values()
    assert hours[0] == 0


@pytest.mark.parametrize(
    ("quantity", "usd", "block"),
    [("24", "0.1", ""), ("24", "0.1", "1"), ("0.24", "10", "100"), ("2.4", "1", "10")],
)
def test_hours_priced_by_the_hundred_are_hours(
    quantity: str, usd: str, block: str, tmp_path: Path
) -> None:
    row = DayRow(quantity, usd=usd, block=block)
    assert hours_of(tmp_path, [row], shaping(["0.1"] * 24)) == {"Standard_D2s_v5": [1.0] * 24}
    with read_export(tmp_path / "days.csv", shaping=shaping(["0.1"] * 24)) as export:
        (price,) = export.prices
        assert (price.list_usd, price.contracted_usd) == (TENTH, TENTH)
        (day,) = export.days
        assert day.total_usd == Decimal("2.4")


def test_what_a_commitment_covers_is_level_and_costs_nothing(tmp_path: Path) -> None:
    covered = DayRow("48", size="Standard_D4s_v5", covered=True, kind=SCALE_SET)
    rest = DayRow("120", name="set", kind=SCALE_SET)
    found = hours_of(tmp_path, [covered, rest], shaping(HALF_DAY))
    assert found["Standard_D4s_v5"] == [2.0] * 24
    assert found["Standard_D2s_v5"] == [0.0] * 12 + [10.0] * 12


@settings(max_examples=15)
@given(
    quantity=st.decimals("0.000001", "100000", places=9),
    weights=st.lists(st.integers(0, 50), min_size=24, max_size=24).filter(any),
)
def test_the_parts_of_a_quantity_are_the_quantity(quantity: Decimal, weights: list[int]) -> None:
    shares = shares_of(
        tuple(map(Decimal, weights)), DayCost(Decimal(0), Decimal(sum(weights))), TENTH
    )
    assert not isinstance(shares, Disagreement)
    with duckdb.connect() as database:
        database.execute(f"CREATE TABLE parts (quantity {QUANTITY_TYPE}, low DOUBLE, high DOUBLE)")
        database.executemany(
            "INSERT INTO parts VALUES (?, ?, ?)",
            [
                (quantity, float(low), float(high))
                for low, high in zip((Decimal(0), *shares[:-1]), shares, strict=True)
            ],
        )
        parts = [
            Decimal(part)
            for (part,) in database.execute(
                f"SELECT {used_until('high')} - {used_until('low')} FROM parts"  # noqa: S608
            ).fetchall()
        ]
    assert sum(parts, Decimal(0)) == quantity
    assert min(parts) >= 0


def test_days_are_refused_unless_they_are_to_be_spread_and_the_setting_is_named(
    tmp_path: Path,
) -> None:
    path = write_days(tmp_path / "days.csv", [DayRow()])
    with pytest.raises(InputError, match="TENOR_AZURE_DAILY_ROWS=shape"), read_export(path):
        pass


def test_only_azures_days_are_spread(tmp_path: Path) -> None:
    path = write_days(tmp_path / "days.csv", [DayRow("120", kind=SCALE_SET)])
    text = path.read_text("utf-8").replace("Microsoft,", "AWS,").replace(",Hours,", ",Hrs,")
    path.write_text(text, "utf-8")
    with (
        pytest.raises(InputError, match="spans 24 hours"),
        read_export(path, shaping=shaping(HALF_DAY)),
    ):
        pass


def test_two_days_in_one_row_are_refused_all_the_same(tmp_path: Path) -> None:
    path = write_days(tmp_path / "days.csv", [DayRow("120", kind=SCALE_SET)])
    path.write_text(path.read_text("utf-8").replace("2026-09-02", "2026-09-03"), "utf-8")
    with (
        pytest.raises(InputError, match="spans 48 hours"),
        read_export(path, shaping=shaping(HALF_DAY)),
    ):
        pass


def read_both(folder: Path, how: Shaping) -> Export:
    """Two days alike, only the first of which has charges that fit."""
    row = DayRow("120", name="set", kind=SCALE_SET)
    rows = [row, replace(row, day=NEXT), DayRow("5", category="Storage", unit="GB")]
    with read_export(write_days(folder / "days.csv", rows), shaping=how) as export:
        return export


def test_a_day_without_all_its_charges_waits_and_the_others_do_not(tmp_path: Path) -> None:
    charges = charges_of(HALF_DAY) | charges_of(["1"] * 23, NEXT)
    export = read_both(tmp_path, Shaping(charges, TENTH))
    assert [day.day for day in export.days] == [DAY]
    assert [(one.day, one.rule) for one in export.unshaped] == [(NEXT, NO_CHARGES)]
    assert export.set_aside == {
        "a day whose hourly charges are not known": 1,
        "not hourly, and no commitment covers it": 1,
    }
    assert export.source_rows == 3
    assert all(days == {("azure", DAY), ("azure", NEXT)} for days in export.part_days.values())


def test_a_day_that_its_charges_contradict_is_told_with_both_numbers(tmp_path: Path) -> None:
    charges = charges_of(HALF_DAY) | charges_of(["1"] * 24, NEXT)
    export = read_both(tmp_path, Shaping(charges, TENTH))
    (one,) = export.unshaped
    assert (one.day, one.rule) == (NEXT, DISAGREE)
    assert "12.00 USD, its hourly charges to 24.00 USD" in one.detail


def test_a_wider_tolerance_lets_the_same_day_in(tmp_path: Path) -> None:
    charges = charges_of(HALF_DAY) | charges_of(["1"] * 24, NEXT)
    assert not read_both(tmp_path, Shaping(charges, Decimal("0.5"))).unshaped


def test_an_export_of_nothing_but_waiting_days_is_refused_as_such(tmp_path: Path) -> None:
    path = write_days(tmp_path / "days.csv", [DayRow()])
    with (
        pytest.raises(InputError, match=r"1 a day whose hourly charges are not known"),
        read_export(path, shaping=Shaping({}, TENTH)),
    ):
        pass


@pytest.fixture
def days(sqlite_engine: Engine, tmp_path: Path) -> UsageDays:
    return UsageDays(sqlite_engine, tmp_path / "usage")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    row = DayRow("120", name="set", kind=SCALE_SET)
    write_days(tmp_path / "exports" / "days.csv", [row, replace(row, day=NEXT)])
    return tmp_path / "exports"


def put(days: UsageDays, source: Path, how: Shaping | None) -> Refreshed:
    return refresh(days, source, now=NOW, shaping=how)


def test_a_stored_day_says_that_its_hours_are_estimates(days: UsageDays, source: Path) -> None:
    how = Shaping(charges_of(HALF_DAY), TENTH)
    put(days, source, how)
    assert [(one.day, one.shape) for one in days.manifest()] == [(DAY, how.digest(DAY))]


def test_a_waiting_day_is_stored_once_its_charges_are_known(days: UsageDays, source: Path) -> None:
    first = charges_of(HALF_DAY)
    assert [one.day for one in put(days, source, Shaping(first, TENTH)).unshaped] == [NEXT]
    done = put(days, source, Shaping(first | charges_of(HALF_DAY, NEXT), TENTH))
    assert not done.unshaped
    assert [one.day for one in days.manifest()] == [DAY, NEXT]
    assert put(days, source, Shaping(first | charges_of(HALF_DAY, NEXT), TENTH)).parts_read == 0


def test_a_day_whose_charges_are_restated_is_spread_anew(days: UsageDays, source: Path) -> None:
    both = charges_of(HALF_DAY) | charges_of(HALF_DAY, NEXT)
    put(days, source, Shaping(both, TENTH))
    before = days.manifest()
    put(days, source, Shaping(both | charges_of(HALF_DAY[::-1]), TENTH))
    after = days.manifest()
    assert after[0].digest != before[0].digest
    assert after[0].hour_weights == before[0].hour_weights[::-1]
    assert after[1] == before[1]


def test_a_day_stays_as_it_was_spread_when_its_charges_are_told_no_more(
    days: UsageDays, source: Path
) -> None:
    put(days, source, Shaping(charges_of(HALF_DAY) | charges_of(HALF_DAY, NEXT), TENTH))
    before = days.manifest()
    assert put(days, source, Shaping({}, TENTH)).parts_read == 0
    assert days.manifest() == before


def test_days_that_were_spread_are_not_known_once_days_are_refused(
    days: UsageDays, source: Path
) -> None:
    put(days, source, Shaping(charges_of(HALF_DAY) | charges_of(HALF_DAY, NEXT), TENTH))
    with pytest.raises(InputError, match="TENOR_AZURE_DAILY_ROWS"):
        put(days, source, None)


def test_charges_gather_and_the_newest_reading_counts(tmp_path: Path) -> None:
    assert not read_charges(tmp_path)
    assert keep_charges(tmp_path, "/subscriptions/1", charges_of(["1", "2", "3"])) == 3
    told = {at(2): Decimal("3.5"), at(3): Decimal("4.25")}
    assert keep_charges(tmp_path, "/subscriptions/1", told) == 2
    assert keep_charges(tmp_path, "/subscriptions/1", told) == 0
    assert read_charges(tmp_path) == charges_of(["1", "2", "3.5", "4.25"])


def test_charges_of_another_scope_are_not_mixed_in(tmp_path: Path) -> None:
    keep_charges(tmp_path, "/subscriptions/1", charges_of(["1", "2", "3"]))
    keep_charges(tmp_path, "/subscriptions/2", {at(2): Decimal(9)})
    assert read_charges(tmp_path) == {at(2): Decimal(9)}


@pytest.mark.parametrize("text", ["", "[]", '{"scope": "x", "usd": {"noon": "1"}}', '{"usd": {}}'])
def test_kept_charges_that_cannot_be_read_are_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(text, "utf-8")
    with pytest.raises(InputError, match="hourly charges cannot be read") as caught:
        read_charges(tmp_path)
    assert caught.value.file == str(tmp_path / FILE)
