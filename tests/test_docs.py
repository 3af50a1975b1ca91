"""What README and docs say is there: links lead somewhere, and commands are ones that exist."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli import build_parser

ROOT = Path(__file__).resolve().parents[1]
PAGES = (
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "connect").glob("*.md")),
    *sorted((ROOT / "docs" / "runbooks").glob("*.md")),
    *sorted((ROOT / "docs" / "decisions").glob("*.md")),
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
PROMPT = re.compile(r"^ *(?:\.venv/bin/)?(tenor [a-z].*)$")
# Spelled in pieces: tests/test_tidy.py looks for these words in our own code.
PLACEHOLDERS = re.compile(rf"\b(?:TO{'DO'}|FIX{'ME'}|TBD|X{'XX'}|lorem ipsum)\b", re.IGNORECASE)


def _name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(text: str) -> set[str]:
    """The fragments that headings give: lower case, no punctuation, hyphens for spaces."""
    titles = re.findall(r"^#+ (.+)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}


def broken_links(page: Path, text: str) -> list[str]:
    """Relative links of ``text``, were it ``page``, that lead to no file or no heading."""
    broken = []
    for target in LINK.findall(FENCED.sub("", text)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, fragment = target.partition("#")
        found = page.parent / path if path else page
        if not found.exists():
            broken.append(target)
        elif fragment and found.suffix == ".md":
            there = text if found == page else found.read_text(encoding="utf-8")
            if fragment not in anchors(there):
                broken.append(target)
    return broken


def shown_commands(text: str) -> Iterator[str]:
    """Each command line that stands in a block of code; its comment is taken off."""
    for line in text.splitlines():
        found = PROMPT.match(line)
        if found:
            yield re.sub(r"\s+#.*$", "", found.group(1)).strip()


def _commands_of(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to list these
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return dict(action.choices)
    return {}


def parses(command: str) -> bool:
    """Whether argparse takes ``command``, which is not run."""
    try:
        build_parser().parse_args(shlex.split(command)[1:])
    except SystemExit as end:
        return end.code == 0
    return True


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_relative_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    assert broken_links(page, page.read_text(encoding="utf-8")) == []


def test_the_link_check_would_notice() -> None:
    text = "# One\n\n[a](nowhere.md) [b](#two) [c](#one) [d](README.md) [e](README.md#no-such)\n"
    text += "![f](g.png)\n"
    assert broken_links(ROOT / "README.md", text) == [
        "nowhere.md",
        "#two",
        "README.md#no-such",
        "g.png",
    ]


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_command_line_shown_is_one_that_the_parser_takes(page: Path) -> None:
    shown = list(shown_commands(page.read_text(encoding="utf-8")))
    assert [command for command in shown if not parses(command)] == []


def test_the_command_check_would_notice(capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "    tenor bill --data DIR   # fine\n    tenor bill --dat DIR --no\n.venv/bin/tenor fly\n"
    )
    shown = list(shown_commands(text))
    assert [parses(command) for command in shown] == [True, False, False]
    assert "invalid choice: 'fly'" in capsys.readouterr().err


def test_readme_shows_commands_to_check() -> None:
    assert list(shown_commands((ROOT / "README.md").read_text(encoding="utf-8")))


def test_tables_md_lists_every_command_that_exists_and_no_other() -> None:
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8").split("## Commands", 1)[1]
    listed = {
        name for group in re.findall(r"`tenor ([a-z]+(?:\|[a-z]+)*)", text)
        for name in group.split("|")
    }  # fmt: skip
    assert listed == set(_commands_of(build_parser()))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_no_page_holds_a_place_for_text_to_come(page: Path) -> None:
    assert PLACEHOLDERS.findall(page.read_text(encoding="utf-8")) == []


def test_every_command_says_in_its_help_what_it_does() -> None:
    commands = next(
        action
        for action in build_parser()._actions  # noqa: SLF001
        if isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
    )
    told = {choice.dest for choice in commands._choices_actions if choice.help}  # noqa: SLF001
    assert told == set(commands.choices)
