"""Decides whether a day's rows are one export's: two of them under one folder tell a day twice.

Exports write a folder for each billing period: AWS ``BILLING_PERIOD=2026-03``, Azure and AWS's
older reports ``20260301-20260331``. What stands above it is the export. Files without such a
folder are taken as one export's parts. A day may come from one export only, in one format only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from service.domain.errors import InputError
from service.usage.parts_seen import ProviderDay

_PERIOD = re.compile(r"billing_period=.*|\d{8}-\d{8}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Teller:
    """One file that tells of days: its place below what was read, and what it is written as."""

    place: Path
    form: str

    @property
    def export(self) -> str | None:
        """The folder above the billing period's; ``None`` for a file that lies in none."""
        folders = self.place.parent.parts
        for depth, folder in enumerate(folders):
            if _PERIOD.fullmatch(folder):
                return "/".join(folders[:depth])
        return None


def refuse_two_exports(source: Path, told: Iterable[tuple[Teller, Iterable[ProviderDay]]]) -> None:
    """``InputError``, naming two files, when two exports or two formats tell of one day."""
    first: dict[ProviderDay, Teller] = {}
    for teller, days in told:
        for provider, day in sorted(days):
            other = first.setdefault((provider, day), teller)
            if (other.export, other.form) != (teller.export, teller.form):
                raise InputError(
                    f"{provider}'s usage of {day} is told twice: by {other.place.as_posix()} "
                    f"({other.form}) and by {teller.place.as_posix()} ({teller.form})",
                    file=str(source),
                    remedy="Keep one export, in one format: name its own prefix or folder, and "
                    "remove the files of the other",
                )


def refuse_two_roots(roots: Mapping[str, Iterable[str]], *, file: str, remedy: str) -> None:
    """``InputError`` when one period (key) lies below more than one export's folder."""
    for period, found in sorted(roots.items()):
        names = sorted(set(found))
        if len(names) > 1:
            raise InputError(
                f"{period} is exported {len(names)} times: below {names[0] or '/'} and below "
                f"{names[1] or '/'}",
                file=file,
                remedy=remedy,
            )
