"""How long a bill takes, against the plain loop, and how that grows with hours and SKUs.

Run: ``python -m tests.benchmarks.bench_billing``. The market is made up, of the size that counts:
8,760 hours × 500 SKUs × 60 commitments (20 regional Reserved Instances, 20 EC2 Instance and 20
Compute Savings Plans). Two alternatives in plain Python, both ``tests.billing.reference`` in float,
are timed on some hours and scaled up. The straightforward loop is the plain reading of the rules:
each hour it ranks what commitments and usage there are, then matches them; it is timed on hours
spread evenly over the year. The loop that is given the ranking has the hardest part done for it: it
is no straightforward one, and shown so that the other's slowness is not mistaken for ours being
fast. Times are the best of several runs, by the clock and (in brackets) by the processor, which
other work on the machine disturbs less. Sizes are run in turn, so that a busy minute falls on all.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from service.billing.bill import bill
from service.billing.exact import written
from service.billing.kernel import run
from service.billing.market import compile_market
from service.billing.waterfall import waterfall
from service.domain.commitments import Commitment, CommitmentState, Kind, Offering, Payment
from service.domain.hours import HourRange
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.domain.usage import Dataset, Sku, SkuKey, Usage, UsageLine
from tests.billing.reference import reference_bill

START = datetime(2026, 1, 1, tzinfo=UTC)
HOURS, SKUS, FAMILIES, PLANS = 8760, 500, 20, 20
REPEATS = 5
SHORT_REPEATS = 40
GROWTH_REPEATS = 7
LOOPED_HOURS = 292


def market(hours: int, skus: int) -> Dataset:
    """A year of daily waves over families of five sizes, with 60 commitments that end mid-way."""
    random = np.random.default_rng(3)
    prices: dict[SkuKey, Sku] = {}
    lines = []
    for index in range(skus):
        family, size = index % FAMILIES, Decimal(2) ** (index // FAMILIES % 5)
        key = SkuKey("aws", "us-east-1", f"sku-{index:03}")
        price = (Decimal("0.05") * size * (1 + Decimal(family) / 10)).quantize(Decimal("0.0001"))
        prices[key] = Sku(
            key, "ec2", f"m{family}", size, "linux", "shared", "Hrs", price, price
        )  # fmt: skip
        lines.append(UsageLine("aws", AccountId(f"account-{index % 7}"), "us-east-1", "", key.sku))
    wave = 5 + 3 * np.sin(2 * np.pi * np.arange(hours) / 24)
    noise = random.uniform(0.2, 2, skus) * random.uniform(0.7, 1.3, (hours, skus))
    usage = Usage(HourRange(START, hours), tuple(lines), np.round(wave[:, None] * noise, 2))
    offers, holdings = offers_and_holdings(prices, Decimal(skus) / SKUS)
    return Dataset(usage, prices, {one.offering: one for one in offers}, tuple(holdings))


def offers_and_holdings(
    prices: dict[SkuKey, Sku], scale: Decimal
) -> tuple[list[Offering], list[Commitment]]:
    """20 offers of each of three kinds, and one commitment of each, as large as the market."""
    offers, holdings = [], []
    for family in range(FAMILIES):
        mine = {key.sku: one for key, one in prices.items() if one.family == f"m{family}"}
        plan = {name: rate(one, "0.55") for name, one in mine.items()}
        offers.append(offering(f"ri-{family}", Kind.AWS_RI_REGIONAL, {min(mine): Decimal("0.03")}))
        offers.append(offering(f"instance-{family}", Kind.AWS_EC2_INSTANCE_SP, plan))
        holdings.append(owned(f"ri-{family}", 60 * scale, family))
        holdings.append(owned(f"instance-{family}", Decimal("3.5") * scale, family))
    for number in range(PLANS):
        share = Decimal("0.62") + Decimal(number % 6) / 50
        plan = {
            key.sku: rate(one, str(share + Decimal(index * 7 % 13) / 200))
            for index, (key, one) in enumerate(prices.items())
        }
        offers.append(offering(f"compute-{number}", Kind.AWS_COMPUTE_SP, plan))
        holdings.append(owned(f"compute-{number}", Decimal("8.5") * scale, number))
    return offers, holdings


def rate(one: Sku, share: str) -> Decimal:
    """A plan's rate: a share of the on-demand price, to four decimals."""
    return (one.on_demand_usd * Decimal(share)).quantize(Decimal("0.0001"))


def offering(name: str, kind: Kind, rates: dict[str, Decimal]) -> Offering:
    """A one-year offering without upfront."""
    capacity = not kind.is_spend
    return Offering(
        OfferingId(name), "aws", kind, 12, Payment.NO_UPFRONT,
        region=None, family=None, platform=None, tenancy=None, zone=None, size_flexible=capacity,
        rates_usd=rates, upfront_usd=Decimal(0), min_quantity=Decimal(0), step=Decimal(0),
    )  # fmt: skip


