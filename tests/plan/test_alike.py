"""Usage that no commitment can tell apart: added up, and billed as before at any level."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from service.billing.sharing import ORGANISATION
from service.domain.commitments import Commitment, Kind
from service.domain.ids import AccountId, OfferingId
from service.domain.usage import Dataset, UsageLine
from service.plan.alike import merged
from service.plan.optimise import flat_market, optimise
from service.plan.problem import candidate
from tests.plan.markets import market

BUYER = AccountId("acct1")

Offers = list[Commitment]


def in_two_zones(dataset: Dataset) -> Dataset:
    """Every other account in another zone."""
    lines = tuple(
        UsageLine(*line[:3], f"z{number // 12 % 2}", *line[4:])
        for number, line in enumerate(dataset.usage.lines)
    )
    return replace(dataset, usage=replace(dataset.usage, lines=lines))


def one_zonal(dataset: Dataset, offers: Offers) -> Dataset:
    """The first reservation on sale holds for one zone only."""
    name = OfferingId("ri-f0-12")
    zonal = replace(dataset.offerings[name], kind=Kind.AWS_RI_ZONAL, zone="z1", size_flexible=False)
    offers[:] = [replace(one, zone="z1") if one.offering == name else one for one in offers]
    return replace(dataset, offerings={**dataset.offerings, name: zonal})


def scoped(dataset: Dataset, offers: Offers) -> Dataset:
    """One plan is owned for two accounts alone."""
    few = frozenset({AccountId("acct0"), AccountId("acct3")})
    offers.append(replace(offers[0], commitment="held", scope=few))  # type: ignore[arg-type]
    return dataset


def as_it_is(dataset: Dataset, _: Offers) -> Dataset:
    return dataset


@pytest.mark.parametrize(
    ("told_apart", "lines"),
    [(as_it_is, 12 * 2), (one_zonal, 12 * 2 + 1), (scoped, 12 * 3)],
)
def test_bills_are_the_same_when_alike_usage_is_added_up(
    told_apart: Callable[[Dataset, Offers], Dataset], lines: int
) -> None:
    dataset = in_two_zones(market(skus=12, families=3, hours=48, seed=1, accounts=5))
    hours = dataset.usage.hours
    offers = [candidate(one, hours, BUYER) for one in dataset.offerings.values()]
    dataset = told_apart(dataset, offers)
    whole = flat_market(dataset, ORGANISATION)
    few = merged(whole, offers)
    assert len(whole.dataset.usage.lines) == 12 * 5
    assert len(few.dataset.usage.lines) == lines
    random = np.random.default_rng(3)
    one, other = whole.stack(offers), few.stack(offers)
    for _ in range(20):
        levels = random.gamma(0.5, 8.0, len(offers)) * (random.random(len(offers)) < 0.5)
        usd, slope = one.slope(levels)
        assert other.slope(levels)[0] == pytest.approx(usd, rel=1e-12)
        assert other.slope(levels)[1] == pytest.approx(slope, rel=1e-7, abs=1e-7)


def test_usage_of_one_account_and_zone_stays_as_it_is() -> None:
    whole = flat_market(market(skus=6, families=2, hours=24, seed=1), ORGANISATION)
    assert merged(whole, []) is whole


def test_a_bound_is_of_the_account_that_buys_and_of_no_other() -> None:
    """What another buyer could not beat, this one may: it is below every bill of its own."""
    dataset = market(skus=20, families=4, hours=168, seed=6, accounts=3)
    portfolio = optimise(dataset)
    assert portfolio.account != AccountId("acct0")
    again = optimise(dataset, purchase_account=portfolio.account)
    assert portfolio.lower_bound_usd <= again.after_usd
    assert again.lower_bound_usd <= portfolio.after_usd
    assert portfolio.gap_ratio < Decimal("0.0002")
