"""``tenor sandbox``: the local clouds alone, and the environment that points tools at them."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
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
        description="Runs a seeded AWS organisation on 127.0.0.1 and prints the environment "
        "that points an AWS SDK or the AWS CLI at it. Nothing outside this machine is reached.",
    )
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: any)")
    parser.add_argument("--seed", type=int, default=7, help="seed of the world (default: 7)")
    parser.add_argument(
        "--days-history", type=int, default=120, help="days of usage before now (default: 120)"
    )
    parser.add_argument(
        "--hours-per-second",
        type=float,
        default=1 / _SECONDS_PER_HOUR,
        help="virtual hours that pass in a second (default: as real time)",
    )
    parser.add_argument("--exports", type=Path, help="folder to write FOCUS billing data into")
    parser.add_argument("--json", action="store_true", help="print the environment as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until interrupted or terminated."""
    from service.sandbox.cloud import SandboxCloud  # noqa: PLC0415  # boto3 and numpy are slow
    from service.sandbox.world import WorldOptions  # noqa: PLC0415

    _check(options)
    world = WorldOptions(seed=options.seed, history_days=options.days_history)
    try:
        cloud = SandboxCloud.generated(world, exports=options.exports, port=options.port)
    except (OSError, OverflowError) as error:
        raise InputError(
            f"port {options.port} cannot be used: {str(error).rstrip('.')}",
            file="the command line",
            column="--port",
            remedy="Choose another port, or leave it out.",
        ) from error
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with cloud:
        _announce(dict(cloud.server.environment()), as_json=options.json)
        while not stopping.wait(_TICK_SECONDS):
            cloud.advance(options.hours_per_second * _TICK_SECONDS)
    return 0


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


def _announce(environment: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(environment)
    else:
        lines = (f"export {name}={value}\n" for name, value in environment.items())
        sys.stdout.write("".join(lines))
    sys.stdout.flush()
