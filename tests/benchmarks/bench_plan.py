"""How fast and how close the planner is, beside the whole linear programme in HiGHS.

    python tests/benchmarks/bench_plan.py [--quick | --largest | --gaps]

Prints, for random markets of six kinds of offer (compute and instance plans and regional
reservations, one and three years): the planner alone up to 2,000 SKUs by a year of hours; then the
time of HiGHS (``highs-ipm``) on the whole programme and of the whole planner on the same data, in
the same run, with the bills that both answers give. Wall and processor seconds both, because a
busy machine stretches the first. ``--largest`` gives HiGHS ten minutes for each of ever larger
programmes until it fails, which takes most of an hour. ``--gaps`` prints the proven gaps of many
small markets of all sorts.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parents[2]))

from service.billing.sharing import ORGANISATION
from service.domain.errors import InvariantError
from service.domain.usage import Dataset
from service.plan.optimise import buying_account, flat_market, optimise
from service.plan.problem import Problem, candidate, pose
from service.plan.yardstick import whole_programme
from tests.plan.markets import market

_T = TypeVar("_T")

WHOLE = ((20, 4, 168), (40, 8, 336), (40, 8, 720), (100, 8, 720))
LARGER = ((150, 12, 720), (200, 16, 720), (250, 20, 720), (300, 24, 720), (400, 32, 720))
LARGER_SECONDS = 600.0
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


def against_highs(skus: int, families: int, hours: int) -> bool:
    """One line: both solvers on one market; ``False`` when HiGHS did not finish."""
    dataset = market(skus=skus, families=families, hours=hours, seed=1)
    problem = problem_of(dataset)
    ours, our = timed(lambda: optimise(dataset))
    try:
        exact, theirs = timed(lambda: whole_programme(problem, limit_seconds=LARGER_SECONDS))
    except InvariantError as error:
        say(f"{skus:5d} {families:4d} {hours:6d}  {error}  ours {our.wall:.2f} s")
        return False
    replayed = replayed_usd(dataset, problem, exact.bought)
    say(
        f"{skus:5d} {families:4d} {hours:6d}  HiGHS {theirs.wall:8.2f} s ({theirs.processor:7.2f})"
        f"  ours {our.wall:6.2f} s ({our.processor:6.2f})  {theirs.wall / our.wall:6.0f} x"
        f" ({theirs.processor / our.processor:5.0f} x)  gap {float(ours.gap_ratio):.1e}"
        f"  bill below HiGHS's answer's by {1 - float(ours.after_usd) / replayed:.1e}"
    )
    return True


def replayed_usd(dataset: Dataset, problem: Problem, bought: NDArray[np.float64]) -> float:
    """The true bill of the whole programme's answer."""
    account = buying_account(dataset)
    levels = zip(problem.offering, bought / problem.units_per_quantity, strict=True)
    amounts = {
        name: Decimal(repr(max(float(level), 0.0))) for name, level in levels if name is not None
    }
    hours = dataset.usage.hours
    offers = [candidate(dataset.offerings[one], hours, account, amounts[one]) for one in amounts]
    return flat_market(dataset, ORGANISATION).cost(offers)


def gaps() -> None:
    """Proven gaps, in parts of the bill before: shapes by rows, seeds by columns."""
    sorts: dict[str, dict[str, object]] = {
        "six kinds": {},
        "uneven rates": {"spread": 0.5},
        "plans alone": {"capacity": False, "spread": 0.5},
        "three accounts": {"accounts": 3},
        "one term": {"terms": (12,)},
    }
    for skus, families, hours in ((20, 4, 168), (40, 8, 168), (40, 8, 336), (40, 8, 720)):
        for name, how in sorts.items():
            found = [
                float(
                    optimise(
                        market(skus=skus, families=families, hours=hours, seed=seed, **how)  # type: ignore[arg-type]
                    ).gap_ratio
                )
                for seed in range(10)
            ]
            shown = " ".join(f"{one:.0e}" for one in found)
            say(f"{skus:4d} {families:3d} {hours:5d}  {name:15s} {shown}")


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
    parser.add_argument("--largest", action="store_true", help="how far HiGHS gets in ten minutes")
    parser.add_argument("--gaps", action="store_true", help="proven gaps of many small markets")
    options = parser.parse_args()
    if options.gaps:
        gaps()
        return
    say(" SKUs fam.  hours  wall seconds (processor seconds)")
    if options.largest:
        for shape in LARGER:
            if not against_highs(*shape):
                return
        return
    for shape in ALONE[:1] if options.quick else (*ALONE, LARGEST):
        for capacity in (False, True):
            alone(*shape, capacity=capacity)
    for shape in WHOLE[:3] if options.quick else WHOLE:
        against_highs(*shape)


if __name__ == "__main__":
    main()
