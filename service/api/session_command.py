"""``tenor session``: list and end sign-ins through the identity provider."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from service.domain.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from service.api.sessions import SessionRecord


def register(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    *,
    engine_of: Callable[[argparse.Namespace], Engine],
    actor: Callable[[], str],
) -> None:
    """Add ``tenor session`` with its sub-commands; who acts is called ``actor()``."""
    session = commands.add_parser("session", help="list and end sign-ins of the identity provider")
    actions = session.add_subparsers(dest="action", required=True, metavar="ACTION")

    listing = actions.add_parser("list", help="every sign-in that is kept")
    listing.set_defaults(run=lambda options: run_list(options, engine_of(options)))

    revoke = actions.add_parser("revoke", help="end a sign-in, or all of a person, at once")
    revoke.add_argument("session_id", nargs="?", help="sso_…, as `tenor session list` shows it")
    revoke.add_argument(
        "--person", help="end all sign-ins of who is known, or called, by this name"
    )
    revoke.set_defaults(run=lambda options: run_revoke(options, engine_of(options), by=actor()))

    for action in (listing, revoke):
        action.add_argument("--json", action="store_true", help="one JSON object on stdout")
        action.add_argument("--database-url", help="instead of TENOR_DATABASE_URL")


def run_list(options: argparse.Namespace, engine: Engine) -> int:
    """Print every sign-in that is kept."""
    from service.api.sessions import listed  # noqa: PLC0415 - SQLAlchemy is slow to import
    from service.report.render import print_json, print_table  # noqa: PLC0415
    from service.store.engine import reading  # noqa: PLC0415

    with reading(engine) as connection:
        records = listed(connection)
    engine.dispose()
    if options.json:
        print_json({"sessions": [_shown(record) for record in records]})
        return 0
    columns = ("session_id", "name", "person", "role", "created_at", "expires_at", "revoked_at")
    rows = [[_shown(record)[column] or "" for column in columns] for record in records]
    print_table("Sign-ins through the identity provider", columns, rows)
    return 0


def run_revoke(options: argparse.Namespace, engine: Engine, *, by: str) -> int:
    """End sign-ins; open pages of theirs end too. ``InputError`` when there is none such."""
    from service.api import sessions  # noqa: PLC0415
    from service.report.render import print_json  # noqa: PLC0415
    from service.store.engine import writing  # noqa: PLC0415

    wanted = options.person if options.session_id is None else options.session_id
    if wanted is None or None not in {options.person, options.session_id}:
        raise InputError(
            "one sign-in or one person is ended at a time",
            file="the command line",
            column="session revoke",
            remedy="Give an id of `tenor session list`, or --person NAME.",
        )
    now = datetime.now(UTC)
    with writing(engine) as connection:
        if options.session_id is None:
            found = sessions.of_person(connection, wanted)
        else:
            one = sessions.by_id(connection, wanted)
            found = () if one is None else (one,)
        ended = sessions.revoke(connection, found, by=by, now=now, at=now)
    engine.dispose()
    if not found:
        raise InputError(
            f"there is no sign-in of {wanted!r}",
            file="the command line",
            remedy="`tenor session list` shows them.",
        )
    if options.json:
        print_json({"revoked": [_shown(record) for record in ended]})
        return 0
    for record in ended:
        sys.stdout.write(f"{record.session_id} ({record.label}) is ended.\n")
    if not ended:
        sys.stderr.write("They were over already.\n")
    return 0


def _shown(record: SessionRecord) -> dict[str, object]:
    return {
        "session_id": record.session_id,
        "name": record.label,
        "person": record.person,
        "role": record.role.value,
        "accounts": None if record.accounts is None else sorted(record.accounts),
        "created_at": record.created_at,
        "expires_at": record.expires_at,
        "revoked_at": record.revoked_at,
    }
