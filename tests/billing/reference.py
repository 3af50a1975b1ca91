"""A second opinion: the same bill, hour by hour, pair by pair, in plain Python.

Written from the providers' rules alone, without anything of ``service.billing``. In ``Fraction`` it
is exact; in ``float`` it is the straightforward loop that the benchmark compares with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from service.domain.commitments import Commitment, CommitmentState, Kind, Offering
from service.domain.usage import Dataset, Sku, UsageLine

Number = Any
"""``Fraction`` or ``float``."""

FIXED_FAMILIES = {"g4ad", "g4dn", "g5", "g5g", "g6", "g6e", "g6f", "gr6", "gr6f", "hpc7a", "p5"}
FIXED_FAMILIES |= {"inf1", "inf2", "u7i-6tb", "u7i-8tb"}
PLAN_TURN = {
    Kind.AWS_DATABASE_SP: 10,
    Kind.AWS_SAGEMAKER_SP: 10,
    Kind.AWS_EC2_INSTANCE_SP: 20,
    Kind.AWS_COMPUTE_SP: 30,
    Kind.AZURE_SAVINGS_PLAN: 20,
    Kind.GCP_FLEXIBLE_CUD: 20,
}


@dataclass
class Ledger:
    """What the loop adds up; dollars, and quantities in each SKU's unit."""

    equivalent: Number
    on_demand: Number
    committed: dict[str, Number] = field(default_factory=dict)
    used: dict[str, Number] = field(default_factory=dict)
    left: dict[UsageLine, Number] = field(default_factory=dict)
    quantity: dict[UsageLine, Number] = field(default_factory=dict)

    @property
    def total(self) -> Number:
        """On demand and all commitments."""
        return self.on_demand + sum(self.committed.values())


Turn = Callable[[str, str], int | None]
"""When a user's usage has its turn at an owner's AWS commitment, or never."""


def organisation(owner: str, user: str) -> int:
    """The owner first, then everybody."""
    return int(owner != user)


def reference_bill(
    dataset: Dataset,
    exact: Callable[[Any], Number] = Fraction,
    *,
    rank_once: bool = False,
    turn: Turn = organisation,
) -> Ledger:
    """The bill, in the numbers that ``exact`` makes of decimals.

    Which pair comes first is worked out in every hour, or once for all hours.
    """
    ranked = ranked_pairs(dataset, dataset.commitments, exact, turn) if rank_once else None
    zero = exact(0)
    ledger = Ledger(zero, zero)
    usage = dataset.usage
    for one in dataset.commitments:
        ledger.committed[one.commitment] = ledger.used[one.commitment] = zero
    for line in usage.lines:
        ledger.left[line] = ledger.quantity[line] = zero
    for index in range(usage.hours.count):
        hour = usage.hours.hour(index)
        left = {
            line: exact(str(usage.quantity[index, place])) if exact is Fraction
            else float(usage.quantity[index, place])
            for place, line in enumerate(usage.lines)
        }  # fmt: skip
        for line, quantity in left.items():
            ledger.quantity[line] += quantity
            ledger.equivalent += quantity * exact(dataset.skus[line.key].on_demand_usd)
        rooms = {}
        for one in dataset.commitments:
            if one.state is CommitmentState.ACTIVE and one.start <= hour < one.end:
                rooms[one.commitment] = exact(one.quantity) * exact(room_size(dataset, one))
                ledger.committed[one.commitment] += exact(one.quantity) * hourly_rate(
                    dataset, one, exact
                )
        full = dict(rooms)
        owned = [one for one in dataset.commitments if one.commitment in rooms]
        fill(ranked or ranked_pairs(dataset, owned, exact, turn), rooms, left, exact)
        for one in dataset.commitments:
            if one.commitment in full:
                spent = full[one.commitment] - rooms[one.commitment]
                ledger.used[one.commitment] += (
                    spent * hourly_rate(dataset, one, exact) / exact(room_size(dataset, one))
                )
        for line, quantity in left.items():
            ledger.left[line] += quantity
            ledger.on_demand += quantity * exact(dataset.skus[line.key].on_demand_usd)
    return ledger


def ranked_pairs(
    dataset: Dataset, owned: Sequence[Commitment], exact: Callable[[Any], Number], turn: Turn
) -> list[tuple[str, list[tuple[UsageLine, Number]]]]:
    """Commitments with the lines they take, in order; equal pairs of one commitment together."""
    groups: dict[Any, list[tuple[UsageLine, Number]]] = {}
    for order, line, rate in sorted(
        pair for one in owned for pair in pairs_of(dataset, one, exact, turn)
    ):
        groups.setdefault(order, []).append((line, exact(rate)))
    return [(order[-1], group) for order, group in groups.items()]


def fill(
    ranked: list[tuple[str, list[tuple[UsageLine, Number]]]],
    rooms: dict[Any, Number],
    left: dict[UsageLine, Number],
    exact: Callable[[Any], Number],
) -> None:
    """One hour: pair after pair in order; equal pairs of one commitment share."""
    for name, group in ranked:
        if not rooms.get(name):
            continue
        need = sum((left[line] * rate for line, rate in group), exact(0))
        if need > rooms[name]:
            share = rooms[name] / need
            for line, _ in group:
                left[line] -= left[line] * share
            rooms[name] = exact(0)
        else:
            for line, _ in group:
                left[line] = exact(0)
            rooms[name] -= need