def owned(offer: str, quantity: Decimal, number: int) -> Commitment:
    """A commitment that begins on a day of its own and outlives the year."""
    return Commitment(
        CommitmentId(offer), OfferingId(offer), AccountId(f"account-{number % 7}"), None, None,
        quantity, START + timedelta(hours=number * 20), START + timedelta(days=400),
        CommitmentState.ACTIVE,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Taken:
    """The best of several runs, in seconds by the clock and by the processor."""

    clock: float
    processor: float

    def __str__(self) -> str:
        return f"{self.clock:.3f} s ({self.processor:.3f})"


def timed(work: Callable[[], object], repeats: int = REPEATS) -> Taken:
    """Run ``work`` several times."""
    clock, processor = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        work()
        clock.append(time.perf_counter() - start[0])
        processor.append(time.process_time() - start[1])
    return Taken(min(clock), min(processor))


def changed_levels(levels: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Levels that all change a little each time, as an optimiser's do."""
    random = np.random.default_rng(5)
    while True:
        yield levels * random.uniform(0.95, 1.05, len(levels))


def some_hours(dataset: Dataset, count: int, first: int = 0) -> Dataset:
    """A run of the dataset's hours."""
    usage = dataset.usage
    hours = HourRange(usage.hours.hour(first), count)
    part = usage.quantity[first : first + count].copy()
    return replace(dataset, usage=Usage(hours, usage.lines, part))


def line_fit(sizes: list[int], taken: list[float]) -> tuple[float, float, float]:
    """Slope, intercept and R² of seconds over size."""
    slope, intercept = np.polyfit(sizes, taken, 1)
    rest = np.array(taken) - (slope * np.array(sizes) + intercept)
    spread = np.array(taken) - np.mean(taken)
    return float(slope), float(intercept), float(1 - (rest @ rest) / (spread @ spread))


def say(words: str) -> None:
    """One line of the report."""
    sys.stdout.write(words + "\n")


def main() -> None:
    """Measure and report."""
    whole = market(HOURS, SKUS)
    stack = compile_market(whole.usage, whole.skus, whole.offerings).stack(whole.commitments)
    billed = timed(lambda: bill(whole))
    say(f"{HOURS} hours x {SKUS} SKUs x {len(whole.commitments)} commitments")
    say(f"bill: {billed}; budget 1.5 s")
    looped = spread_seconds(whole, LOOPED_HOURS)
    say(
        f"straightforward loop (ranks each hour; {LOOPED_HOURS} hours spread over the year, scaled"
        f" up): {looped:.0f} s of processor, {looped / billed.processor:.0f} times the bill"
    )
    # In the middle of the year all commitments are there.
    given = seconds_an_hour(some_hours(whole, 200, HOURS // 2)) * HOURS
    say(
        f"loop that is given the ranking (200 hours, scaled up): {given:.0f} s of processor,"
        f" {given / billed.processor:.0f} times the bill"
    )
    cheap = timed(lambda: stack.cost(stack.levels), SHORT_REPEATS)
    say(
        f"cost at new levels in float64: {cheap}; given the ranking, plain Python takes"
        f" {given / cheap.processor:.0f} times that"
    )
    levels = changed_levels(stack.levels)
    sloped = timed(lambda: stack.slope(next(levels)), SHORT_REPEATS)
    say(f"cost and subgradient at new levels in float64: {sloped}; budget 0.1 s")
    hours = [1095, 2190, 3285, 4380, 5475, 6570, 7665, 8760]
    report_growth("hour", hours, [some_hours(whole, count) for count in hours])
    skus = [100, 200, 300, 400, 500]
    report_growth("SKU", skus, [market(4380, count) for count in skus])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    say(f"peak memory of this process: {peak:.0f} MB; budget 1024 MB")


def spread_seconds(whole: Dataset, count: int) -> float:
    """The straightforward loop over all hours, by ``count`` of them that lie evenly apart."""
    step = whole.usage.hours.count // count
    samples = [some_hours(whole, 1, place * step + step // 2) for place in range(count)]

    def work() -> None:
        for sample in samples:
            reference_bill(sample, float)

    return timed(work, 1).processor / count * whole.usage.hours.count


def seconds_an_hour(sample: Dataset) -> float:
    """What one hour more costs the plain loop that ranks once."""
    one = some_hours(sample, 1)
    most = timed(lambda: reference_bill(sample, float, rank_once=True), 3)
    least = timed(lambda: reference_bill(one, float, rank_once=True), 3)
    return (most.processor - least.processor) / (sample.usage.hours.count - 1)


def moves_made(dataset: Dataset) -> int:
    """How many moves meet usage in some hour: each costs its few calls, however many hours."""
    usage = dataset.usage
    plan = waterfall(
        hours=usage.hours, lines=usage.lines, skus=dataset.skus, offerings=dataset.offerings,
        commitments=dataset.commitments,
    )  # fmt: skip
    made: set[int] = set()
    run(
        plan.rooms,
        plan.moves,
        written(np.ascontiguousarray(usage.quantity.T)),
        lambda move, *_: made.add(id(move)),
    )
    return len(made)


def report_growth(unit: str, sizes: list[int], markets: list[Dataset]) -> None:
    """Time the markets, in turn, and fit a line through the processor's seconds."""
    rounds = [
        [timed(lambda one=one: bill(one), 1).processor for one in markets]  # type: ignore[misc]
        for _ in range(GROWTH_REPEATS)
    ]
    taken = [min(each) for each in zip(*rounds, strict=True)]
    slope, start, fit = line_fit(sizes, taken)
    shown = ", ".join(
        f"{size}: {one:.3f} s ({moves_made(market)} moves)"
        for size, one, market in zip(sizes, taken, markets, strict=True)
    )
    say(f"by {unit}s {shown}")
    say(f"  {slope * 1e6:.0f} us for each {unit} + {start:.3f} s, R2 = {fit:.4f}")


if __name__ == "__main__":
    main()
