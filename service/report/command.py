"""``tenor report``: what a dataset's commitments saved, what they bind, and who pays for what."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from service.domain.errors import InputError
from service.report.render import print_json, print_table

if TYPE_CHECKING:
    from service.domain.ids import AccountId
    from service.report.savings import Realised
    from service.report.showback import Showback


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``report`` to the command line."""
    parser = commands.add_parser(
        "report", help="realised savings, lock-in and showback of a dataset's commitments"
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="dataset folder")
    parser.add_argument(
        "--teams", type=Path, metavar="FILE", help="CSV of account, team: show back by team"
    )
    parser.add_argument(
        "--method",
        default="as_applied",
        choices=("as_applied", "shared_benefit"),
        help="each pays for what covered its usage, or all eligible usage pays alike",
    )
    parser.add_argument(
        "--unused",
        default="owner",
        choices=("owner", "users", "central"),
        help="who bears unused commitment (owner)",
    )
    parser.add_argument("--contracts", action="store_true", help="add FOCUS contract records")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Bill the dataset, split the bill, and print both."""
    from service.report.contracts import commitment_records  # noqa: PLC0415 - numpy
    from service.report.savings import realised  # noqa: PLC0415 - numpy
    from service.report.showback import Method, UnusedRule, showback  # noqa: PLC0415 - numpy
    from service.usage.dataset import load_dataset  # noqa: PLC0415 - duckdb

    dataset = load_dataset(arguments.data)
    split = showback(
        dataset,
        teams=None if arguments.teams is None else read_teams(arguments.teams),
        method=Method(arguments.method),
        unused_rule=UnusedRule(arguments.unused),
    )
    found = realised(
        split.bill,
        commitments=dataset.commitments,
        offerings=dataset.offerings,
        as_of=dataset.usage.hours.end,
        scope=f"all usage in {arguments.data.name}",
    )
    answer = {**realised_answer(found), "showback": showback_answer(split)}
    if arguments.contracts:
        answer["contract_commitments"] = commitment_records(
            dataset.commitments, offerings=dataset.offerings, as_of=dataset.usage.hours.end
        )
    if arguments.json:
        print_json(answer)
    else:
        _print(answer, split)
    return 0


def realised_answer(found: Realised) -> dict[str, object]:
    """Savings as an answer for programs: hours as their number and ends, lock-in flattened."""
    plain = {
        part.name: getattr(found, part.name)
        for part in fields(found)
        if part.name not in {"hours", "binding"}
    }
    bound = found.binding
    return {
        "hours": found.hours.count,
        "start": found.hours.start,
        "end": found.hours.end,
        **{name: _short(value) for name, value in plain.items()},
        **{part.name: _short(getattr(bound, part.name)) for part in fields(bound)},
    }


def showback_answer(split: Showback) -> dict[str, object]:
    """The shares and how they were cut."""
    return {
        "method": split.method.value,
        "unused_rule": split.unused_rule.value,
        "total_usd": split.bill.total_usd,
        "shares": [
            {part.name: getattr(share, part.name) for part in fields(share)}
            for share in split.shares
        ],
    }


def read_teams(path: Path) -> Mapping[AccountId, str]:
    """The CSV of accounts and teams; ``InputError`` names the row of any fault."""
    from service.domain.ids import AccountId  # noqa: PLC0415

    teams: dict[AccountId, str] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = {"account", "team"} - set(reader.fieldnames or ())
            if missing:
                raise InputError(
                    "the column is missing",
                    file=str(path),
                    column=min(missing),
                    remedy="Give a header with account and team.",
                )
            for number, row in enumerate(reader, start=1):
                account, team = AccountId(row["account"] or ""), row["team"] or ""
                if not account or not team or account in teams:
                    raise InputError(
                        "the account is empty or given twice, or has no team",
                        file=str(path),
                        row=number,
                        remedy="Give each account once, with its team.",
                    )
                teams[account] = team
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            "the teams cannot be read", file=str(path), remedy="Give a readable CSV in UTF-8."
        ) from error
    return teams


def _short(value: object) -> object:
    """Ratios and averages to 15 places; money is exact to the nano-dollar already."""
    if isinstance(value, Decimal):
        exponent = value.as_tuple().exponent
        if isinstance(exponent, int) and exponent < -15:  # noqa: PLR2004 - places, as in bills
            return round(value, 15)
    return value


def _print(answer: Mapping[str, object], split: Showback) -> None:
    rows = [(name, value) for name, value in answer.items() if not isinstance(value, dict | tuple)]
    print_table("Realised", ("figure", "value"), [(name, value) for name, value in rows])
    columns = ("owner", "on-demand equivalent", "on demand", "used", "unused", "pays", "saves")
    print_table(
        f"Showback, {split.method.value}, unused to {split.unused_rule.value} (USD)",
        columns,
        [tuple(getattr(share, part.name) for part in fields(share)) for share in split.shares],
    )
