"""``tenor advice``: what DynamoDB's reserved capacity would save. It never buys anything."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from service.domain.errors import InputError
from service.domain.hours import WEEK_HOURS, HourRange

if TYPE_CHECKING:
    from decimal import Decimal

    from service.domain.usage import SkuKey, Usage
    from service.report.reserved_capacity import Advice, CapacityAdvice, NotAdvised

WEEKS = 4
WEEKS_AT_MOST = 53


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``advice`` to the command line."""
    parser = commands.add_parser(
        "advice",
        help="what DynamoDB's reserved capacity would save; a person buys it, Tenor cannot",
        description="Reads the newest weeks of stored usage, or of a dataset, and says how many "
        "units of reserved capacity beyond what is owned would pay, by region and account. AWS has "
        "no call that buys them: it is advice.",
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="dataset folder (default: the usage store)"
    )
    parser.add_argument(
        "--weeks", type=int, default=WEEKS, metavar="N", help=f"how far to look back ({WEEKS})"
    )
    parser.add_argument(
        "--shared",
        action="store_true",
        help="sum the accounts: for an organisation that shares its discounts",
    )
    parser.add_argument(
        "--rates", type=Path, metavar="FILE", help="rates of your own, in place of those shipped"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the advice; exit status 0. Raises ``InputError`` and ``RefusedError``."""
    from service.report.render import print_json  # noqa: PLC0415 - imports wait for run
    from service.report.reserved_capacity import advise, read_rates, shipped_rates  # noqa: PLC0415

    if not 1 <= options.weeks <= WEEKS_AT_MOST:
        raise InputError(
            f"{options.weeks} weeks cannot be looked back on",
            file="--weeks",
            remedy=f"Give a number from 1 to {WEEKS_AT_MOST}",
        )
    rates = shipped_rates() if options.rates is None else read_rates(options.rates)
    hours = options.weeks * WEEK_HOURS
    usage, prices = _stored(hours) if options.data is None else _given(options.data, hours)
    found = advise(usage, prices, rates, shared=options.shared)
    if options.json:
        print_json(
            {
                "start": usage.hours.start,
                "end": usage.hours.end,
                "hours": usage.hours.count,
                "advice": [_row(one) for one in found.advice],
                "not_advised": [_row(one) for one in found.not_advised],
            }
        )
    else:
        _print(found)
    return 0


def _given(folder: Path, hours: int) -> tuple[Usage, Mapping[SkuKey, Decimal]]:
    """The newest ``hours`` of a dataset, and its on-demand prices."""
    from service.domain.usage import Usage  # noqa: PLC0415
    from service.usage.dataset import load_dataset  # noqa: PLC0415

    dataset = load_dataset(folder)
    seen = dataset.usage
    if seen.hours.count < WEEK_HOURS:
        raise InputError(
            f"{seen.hours.count} hours are too few to advise on",
            file=str(folder),
            remedy=f"Give at least a week, {WEEK_HOURS} hours",
        )
    first = max(seen.hours.count - hours, 0)
    newest = HourRange(seen.hours.hour(first), seen.hours.count - first)
    prices = {key: sku.on_demand_usd for key, sku in dataset.skus.items()}
    return Usage(newest, seen.lines, seen.quantity[first:]), prices


def _stored(hours: int) -> tuple[Usage, Mapping[SkuKey, Decimal]]:
    """The newest ``hours`` of stored usage that a decision may see, and the prices they show."""
    from service.domain.usage import SkuKey  # noqa: PLC0415
    from service.settings import read_settings  # noqa: PLC0415
    from service.usage.quality import decision_window  # noqa: PLC0415
    from service.wiring import opened  # noqa: PLC0415

    with opened(read_settings(os.environ)) as parts:
        window = decision_window(
            parts.usage.manifest(),
            now=parts.clock.now(),
            lag_hours=parts.settings.lag_hours,
            want_hours=hours,
            provider="aws",
        )
        usage = parts.usage.load(window, eligible_only=False, provider="aws")
        observed = parts.usage.prices(window)
    prices = {}
    for one in observed:
        usd = one.contracted_usd or one.list_usd
        if usd is not None:
            prices[SkuKey(one.provider, one.region, one.sku)] = usd
    return usage, prices


def _row(one: Advice | NotAdvised) -> dict[str, object]:
    row = {part.name: getattr(one, part.name) for part in fields(one)}
    if "rate_as_of" in row:
        row["rate_as_of"] = row["rate_as_of"].isoformat()
    return row


def _print(found: CapacityAdvice) -> None:
    from service.report.render import print_table  # noqa: PLC0415

    columns = (
        *("account", "region", "capacity", "term_months", "units", "upfront_usd"),
        *("usd_per_hour", "break_even_ratio", "used_ratio", "savings_usd_per_hour"),
    )
    print_table(
        "Reserved capacity of DynamoDB that would pay: buy one term of each, in AWS's console",
        tuple(name.replace("_", " ") for name in columns),
        [tuple(getattr(one, name) for name in columns) for one in found.advice],
    )
    if found.not_advised:
        print_table(
            "Not advised on",
            ("account", "region", "capacity", "term months", "why"),
            [tuple(_row(one).values()) for one in found.not_advised],
        )
