"""The ``tenor`` command: finds the sub-command, runs it, turns errors into exit statuses.

Exit statuses (docs/tables.md): 0 done, 2 bad input or usage, 3 refused by a guardrail, 4 the
outcome of a purchase is unknown, 1 anything else.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import select
import sys
from collections.abc import Sequence

from service import __version__
from service.domain.errors import TenorError

COMMAND_MODULES = (
    "service.operate.command",
    "service.usage.command",
    "service.billing.command",
    "service.plan.command",
    "service.backtest.command",
    "service.report.command",
    "service.notify.command",
    "service.guard.command",
    "service.operate.config_command",
    "service.operate.proposals_command",
    "service.operate.intents_command",
    "service.operate.advice_command",
    "service.operate.replay",
    "service.api.command",
    "service.store.command",
    "service.sandbox.command",
)
"""Each registers its own sub-commands; importing one is cheap, heavy imports wait for ``run``."""

PIPE_CLOSED = 141
"""The exit status when whoever read the output went away: what shells write for SIGPIPE."""


def build_parser() -> argparse.ArgumentParser:
    """The whole command line, every sub-command registered."""
    parser = argparse.ArgumentParser(
        prog="tenor",
        description="Decides, buys and accounts for cloud commitments, under policy, exactly once.",
    )
    parser.add_argument("--version", action="version", version=f"tenor {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMAND_MODULES:
        if importlib.util.find_spec(module) is not None:
            importlib.import_module(module).register(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; deliberate errors print one line.

    A reader that closes the pipe early (head, jq) ends the command quietly. SIGPIPE stays
    ignored for it: with its default, a browser that hangs up would end a daemon that is buying.
    """
    try:
        try:
            return _run(arguments)
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return PIPE_CLOSED


def _run(arguments: Sequence[str] | None) -> int:
    options = build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except TenorError as error:
        # One line, whatever stood in the cell that it quotes.
        sys.stderr.write(f"tenor: {' '.join(str(error).splitlines())}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("tenor: interrupted\n")
        return 1


def _nobody_reads() -> bool:
    """Whether the pipe that is closed is our output's; what is left in it is then let go."""
    watched = select.poll()
    watched.register(sys.stdout.fileno(), 0)
    if not any(seen & select.POLLERR for _, seen in watched.poll(0)):
        return False
    # Python flushes once more as it ends, and would complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


if __name__ == "__main__":
    sys.exit(main())
