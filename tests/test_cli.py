from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from service import cli
from service.domain.errors import (
    InputError,
    RefusedError,
    TenorError,
    UnknownOutcomeError,
)
from service.report.render import print_json, to_json


def test_every_command_of_the_contract_is_there() -> None:
    actions = cli.build_parser()._actions  # noqa: SLF001 - argparse offers no public way to list them
    commands = next(a for a in actions if isinstance(a, argparse._SubParsersAction))  # noqa: SLF001
    assert set(commands.choices or ()) >= {
        *("bill", "plan", "backtest", "demo", "run", "sandbox", "cycle", "proposals"),
        *("halt", "resume", "status", "ingest", "doctor", "migrate"),
    }


def test_an_unknown_command_is_a_usage_error() -> None:
    with pytest.raises(SystemExit) as stopped:
        cli.main(["buy-everything"])
    assert stopped.value.code == 2


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (InputError("is empty", file="usage.csv", remedy="Export it again."), 2),
        (RefusedError(rule="halt", detail="halted"), 3),
        (UnknownOutcomeError(intent="int-1", detail="no answer"), 4),
        (TenorError("anything else"), 1),
    ],
)
def test_each_error_has_the_exit_status_of_the_contract(error: TenorError, status: int) -> None:
    assert error.exit_code == status


def test_no_command_lets_a_peer_that_hangs_up_end_the_process(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours:
        cli.main(["bill", "--data", str(tmp_path)])
        with pytest.raises(BrokenPipeError):
            ours.send(b"this reaches nobody")


def test_a_reader_that_goes_away_early_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "policy", "schema"],
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (cli.PIPE_CLOSED, "")


def test_bad_input_prints_one_line_and_exits_two(
    capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    assert cli.main(["bill", "--data", str(tmp_path), "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("tenor: ")
    assert printed.err.count("\n") == 1


def test_a_cell_that_holds_a_new_line_leaves_the_error_on_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "two\nlines"
    assert cli.main(["bill", "--data", str(folder)]) == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    assert "two lines" in shown


def test_json_keeps_money_exact_and_refuses_nan(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"usd": Decimal("1234567.890000001"), "zero": Decimal("0E-9")})
    assert json.loads(capsys.readouterr().out) == {"usd": "1234567.890000001", "zero": "0"}
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"ratio": float("nan")})
