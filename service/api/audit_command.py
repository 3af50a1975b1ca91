"""``tenor audit``: walk the ledger's chain, or write the ledger out."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from service.domain.errors import InputError, InvariantError

if TYPE_CHECKING:
    from sqlalchemy import Connection

BATCH = 1_000


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``tenor audit`` and its sub-commands."""
    audit = commands.add_parser("audit", help="check the ledger's chain, or export the ledger")
    actions = audit.add_subparsers(dest="action", required=True, metavar="ACTION")

    verify = actions.add_parser("verify", help="exit 1 and name the first row that is not in order")
    verify.add_argument(
        "--expect", metavar="HASH", help="a hash printed earlier, which the chain must still hold"
    )
    verify.set_defaults(run=run_verify)

    export = actions.add_parser("export", help="write every event, one JSON object a line")
    export.add_argument("--out", type=Path, metavar="FILE", help="standard output when left out")
    export.set_defaults(run=run_export)

    for action in (verify, export):
        action.add_argument("--json", action="store_true", help="one JSON object on stdout")
        action.add_argument("--database-url", help="instead of TENOR_DATABASE_URL")


def run_verify(options: argparse.Namespace) -> int:
    """Walk the chain; exit status 0 when every event is as it was written, else 1.

    So it is where the tables tell of a sign-off what no event tells, or the ledger was emptied.
    """
    from service.report.render import print_json  # noqa: PLC0415
    from service.store import ledger  # noqa: PLC0415 - SQLAlchemy is slow to import
    from service.store.agreement import disagreement  # noqa: PLC0415

    with _reading(options) as connection:
        head = ledger.GENESIS
        try:
            count = ledger.verify(connection)
            newest = ledger.latest(connection, limit=1)
            head = newest[0].hash if newest else ledger.GENESIS
            problem = None if _holds(connection, options.expect) else _gone(options.expect)
            problem = problem or disagreement(connection)
        except InvariantError as error:
            count, problem = None, str(error)
    if options.json:
        print_json({"sound": problem is None, "events": count, "head": head, "problem": problem})
    elif problem is None:
        sys.stdout.write(f"{count} events, all as they were written; the last is {head}\n")
    if problem is not None:
        sys.stderr.write(f"tenor: {problem}\n")
        return 1
    return 0


def run_export(options: argparse.Namespace) -> int:
    """Write the events, oldest first, to a file (whole or not at all) or to standard output."""
    from service.report.render import print_json  # noqa: PLC0415

    if options.out is None:
        if options.json:
            raise InputError(
                "one JSON object cannot hold a stream of events",
                file="the command line",
                column="--json",
                remedy="Give --out FILE as well, or leave --json out.",
            )
        with _reading(options) as connection:
            for line in _lines(connection):
                sys.stdout.write(line)
        return 0
    aside = options.out.with_name(f".{options.out.name}.part")
    count = 0
    try:
        with _reading(options) as connection, aside.open("w", encoding="utf-8") as file:
            for line in _lines(connection):
                file.write(line)
                count += 1
            file.flush()
            os.fsync(file.fileno())
        aside.replace(options.out)
    except OSError as error:
        raise InputError(
            f"cannot be written ({error.strerror})",
            file=str(options.out),
            remedy="Give a file in a folder that can be written.",
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    if options.json:
        print_json({"events": count, "file": str(options.out)})
    else:
        sys.stderr.write(f"{count} events written to {options.out}\n")
    return 0


def _holds(connection: Connection, expected: str | None) -> bool:
    from sqlalchemy import select  # noqa: PLC0415

    from service.store.ledger import GENESIS  # noqa: PLC0415
    from service.store.schema import events  # noqa: PLC0415

    if expected is None or expected == GENESIS:
        return True
    query = select(events.c.sequence).where(events.c.hash == expected)
    return connection.execute(query).first() is not None


def _gone(expected: str) -> str:
    return f"the chain is sound, but holds no event {expected}: it was written anew"


def _lines(connection: Connection) -> Iterator[str]:
    from sqlalchemy import select  # noqa: PLC0415

    from service.api.reads import event_of  # noqa: PLC0415
    from service.store.schema import events  # noqa: PLC0415

    after = 0
    while True:
        query = select(events).where(events.c.sequence > after).order_by(events.c.sequence)
        rows = connection.execute(query.limit(BATCH)).all()
        for row in rows:
            yield event_of(row).model_dump_json() + "\n"
        if len(rows) < BATCH:
            return
        after = rows[-1].sequence


@contextmanager
def _reading(options: argparse.Namespace) -> Iterator[Connection]:
    from service.api.command import engine_of  # noqa: PLC0415
    from service.store.engine import snapshot  # noqa: PLC0415

    engine = engine_of(options)
    try:
        with snapshot(engine) as connection:
            yield connection
    finally:
        engine.dispose()
