"""Hourly charges as they were read, kept beside the exports that they shape: decides what is kept.

Azure tells the last sixty days only, so what was read stays; an hour that is told again replaces
what was told before. Charges of another scope are of other usage: a file of them is begun anew.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from service.domain.errors import InputError
from service.domain.hours import iso
from service.usage.day_shapes import Shaping

FILE = "hourly_charges.json"
"""The file's name in the folder of exports; no export ends so."""


def read_charges(folder: Path) -> Mapping[datetime, Decimal]:
    """The charges kept in ``folder``, in USD by the start of the hour; none where there are none.

    ``InputError`` for a file that cannot be read.
    """
    return _kept(folder / FILE)[1]


def shaping_for(folder: Path, *, daily_rows: str, tolerance_ratio: Decimal) -> Shaping | None:
    """What spreads whole days of the exports in ``folder``; ``None`` while they are refused.

    ``daily_rows`` is the setting: ``refuse`` or ``shape``.
    """
    return None if daily_rows == "refuse" else Shaping(read_charges(folder), tolerance_ratio)


def keep_charges(folder: Path, scope: str, told: Mapping[datetime, Decimal]) -> int:
    """Keep what Azure tells of ``scope`` now; how many hours are new or different."""
    path = folder / FILE
    known_scope, known = _kept(path)
    before = known if known_scope == scope else {}
    merged = {**before, **told}
    changed = sum(before.get(hour) != usd for hour, usd in told.items())
    if changed or known_scope != scope:
        hours = {iso(hour): str(usd) for hour, usd in sorted(merged.items())}
        aside = path.with_name(f".{FILE}.part")
        aside.write_text(json.dumps({"scope": scope, "usd": hours}, indent=0), "utf-8")
        aside.replace(path)
    return changed


def _kept(path: Path) -> tuple[str, Mapping[datetime, Decimal]]:
    try:
        told = json.loads(path.read_text("utf-8"))
        return str(told["scope"]), {
            datetime.fromisoformat(hour): Decimal(usd) for hour, usd in told["usd"].items()
        }
    except FileNotFoundError:
        return "", {}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, InvalidOperation) as error:
        raise InputError(
            f"the hourly charges cannot be read: {error!r}",
            file=str(path),
            remedy="Delete the file: what Azure still tells, sixty days, is read again.",
        ) from error
