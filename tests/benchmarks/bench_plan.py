"""How fast and how close the planner is, beside the whole linear programme in HiGHS.

    python tests/benchmarks/bench_plan.py [--quick]

Prints, for random markets of six kinds of offer (compute and instance plans and regional
reservations, one and three years): the planner alone up to 2,000 SKUs by a year of hours; then the
time of HiGHS (``highs-ipm``) on the whole programme and of the relaxation on the same data, in the
same run. Wall and processor seconds both, because a busy machine stretches the first.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

sys.path.insert(0, str(Path(__file__).parents[2]))

from service.billing.sharing import ORGANISATION
from service.domain.usage import Dataset
from service.plan.optimise import buying_account, flat_market, optimise
from service.plan.problem import Problem, candidate, pose
from service.plan.relaxation import relax
from service.plan.yardstick import whole_programme
from tests.plan.markets import market

_T = TypeVar("_T")

WHOLE = ((20, 4, 168), (40, 8, 336), (40, 8, 720), (100, 8, 720))
LARGEST_WHOLE = (150, 12, 720)
ALONE = ((100, 8, 8_760), (250, 20, 8_760), (500, 40, 8_760), (1_000, 80, 8_760))
LARGEST = (2_000, 160, 8_760)


@dataclass(frozen=True)
class Timed:
    """Seconds that something took."""

    wall: float
    processor: float


def timed(work: Callable[[], _T]) -> tuple[_T, Timed]:
    """What ``work`` returns, and how long it took."""
    wall, processor = time.perf_counter(), time.process_time()
    value = work()
    return value, Timed(time.perf_counter() - wall, time.process_time() - processor)


def problem_of(dataset: Dataset) -> Problem:
    """The relaxation's data when everything on offer can be bought."""
    flat = flat_market(dataset, ORGANISATION)
    account = buying_account(dataset)
    offers = [candidate(one, dataset.usage.hours, account) for one in dataset.offerings.values()]
    return pose(
        flat.stack(offers).plan,
        held=0,
        quantity=flat.quantity.high,
        on_demand_usd=flat.on_demand_usd,
    )


def against_highs(skus: int, families: int, hours: int) -> None:
    """One line: both solvers on one problem."""
    problem = problem_of(market(skus=skus, families=families, hours=hours, seed=1))
    ours, our = timed(lambda: relax(problem))
    exact, theirs = timed(lambda: whole_programme(problem))
    off = (exact.value_usd - ours.lower_bound_usd) / problem.demand_total_usd
    say(
        f"{skus:5d} {families:4d} {hours:6d}  HiGHS {theirs.wall:8.2f} s ({theirs.processor:7.2f})"
        f"  ours {our.wall:6.2f} s ({our.processor:6.2f})  {theirs.wall / our.wall:6.0f} x"
        f" ({theirs.processor / our.processor:5.0f} x)  bound below optimum by {off:.1e}"
    )


def alone(skus: int, families: int, hours: int, *, capacity: bool) -> None:
    """One line: the whole of ``optimise``, replay and report included."""
    dataset = market(skus=skus, families=families, hours=hours, seed=1, capacity=capacity)
    portfolio, taken = timed(lambda: optimise(dataset))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    kinds = "six kinds" if capacity else "four kinds"
    say(
        f"{skus:5d} {families:4d} {hours:6d}  {kinds:10s} {taken.wall:7.2f} s "
        f"({taken.processor:7.2f})  {portfolio.iterations:3d} steps  gap "
        f"{float(portfolio.gap_ratio):.2e}  peak {memory:.2f} GB"
    )


def say(line: str) -> None:
    """One line of the table, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """The tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="leave the largest sizes out")
    quick = parser.parse_args().quick
    say(" SKUs fam.  hours  wall seconds (processor seconds)")
    for shape in ALONE[:1] if quick else (*ALONE, LARGEST):
        for capacity in (False, True):
            alone(*shape, capacity=capacity)
    for shape in WHOLE[:3] if quick else (*WHOLE, LARGEST_WHOLE):
        against_highs(*shape)


if __name__ == "__main__":
    main()
