"""How long deciding takes: a three-year backtest of one pool, and a cycle of many pools.

Prints seconds and, in the same run, those of the simplest provider rule and of one hindsight
programme on the same series, so that a ratio means something on any machine:

    python tests/benchmarks/bench_backtest.py [--pools 300]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np

from service.backtest.hindsight import hindsight
from service.backtest.market import DEFAULT_MENU, Walk
from service.backtest.ours import Tenor
from service.backtest.rivals import RIVALS
from service.backtest.walk import Series, Strategy, walk_forward
from service.plan.ladder import tranche
from service.plan.ladder_terms import PoolState

BEGIN = datetime(2021, 1, 1, tzinfo=UTC)
HOURS = 3 * 365 * 24


def demand(seed: int) -> Series:
    """Three years of hours that grow, breathe with day and week, and wander."""
    random = np.random.default_rng(seed)
    hour = np.arange(HOURS)
    walk = np.interp(hour / 168, np.arange(158), np.cumsum(random.normal(0.004, 0.02, 158)))
    day = 1 + 0.3 * np.sin(2 * np.pi * hour / 24)
    return np.asarray(100 * np.exp(walk) * day * random.normal(1, 0.05, HOURS).clip(0.5))


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def backtest(strategy: Strategy, series: Series) -> object:
    """One weekly walk over three years."""
    return walk_forward(series, strategy, menu=DEFAULT_MENU, walk=Walk(), begin=BEGIN)


def cycle(pools: int) -> object:
    """One decision for each of ``pools`` pools, reasons from 100 paths included."""
    return [
        tranche(
            PoolState(demand(seed), BEGIN, HOURS + 24, np.full(9000, 10.0)),
            DEFAULT_MENU,
            seed=seed,
        )
        for seed in range(pools)
    ]


def main() -> None:
    """Print the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pools", type=int, default=300)
    pools = parser.parse_args().pools
    series = demand(0)
    ours = seconds(lambda: backtest(Tenor(), series))
    rule = seconds(lambda: backtest(RIVALS["provider-30d"](), series))
    best = seconds(lambda: hindsight(series, menu=DEFAULT_MENU, walk=Walk()))
    many = seconds(lambda: cycle(pools))
    sys.stdout.write(
        f"weekly backtest of one pool, 3 years: tenor {ours:.2f} s, provider-30d {rule:.2f} s "
        f"({ours / rule:.1f} times), exact hindsight {best:.2f} s\n"
        f"one cycle of {pools} pools with 100 paths each: {many:.1f} s, "
        f"{1000 * many / pools:.0f} ms a pool (made demand included)\n"
    )


if __name__ == "__main__":
    main()
