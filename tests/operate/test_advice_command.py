"""``tenor advice`` tells what reserved capacity would save, of a dataset and of stored usage."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.cli import main
from service.usage.rows import ADVICE_ONLY
from tests.billing.worlds import sku, used, world
from tests.plan.folders import write_folder
from tests.usage.exports import Charge, hours_of, rows_of, write_rows

READS = "USE1-ReadCapacityUnit-Hrs/CommittedThroughput"
CAPACITY = "arn:aws:dynamodb:us-west-2:888888888888:reserved-capacity/11bb"


def folder_of(tmp_path: Path, *units: float) -> str:
    dataset = world([sku(READS, "0.00013", service="dynamodb")], [used(READS, *units)], [])
    return str(write_folder(dataset, tmp_path / "data"))


def answer(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["advice", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_the_newest_weeks_of_a_dataset_are_advised_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # 1,000 units a week ago, 200 since: one week looks at the latter alone.
    folder = folder_of(tmp_path, *[1000.0] * 168, *[200.0] * 168)
    found = answer(capsys, "--data", folder, "--weeks", "1")
    assert (found["hours"], found["not_advised"]) == (168, [])
    year, three = found["advice"]
    assert (year["units"], year["term_months"], three["term_months"]) == (200, 12, 36)
    # 200 x 0.00013 - 2 x (30 / 8,760 + 0.0025) and 200 x 0.00013 - 2 x (36 / 26,280 + 0.0016)
    assert year["savings_usd_per_hour"] == "0.014150684"
    assert three["savings_usd_per_hour"] == "0.020060273"
    assert (year["upfront_usd"], year["usd_per_hour"]) == ("60", "0.005")
    assert year["rate_as_of"] == "2024-03-20"
    assert answer(capsys, "--data", folder)["hours"] == 336


def test_people_are_told_in_a_table_what_is_and_is_not_advised_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rates = tmp_path / "rates.yaml"
    rates.write_text(
        '- {region: us-east-1, capacity: read, term_months: 12, upfront_usd: "30", '
        'usd_per_hour: "0.0025", as_of: 2026-01-01}\n',
        encoding="utf-8",
    )
    folder = folder_of(tmp_path, *[200.0] * 168)
    assert main(["advice", "--data", folder, "--rates", str(rates), "--shared"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "0.014150684" in told
    assert "Not advised on" in told


def test_stored_usage_is_advised_on_beyond_what_is_reserved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENOR_DATABASE_URL", f"sqlite:///{tmp_path}/tenor.db")
    monkeypatch.setenv("TENOR_DATA_DIR", str(tmp_path))
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight - timedelta(days=10)
    reads = Charge(
        usage_type="USW2-ReadCapacityUnit-Hrs",
        operation="CommittedThroughput",
        quantity="300",
        list_usd="0.00013",
        contracted_usd="0.00013",
    )
    covered = Charge(**{**reads.__dict__, "kind": "ri", "quantity": "400"})
    rows = rows_of(hours_of(240, reads, start=start), "focus-1.2")
    rows += [
        row | {"CommitmentDiscountId": CAPACITY, "CommitmentDiscountCategory": "Usage"}
        for row in rows_of(hours_of(240, covered, start=start), "focus-1.2")
    ]
    export = write_rows(tmp_path / "export.csv", rows)
    assert main(["ingest", str(export), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["set_aside"] == {ADVICE_ONLY: 240}
    found = answer(capsys)
    assert [(one["region"], one["capacity"], one["units"]) for one in found["advice"]] == [
        ("us-west-2", "read", 300)
    ] * 2


def test_a_store_without_usage_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENOR_DATABASE_URL", f"sqlite:///{tmp_path}/new/tenor.db")
    monkeypatch.setenv("TENOR_DATA_DIR", str(tmp_path))
    assert main(["advice", "--json"]) == 3
    printed = capsys.readouterr()
    assert (printed.out, "no usage is known at all" in printed.err) == ("", True)


@pytest.mark.parametrize(
    ("hours", "more"),
    [(100, ()), (168, ("--weeks", "0")), (168, ("--weeks", "54")), (168, ("--rates", "none.yaml"))],
)
def test_what_cannot_be_advised_on_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], hours: int, more: tuple[str, ...]
) -> None:
    folder = folder_of(tmp_path, *[200.0] * hours)
    assert main(["advice", "--data", folder, "--json", *more]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("tenor: ")


def test_a_folder_without_a_dataset_is_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["advice", "--data", str(tmp_path), "--json"]) == 2
    assert capsys.readouterr().out == ""
