"""``tenor migrate``: bring the database's tables to what this version wants, or compare them.

Its exit status lets a deployment start, so it is 0 wherever this version can work: a newer schema
is what going back from a newer version meets, and what somebody added hinders nothing.
"""

from __future__ import annotations

import argparse
import os
import sys


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``tenor migrate`` to the command line."""
    parser = commands.add_parser("migrate", help="create or upgrade the database's tables")
    parser.add_argument(
        "--database-url",
        metavar="URL",
        help="sqlite:///path or postgresql://…; TENOR_DATABASE_URL when left out",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="change nothing; exit 1 unless the schema is exactly what this version wants",
    )
    parser.add_argument("--json", action="store_true", help="answer with one JSON object")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    # Imported late: the other commands need no database, and start quicker without one.
    from sqlalchemy.exc import OperationalError  # noqa: PLC0415

    from service.domain.errors import InputError  # noqa: PLC0415
    from service.report.render import print_json  # noqa: PLC0415
    from service.settings import read_settings  # noqa: PLC0415
    from service.store import migrate  # noqa: PLC0415
    from service.store.engine import open_engine  # noqa: PLC0415
    from service.store.soundness import require_whole  # noqa: PLC0415

    settings = read_settings(os.environ, database_url=options.database_url)
    engine = open_engine(settings.database_url)
    shown = engine.url.render_as_string(hide_password=True)
    try:
        before = migrate.check(engine) if options.check else None
        if before is None:
            require_whole(engine)
            migrate.upgrade(engine)
        state = before or migrate.check(engine)
    except (OperationalError, OSError) as error:
        reason = str(getattr(error, "orig", error)).strip().splitlines()[0]
        remedy = "Check the URL, and that the server is up or the folder can be written."
        raise InputError(f"cannot be used: {reason}", file=shown, remedy=remedy) from error
    finally:
        engine.dispose()
    if options.json:
        print_json(
            {
                "database": shown,
                "revision": state.current,
                "head": state.head,
                "is_current": state.is_current,
                "serves": state.serves,
                "drift": list(state.drift),
            }
        )
    else:
        has = state.current or "no tables"
        sys.stdout.write(f"{shown}: {has}, this version wants {state.head}\n")
        if state.is_newer:
            sys.stdout.write("  A newer version migrated it; this one can work with it.\n")
        sys.stdout.writelines(f"  differs: {difference}\n" for difference in state.drift)
    return 0 if (state.is_current if options.check else state.serves) else 1
