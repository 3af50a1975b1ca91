"""Lists that people keep in YAML beside the usage: how their text is read, and refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from service.domain.errors import InputError


def text_of(path: Path) -> str:
    """The text that stands in ``path``. Raises ``InputError`` when there is none to read."""
    if not path.is_file():
        raise InputError("there is no such file", file=str(path), remedy="Give a file that exists.")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"not readable as text ({error})", file=str(path), remedy="Write it in UTF-8."
        ) from error


def entries_of(text: str, *, file: str, what: str) -> list[Any]:
    """The list that ``text`` is, as YAML has it; an empty text is an empty list.

    ``file`` is how errors call it, ``what`` what it lists. Raises ``InputError``.
    """
    try:
        entries = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(
            f"not readable as YAML ({error})", file=file, remedy="Mend its syntax."
        ) from error
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise InputError("not a list", file=file, remedy=f"Write a list of {what}.")
    return entries
