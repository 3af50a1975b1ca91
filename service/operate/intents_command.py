"""``tenor intents`` and ``tenor alterations``: what is under way, and settling what is held."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from service.domain.errors import InputError, RefusedError

if TYPE_CHECKING:
    from service.wiring import Ground, Parts


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands; without an action they list."""
    intents = commands.add_parser("intents", help="purchases, and settling one that is held")
    intents.add_argument("--json", action="store_true", help="print one JSON object")
    intents.add_argument("--all", action="store_true", help="those that ended too")
    intents.set_defaults(run=run_intents)
    settle = intents.add_subparsers(dest="action", metavar="ACTION").add_parser(
        "settle", help="say what became of a purchase that is held; you answer for it by name"
    )
    settle.add_argument("intent", metavar="INTENT")
    said = settle.add_mutually_exclusive_group(required=True)
    said.add_argument("--bought", metavar="COMMITMENT", help="it was bought, as this")
    said.add_argument("--not-bought", action="store_true", help="it was not bought")
    _person(settle)
    settle.set_defaults(run=run_settle)

    changes = commands.add_parser(
        "alterations", help="returns, exchanges and the like: list, approve, reject, settle"
    )
    changes.add_argument("--json", action="store_true", help="print one JSON object")
    changes.add_argument("--all", action="store_true", help="those that ended too")
    changes.set_defaults(run=run_alterations)
    actions = changes.add_subparsers(dest="action", metavar="ACTION")
    for name, text in (("approve", "let it be done"), ("reject", "say no")):
        decide = actions.add_parser(name, help=text)
        decide.add_argument("alteration", metavar="ID")
        decide.add_argument("--version", type=int, default=None, help="only if it is still this")
        _person(decide)
        decide.set_defaults(run=run_decide)
    held = actions.add_parser("settle", help="say what became of an unknown alteration")
    held.add_argument("alteration", metavar="ID")
    word = held.add_mutually_exclusive_group(required=True)
    word.add_argument("--done", action="store_true", help="it has been done")
    word.add_argument("--not-done", action="store_true", help="it has not been done")
    _person(held)
    held.set_defaults(run=run_settle_alteration)


