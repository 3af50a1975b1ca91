from __future__ import annotations

import dataclasses
import itertools
import os
import random
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import InputError
from service.domain.hours import HourRange
from service.store.engine import open_engine
from service.store.usage_days import UsageDays
from service.usage.refresh import Refreshed, refresh
from tests.usage.exports import START, Charge, hours_of, write_export
from tests.usage.test_bad_exports import naive_dataset

NOW = datetime(2026, 9, 10, tzinfo=UTC)
DAYS = HourRange(START, 72)
Store = tuple[UsageDays, Path]


@pytest.fixture
def store(sqlite_database_url: str, tmp_path: Path) -> Iterator[Store]:
    """An empty store and a folder for exports."""
    engine = open_engine(sqlite_database_url)
    yield UsageDays(engine, tmp_path / "usage"), tmp_path / "exports"
    engine.dispose()


def again(store: Store, *, everything: bool = False) -> Refreshed:
    return refresh(store[0], store[1], now=NOW, everything=everything)


def used(store: Store) -> float:
    return float(store[0].load(DAYS).quantity.sum())


def test_only_files_that_changed_are_read_again(store: Store) -> None:
    charges = hours_of(72)
    for day in range(3):
        write_export(store[1] / f"{day}.parquet", charges[24 * day : 24 * day + 24])
    assert again(store).parts_read == 3
    idle = again(store)
    assert (idle.parts_read, idle.parts_unchanged) == (0, 3)
    assert (idle.summary.unchanged, idle.summary.rows) == (3, 72)
    write_export(store[1] / "1.parquet", hours_of(48, Charge(quantity="2"))[24:])
    found = again(store)
    assert (found.parts_read, found.parts_unchanged, found.summary.replaced) == (1, 2, 1)
    assert used(store) == 24 + 48 + 24
    assert again(store, everything=True).parts_read == 3


def test_a_changed_file_brings_the_other_files_of_its_days_along(store: Store) -> None:
    charges = hours_of(72)
    write_export(store[1] / "a.csv", charges[:40])
    write_export(store[1] / "b.csv", charges[40:60])
    write_export(store[1] / "c.csv", charges[60:])
    again(store)
    write_export(store[1] / "c.csv", hours_of(72, Charge(quantity="3"))[60:])
    found = again(store)
    assert (found.parts_read, found.parts_unchanged) == (2, 1)
    assert (found.summary.replaced, used(store)) == (1, 60 + 36)


def test_rows_that_move_from_one_file_to_another_are_counted_once(store: Store) -> None:
    accounts = [*hours_of(72), *hours_of(72, Charge(account="222222222222"))]
    write_export(store[1] / "a.csv", accounts)
    write_export(store[1] / "b.csv", hours_of(72, Charge(account="333333333333")))
    again(store)
    write_export(store[1] / "a.csv", accounts[24:])
    assert again(store).summary.replaced == 1
    assert used(store) == 3 * 72 - 24


def test_a_store_that_forgot_its_days_reads_everything_again(
    store: Store, sqlite_template: Path, tmp_path: Path
) -> None:
    write_export(store[1] / "a.csv", hours_of(72))
    again(store)
    shutil.copyfile(sqlite_template, tmp_path / "new.db")
    engine = open_engine(f"sqlite:///{tmp_path / 'new.db'}")
    fresh = UsageDays(engine, store[0].folder), store[1]
    assert again(fresh).summary.added == 3
    assert used(fresh) == 72
    engine.dispose()


def test_a_refused_export_is_read_again_next_time(store: Store) -> None:
    write_export(store[1] / "a.csv", [Charge(quantity="-1")])
    for _ in range(2):
        with pytest.raises(InputError, match="negative"):
            again(store)
    assert store[0].manifest() == ()


def test_a_damaged_memory_only_costs_a_reading(store: Store) -> None:
    write_export(store[1] / "a.csv", hours_of(72))
    again(store)
    (store[0].folder / "parts.json").write_text("{")
    found = again(store)
    assert (found.parts_read, found.summary.unchanged) == (1, 3)


def test_a_dataset_is_read_again_when_only_its_prices_changed(store: Store, tmp_path: Path) -> None:
    data = naive_dataset(tmp_path)
    usage, skus = data / "usage.csv", data / "skus.csv"
    usage.write_text(usage.read_text().replace("01:00:00,", "01:00:00Z,"))
    where = store[0], data
    assert str(again(where).summary.total_usd.normalize()) == "0.18"
    assert again(where).parts_read == 0
    skus.write_text(skus.read_text().replace("0.09,", "0.05,"))
    assert str(again(where).summary.total_usd.normalize()) == "0.1"


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.integers(1, 71), min_size=1, max_size=4))
def test_after_any_change_the_store_is_what_a_first_reading_gives(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, seed: int, cuts: list[int]
) -> None:
    drawn = random.Random(seed)  # noqa: S311 - not for secrets
    folder = tmp_path_factory.mktemp("refresh")
    bounds = [0, *sorted(set(cuts)), 72]
    for name in ("stepwise", "at once"):
        shutil.copyfile(sqlite_template, folder / f"{name}.db")
    stepwise, at_once = (
        open_engine(f"sqlite:///{folder / name}.db") for name in ("stepwise", "at once")
    )
    exports, days = folder / "exports", UsageDays(stepwise, folder / "stepwise")
    for step in range(3):
        for number, (first, last) in enumerate(itertools.pairwise(bounds)):
            if step == 0 or drawn.random() < 0.4:
                quantity = f"{drawn.randint(1, 9)}"
                path = write_export(
                    exports / f"{number}.csv", hours_of(72, Charge(quantity=quantity))[first:last]
                )
                os.utime(path, ns=(step * 10**9, step * 10**9))
        refresh(days, exports, now=NOW)
    whole = UsageDays(at_once, folder / "at once")
    refresh(whole, exports, now=NOW)
    manifests = [
        [dataclasses.replace(entry, seen_at=NOW) for entry in each.manifest()]
        for each in (days, whole)
    ]
    assert manifests[0] == manifests[1]
    assert manifests[0][0].last_hour == START + timedelta(hours=23)
    stepwise.dispose()
    at_once.dispose()


def test_reading_another_provider_between_forgets_nothing(store: Store, tmp_path: Path) -> None:
    write_export(store[1] / "all.parquet", hours_of(24))
    write_export(tmp_path / "other" / "all.parquet", hours_of(24))
    ours = ("aws",)
    assert refresh(store[0], store[1], now=NOW, providers=ours).parts_read == 1
    refresh(store[0], tmp_path / "other", now=NOW, providers=("aws", "gcp"))
    assert refresh(store[0], store[1], now=NOW, providers=ours).parts_read == 0
