"""``python -m service.backtest.learn --demand FILE``: writes ``ladder_weights.txt`` anew."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from service.backtest.demand import read_demand
from service.backtest.learn.population import KINDS, case
from service.backtest.learn.search import halves, lessons, search
from service.domain.hours import WEEK_HOURS
from service.plan.ladder_learnt import Weights, as_text

SHARES = {
    "grow": 1.3,
    "decline": 1.4,
    "drop": 1.6,
    "surge": 1.1,
    "seasonal": 1.2,
    "two-crests": 1.0,
    "mixed": 0.5,
    "type": 0.3,
    "step": 0.6,
    "flat": 0.6,
}
"""How much each kind counts: the families that a goal is set for count most."""


def main(arguments: list[str]) -> int:
    """Make the population, search, and write the weights to ``--out``."""
    parser = argparse.ArgumentParser(prog="learn", description=__doc__)
    parser.add_argument("--demand", type=Path, required=True, help="regions to take courses from")
    parser.add_argument("--out", type=Path, required=True, help="file to write the weights to")
    parser.add_argument("--seeds", type=int, default=130, help="cases of each kind")
    parser.add_argument("--hidden", type=int, default=16, help="bends in the level's course")
    parser.add_argument("--rounds", type=int, default=110, help="times that all cases are met")
    parser.add_argument("--answers", type=int, default=12, help="searches whose mean is kept")
    asked = parser.parse_args(arguments)
    if asked.seeds <= 1 < asked.answers:
        parser.error("each of several answers learns on a half: --seeds must be at least 2")
    regions = []
    for pool in read_demand(asked.demand):
        weeks = pool.usd_per_hour.size // WEEK_HOURS
        means = pool.usd_per_hour[: weeks * WEEK_HOURS].reshape(weeks, WEEK_HOURS).mean(axis=1)
        regions.append(np.log(np.maximum(means, means.max() / 1e4)))
    # even seeds teach; odd ones are left to check on
    cases = [(kind, case(kind, 2 * n, regions)) for kind in KINDS for n in range(asked.seeds)]
    given = lessons(cases, SHARES)

    def learn(answer: int) -> Weights:
        def tell(number: int, saved: float) -> None:
            mean = saved / sum(SHARES.values())
            sys.stderr.write(f"answer {answer + 1}, round {number + 1}: {mean:.4f}\n")

        mine = halves(given, answer)
        return search(mine, hidden=asked.hidden, rounds=asked.rounds, seed=answer, tell=tell)

    found = [learn(answer) for answer in range(asked.answers)]
    asked.out.write_text(as_text(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
