"""What must hold of every bill, whatever is used and owned."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.billing.bill import Bill, bill
from service.billing.focus import NONE, focus_rows
from service.billing.sharing import Sharing, SharingMode
from service.domain.commitments import Commitment
from service.domain.hours import HourRange
from service.domain.ids import AccountId
from service.domain.money import nano
from service.domain.usage import Dataset, Sku, SkuKey, Usage, UsageLine
from tests.billing.markets import datasets

quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TINY = Decimal("0.000000004")


def figures(result: Bill) -> tuple[object, ...]:
    return (
        result.on_demand_equivalent_usd,
        result.on_demand_usd,
        result.commitment_usd,
        result.coverage_ratio,
        result.utilization_ratio,
        dict(result.commitments),
        {use.key: use for use in result.by_sku},
    )


def reordered(dataset: Dataset, lines: list[int], holdings: list[Commitment]) -> Dataset:
    usage = dataset.usage
    return replace(
        dataset,
        usage=Usage(
            usage.hours, tuple(usage.lines[line] for line in lines), usage.quantity[:, lines].copy()
        ),
        commitments=tuple(holdings),
    )


@quick
@given(datasets())
def test_costs_are_conserved(dataset: Dataset) -> None:
    result = bill(dataset)
    assert result.total_usd == result.on_demand_usd + result.commitment_usd
    assert sum(use.on_demand_usd for use in result.by_sku) == result.on_demand_usd
    committed = sum((use.committed_usd for use in result.commitments.values()), Decimal(0))
    assert committed == result.commitment_usd
    for use in result.commitments.values():
        assert use.used_usd + use.unused_usd == use.committed_usd
        assert 0 <= use.used_usd <= use.committed_usd


@quick
@given(datasets())
def test_covered_and_uncovered_add_up_to_what_was_used(dataset: Dataset) -> None:
    for use in bill(dataset).by_sku:
        assert use.covered_quantity + use.on_demand_quantity == use.quantity
        assert 0 <= use.on_demand_quantity <= use.quantity


@quick
@given(datasets())
def test_rows_add_up_to_the_bill_by_commitment_sku_and_hour(dataset: Dataset) -> None:
    result = bill(dataset)
    rows = focus_rows(dataset, result)
    assert int(rows.effective_nano_usd.sum()) == nano(result.total_usd)
    assert (rows.effective_nano_usd >= 0).all()
    for index, use in enumerate(result.commitments.values()):
        mine = rows.commitment == index
        paid = int(rows.effective_nano_usd[mine & (rows.line != NONE)].sum())
        assert paid == nano(use.used_usd)
        assert int(rows.effective_nano_usd[mine].sum()) == nano(use.committed_usd)
    for place in range(len(dataset.usage.lines)):
        for hour in range(dataset.usage.hours.count):
            told = rows.quantity[(rows.line == place) & (rows.hour == hour)].sum()
            assert abs(told - dataset.usage.quantity[hour, place]) < 1e-9


@quick
@given(datasets())
def test_no_commitment_gives_more_in_an_hour_than_it_has(dataset: Dataset) -> None:
    result = bill(dataset)
    assert (result.hourly_used_usd >= 0).all()
    assert (result.hourly_unused_usd >= 0).all()
    for index, one in enumerate(dataset.commitments):
        offering = dataset.offerings[one.offering]
        rate = 1.0 if offering.kind.is_spend else float(next(iter(offering.rates_usd.values())))
        assert (result.hourly_used_usd[index] <= float(one.quantity) * rate + 1e-12).all()


@quick
@given(datasets(), st.data())
def test_one_more_commitment_never_raises_the_on_demand_part(
    dataset: Dataset, data: st.DataObject
) -> None:
    if not dataset.commitments:
        return
    dropped = data.draw(st.integers(0, len(dataset.commitments) - 1))
    fewer = [one for index, one in enumerate(dataset.commitments) if index != dropped]
    less = bill(replace(dataset, commitments=tuple(fewer)))
    assert bill(dataset).on_demand_usd <= less.on_demand_usd + TINY


@quick
@given(datasets(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(dataset: Dataset, random: object) -> None:
    lines = list(range(len(dataset.usage.lines)))
    holdings = list(dataset.commitments)
    random.shuffle(lines)  # type: ignore[attr-defined]
    random.shuffle(holdings)  # type: ignore[attr-defined]
    assert figures(bill(reordered(dataset, lines, holdings))) == figures(bill(dataset))


@quick
@given(datasets(), st.permutations(list(range(20))))
def test_renaming_skus_changes_nothing(dataset: Dataset, names: list[int]) -> None:
    old = sorted({key.sku for key in dataset.skus})
    new = {name: f"sku-{names[index]:02}" for index, name in enumerate(old)}

    def key(one: SkuKey) -> SkuKey:
        return one._replace(sku=new[one.sku])

    def line(one: UsageLine) -> UsageLine:
        return one._replace(sku=new[one.sku])

    def sku(one: Sku) -> Sku:
        return replace(one, key=key(one.key))

    renamed = Dataset(
        usage=replace(dataset.usage, lines=tuple(line(one) for one in dataset.usage.lines)),
        skus={key(one): sku(entry) for one, entry in dataset.skus.items()},
        offerings={
            name: replace(one, rates_usd={new[s]: rate for s, rate in one.rates_usd.items()})
            for name, one in dataset.offerings.items()
        },
        commitments=dataset.commitments,
    )
    before, after = bill(dataset), bill(renamed)
    assert after.total_usd == before.total_usd
    assert after.on_demand_usd == before.on_demand_usd
    told = {use.key: use for use in after.by_sku}
    for use in before.by_sku:
        assert told[key(use.key)].covered_quantity == use.covered_quantity
    used = {name: use.used_usd for name, use in before.commitments.items()}
    assert {name: use.used_usd for name, use in after.commitments.items()} == used


@quick
@given(datasets(), st.data())
def test_splitting_a_row_in_two_changes_nothing(dataset: Dataset, data: st.DataObject) -> None:
    """The two halves are used in another zone that no zonal commitment asks for."""
    usage = dataset.usage
    place = data.draw(st.integers(0, len(usage.lines) - 1))
    whole = usage.lines[place]
    zones = {one.zone for one in dataset.commitments}
    halves = (whole._replace(zone="z8"), whole._replace(zone="z9"))
    if zones & {"z8", "z9"} or any(
        dataset.offerings[one.offering].kind.value == "aws_ri_zonal" for one in dataset.commitments
    ):
        return
    quantity = np.round(usage.quantity, 2)
    hundredths = np.rint(quantity[:, place] * 100)
    first = np.floor(hundredths / 3)
    split = Usage(
        usage.hours,
        (*usage.lines[:place], *usage.lines[place + 1 :], *halves),
        np.column_stack(
            [np.delete(quantity, place, axis=1), first / 100, (hundredths - first) / 100]
        ),
    )
    one = bill(replace(dataset, usage=replace(usage, quantity=quantity)))
    two = bill(replace(dataset, usage=split))
    assert figures(one) == figures(two)


@quick
@given(datasets(max_hours=4))
def test_computing_by_halves_changes_nothing(dataset: Dataset) -> None:
    hours = dataset.usage.hours
    cut = hours.count // 2
    if not cut:
        return
    parts = [
        bill(
            replace(
                dataset,
                usage=Usage(
                    HourRange(hours.hour(first), last - first),
                    dataset.usage.lines,
                    dataset.usage.quantity[first:last].copy(),
                ),
            )
        )
        for first, last in ((0, cut), (cut, hours.count))
    ]
    whole = bill(dataset)
    for name in ("on_demand_usd", "commitment_usd", "on_demand_equivalent_usd"):
        assert abs(sum(getattr(part, name) for part in parts) - getattr(whole, name)) <= TINY
    for name, use in whole.commitments.items():
        assert abs(sum(part.commitments[name].used_usd for part in parts) - use.used_usd) <= TINY


@quick
@given(datasets(max_hours=5), st.integers(1, 40))
def test_how_many_hours_are_worked_on_at_a_time_changes_nothing(
    dataset: Dataset, cells: int
) -> None:
    whole, piecewise = bill(dataset), bill(dataset, cells_at_once=cells)
    assert figures(piecewise) == figures(whole)
    assert (piecewise.hourly_used_usd == whole.hourly_used_usd).all()
    assert (piecewise.hourly_unused_usd == whole.hourly_unused_usd).all()


@quick
@given(datasets())
def test_the_further_a_discount_is_shared_the_less_stays_on_demand_for_one_owner(
    dataset: Dataset,
) -> None:
    """With one commitment only: several can get in each other's way."""
    single = replace(dataset, commitments=dataset.commitments[:1])
    groups = (frozenset({AccountId("A"), AccountId("B")}),)
    costs = [
        bill(single, sharing=Sharing(mode, groups)).on_demand_usd
        for mode in (SharingMode.OFF, SharingMode.RESTRICTED, SharingMode.PRIORITISED)
    ]
    assert costs[0] + TINY >= costs[1]
    assert costs[1] + TINY >= costs[2]
