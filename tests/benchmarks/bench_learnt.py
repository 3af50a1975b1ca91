"""Capture on made demand that nothing was learnt on: odd seeds, every kind, named rules.

    python tests/benchmarks/bench_learnt.py --demand FILE [--seeds 10]

The learnt share was found on even seeds of the same kinds; see docs/model.md.
"""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from service.backtest.bootstrap import spreads
from service.backtest.compare import Setup, chosen, each_case, totals
from service.backtest.demand import read_demand
from service.backtest.families import Case
from service.backtest.learn.population import KINDS, case
from service.backtest.market import DEFAULT_MENU, Walk
from service.domain.hours import WEEK_HOURS

STRATEGIES = (
    "tenor",
    "tenor-learnt-alone",
    "tenor-by-bounds",
    "least-7-28-91d",
    "azure-sp",
    "provider-30d-x80",
)
BEGIN = datetime(2021, 1, 1, tzinfo=UTC)


def main() -> None:
    """Print capture in percent, kind by kind, and their mean with a 90% interval."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--demand", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=10)
    asked = parser.parse_args()
    regions = []
    for pool in read_demand(asked.demand):
        weeks = pool.usd_per_hour.size // WEEK_HOURS
        means = pool.usd_per_hour[: weeks * WEEK_HOURS].reshape(weeks, WEEK_HOURS).mean(axis=1)
        regions.append(np.log(means))
    cases = [
        Case(kind, f"{kind} {seed}", case(kind, seed, regions), str(seed))
        for kind in KINDS
        for seed in range(1, 2 * asked.seeds, 2)
    ]
    setup = Setup(DEFAULT_MENU, Walk(), BEGIN)
    scored = each_case(cases, chosen(STRATEGIES), setup)
    around = spreads(scored, list(KINDS))
    head = "".join(kind.rjust(11) for kind in KINDS)
    sys.stdout.write(f"{'strategy':18}{head}{'mean':>8}\n")
    for name in STRATEGIES:
        captured = [100 * totals(scored[kind])[name].capture_ratio for kind in KINDS]
        cells = "".join(f"{one:11.1f}" for one in captured)
        low, high = (100 * limit for limit in around[name].mean)
        mean = float(np.mean(captured))
        sys.stdout.write(f"{name:18}{cells}{mean:8.1f} ({low:.1f} to {high:.1f})\n")


if __name__ == "__main__":
    main()
