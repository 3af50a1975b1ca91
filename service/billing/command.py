"""``tenor bill``: what the providers charge for a dataset's usage under its holdings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from service.report.render import print_json, print_table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from service.billing.bill import Bill
    from service.billing.explain import Explanation
    from service.billing.sharing import Sharing
    from service.domain.usage import Dataset


TABLES = frozenset({"usage", "skus", "offers", "holdings"})


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``tenor bill`` to the command line."""
    parser = commands.add_parser(
        "bill", help="apply the holdings to the usage hour by hour, as the provider bills"
    )
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--out", type=Path, metavar="FILE", help="FOCUS 1.2 rows, .csv or .parquet")
    parser.add_argument("--explain", metavar="HOUR", help="say what covered what in that hour")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="hourly picture, .png or .svg")
    parser.add_argument(
        "--sharing",
        choices=["organisation", "prioritised", "restricted", "off"],
        default="organisation",
        help="how AWS discounts are shared beyond their owner's account",
    )
    parser.add_argument(
        "--group",
        action="append",
        default=[],
        metavar="ACCOUNTS",
        help="a sharing group, accounts separated by commas; give it once for each group",
    )
    parser.add_argument(
        "--sustained-use",
        nargs="?",
        const="project",
        choices=["project", "billing-account"],
        help="also say Google's sustained use discount, usage summed within each project or over"
        " the billing account",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Bill the dataset; see docs/tables.md for what is printed and written."""
    from service.billing.bill import bill  # noqa: PLC0415
    from service.billing.explain import explain  # noqa: PLC0415
    from service.billing.warn import warnings  # noqa: PLC0415
    from service.usage.dataset import load_dataset  # noqa: PLC0415

    sharing = _sharing(options.sharing, options.group)
    hour = _hour(options.explain) if options.explain is not None else None
    _check_endings(options)
    dataset = load_dataset(options.data)
    explanation = explain(dataset, _inside(dataset, hour), sharing=sharing) if hour else None
    result = bill(dataset, sharing=sharing)
    found = warnings(dataset)
    for warning in found:
        sys.stderr.write(f"tenor: warning: {warning.sentence}\n")
    _write_files(options, dataset, result, sharing)
    answer = as_json(result)
    if options.sustained_use is not None:
        answer |= _sustained_use(dataset, result, pooled=options.sustained_use != "project")
    if options.json:
        answer["warnings"] = [
            {"rule": one.rule, "count": one.count, "detail": one.sentence} for one in found
        ]
        if explanation is not None:
            answer["explanation"] = explanation.as_json()
        print_json(answer)
    else:
        _show(result, answer)
        if explanation is not None:
            _show_explanation(explanation)
    return 0


def as_json(result: Bill) -> dict[str, object]:
    """The object that docs/tables.md describes."""
    return {
        "hours": result.hours.count,
        "on_demand_equivalent_usd": result.on_demand_equivalent_usd,
        "on_demand_usd": result.on_demand_usd,
        "commitment_usd": result.commitment_usd,
        "total_usd": result.total_usd,
        "coverage_ratio": result.coverage_ratio,
        "utilization_ratio": result.utilization_ratio,
        "effective_savings_rate": result.effective_savings_rate,
        "commitments": {
            name: {
                "committed_usd": use.committed_usd,
                "used_usd": use.used_usd,
                "unused_usd": use.unused_usd,
                "utilization_ratio": use.utilization_ratio,
            }
            for name, use in result.commitments.items()
        },
        "by_sku": [
            {
                **use.key._asdict(),
                "quantity": use.quantity,
                "covered_quantity": use.covered_quantity,
                "on_demand_quantity": use.on_demand_quantity,
                "on_demand_usd": use.on_demand_usd,
            }
            for use in result.by_sku
        ],
    }


def _sharing(mode: str, groups: list[str]) -> Sharing:
    from service.billing.sharing import Sharing, SharingMode  # noqa: PLC0415
    from service.domain.errors import InputError  # noqa: PLC0415
    from service.domain.ids import AccountId  # noqa: PLC0415

    sets = tuple(
        frozenset(AccountId(word.strip()) for word in group.split(",") if word.strip())
        for group in groups
    )
    if sum(map(len, sets)) != len(frozenset().union(*sets)):
        raise InputError(
            "an account is in two groups", file="--group", remedy="Name each account once"
        )
    if sets and mode not in {"prioritised", "restricted"}:
        raise InputError(
            f"groups mean nothing when sharing is {mode}",
            file="--group",
            remedy="Add --sharing prioritised or --sharing restricted",
        )
    return Sharing(SharingMode(mode), sets)


def _hour(words: str) -> datetime:
    from service.domain.errors import InputError  # noqa: PLC0415
    from service.usage.columns import as_hour  # noqa: PLC0415

    try:
        return as_hour(words)
    except ValueError as error:
        raise InputError(
            str(error), file="--explain", remedy="Write it as 2026-01-31T13:00:00Z"
        ) from error


def _inside(dataset: Dataset, hour: datetime) -> int:
    from service.domain.errors import InputError  # noqa: PLC0415
    from service.domain.hours import HOUR, iso  # noqa: PLC0415

    hours = dataset.usage.hours
    if not hours.start <= hour < hours.end:
        raise InputError(
            f"{iso(hour)} is not among the dataset's hours",
            file="--explain",
            remedy=f"Choose one from {iso(hours.start)} to {iso(hours.end - HOUR)}",
        )
    return hours.index(hour)


def _check_endings(options: argparse.Namespace) -> None:
    from service.domain.errors import InputError  # noqa: PLC0415

    for option, path, endings in (
        ("--out", options.out, (".csv", ".parquet")),
        ("--picture", options.picture, (".png", ".svg")),
    ):
        if path is None:
            continue
        if path.suffix not in endings:
            raise InputError(
                f"{path.name} ends in neither of {', '.join(endings)}",
                file=option,
                remedy="Choose the form by the file's ending",
            )
        if not path.parent.is_dir():
            raise InputError(
                f"there is no folder {path.parent}", file=option, remedy="Make the folder first"
            )
        table = path.name.partition(".")[0]
        if table in TABLES and path.parent.resolve() == options.data.resolve():
            raise InputError(
                f"{path.name} is the dataset's own table {table}",
                file=option,
                remedy="Choose another name or folder: a bill does not replace what it bills",
            )


def _write_files(
    options: argparse.Namespace, dataset: Dataset, result: Bill, sharing: Sharing
) -> None:
    from service.domain.errors import InputError  # noqa: PLC0415

    path = options.out
    try:
        if options.out is not None:
            from service.billing.focus_file import write_focus  # noqa: PLC0415

            write_focus(dataset, result, options.out, sharing=sharing)
        if options.picture is not None:
            from service.billing.picture import draw  # noqa: PLC0415

            path = options.picture
            draw(dataset, result, path)
    except OSError as error:
        raise InputError(
            f"it cannot be written: {error.strerror or error}",
            file=str(path),
            remedy="Choose a place that can be written to",
        ) from error


def _sustained_use(dataset: Dataset, result: Bill, *, pooled: bool) -> dict[str, object]:
    from service.billing.sustained_use import sustained_use_usd  # noqa: PLC0415

    credit_usd = sustained_use_usd(dataset, pooled=pooled)
    return {
        "sustained_use_usd": credit_usd,
        "total_after_sustained_use_usd": result.total_usd - credit_usd,
    }


def _show(result: Bill, shown: Mapping[str, object]) -> None:
    print_table(
        f"Bill over {result.hours.count} hours",
        ["", "US dollars or ratio"],
        [(name, value) for name, value in shown.items() if not isinstance(value, dict | list)],
    )
    print_table(
        "Commitments",
        ["commitment", "committed_usd", "used_usd", "unused_usd", "utilization_ratio"],
        [
            (name, use.committed_usd, use.used_usd, use.unused_usd, use.utilization_ratio)
            for name, use in result.commitments.items()
        ],
    )
    print_table(
        "Usage by SKU",
        ["provider", "region", "sku", "quantity", "covered", "on demand", "on_demand_usd"],
        [
            (*use.key, use.quantity, use.covered_quantity, use.on_demand_quantity,
             use.on_demand_usd)
            for use in result.by_sku
        ],
    )  # fmt: skip


def _show_explanation(explanation: Explanation) -> None:
    for sentence in explanation.sentences():
        sys.stdout.write(sentence + "\n")
