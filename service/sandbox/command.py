"""``tenor sandbox``: the local clouds alone, and the environment that points tools at them."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from service.domain.errors import InputError
from service.report.render import print_json

_TICK_SECONDS = 0.5
_SECONDS_PER_HOUR = 3600.0


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``tenor sandbox``."""
    parser = commands.add_parser(
        "sandbox",
        help="run the local practice clouds on loopback",
        description="Runs a seeded organisation on AWS, Azure and Google Cloud on 127.0.0.1, on "
        "one clock, and prints the environment that points Tenor, AWS SDKs and the AWS CLI at "
        "them. Nothing outside this machine is reached.",
    )
    parser.add_argument(
        "--clouds", default="aws,azure,gcp", help="which clouds (default: aws,azure,gcp)"
    )
    parser.add_argument("--port", type=int, default=0, help="port of AWS (default: any)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the worlds (default: 7)")
    parser.add_argument(
        "--days-history", type=int, default=120, help="days of usage before the start (120)"
    )
    parser.add_argument(
        "--start",
        metavar="INSTANT",
        help="the first virtual instant, ISO 8601, UTC unless it says otherwise (default: now, "
        "so that a tenor run on this machine finds fresh billing data)",
    )
    parser.add_argument(
        "--hours-per-second",
        type=float,
        default=1 / _SECONDS_PER_HOUR,
        help="virtual hours that pass in a second (default: as real time)",
    )
    parser.add_argument(
        "--exports",
        type=Path,
        help="folder to write AWS's billing data into (default: a scratch one)",
    )
    parser.add_argument(
        "--azure-daily-exports",
        action="store_true",
        help="write Azure's billing data with a row a day, as Azure does (default: an hour)",
    )
    parser.add_argument("--json", action="store_true", help="print the environment as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted or terminated."""
    _check(options)
    start = _start(options.start)
    began = time.monotonic()
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with tempfile.TemporaryDirectory(prefix="tenor-sandbox-") as folder:
        return _serve(options, start, Path(folder), stopping, began=began)


def _serve(
    options: argparse.Namespace,
    start: datetime,
    folder: Path,
    stopping: threading.Event,
    *,
    began: float,
) -> int:
    from service.sandbox.estate import running  # noqa: PLC0415  # boto3 and numpy are slow

    clouds = running(
        seed=options.seed,
        history_days=options.days_history,
        folder=folder,
        providers=tuple(name.strip() for name in options.clouds.split(",")),
        exports=options.exports,
        start=start,
        port=options.port,
        azure_daily_exports=options.azure_daily_exports,
    )
    with ExitStack() as stack:
        try:
            estate = stack.enter_context(clouds)
        except (OSError, OverflowError) as error:
            raise _unusable(options, error) from error
        _announce(estate.environment, estate.payers, as_json=options.json)
        passed_hours = 0.0
        while not stopping.wait(_TICK_SECONDS):
            # By what has passed, not by the tick: the clock keeps pace with the machine's.
            due_hours = (time.monotonic() - began) * options.hours_per_second
            estate.advance(due_hours - passed_hours)
            passed_hours = due_hours
    return 0


def _unusable(options: argparse.Namespace, error: OSError | OverflowError) -> InputError:
    if isinstance(error, OSError) and error.filename is not None:
        return InputError(
            f"{error.filename} cannot be written: {error.strerror}",
            file="the command line",
            column="--exports",
            remedy="Choose a folder that can be written.",
        )
    return InputError(
        f"port {options.port} cannot be used: {str(error).rstrip('.')}",
        file="the command line",
        column="--port",
        remedy="Choose another port, or leave it out.",
    )


def _start(text: str | None) -> datetime:
    if text is None:
        return datetime.now(UTC).replace(microsecond=0)
    try:
        told = datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(
            f"{text!r} is not an instant",
            file="the command line",
            column="--start",
            remedy="Write it as 2026-03-02 or 2026-03-02T06:00:00Z.",
        ) from error
    return told.replace(tzinfo=UTC) if told.tzinfo is None else told.astimezone(UTC)


def _check(options: argparse.Namespace) -> None:
    least = {"port": 0, "days_history": 1, "hours_per_second": 0}
    for name, low in least.items():
        if getattr(options, name) < low:
            flag = f"--{name.replace('_', '-')}"
            raise InputError(
                f"{getattr(options, name)} is too small",
                file="the command line",
                column=flag,
                remedy=f"Give {flag} at least {low}.",
            )


def _announce(environment: Mapping[str, str], payers: Mapping[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(environment)
    else:
        lines = [f"export {name}={value}\n" for name, value in environment.items()]
        accounts = ", ".join(f'{name}: "{payer}"' for name, payer in payers.items())
        sys.stdout.write("".join([*lines, f"# For a policy: purchase_accounts: {{{accounts}}}\n"]))
    sys.stdout.flush()
