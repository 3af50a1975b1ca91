"""``tenor proposals``: list, show, approve, reject and withdraw what waits for a person."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from service.domain.errors import InputError, RefusedError
from service.domain.hours import iso
from service.domain.money import text

if TYPE_CHECKING:
    from service.domain.plans import PlanLine
    from service.domain.purchases import Proposal
    from service.wiring import Ground


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``proposals`` and its actions; without one it lists."""
    parser = commands.add_parser("proposals", help="list, show, approve or reject proposals")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run_list, all=False)
    actions = parser.add_subparsers(dest="action", metavar="ACTION")

    listing = actions.add_parser("list", help="those that wait for a person")
    listing.add_argument("--all", action="store_true", help="decided and expired ones too")
    listing.set_defaults(run=run_list)

    show = actions.add_parser("show", help="one proposal: what, why, and the policy's verdict")
    show.set_defaults(run=run_show)
    approve = actions.add_parser("approve", help="let it be bought, priced and guarded again")
    approve.add_argument(
        "--quantity",
        type=_quantity,
        default=None,
        help="only so much of it, in the offering's unit",
    )
    approve.set_defaults(run=lambda options: run_decide(options, "approve"))
    reject = actions.add_parser("reject", help="say no")
    reject.set_defaults(run=lambda options: run_decide(options, "reject"))
    withdraw = actions.add_parser("withdraw", help="take it back before it is bought")
    withdraw.set_defaults(run=lambda options: run_decide(options, "withdraw"))
    for action in (show, approve, reject, withdraw):
        action.add_argument("proposal", metavar="ID")
    for action in (approve, reject, withdraw):
        action.add_argument("--comment", default="", help="kept in the audit trail")
        action.add_argument(
            "--by", default=None, help="whom you decide for, kept beside your user name"
        )
        action.add_argument(
            "--version", type=int, default=None, help="decide only if it is still this version"
        )
    for action in (listing, show, approve, reject, withdraw):
        action.add_argument("--json", action="store_true", help="print one JSON object")


def _quantity(given: str) -> Decimal:
    """Decimal text as a quantity; argparse tells of anything else."""
    try:
        quantity = Decimal(given)
    except InvalidOperation as error:
        raise argparse.ArgumentTypeError("not a plain number") from error
    if not quantity.is_finite():
        raise argparse.ArgumentTypeError("not a plain number")
    return quantity


def run_list(options: argparse.Namespace) -> int:
    """Proposals, oldest first."""
    from service.domain.purchases import ProposalState  # noqa: PLC0415
    from service.report.render import print_json, print_table  # noqa: PLC0415
    from service.store import proposals  # noqa: PLC0415
    from service.store.engine import reading  # noqa: PLC0415

    states = None if options.all else (ProposalState.WAITING, ProposalState.APPROVED)
    with _grounded() as ground, reading(ground.engine) as connection:
        found = proposals.list_proposals(connection, states=states)
    if options.json:
        print_json({"proposals": [_document(one) for one in found]})
        return 0
    rows = [
        (
            one.proposal,
            one.state.value,
            one.line.kind.value,
            one.line.commit_usd_per_hour,
            one.line.upfront_usd,
            one.expires_at,
        )
        for one in found
    ]
    columns = ("proposal", "state", "kind", "commit USD/h", "upfront USD", "expires")
    print_table("Proposals", columns, rows)
    return 0


