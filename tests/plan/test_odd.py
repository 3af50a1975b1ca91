"""Odd datasets through ``tenor plan --as-given`` and ``tenor bill``: what is claimed is billed."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from service.cli import main
from service.domain.commitments import Commitment, CommitmentState, Payment
from service.domain.hours import HourRange
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.domain.usage import Dataset, Usage
from service.plan.problem import candidate
from tests.plan.folders import write_folder
from tests.plan.markets import START, market

HOURS = 60


def rated(dataset: Dataset, share: Decimal, *, capacity: bool = True) -> Dataset:
    """All offerings at a share of on demand; plans alone where not ``capacity``."""
    price = {one.key.sku: one.on_demand_usd for one in dataset.skus.values()}
    offerings = {
        name: replace(
            one,
            rates_usd={sku: price[sku] * share for sku in one.rates_usd},
        )
        for name, one in dataset.offerings.items()
        if capacity or one.kind.is_spend
    }
    return replace(dataset, offerings=offerings)


def unused(dataset: Dataset) -> Dataset:
    quantity = np.zeros_like(dataset.usage.quantity)
    return replace(dataset, usage=replace(dataset.usage, quantity=quantity))


def one_hour(dataset: Dataset) -> Dataset:
    usage = dataset.usage
    return replace(
        dataset, usage=Usage(HourRange(START, 1), usage.lines, usage.quantity[:1].copy())
    )


def one_peak(dataset: Dataset) -> Dataset:
    quantity = np.zeros_like(dataset.usage.quantity)
    quantity[7, 0] = 3.0
    return replace(dataset, usage=replace(dataset.usage, quantity=quantity))


def sold_in_bulk(dataset: Dataset) -> Dataset:
    bulk = Decimal(100_000)
    offerings = {
        name: replace(one, min_quantity=bulk, step=bulk) for name, one in dataset.offerings.items()
    }
    return replace(dataset, offerings=offerings)


def paid_twice_over(dataset: Dataset) -> Dataset:
    """Each offering a second time at the same rate, paid at once."""
    twins = {
        OfferingId(f"{name}-paid"): replace(
            one,
            offering=OfferingId(f"{name}-paid"),
            payment=Payment.ALL_UPFRONT,
            upfront_usd=Decimal(8_760),
        )
        for name, one in dataset.offerings.items()
    }
    return replace(dataset, offerings={**dataset.offerings, **twins})


def owned(dataset: Dataset, quantity: int, last: int) -> Dataset:
    one = Commitment(
        commitment=CommitmentId("held"),
        offering=OfferingId("csp-36"),
        account=AccountId("acct0"),
        scope=None,
        zone=None,
        quantity=Decimal(quantity),
        start=START - timedelta(days=3),
        end=START + timedelta(hours=last),
        state=CommitmentState.ACTIVE,
    )
    return replace(dataset, commitments=(one,))


ODD: dict[str, Callable[[Dataset], Dataset]] = {
    "nothing is used": unused,
    "one hour": one_hour,
    "one peak": one_peak,
    "nothing is on sale": lambda of: replace(of, offerings={}),
    "never worth it": lambda of: rated(of, Decimal(9)),
    "plans without a discount": lambda of: rated(of, Decimal(1), capacity=False),
    "sold in bulk only": sold_in_bulk,
    "two payment options at one rate": paid_twice_over,
    "all is owned": lambda of: owned(of, 1000, 9_000),
    "ends within the hours": lambda of: owned(of, 3, 25),
}
BUYS_NOTHING = {
    "nothing is used", "one peak", "nothing is on sale", "never worth it",
    "plans without a discount", "all is owned",
}  # fmt: skip


def told(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, object]:
    assert main([*words, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert isinstance(answer, dict)
    return answer


@pytest.mark.parametrize("name", ODD)
def test_an_odd_dataset_is_planned_and_billed_to_the_last_digit(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dataset = ODD[name](market(skus=6, families=2, hours=HOURS, seed=2))
    folder = write_folder(dataset, tmp_path / "before")
    plan = told(capsys, "plan", "--data", str(folder), "--as-given")
    buy = plan["buy"]
    assert isinstance(buy, list)
    new = [
        candidate(
            dataset.offerings[OfferingId(one["offer"])],
            dataset.usage.hours,
            AccountId(one["account"]),
            Decimal(one["quantity"]),
        )
        for one in buy
    ]
    bought = replace(dataset, commitments=(*dataset.commitments, *new))
    after = write_folder(bought, tmp_path / "after")
    assert plan["before_usd"] == told(capsys, "bill", "--data", str(folder))["total_usd"]
    assert plan["after_usd"] == told(capsys, "bill", "--data", str(after))["total_usd"]
    lower, billed, unplanned = (
        Decimal(str(plan[key])) for key in ("lower_bound_usd", "after_usd", "before_usd")
    )
    assert lower <= billed <= unplanned
    assert billed - lower <= Decimal("0.001") * unplanned
    assert (not buy) == (name in BUYS_NOTHING)