def _person(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", required=True, help="the evidence; kept in the audit trail")
    parser.add_argument(
        "--by", default=None, help="whom you say it for, kept beside your user name"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run_intents(options: argparse.Namespace) -> int:
    """Purchases, oldest first; 4 when one is unknown, or was confirmed and never listed."""
    from service.domain.purchases import IntentState  # noqa: PLC0415
    from service.purchase.never_listed import told_of  # noqa: PLC0415
    from service.report.render import print_json, print_table  # noqa: PLC0415
    from service.store import intents  # noqa: PLC0415
    from service.store.engine import reading  # noqa: PLC0415

    going_on = (IntentState.RECORDED, IntentState.CALLING, IntentState.UNKNOWN)
    with _grounded() as ground, reading(ground.engine) as connection:
        known = intents.list_intents(connection, states=(*going_on, IntentState.BOUGHT))
        never = {
            one.order.intent
            for one in known
            if one.state is IntentState.BOUGHT and told_of(connection, one)
        }
        found = (
            intents.list_intents(connection)
            if options.all
            else tuple(one for one in known if one.state in going_on or one.order.intent in never)
        )
    rows = [
        {
            "intent": one.order.intent,
            "state": one.state.value,
            "provider": one.line.provider,
            "account": one.order.account,
            "offering": one.order.offering,
            "quantity": one.order.quantity,
            "companion_quantity": None
            if one.order.companion is None
            else one.order.companion.quantity,
            "commit_usd_per_hour": one.line.commit_usd_per_hour,
            "upfront_usd": one.order.upfront_usd,
            "recorded_at": one.recorded_at,
            "start_at": one.order.start_at,
            "commitment": one.commitment,
            "never_listed": one.order.intent in never,
            "detail": "confirmed, never listed" if one.order.intent in never else one.detail,
        }
        for one in found
    ]
    if options.json:
        print_json({"intents": rows})
    else:
        columns = ("intent", "state", "provider", "account", "commit USD/h", "detail")
        keys = ("intent", "state", "provider", "account", "commit_usd_per_hour", "detail")
        print_table("Intents", columns, [tuple(row[key] for key in keys) for row in rows])
    held = never or any(one.state is IntentState.UNKNOWN for one in found)
    return 4 if held else 0


def run_settle(options: argparse.Namespace) -> int:
    """Settle a purchase that is held on a person's word."""
    from service.api.shell import at_the_shell  # noqa: PLC0415
    from service.domain.ids import CommitmentId, IntentId  # noqa: PLC0415
    from service.operate.settling_by_hand import settle  # noqa: PLC0415

    bought = None if options.not_bought else CommitmentId(options.bought)
    by = at_the_shell(options.by).actor
    with _opened() as parts:
        settle(parts, IntentId(options.intent), bought=bought, by=by, reason=options.reason)
    _tell(options, intent=options.intent, outcome="refused" if bought is None else "bought", by=by)
    return 0


def run_alterations(options: argparse.Namespace) -> int:
    """Alterations, oldest first."""
    from service.report.render import print_json, print_table  # noqa: PLC0415
    from service.store import alterations  # noqa: PLC0415
    from service.store.engine import reading  # noqa: PLC0415

    states = None if options.all else alterations.LIVE
    with _grounded() as ground, reading(ground.engine) as connection:
        found = alterations.list_alterations(connection, states=states)
    rows = [
        {
            "alteration": one.order.intent,
            "state": one.state.value,
            "kind": one.order.alteration.value,
            "sources": ", ".join(one.order.sources),
            "pay_usd": one.pay_usd,
            "refund_usd": one.refund_usd,
            "quoted_usd_per_hour": one.quoted_usd_per_hour,
            "version": one.version,
            "expires_at": one.expires_at,
            "reason": one.reason,
            "detail": one.detail,
        }
        for one in found
    ]
    if options.json:
        print_json({"alterations": rows})
    else:
        keys = (
            "alteration",
            "state",
            "kind",
            "sources",
            "pay_usd",
            "quoted_usd_per_hour",
            "reason",
        )
        cells = [tuple("" if row[key] is None else row[key] for key in keys) for row in rows]
        print_table("Alterations", keys, cells)
    return 0


def run_decide(options: argparse.Namespace) -> int:
    """Approve or reject an alteration that waits."""
    from service.api.shell import at_the_shell  # noqa: PLC0415
    from service.domain.ids import IntentId  # noqa: PLC0415
    from service.purchase.lifecycle import Word  # noqa: PLC0415
    from service.purchase.written_alterations import (  # noqa: PLC0415
        approve_alteration,
        withdraw,
    )
    from service.store import alterations  # noqa: PLC0415
    from service.store.engine import writing  # noqa: PLC0415

    who, identity = at_the_shell(options.by), IntentId(options.alteration)
    by = who.actor
    with _grounded() as ground, writing(ground.engine) as connection:
        found = alterations.find(connection, identity)
        if found is None:
            raise InputError(
                f"there is no alteration {identity}",
                file="the command line",
                column="ID",
                remedy="List them with: tenor alterations.",
            )
        version, now = options.version or found.version, ground.clock.now()
        if options.action == "approve":
            refused = approve_alteration(
                connection,
                identity,
                version=version,
                by=by,
                comment=options.reason,
                now=now,
                person=who.person,
                label=who.label,
            )
            if refused is not None:
                raise RefusedError(rule=refused.obstacle.value, detail=refused.detail)
            taken = True
        else:
            taken = found.version == version and withdraw(
                connection,
                found,
                rule="rejected",
                detail=options.reason,
                word=Word.PERSON,
                now=now,
                by=by,
            )
        if not taken:
            detail = f"it is {found.state.value}, version {found.version}"
            raise RefusedError(rule="moved_on", detail=detail)
    _tell(
        options,
        alteration=identity,
        outcome={"approve": "approved", "reject": "withdrawn"}[options.action],
        by=by,
    )
    return 0


def run_settle_alteration(options: argparse.Namespace) -> int:
    """Settle an unknown alteration on a person's word."""
    from service.api.shell import at_the_shell  # noqa: PLC0415
    from service.domain.ids import IntentId  # noqa: PLC0415
    from service.purchase.by_hand import settle_alteration  # noqa: PLC0415
    from service.store.engine import writing  # noqa: PLC0415

    by = at_the_shell(options.by).actor
    with _grounded() as ground, writing(ground.engine) as connection:
        settle_alteration(
            connection,
            IntentId(options.alteration),
            done=options.done,
            by=by,
            reason=options.reason,
            now=ground.clock.now(),
        )
    outcome = "altered" if options.done else "refused"
    _tell(options, alteration=options.alteration, outcome=outcome, by=by)
    return 0


def _tell(options: argparse.Namespace, **said: str) -> None:
    from service.report.render import print_json  # noqa: PLC0415

    if options.json:
        print_json(said)
    else:
        print(", ".join(f"{name}: {value}" for name, value in said.items()))  # noqa: T201


@contextmanager
def _opened() -> Iterator[Parts]:
    from service.observe.log import configure_logging  # noqa: PLC0415
    from service.settings import read_settings  # noqa: PLC0415
    from service.wiring import opened  # noqa: PLC0415

    configure_logging("WARNING")
    with opened(read_settings(os.environ)) as parts:
        yield parts


@contextmanager
def _grounded() -> Iterator[Ground]:
    from service.observe.log import configure_logging  # noqa: PLC0415
    from service.settings import read_settings  # noqa: PLC0415
    from service.wiring import grounded  # noqa: PLC0415

    configure_logging("WARNING")
    with grounded(read_settings(os.environ)) as ground:
        yield ground
