"""Bad demand files, policies, settings and options: what the commands print.

``docs/bad_input.md`` holds the table that these cases make; run this file as a module to write
it anew. Every case exits with status 2 and prints nothing on standard output.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from service.cli import main

BAD_INPUT = Path(__file__).resolve().parents[1] / "docs" / "bad_input.md"
BEGIN, END = "<!-- usage: begin -->", "<!-- usage: end -->"
HEADER = "hour,region,sku,quantity\n"
ROW = "2026-03-01T00:00:00Z,us-east-1,m5.large,1\n"


class Case(NamedTuple):
    what: str
    command: str
    files: Mapping[str, str]


def _demand(what: str, text: str, options: str = "") -> Case:
    return Case(what, f"backtest --demand demand.csv{options}", {"demand.csv": text})


def _menu(what: str, text: str) -> Case:
    files = {"demand.csv": HEADER + ROW, "menu.csv": text}
    return Case(what, "backtest --demand demand.csv --warmup-hours 0 --menu menu.csv", files)


CASES = (
    Case("No demand file", "backtest --demand demand.csv", {}),
    _demand("A column of demand is missing", "hour,region,quantity\n"),
    _demand("There is no demand", HEADER),
    _demand("Demand is negative", HEADER + ROW.replace(",1\n", ",-1\n")),
    _demand("Demand is NaN", HEADER + ROW.replace(",1\n", ",nan\n")),
    _demand("An hour of demand is naive", HEADER + ROW.replace("Z", "")),
    _demand("An hour of demand is off the hour", HEADER + ROW.replace("00:00Z", "30:00Z")),
    _demand("An hour of demand stands twice", HEADER + ROW + ROW),
    _demand("Less demand than the warm-up", HEADER + ROW),
    _demand("A step of no hours", HEADER + ROW, " --step-hours 0"),
    _demand("An unknown strategy", HEADER + ROW, " --strategy provider-8d"),
    _menu("A rate above on demand", "offer,term_months,rate\nyear,12,1.2\n"),
    Case("No such dataset", "bill --data typo", {}),
    Case("No such policy", "policy check typo.yaml", {}),
)


@contextlib.contextmanager
def _inside(folder: Path, files: Mapping[str, str]) -> Iterator[None]:
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def printed(case: Case, folder: Path) -> str:
    """What ``case`` prints on standard error; it must print nothing else and exit with 2."""
    out, error = io.StringIO(), io.StringIO()
    with (
        _inside(folder, case.files),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(error),
    ):
        status = main(case.command.split())
    assert (status, out.getvalue()) == (2, ""), case.what
    return error.getvalue().strip()


def bad_usage_table(folder: Path) -> str:
    """The table of ``docs/bad_input.md``."""
    rows = []
    for number, case in enumerate(CASES):
        own = folder / str(number)
        own.mkdir()
        rows.append(f"| {case.what} | `tenor {case.command}` | `{printed(case, own)}` |")
    return "\n".join(["| What is wrong | Command | What is printed |", "|---|---|---|", *rows])


def test_the_table_of_bad_usage_in_the_docs_is_what_is_printed(tmp_path: Path) -> None:
    written = BAD_INPUT.read_text(encoding="utf-8").split(BEGIN)[1].split(END)[0].strip()
    assert written == bad_usage_table(tmp_path)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        text = BAD_INPUT.read_text(encoding="utf-8")
        before, after = text.split(BEGIN)[0], text.split(END)[1]
        table = bad_usage_table(Path(scratch))
        BAD_INPUT.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}", encoding="utf-8")
        sys.stderr.write(f"{BAD_INPUT} written\n")
