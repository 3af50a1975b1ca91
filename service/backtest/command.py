"""``tenor backtest``: strategies walked forward over a demand file, against exact hindsight."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from service.backtest.portfolio_command import run_portfolio, walk_asked
from service.domain.errors import InputError
from service.report.render import print_json, print_table, progress

if TYPE_CHECKING:
    from service.backtest.compare import Scored, Setup
    from service.backtest.demand import PoolDemand
    from service.backtest.score import Figures


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``backtest`` to the command line."""
    parser = commands.add_parser(
        "backtest", help="walk strategies forward over past demand, against exact hindsight"
    )
    parser.add_argument(
        "--demand",
        type=Path,
        metavar="FILE",
        help="hourly demand with the columns hour, region, sku, quantity (CSV, CSV.gz, Parquet)",
    )
    parser.add_argument(
        "--data", type=Path, metavar="DIR", help="a dataset folder: the whole portfolio instead"
    )
    parser.add_argument(
        "--strategy",
        action="append",
        default=[],
        metavar="NAME",
        help="tenor (the default), a baseline's name, or all; may be given several times",
    )
    parser.add_argument(
        "--menu",
        type=Path,
        metavar="FILE",
        help="what can be bought: CSV of offer, term_months, rate (default: 12 months at 0.73)",
    )
    _add_walk(parser)
    _add_extras(parser)
    parser.set_defaults(run=run)


def _add_walk(parser: argparse.ArgumentParser) -> None:
    """Options of the walk itself."""
    parser.add_argument(
        "--step-hours",
        type=int,
        default=168,
        metavar="N",
        help="hours from one decision to the next (default: %(default)s, a week)",
    )
    parser.add_argument(
        "--lag-hours",
        type=int,
        default=24,
        metavar="N",
        help="a decision sees no hour of the last N before it (default: %(default)s)",
    )
    parser.add_argument(
        "--warmup-hours",
        type=int,
        default=2184,
        metavar="N",
        help="hours before the first decision; they cost nothing (default: %(default)s, 13 weeks)",
    )