def run_show(options: argparse.Namespace) -> int:
    """One proposal with its reason and verdict."""
    from service.report.render import print_json, print_table  # noqa: PLC0415

    with _grounded() as ground:
        found = _find(ground, options.proposal)
    if options.json:
        print_json(_document(found))
        return 0
    line = found.line
    print_table(
        f"Proposal {found.proposal}",
        ("what", "value"),
        [
            ("state", f"{found.state.value}, version {found.version}"),
            ("offering", f"{line.kind.value} {line.offering}"),
            ("quantity", line.quantity),
            ("bought with it", _beside(line)),
            ("term", f"{line.term_months} months, {line.payment.value}"),
            ("commit USD/h", line.commit_usd_per_hour),
            ("upfront USD", line.upfront_usd),
            ("whole term USD", line.total_usd),
            ("starts", iso(line.start_at) if line.start_at else "at once"),
            ("expected savings USD/h", line.expected_savings_usd_per_hour),
            ("low to high USD/h", _range(found)),
            ("expected utilization", line.expected_utilization_ratio),
            ("break-even months", line.break_even_months),
            ("why", line.reason),
            ("expires", found.expires_at),
        ],
    )
    rows = [(r.rule, r.decision.value, r.actual, r.limit) for r in found.verdict.results]
    print_table("Verdict", ("rule", "decision", "actual", "limit"), rows)
    return 0


def _beside(line: PlanLine) -> str:
    beside = line.companion
    return "nothing" if beside is None else f"{text(beside.quantity)} {beside.unit}"


def run_decide(options: argparse.Namespace, action: str) -> int:
    """Approve, reject or withdraw; exit status 3 when it can no longer be decided.

    The policy in force says how many people must approve, and how long a rejection holds.
    """
    from service.api.shell import at_the_shell  # noqa: PLC0415
    from service.guard.checks import people_needed  # noqa: PLC0415
    from service.purchase import propose  # noqa: PLC0415
    from service.report.render import print_json  # noqa: PLC0415
    from service.store.engine import writing  # noqa: PLC0415

    who = at_the_shell(options.by)
    with _grounded() as ground:
        found, policy = _find(ground, options.proposal), ground.policy().policy
        said: dict[str, Any] = {
            "version": found.version if options.version is None else options.version,
            "by": who.actor,
            "comment": options.comment,
            "now": ground.clock.now(),
        }
        if action == "approve":
            said["quantity"] = options.quantity
            said["person"], said["label"] = who.person, who.label
            said["people_needed"] = lambda line: people_needed(line, policy)
        elif action == "reject":
            said["holds_for"] = timedelta(hours=float(policy.timing.rejection_holds_hours))
        decide = getattr(propose, action)
        with writing(ground.engine) as connection:
            decided = decide(connection, found.proposal, **said)
    if isinstance(decided, propose.NotDecided):
        raise RefusedError(rule=decided.obstacle.value, detail=decided.detail)
    if options.json:
        print_json(_document(decided))
    elif decided.state is found.state:
        print(f"{decided.proposal} is {decided.state.value}: another person must approve.")  # noqa: T201
    else:
        print(f"{decided.proposal} is {decided.state.value}.")  # noqa: T201
    return 0


@contextmanager
def _grounded() -> Iterator[Ground]:
    from service.observe.log import configure_logging  # noqa: PLC0415
    from service.settings import read_settings  # noqa: PLC0415
    from service.wiring import grounded  # noqa: PLC0415

    configure_logging("WARNING")
    with grounded(read_settings(os.environ)) as ground:
        yield ground


def _find(ground: Ground, identity: str) -> Proposal:
    from service.domain.ids import ProposalId  # noqa: PLC0415
    from service.store import proposals  # noqa: PLC0415
    from service.store.engine import reading  # noqa: PLC0415

    with reading(ground.engine) as connection:
        found = proposals.find(connection, ProposalId(identity))
    if found is None:
        raise InputError(
            f"there is no proposal {identity}",
            file="the command line",
            remedy="tenor proposals list --all shows every one.",
        )
    return found


def _document(proposal: Proposal) -> Mapping[str, Any]:
    from service.store.codec import to_document  # noqa: PLC0415

    return to_document(proposal)


def _range(proposal: Proposal) -> str:
    line = proposal.line
    return f"{line.expected_savings_low_usd_per_hour} to {line.expected_savings_high_usd_per_hour}"
