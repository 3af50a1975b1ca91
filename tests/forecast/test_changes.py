"""The planned-change register is read strictly and made into scenarios with their chances."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from service.domain.errors import InputError
from service.forecast.changes import PlannedChange, changes_for, factors, read_changes

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
GOOD = "- {what: move, scope: west, date: 2024-03-01, ratio: 0.5, probability: 0.8}\n"


def _at(week: float, ratio: float, chance: float, usd: float = 0.0) -> PlannedChange:
    return PlannedChange("w", "*", BEGIN + timedelta(weeks=week), ratio, usd, chance)


def test_reads_a_register(tmp_path: Path) -> None:
    path = tmp_path / "changes.yaml"
    path.write_text(GOOD + "- {what: launch, scope: '*', date: 2024-04-01, usd_per_hour: 12.5}\n")
    move, launch = read_changes(path)
    assert move == PlannedChange("move", "west", datetime(2024, 3, 1, tzinfo=UTC), 0.5, 0.0, 0.8)
    assert (launch.ratio, launch.usd_per_hour, launch.probability) == (1.0, 12.5, 1.0)
    assert changes_for([move, launch], "east") == (launch,)
    assert changes_for([move, launch], "west") == (move, launch)


def test_an_empty_register_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "changes.yaml"
    path.write_text("")
    assert read_changes(path) == ()


@pytest.mark.parametrize(
    ("entry", "column"),
    [
        ("{scope: a, date: 2024-03-01, ratio: 1}", "what"),
        ("{what: a, date: 2024-03-01, ratio: 1}", "scope"),
        ("{what: a, scope: a, ratio: 1}", "date"),
        ("{what: a, scope: a, date: soon, ratio: 1}", "date"),
        ("{what: a, scope: a, date: 2024-03-01T00:00:00, ratio: 1}", "date"),
        ("{what: a, scope: a, date: 2024-03-01}", None),
        ("{what: a, scope: a, date: 2024-03-01, ratio: 1, usd_per_hour: 1}", None),
        ("{what: a, scope: a, date: 2024-03-01, ratio: -1}", "ratio"),
        ("{what: a, scope: a, date: 2024-03-01, ratio: true}", "ratio"),
        ("{what: a, scope: a, date: 2024-03-01, ratio: .nan}", "ratio"),
        ("{what: a, scope: a, date: 2024-03-01, ratio: 1, probability: 1.5}", "probability"),
        ("{what: a, scope: a, date: 2024-03-01, ratio: 1, chance: 1}", "chance"),
        ("just text", None),
    ],
)
def test_refuses_a_bad_entry(tmp_path: Path, entry: str, column: str | None) -> None:
    path = tmp_path / "changes.yaml"
    path.write_text(GOOD + f"- {entry}\n")
    with pytest.raises(InputError) as caught:
        read_changes(path)
    assert (caught.value.row, caught.value.column) == (2, column)


@pytest.mark.parametrize("text", ["what: a\n", "- [unclosed\n"])
def test_refuses_what_is_no_list(tmp_path: Path, text: str) -> None:
    path = tmp_path / "changes.yaml"
    path.write_text(text)
    with pytest.raises(InputError):
        read_changes(path)
    with pytest.raises(InputError, match="no such file"):
        read_changes(tmp_path / "none.yaml")


def test_changes_apply_in_order_of_date_and_chances_sum_to_one() -> None:
    changes = [_at(4, 0.5, 1.0), _at(2, 1.0, 0.25, usd=10.0)]
    chances, scales, shifts = factors(changes, begin=BEGIN, seen_hours=0, now=0, weeks=6)
    assert chances.tolist() == [0.75, 0.25]
    assert scales.tolist() == [[1, 1, 1, 1, 0.5, 0.5]] * 2
    assert shifts.tolist() == [[0.0] * 6, [0, 0, 10, 10, 5, 5]]


def test_a_change_inside_the_hours_seen_is_history() -> None:
    _, scales, shifts = factors(
        [_at(1, 0.1, 1.0, usd=5.0)], begin=BEGIN, seen_hours=2 * 168, now=2 * 168, weeks=3
    )
    assert (scales.min(), shifts.max()) == (1.0, 0.0)


def test_a_change_in_the_hours_not_yet_seen_applies_at_once() -> None:
    _, scales, _ = factors(
        [_at(2, 0.1, 1.0)], begin=BEGIN, seen_hours=2 * 168 - 24, now=2 * 168, weeks=3
    )
    assert scales.tolist() == [[0.1, 0.1, 0.1]]


def test_many_uncertain_changes_are_drawn_and_keep_their_chances() -> None:
    changes = [_at(week, 0.5, 0.5) for week in range(1, 9)]
    chances, scales, _ = factors(changes, begin=BEGIN, seen_hours=0, now=0, weeks=10)
    assert chances.sum() == pytest.approx(1.0)
    happened = -np.log2(scales[:, -1])
    assert happened.mean() == pytest.approx(4.0, abs=0.8)
