"""DynamoDB's reserved capacity: known by the bill alone, its usage set aside, decisions go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.hours import HourRange
from service.operate.unlisted import is_advice_only
from service.usage.days import SeenCommitment
from service.usage.ingest import read_export
from service.usage.rows import ADVICE_ONLY
from tests.usage.exports import START, Charge, hours_of, rows_of, write_rows
from tests.usage.test_named_commitments import NODE, stored

CAPACITY = "arn:aws:dynamodb:us-west-2:888888888888:reserved-capacity/11bb"
DAY = HourRange(START, 24)
READS = Charge(
    usage_type="USW2-ReadCapacityUnit-Hrs", operation="CommittedThroughput", quantity="100"
)


def rows_with_capacity(form: str, commitment: str) -> list[dict[str, str]]:
    """A day in which 100 units are on demand and 40 more are covered by ``commitment``."""
    covered = Charge(**{**READS.__dict__, "kind": "ri", "quantity": "40"})
    usage = rows_of(hours_of(24, READS), form)
    paid = rows_of(hours_of(24, covered), form)
    if form == "cur-2.0":
        named = {"savings_plan_savings_plan_a_r_n": "", "reservation_reservation_a_r_n": ""}
        return [row | named for row in usage] + [
            row | named | {"reservation_reservation_a_r_n": commitment} for row in paid
        ]
    category = {"CommitmentDiscountId": commitment, "CommitmentDiscountCategory": "Usage"}
    return [*usage, *(row | category for row in paid)]


@pytest.mark.parametrize("form", ["focus-1.0", "focus-1.2", "cur-2.0"])
def test_what_reserved_capacity_covers_is_set_aside_and_the_rest_can_be_decided_on(
    engine: Engine, tmp_path: Path, form: str
) -> None:
    rows = rows_with_capacity(form, CAPACITY)
    path = write_rows(tmp_path / "export.csv", rows)
    days = stored(engine, tmp_path, path)
    usage = days.load(DAY)
    assert usage.quantity.tolist() == [[100.0]] * 24
    with read_export(path) as export:
        assert export.set_aside == {ADVICE_ONLY: 24}
    [named] = days.commitments_seen(DAY)
    assert (named.commitment, named.account) == (CAPACITY, "888888888888")
    assert is_advice_only(named)


@pytest.mark.parametrize("form", ["focus-1.2", "cur-2.0"])
def test_what_another_reservation_covers_is_usage_as_ever(
    engine: Engine, tmp_path: Path, form: str
) -> None:
    days = stored(engine, tmp_path, write_rows(tmp_path / "e.csv", rows_with_capacity(form, NODE)))
    assert days.load(DAY).quantity.tolist() == [[140.0]] * 24


def test_only_amazons_reserved_capacity_is_let_pass() -> None:
    day = START.date()
    for provider, name, passes in (
        ("aws", CAPACITY, True),
        ("aws", CAPACITY.replace("arn:aws:", "arn:aws-us-gov:"), True),
        ("aws", CAPACITY.replace("dynamodb", "rds"), False),
        ("aws", "dynamodb", False),
        ("azure", CAPACITY, False),
    ):
        assert is_advice_only(SeenCommitment(provider, name, "1", "usage", day, day)) is passes
