"""``tenor token``: make, list and revoke the tokens that open the API and the pages.

``tenor audit`` and ``tenor session`` stand in their own modules; all are registered here.
"""

from __future__ import annotations

import argparse
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from service.api import audit_command, session_command
from service.api.shell import at_the_shell
from service.domain.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from service.api.tokens import TokenRecord

ROLES = ("viewer", "approver", "operator", "admin")
DAYS_MAX = 3650
DAYS_DEFAULT = 365


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``tenor token`` and ``tenor audit`` with their sub-commands."""
    audit_command.register(commands)
    session_command.register(commands, engine_of=engine_of, actor=_actor)
    token = commands.add_parser("token", help="make, list and revoke API tokens")
    actions = token.add_subparsers(dest="action", required=True, metavar="ACTION")

    create = actions.add_parser("create", help="make a token; it is shown once")
    create.add_argument(
        "--role", required=True, choices=ROLES, help="each includes the ones before"
    )
    create.add_argument("--name", required=True, help="the person or program that will hold it")
    create.add_argument(
        "--account",
        action="append",
        metavar="ACCOUNT",
        help="limit the token to this account; may be given several times",
    )
    create.add_argument(
        "--days",
        type=int,
        help=f"how long it is good for; {DAYS_DEFAULT} when left out, 0: for ever",
    )
    create.add_argument("--never-expires", action="store_true", help="the same as --days 0")
    create.set_defaults(run=run_create)

    listing = actions.add_parser("list", help="every token, without the token itself")
    listing.set_defaults(run=run_list)

    revoke = actions.add_parser("revoke", help="end a token at once")
    revoke.add_argument("token_id", help="tok_…, as `tenor token list` shows it")
    revoke.set_defaults(run=run_revoke)

    for action in (create, listing, revoke):
        action.add_argument("--json", action="store_true", help="one JSON object on stdout")
        action.add_argument("--database-url", help="instead of TENOR_DATABASE_URL")


def run_create(options: argparse.Namespace) -> int:
    """Make a token and print it, once. Scripts read it from stdout; advice goes to stderr."""
    from service.api.tokens import mint  # noqa: PLC0415 - SQLAlchemy is slow to import
    from service.observe.events import TokenCreated  # noqa: PLC0415
    from service.report.render import print_json  # noqa: PLC0415
    from service.store import ledger  # noqa: PLC0415
    from service.store.engine import writing  # noqa: PLC0415
    from service.store.states import Role  # noqa: PLC0415

    now = datetime.now(UTC)
    engine = engine_of(options)
    with writing(engine) as connection:
        minted = mint(
            connection,
            label=options.name,
            role=Role(options.role),
            now=now,
            expires_at=_expiry(options, now),
            accounts=None if options.account is None else frozenset(options.account),
        )
        record = minted.record
        event = TokenCreated(
            token_id=record.token_id,
            label=record.label,
            role=record.role.value,
            expires_at=record.expires_at,
            accounts=None if record.accounts is None else ",".join(sorted(record.accounts)),
        )
        ledger.append(connection, event, now=now, actor=_actor())
    engine.dispose()
    if options.json:
        print_json({"token": minted.text, **_shown(record)})
        return 0
    sys.stdout.write(f"{minted.text}\n")
    sys.stderr.write(
        f"Token {record.token_id} for {record.label}, role {record.role.value}. Keep it now: only "
        f"its hash is stored, and it is not shown again. {_how_long(record, options)}\n"
    )
    return 0


def run_list(options: argparse.Namespace) -> int:
    """Print every token's record."""
    from service.api.tokens import listed  # noqa: PLC0415
    from service.report.render import print_json, print_table  # noqa: PLC0415
    from service.store.engine import reading  # noqa: PLC0415

    engine = engine_of(options)
    with reading(engine) as connection:
        records = listed(connection)
    engine.dispose()
    if options.json:
        print_json({"tokens": [_shown(record) for record in records]})
        return 0
    columns = ("token_id", "name", "role", "accounts", "created_at", "expires_at", "revoked_at")
    rows = [[_shown(record)[column] or "" for column in columns] for record in records]
    print_table("API tokens", columns, rows)
    return 0


def run_revoke(options: argparse.Namespace) -> int:
    """End a token; sessions that it opened end with it."""
    from service.api.tokens import by_id, revoke  # noqa: PLC0415
    from service.observe.events import TokenRevoked  # noqa: PLC0415
    from service.report.render import print_json  # noqa: PLC0415
    from service.store import ledger  # noqa: PLC0415
    from service.store.engine import writing  # noqa: PLC0415

    now = datetime.now(UTC)
    engine = engine_of(options)
    with writing(engine) as connection:
        before = by_id(connection, options.token_id)
        record = revoke(connection, options.token_id, now=now)
        if before is not None and before.revoked_at is None:
            event = TokenRevoked(token_id=record.token_id, label=record.label)
            ledger.append(connection, event, now=now, actor=_actor())
    engine.dispose()
    if options.json:
        print_json(_shown(record))
    else:
        sys.stdout.write(f"{record.token_id} ({record.label}) is revoked.\n")
    return 0


def engine_of(options: argparse.Namespace) -> Engine:
    """An engine on the database that the options name; ``InputError`` where it cannot be used.

    A schema that is newer, or has something added, will do: a token must be revocable then too.
    """
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415

    from service.settings import read_settings  # noqa: PLC0415
    from service.store.engine import open_engine  # noqa: PLC0415
    from service.store.migrate import require_current  # noqa: PLC0415

    engine = open_engine(read_settings(os.environ, database_url=options.database_url).database_url)
    try:
        require_current(engine)
    except OperationalError as error:
        engine.dispose()
        raise InputError(
            f"cannot be used: {str(error.orig).strip().splitlines()[0]}",
            file=engine.url.render_as_string(hide_password=True),
            remedy="Check the URL, and that the server is up or the file can be read.",
        ) from error
    except InputError:
        engine.dispose()
        raise
    return engine


def _expiry(options: argparse.Namespace, now: datetime) -> datetime | None:
    days = options.days
    if options.never_expires and days:
        raise InputError(
            f"{days} days and --never-expires contradict each other",
            file="the command line",
            column="--never-expires",
            remedy="Give one of the two.",
        )
    if options.never_expires or days == 0:
        return None
    if days is None:
        days = DAYS_DEFAULT
    if not 1 <= days <= DAYS_MAX:
        raise InputError(
            f"{days} is not a number of days from 1 to {DAYS_MAX}",
            file="the command line",
            column="--days",
            remedy="Give how many days the token shall be good for; 0 for ever.",
        )
    return now + timedelta(days=days)


def _how_long(record: TokenRecord, options: argparse.Namespace) -> str:
    if record.expires_at is None:
        return "It never expires: end it with `tenor token revoke`."
    until = f"It is good until {record.expires_at:%Y-%m-%d}"
    return f"{until}, as --days was left out." if options.days is None else f"{until}."


def _shown(record: TokenRecord) -> dict[str, object]:
    return {
        "token_id": record.token_id,
        "name": record.label,
        "role": record.role.value,
        "accounts": None if record.accounts is None else sorted(record.accounts),
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
    }


def _actor() -> str:
    return at_the_shell().actor