def pairs_of(
    dataset: Dataset, one: Commitment, exact: Callable[[Any], Number], turn: Turn
) -> Iterator[tuple[Any, UsageLine, Any]]:
    """(order, line, room per unit) for everything that the commitment may cover."""
    offering = dataset.offerings[one.offering]
    unit = None if offering.kind.is_spend else unit_of(dataset, offering)
    floats = unit is not None and is_flexible(offering, unit)
    for line in dataset.usage.lines:
        sku = dataset.skus[line.key]
        if line.provider != offering.provider:
            continue
        if one.scope is not None and line.account not in one.scope:
            continue
        away = turn(one.account, line.account)
        if line.provider == "aws" and away is None:
            continue
        wanted = (offering.region, offering.zone, offering.family, offering.platform)
        got = (line.region, line.zone, sku.family, sku.platform)
        if any(want is not None and want != have for want, have in zip(wanted, got, strict=True)):
            continue
        if offering.tenancy is not None and offering.tenancy != sku.tenancy:
            continue
        if unit is None:
            yield from plan_pair(one, offering, line, sku, exact, away=away)
        else:
            yield from capacity_pair(one, offering, line, sku, unit if floats else None, away=away)


def plan_pair(
    one: Commitment,
    offering: Offering,
    line: UsageLine,
    sku: Sku,
    exact: Callable[[Any], Number],
    *,
    away: int | None,
) -> Iterator[tuple[Any, UsageLine, Any]]:
    """How a plan takes a line, if at all."""
    if line.sku not in offering.rates_usd:
        return
    rate = offering.rates_usd[line.sku]
    price = sku.on_demand_usd
    width = 10**9 if one.scope is None else len(one.scope)
    step = PLAN_TURN[offering.kind]
    name = one.commitment
    if line.provider == "aws":
        ratio = exact(rate) / exact(price)
        yield ("aws", step, away, 0, ratio, rate, name), line, rate
    elif line.provider == "azure":
        rate = min(rate, price)
        ratio = exact(rate) / exact(price)
        term = -offering.term_months
        yield ("azure", step, width, term, ratio, rate, name), line, rate
    else:
        ratio = exact(rate) / exact(price)
        yield ("gcp", step, width, 0, ratio, 0, name), line, rate


def capacity_pair(
    one: Commitment,
    offering: Offering,
    line: UsageLine,
    sku: Sku,
    unit: Sku | None,
    *,
    away: int | None,
) -> Iterator[tuple[Any, UsageLine, Any]]:
    """How a reservation takes a line, if at all; ``unit`` when it floats over sizes."""
    name, (unit_name,) = one.commitment, offering.rates_usd
    width = 10**9 if one.scope is None else len(one.scope)
    floats = unit is not None
    size = sku.size_units if floats else 1
    if unit is not None:
        if size is None or (unit.service, unit.family) != (sku.service, sku.family):
            return
        if offering.kind is Kind.AWS_RI_REGIONAL and (unit.platform, unit.tenancy) != (
            sku.platform,
            sku.tenancy,
        ):
            return
        if offering.kind is Kind.AWS_RDS_RI and unit.platform != sku.platform:
            return
        if line.provider == "gcp" and unit.unit != sku.unit:
            return
    elif line.sku != unit_name:
        return
    zonal = offering.kind is Kind.AWS_RI_ZONAL
    if zonal and one.zone is not None and one.zone != line.zone:
        return
    rank = size if floats else 0
    if line.provider == "aws":
        yield ("aws", 0 if zonal else 1, away, rank, int(floats), 0, name), line, size
    elif line.provider == "azure":
        yield ("azure", 0, width, rank, int(floats), 0, name), line, size
    else:
        yield ("gcp", 0, width, 0, int(floats), 0, name), line, size


def unit_of(dataset: Dataset, offering: Offering) -> Sku:
    """The SKU that a unit of capacity is defined in."""
    (name,) = offering.rates_usd
    return min(
        (
            one
            for key, one in dataset.skus.items()
            if key.sku == name
            and key.provider == offering.provider
            and offering.region in {None, key.region}
        ),
        key=lambda one: one.key,
    )


def is_flexible(offering: Offering, unit: Sku) -> bool:
    """Whether it floats over sizes, by the rules in force since October 2024."""
    if not offering.size_flexible or unit.size_units is None:
        return False
    if offering.kind in {Kind.AWS_RI_ZONAL, Kind.AWS_OPENSEARCH_RI, Kind.AWS_REDSHIFT_RI}:
        return False
    if offering.kind is Kind.AWS_RI_REGIONAL:
        platform, tenancy = offering.platform or unit.platform, offering.tenancy or unit.tenancy
        family = offering.family or unit.family
        return (
            platform in {None, "linux"}
            and tenancy in {None, "shared"}
            and family not in FIXED_FAMILIES
        )
    if offering.kind is Kind.AWS_RDS_RI:
        return "sqlserver" not in (offering.platform or unit.platform or "")
    return True


def room_size(dataset: Dataset, one: Commitment) -> Decimal | int:
    """Normalised units in one unit of quantity."""
    offering = dataset.offerings[one.offering]
    if offering.kind.is_spend:
        return 1
    unit = unit_of(dataset, offering)
    return (unit.size_units or 1) if is_flexible(offering, unit) else 1


def hourly_rate(dataset: Dataset, one: Commitment, exact: Callable[[Any], Number]) -> Number:
    """Dollars an hour for one unit of quantity."""
    offering = dataset.offerings[one.offering]
    return exact(1) if offering.kind.is_spend else exact(next(iter(offering.rates_usd.values())))
