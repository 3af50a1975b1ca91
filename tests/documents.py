"""What README and docs show in fenced blocks, and how a line of a shell is read there."""

from __future__ import annotations

import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_FENCED = re.compile(r"^( *)```([^\n]*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^ {4,}(?:tenor|make|git|curl|python3?|pg_\w+|export|cd) ", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block: its page, the line that it begins in, its kind, and what it holds."""

    page: str
    line: int
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line} {self.kind}"


def blocks_of(page: str, text: str) -> Iterator[Block]:
    """Every fenced block of a page, without the indentation of the list that it stands in."""
    for found in _FENCED.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(page, line, found[2].strip(), textwrap.dedent(found[3]))


def every_block() -> list[Block]:
    """Every fenced block of README and docs."""
    return [
        block
        for page in PAGES
        for block in blocks_of(page.relative_to(ROOT).as_posix(), page.read_text(encoding="utf-8"))
    ]


def unfenced_commands(text: str) -> list[str]:
    """Commands in blocks that are indented instead of fenced: no test would see them."""
    return _COMMAND.findall(_FENCED.sub("", text))


def commands_in(block: Block) -> list[list[str]]:
    """The words of each command, lines that continue joined, comments left out."""
    joined = block.text.replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def names_in_shape(text: str) -> list[set[str]]:
    """The top-level names of each object that a shape describes; values are not names."""
    found: list[set[str]] = []
    depth, in_value = 0, False
    for part in re.findall(r'"[^"]*"|[{}\[\]:,]', text):
        if part in "{[":
            depth += 1
            if depth == 1:
                found.append(set())
                in_value = False
        elif part in "}]":
            depth -= 1
        elif depth == 1 and part in ":,":
            in_value = part == ":"
        elif depth == 1 and part.startswith('"') and not in_value:
            found[-1].add(json.loads(part))
    return found
