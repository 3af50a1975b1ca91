"""Decides what people know of the demand to come: the planned changes and the holidays.

Both are read anew for every decision, and their texts kept with the plan, so that it can be taken
again. A file that is named and cannot be used stops the decision: a decommission that is ignored
is bought for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service.forecast.changes import PlannedChange, parse_changes
from service.forecast.holidays import Holiday, parse_holidays
from service.forecast.registers import text_of


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Planned changes and holidays, and the texts that they were read from; empty without one."""

    changes: tuple[PlannedChange, ...] = ()
    holidays: tuple[Holiday, ...] = ()
    changes_text: str = ""
    holidays_text: str = ""


def foreseen(changes_file: Path | None, holidays_file: Path | None) -> Foreseen:
    """What the named files say. Raises ``InputError`` for one that is missing or malformed."""
    changes = "" if changes_file is None else text_of(changes_file)
    holidays = "" if holidays_file is None else text_of(holidays_file)
    return Foreseen(
        changes=parse_changes(changes, file=str(changes_file)),
        holidays=parse_holidays(holidays, file=str(holidays_file)),
        changes_text=changes,
        holidays_text=holidays,
    )
