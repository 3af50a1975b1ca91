"""``tenor backtest --data DIR``: what Tenor would have done with one's own export, billed."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from service.domain.errors import InputError
from service.report.render import print_json, print_table, progress

if TYPE_CHECKING:
    from service.backtest.market import Walk
    from service.backtest.portfolio import PortfolioRun


def walk_asked(arguments: argparse.Namespace) -> Walk:
    """The walk that the options ask for; raises ``InputError`` for hours that cannot be."""
    from service.backtest.market import Walk  # noqa: PLC0415 - numpy

    for option, least in (("step_hours", 1), ("lag_hours", 0), ("warmup_hours", 0)):
        if getattr(arguments, option) < least:
            raise InputError(
                f"{getattr(arguments, option)} is below {least}",
                file=f"--{option.replace('_', '-')}",
                remedy="Give a number of hours.",
            )
    return Walk(arguments.step_hours, arguments.lag_hours, arguments.warmup_hours)


def run_portfolio(arguments: argparse.Namespace) -> int:
    """Walk the dataset forward and print every strategy's bill."""
    from service.backtest.portfolio import instants, walk_portfolio  # noqa: PLC0415
    from service.forecast.changes import read_changes  # noqa: PLC0415
    from service.forecast.holidays import read_holidays  # noqa: PLC0415
    from service.usage.dataset import load_dataset  # noqa: PLC0415

    _refuse_demand_options(arguments)
    walk = walk_asked(arguments)
    dataset = load_dataset(arguments.data)
    changes = () if arguments.changes is None else read_changes(arguments.changes)
    holidays = () if arguments.holidays is None else read_holidays(arguments.holidays)
    with progress("backtest", 3 * len(instants(dataset, walk))) as advance:
        runs = walk_portfolio(
            dataset, walk=walk, changes=changes, holidays=holidays, advance=advance
        )
    if arguments.json:
        print_json({"portfolio": {run.strategy: _run(run) for run in runs}})
    else:
        _print(runs)
    return 0


def _refuse_demand_options(arguments: argparse.Namespace) -> None:
    for option in ("demand", "menu", "strategy", "stress", "calibration", "ablate", "picture"):
        if getattr(arguments, option):
            raise InputError(
                f"does not go with --{option}",
                file="--data",
                remedy="A dataset folder brings its own usage and offers: leave the other out.",
            )


def _run(run: PortfolioRun) -> dict[str, object]:
    return {
        "hours": run.bill.hours.count,
        "on_demand_equivalent_usd": run.bill.on_demand_equivalent_usd,
        "on_demand_usd": run.bill.on_demand_usd,
        "commitment_usd": run.bill.commitment_usd,
        "total_usd": run.bill.total_usd,
        "effective_savings_rate": run.bill.effective_savings_rate,
        "utilization_ratio": run.bill.utilization_ratio,
        "coverage_ratio": run.bill.coverage_ratio,
        "obligation_after_usd": run.obligation_after_usd,
        "purchases": [
            {"hour": one.start, "offer": one.offering, "quantity": one.quantity}
            for one in run.purchases
        ],
    }


def _print(runs: tuple[PortfolioRun, ...]) -> None:
    columns = ["strategy", "total $", "saved", "used", "covered", "owed after $", "purchases"]
    rows: list[list[object]] = [
        [
            run.strategy,
            f"{run.bill.total_usd:.2f}",
            f"{run.bill.effective_savings_rate:.3f}",
            f"{run.bill.utilization_ratio:.3f}",
            f"{run.bill.coverage_ratio:.3f}",
            f"{run.obligation_after_usd:.2f}",
            len(run.purchases),
        ]
        for run in runs
    ]
    print_table("Walk-forward over the whole portfolio", columns, rows)
