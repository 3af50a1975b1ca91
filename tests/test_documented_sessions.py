"""Sessions shown in the documents are run, and answer what the page says they answer.

A ```console block holds commands behind ``$ `` and what they print. ``…`` stands for anything.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.cli import main

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def sessions() -> Iterator[tuple[str, str, str]]:
    """Page, command, and what it is said to print."""
    for page in sorted((ROOT / "docs").rglob("*.md")):
        for block in BLOCK.findall(page.read_text(encoding="utf-8")):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, said = part.partition("\n")
                yield page.relative_to(ROOT).as_posix(), command, said.strip()


def fits(said: str, printed: str) -> bool:
    """Whether ``printed`` is what ``said`` shows, with ``…`` for anything."""
    pattern = ".*".join(re.escape(part.strip()) for part in said.split("…"))
    return re.fullmatch(rf"{pattern}\s*", printed.strip(), re.DOTALL) is not None


SESSIONS = list(sessions())


def test_there_are_sessions_to_run() -> None:
    assert SESSIONS


def test_the_comparison_would_notice() -> None:
    assert fits('{"a": 1, …}', '{"a": 1, "b": 2}\n')
    assert not fits('{"a": 1, …}', '{"a": 2, "b": 2}\n')


@pytest.mark.parametrize(
    ("command", "said"),
    [(command, said) for _, command, said in SESSIONS],
    ids=[f"{page}: {command}" for page, command, _ in SESSIONS],
)
def test_a_session_answers_what_its_page_says(
    command: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("TENOR_DATABASE_URL", f"sqlite:///{tmp_path / 'tenor.db'}")
    monkeypatch.setenv("TENOR_DATA_DIR", str(tmp_path))
    words = shlex.split(command)
    assert words[0] == "tenor"
    main(words[1:])
    printed = capsys.readouterr()
    assert fits(said, printed.out + printed.err), printed.out + printed.err
