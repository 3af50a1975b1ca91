"""How long a decision over three hundred pools takes, and what its parts take.

    python tests/benchmarks/bench_decide.py [--families 149]

One random market of 26 weeks, compute and instance plans and regional reservations of one and
three years, a hundred scenarios per pool and a risk budget per pool and in total. Beside it, what
capacity covers on the scenarios of one pool, by look-up and by walking every hour of every shape:
the same dollars. Wall and processor seconds both, because a busy machine stretches the first.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from service.domain.hours import WEEK_HOURS
from service.domain.ids import AccountId, CycleId
from service.domain.plans import PlanInputs
from service.domain.usage import Dataset
from service.forecast.covered import Covered
from service.forecast.paths import forecast
from service.plan.decide import DecisionRequest, decide, pool_sizes
from service.plan.risk import SCENARIOS, RiskBudget
from tests.plan.markets import market

WEEKS = 26
POINTS = 28


def request_of(dataset: Dataset) -> DecisionRequest:
    """The decision at the end of the usage, everything on offer."""
    end = dataset.usage.hours.end
    return DecisionRequest(
        cycle=CycleId("benchmark"),
        decided_at=end,
        dataset=dataset,
        menu=tuple(sorted(dataset.offerings)),
        accounts={"aws": AccountId("acct0")},
        inputs=PlanInputs("", "", "", "", end, 0, ""),
        risk=RiskBudget(per_pool_usd=2_000.0, total_usd=50_000.0),
    )


def decision(families: int) -> None:
    """One whole decision."""
    dataset = market(skus=4 * families, families=families, hours=WEEKS * WEEK_HOURS, seed=1)
    request = request_of(dataset)
    pools = len({name for name, _ in pool_sizes(request).values()})
    wall, processor = time.perf_counter(), time.process_time()
    plan = decide(request)
    wall, processor = time.perf_counter() - wall, time.process_time() - processor
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    say(
        f"{pools} pools, {SCENARIOS} scenarios: {wall:.1f} s ({processor:.1f} s of processor), "
        f"{len(plan.lines)} lines, peak {memory:.2f} GB"
    )


def covering() -> None:
    """One pool's scenarios over three years, by look-up and hour by hour."""
    dataset = market(skus=8, families=1, hours=WEEKS * WEEK_HOURS, seed=2)
    seen = dataset.usage.quantity.sum(axis=1)
    paths = forecast(seen, begin=dataset.usage.hours.start, now=seen.size, weeks=156, seed=0)
    low = np.full(156, 0.8 * float(seen.mean()))
    high = low * 1.4
    begun = time.process_time()
    looked_up = Covered(paths, POINTS).between(low, high)
    quick = time.process_time() - begun
    begun = time.process_time()
    walked = np.zeros_like(paths.levels)
    chances = (np.arange(POINTS) + 0.5) / POINTS
    for number, shape in enumerate(paths.shapes):
        hourly = paths.levels[:, :, None] * np.quantile(shape, chances)
        between = np.clip(hourly - low[:, None], 0.0, (high - low)[:, None]).mean(axis=2)
        walked = np.where(paths.picks == number, between, walked)
    slow = time.process_time() - begun
    differ = float(np.abs(looked_up - walked).max() / walked.max())
    say(
        f"covered by one slice: {quick * 1e3:.1f} ms by look-up, {slow * 1e3:.1f} ms hour by hour "
        f"({slow / quick:.0f} times), which differ by {differ:.0e}"
    )


def say(line: str) -> None:
    """One line, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Both measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--families", type=int, default=149, help="pools are twice these and one")
    asked = parser.parse_args()
    covering()
    decision(asked.families)


if __name__ == "__main__":
    main()