def _add_extras(parser: argparse.ArgumentParser) -> None:
    """Options of what is shown beside it."""
    parser.add_argument(
        "--stress",
        action="store_true",
        help="add the stress families made from the same pools, with bootstrap intervals",
    )
    parser.add_argument(
        "--calibration", action="store_true", help="how often the forecast's intervals held"
    )
    parser.add_argument(
        "--ablate", action="store_true", help="add ours with one part taken out or put in"
    )
    parser.add_argument(
        "--changes", type=Path, metavar="FILE", help="the planned-change register (YAML)"
    )
    parser.add_argument(
        "--holidays",
        type=Path,
        metavar="FILE",
        help="a calendar of holidays (YAML); what they did in the past shapes the forecast",
    )
    parser.add_argument(
        "--picture", type=Path, metavar="DIR", help="folder for a picture of every pool"
    )
    parser.add_argument(
        "--json", action="store_true", help="exactly one JSON object on standard output"
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the comparison asked for and print it."""
    if arguments.data is not None:
        return run_portfolio(arguments)
    from service.backtest.compare import chosen, compare  # noqa: PLC0415 - numpy and scipy
    from service.backtest.demand import read_demand  # noqa: PLC0415
    from service.backtest.ours import ABLATIONS, NAME  # noqa: PLC0415

    if arguments.demand is None:
        raise InputError("not given", file="--demand", remedy="Give a demand file.")
    if arguments.ablate:
        arguments.strategy = [*(arguments.strategy or [NAME]), *ABLATIONS]
    strategies = chosen(arguments.strategy)
    pools = read_demand(arguments.demand)
    setup = _setup(arguments, pools)
    series = [(pool.region, pool.usd_per_hour) for pool in pools]
    with progress("backtest", len(series) * len(strategies)) as advance:
        scored = compare(series, strategies, setup, advance=advance)
    answer: dict[str, object] = {
        "pools": [_pool(one, setup) for one in scored],
        "total": _totals(scored),
    }
    if arguments.stress:
        answer.update(_stressed(pools, arguments.strategy, setup))
    if arguments.calibration:
        answer["calibration"] = _calibration(pools, setup)
    if arguments.picture is not None:
        _pictures(arguments.picture, pools, scored, setup)
    if arguments.json:
        print_json(answer)
    else:
        _print(answer)
    return 0


def _setup(arguments: argparse.Namespace, pools: Sequence[PoolDemand]) -> Setup:
    from service.backtest.compare import Setup  # noqa: PLC0415
    from service.backtest.market import DEFAULT_MENU, read_menu  # noqa: PLC0415
    from service.forecast.changes import read_changes  # noqa: PLC0415
    from service.forecast.holidays import read_holidays  # noqa: PLC0415

    walk = walk_asked(arguments)
    hours = pools[0].hours
    if hours.count <= arguments.warmup_hours:
        raise InputError(
            f"{hours.count} hours do not outlast a warm-up of {arguments.warmup_hours}",
            file=str(arguments.demand),
            remedy="Give a longer history or a shorter --warmup-hours.",
        )
    menu = DEFAULT_MENU if arguments.menu is None else read_menu(arguments.menu)
    changes = () if arguments.changes is None else read_changes(arguments.changes)
    holidays = () if arguments.holidays is None else read_holidays(arguments.holidays)
    return Setup(menu, walk, hours.start, changes, holidays)


def _figures(figures: Figures) -> dict[str, object]:
    return {
        "hours": figures.hours,
        "on_demand_usd": round(figures.on_demand_usd, 6),
        "cost_usd": round(figures.cost_usd, 6),
        "hindsight_usd": round(figures.hindsight_usd, 6),
        "capture_ratio": figures.capture_ratio,
        "effective_savings_rate": figures.effective_savings_rate,
        "utilization_ratio": figures.utilization_ratio,
        "coverage_ratio": figures.coverage_ratio,
        "worst_12_month_savings_ratio": figures.worst_12_month_savings_ratio,
    }


def _pool(scored: Scored, setup: Setup) -> dict[str, object]:
    from service.domain.hours import HOUR  # noqa: PLC0415

    return {
        "region": scored.name,
        "strategy": scored.strategy,
        **_figures(scored.figures),
        "purchases": [
            {
                "hour": setup.begin + buy.hour * HOUR,
                "offer": setup.menu[buy.place].offer,
                "quantity": buy.quantity,
                "commit_usd_per_hour": buy.quantity * setup.menu[buy.place].rate_ratio,
            }
            for buy in scored.purchases
        ],
    }


def _totals(scored: Sequence[Scored]) -> dict[str, object]:
    from service.backtest.compare import totals  # noqa: PLC0415

    return {name: _summed(figures) for name, figures in totals(scored).items()}


def _summed(figures: Figures) -> dict[str, object]:
    worst = {"worst_pool_12_month_savings_ratio": figures.worst_series_ratio}
    return {**_figures(figures), **worst}


def _stressed(pools: Sequence[PoolDemand], names: Sequence[str], setup: Setup) -> dict[str, object]:
    """Figures per family, and mean and worst of the goal families, with their intervals."""
    from service.backtest.bootstrap import spreads  # noqa: PLC0415
    from service.backtest.compare import chosen, each_case, totals  # noqa: PLC0415
    from service.backtest.families import GOAL_FAMILIES, stress  # noqa: PLC0415

    cases = stress(pools)
    strategies = chosen(names)
    with progress("stress families", len(cases) * len(strategies)) as advance:
        scored = each_case(cases, strategies, setup, advance=advance)
    around = spreads(scored, GOAL_FAMILIES)
    families = {family: totals(ones) for family, ones in scored.items()}
    summary: dict[str, object] = {}
    for strategy, spread in around.items():
        captured = [families[family][strategy].capture_ratio for family in GOAL_FAMILIES]
        summary[strategy] = {
            "families": list(GOAL_FAMILIES),
            "mean_capture_ratio": sum(captured) / len(captured),
            "mean_capture_interval": list(spread.mean),
            "worst_capture_ratio": min(captured),
        }
    shown = {
        family: {
            name: {**_summed(one), "capture_interval": list(around[name].families[family])}
            for name, one in figures.items()
        }
        for family, figures in families.items()
    }
    return {"families": shown, "stress": summary}


def _calibration(pools: Sequence[PoolDemand], setup: Setup) -> list[dict[str, object]]:
    from service.backtest.calibration import calibrate  # noqa: PLC0415

    return [
        {
            "horizon_weeks": horizon,
            "weeks": found.weeks,
            "inside": {f"{share:.2f}": inside for share, inside in found.inside.items()},
        }
        for horizon, found in calibrate(
            [pool.usd_per_hour for pool in pools], setup, regions=[pool.region for pool in pools]
        ).items()
    ]


def _pictures(
    folder: Path, pools: Sequence[PoolDemand], scored: Sequence[Scored], setup: Setup
) -> None:
    from service.backtest.picture import draw  # noqa: PLC0415 - matplotlib

    folder.mkdir(parents=True, exist_ok=True)
    demand = {pool.region: pool.usd_per_hour for pool in pools}
    for one in scored:
        draw(folder, one, demand[one.name], setup)


def _print(answer: Mapping[str, object]) -> None:
    shown = ("capture_ratio", "effective_savings_rate", "utilization_ratio", "coverage_ratio")
    columns = ["", "strategy", *(name.replace("_", " ") for name in shown), "worst 12 months"]
    rows: list[list[object]] = []
    pools, families = answer["pools"], answer.get("families", {})
    if isinstance(pools, list):
        rows += [_row(str(pool["region"]), str(pool["strategy"]), pool, shown) for pool in pools]
    print_table("Walk-forward, against exact hindsight", columns, rows)
    if isinstance(families, Mapping) and families:
        rows = [
            _row(family, name, figures, shown)
            for family, strategies in families.items()
            for name, figures in strategies.items()
        ]
        columns.insert(3, "90% of draws")
        print_table("Stress families", columns, rows)
    _print_summary(answer)


def _print_summary(answer: Mapping[str, object]) -> None:
    stress, calibration = answer.get("stress"), answer.get("calibration")
    if isinstance(stress, Mapping):
        rows: list[list[object]] = [
            [
                name,
                f"{one['mean_capture_ratio']:.3f}",
                _interval(one["mean_capture_interval"]),
                f"{one['worst_capture_ratio']:.3f}",
            ]
            for name, one in stress.items()
        ]
        columns = ["strategy", "mean", "90% of draws of regions and cases", "worst"]
        print_table("Goal families", columns, rows)
    if isinstance(calibration, list):
        rows = [
            [one["horizon_weeks"], *(f"{share:.3f}" for share in one["inside"].values())]
            for one in calibration
            if one["weeks"]
        ]
        columns = ["weeks ahead", "inside 50%", "inside 80%", "inside 95%"]
        print_table("Calibration of the forecast", columns, rows)


def _interval(limits: Sequence[float]) -> str:
    low, high = limits
    return f"{low:.3f} to {high:.3f}"


def _row(
    name: str, strategy: str, figures: Mapping[str, object], shown: Sequence[str]
) -> list[object]:
    cells = [f"{float(str(figures[column])):.3f}" for column in shown]
    worst = f"{float(str(figures['worst_12_month_savings_ratio'])):+.3f}"
    interval = figures.get("capture_interval")
    if isinstance(interval, list):
        cells.insert(1, _interval(interval))
    return [name, strategy, *cells, worst]
