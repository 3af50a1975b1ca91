"""A whole portfolio walked forward through the live decision and billed by the waterfall."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from service.backtest.market import Walk
from service.backtest.portfolio import PortfolioRun, walk_portfolio
from service.billing.bill import bill
from service.cli import main
from service.domain.errors import InputError
from service.domain.usage import Dataset
from tests.plan.folders import write_folder
from tests.plan.markets import market

WEEK = 168
WALK = Walk(step_hours=2 * WEEK, lag_hours=24, warmup_hours=6 * WEEK)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Four SKUs in two families over fourteen weeks, one-year offers."""
    return market(skus=4, families=2, hours=14 * WEEK, seed=1, terms=(12,))


@pytest.fixture(scope="module")
def runs(dataset: Dataset) -> dict[str, PortfolioRun]:
    """Every strategy over the dataset."""
    return {run.strategy: run for run in walk_portfolio(dataset, walk=WALK)}


def test_buying_saves_and_nothing_saves_nothing(runs: dict[str, PortfolioRun]) -> None:
    assert runs["nothing"].purchases == ()
    assert runs["nothing"].bill.effective_savings_rate == 0
    assert runs["tenor"].bill.total_usd < runs["nothing"].bill.total_usd
    assert runs["tenor"].bill.utilization_ratio > Decimal("0.75")
    assert set(runs) == {"tenor", "provider-30d", "nothing", "known-future"}


def test_the_cost_is_the_waterfalls_bill_of_the_window(
    dataset: Dataset, runs: dict[str, PortfolioRun]
) -> None:
    usage = dataset.usage
    whole = bill(replace(dataset, commitments=runs["tenor"].purchases))
    before = bill(
        replace(
            dataset,
            usage=replace(
                usage,
                hours=replace(usage.hours, count=WALK.warmup_hours),
                quantity=usage.quantity[: WALK.warmup_hours],
            ),
        )
    )
    assert runs["tenor"].bill.total_usd == pytest.approx(whole.total_usd - before.total_usd)


def test_what_is_owed_after_the_window_is_told(runs: dict[str, PortfolioRun]) -> None:
    run = runs["tenor"]
    first = run.purchases[0]
    assert run.obligation_after_usd > 0
    assert (first.end - first.start).days == 365
    assert runs["known-future"].obligation_after_usd == 0


def test_scrambling_the_future_leaves_earlier_purchases_identical(
    dataset: Dataset, runs: dict[str, PortfolioRun]
) -> None:
    instant = 10 * WEEK
    quantity = dataset.usage.quantity.copy()
    quantity[instant - WALK.lag_hours :] *= np.random.default_rng(1).uniform(0.1, 3)
    changed = replace(dataset, usage=replace(dataset.usage, quantity=np.round(quantity, 6)))
    until = dataset.usage.hours.hour(instant)
    for run in walk_portfolio(changed, walk=WALK)[:2]:
        before = [one for one in runs[run.strategy].purchases if one.start <= until]
        assert [one for one in run.purchases if one.start <= until] == before
        assert before


def test_refuses_usage_shorter_than_the_warm_up(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="do not outlast"):
        walk_portfolio(dataset, walk=Walk(warmup_hours=99_999))


def test_the_command_answers_for_a_folder(
    dataset: Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_folder(dataset, tmp_path / "data")
    walk = ["--step-hours", str(4 * WEEK), "--warmup-hours", str(6 * WEEK)]
    assert main(["backtest", "--data", str(folder), *walk, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)["portfolio"]
    assert Decimal(answer["tenor"]["total_usd"]) < Decimal(answer["nothing"]["total_usd"])
    assert set(answer["tenor"]["purchases"][0]) == {"hour", "offer", "quantity"}
    assert main(["backtest", "--data", str(folder), *walk]) == 0
    assert "known-future" in capsys.readouterr().out
    assert main(["backtest", "--data", str(folder), "--demand", "x.csv"]) == 2
    assert "does not go with --demand" in capsys.readouterr().err
