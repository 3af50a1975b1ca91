"""``tenor alerts``: what was told, what could not be delivered, and a trial of each receiver."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service.wiring import Parts


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``tenor alerts`` to the command line."""
    parser = commands.add_parser("alerts", help="what people were told, and what did not arrive")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    shown = actions.add_parser("list", help="the newest alerts")
    dead = actions.add_parser("dead", help="deliveries that were given up")
    for listing in (shown, dead):
        listing.add_argument("--limit", type=int, default=50, help="at most so many (50)")
    retry = actions.add_parser("retry", help="try what was given up once more")
    trial = actions.add_parser("test", help="send a trial alert to each receiver, now")
    for one in (retry, trial):
        one.add_argument("--target", default=None, help="this receiver only")
    for action, work in ((shown, _list), (dead, _dead), (retry, _retry), (trial, _test)):
        action.add_argument("--json", action="store_true", help="print one JSON object")
        action.set_defaults(run=_with_parts, work=work)


def _with_parts(options: argparse.Namespace) -> int:
    from service.observe.log import configure_logging  # noqa: PLC0415 - imports wait
    from service.settings import read_settings  # noqa: PLC0415
    from service.wiring import opened  # noqa: PLC0415

    configure_logging("WARNING")
    with opened(read_settings(os.environ)) as parts:
        status: int = options.work(parts, options)
        return status


def _list(parts: Parts, options: argparse.Namespace) -> int:
    from service.report.render import print_json, print_table  # noqa: PLC0415
    from service.store import alerts  # noqa: PLC0415
    from service.store.engine import reading  # noqa: PLC0415

    with reading(parts.engine) as connection:
        found = alerts.list_alerts(connection, limit=options.limit)
    rows = [
        {
            "raised_at": one.raised_at,
            "severity": one.severity,
            "kind": one.kind,
            "title": one.title,
            "body": one.body,
        }
        for one in found
    ]
    if options.json:
        print_json({"alerts": rows})
    else:
        print_table("Alerts", ("at", "severity", "kind", "title", "body"), [*map(_values, rows)])
    return 0


def _dead(parts: Parts, options: argparse.Namespace) -> int:
    from service.report.render import print_json, print_table  # noqa: PLC0415
    from service.store import alerts  # noqa: PLC0415
    from service.store.alert_tables import DeliveryState  # noqa: PLC0415
    from service.store.engine import reading  # noqa: PLC0415

    with reading(parts.engine) as connection:
        found = alerts.list_deliveries(
            connection, states=(DeliveryState.DEAD,), limit=options.limit
        )
    rows = [
        {
            "raised_at": one.raised.raised_at,
            "target": one.target,
            "title": one.raised.title,
            "attempts": one.attempts,
            "error": one.error,
        }
        for one in found
    ]
    if options.json:
        print_json({"dead": rows})
    else:
        heads = ("at", "receiver", "title", "attempts", "why")
        print_table("Not delivered", heads, [*map(_values, rows)])
    return 0


def _retry(parts: Parts, options: argparse.Namespace) -> int:
    from service.report.render import print_json  # noqa: PLC0415
    from service.store import alerts  # noqa: PLC0415
    from service.store.engine import writing  # noqa: PLC0415

    with writing(parts.engine) as connection:
        count = alerts.revive(connection, target=options.target, now=parts.clock.now())
    if options.json:
        print_json({"revived": count})
    else:
        print(f"{count} deliveries are due again.")  # noqa: T201 - the command's answer
    return 0


def _test(parts: Parts, options: argparse.Namespace) -> int:
    from service.operate.alerting import trial  # noqa: PLC0415
    from service.report.render import print_json, print_table  # noqa: PLC0415

    results = trial(parts, options.target)
    rows = [{"target": name, "problem": problem} for name, problem in results.items()]
    if options.json:
        print_json({"targets": rows})
    elif not rows:
        print("No receivers: set TENOR_ALERTS_FILE; see docs/alerts.md.")  # noqa: T201
    else:
        told = [(name, problem or "delivered") for name, problem in results.items()]
        print_table("Receivers", ("receiver", "result"), told)
    return 1 if any(results.values()) else 0


def _values(row: dict[str, object]) -> tuple[object, ...]:
    return tuple(row.values())
