from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import product

import numpy as np
import pytest

from service.billing.bill import bill
from service.billing.market import compile_market
from service.domain.commitments import Commitment, CommitmentState, Kind
from service.domain.hours import HourRange
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.domain.plans import PlanStatus
from service.domain.usage import Dataset, Sku, SkuKey, Usage, UsageLine
from service.plan.optimise import Portfolio, buying_account, optimise
from service.plan.problem import as_sized, candidate, pose
from service.plan.relaxation import LARGE_CELLS, _Cholesky, relax
from service.plan.yardstick import whole_programme
from tests.plan.markets import REGION, START, market, offering

BUYER = AccountId("acct0")


def small(quantities: dict[str, list[float]], rates: dict[str, dict[str, str]]) -> Dataset:
    """SKUs at $1 an hour on demand; ``rates``: compute plans for twelve months."""
    names = sorted(quantities)
    keys = [SkuKey("aws", REGION, name) for name in names]
    one = Decimal(1)
    skus = {key: Sku(key, "ec2", "f0", one, "linux", "shared", "Hrs", one, one) for key in keys}
    usage = Usage(
        HourRange(START, len(quantities[names[0]])),
        tuple(UsageLine("aws", BUYER, REGION, "", name) for name in names),
        np.array([quantities[name] for name in names], dtype=float).T.copy(),
    )
    offers = [
        offering(name, Kind.AWS_COMPUTE_SP, 12, None, {k: Decimal(v) for k, v in of.items()})
        for name, of in rates.items()
    ]
    return Dataset(usage, skus, {each.offering: each for each in offers}, ())


def bought(portfolio: Portfolio) -> dict[str, float]:
    return {one.offering: float(one.quantity) for one in portfolio.purchases}


def rebilled(dataset: Dataset, portfolio: Portfolio) -> Decimal:
    new = [
        candidate(
            dataset.offerings[one.offering], dataset.usage.hours, portfolio.account, one.quantity
        )
        for one in portfolio.purchases
    ]
    return bill(replace(dataset, commitments=(*dataset.commitments, *new))).total_usd


def posed(dataset: Dataset) -> tuple[float, float, float]:
    """Our bound, our value and HiGHS's optimum of the relaxation."""
    flat = compile_market(dataset.usage, dataset.skus, dataset.offerings)
    held = as_sized(dataset.commitments)
    offers = [candidate(one, dataset.usage.hours, BUYER) for one in dataset.offerings.values()]
    problem = pose(
        flat.stack((*held, *offers)).plan,
        held=len(held),
        quantity=flat.quantity.high,
        on_demand_usd=flat.on_demand_usd,
    )
    ours = relax(problem)
    exact = whole_programme(problem).value_usd
    return (
        ours.lower_bound_usd / problem.demand_total_usd,
        ours.value_usd / problem.demand_total_usd,
        exact / problem.demand_total_usd,
    )


def test_buys_up_to_the_level_used_in_as_many_hours_as_the_rate_asks() -> None:
    # The unit between 2 and 3 is used in 3 of 4 hours, that between 3 and 4 in 2 of 4. At a rate
    # of 0.6 the first pays and the second does not: buy 3 units × $0.60.
    dataset = small({"a": [2, 3, 4, 5]}, {"sp": {"a": "0.6"}})
    portfolio = optimise(dataset)
    assert bought(portfolio) == pytest.approx({"sp": 1.8}, abs=1e-6)
    assert float(portfolio.after_usd) == pytest.approx(4 * 1.8 + 0 + 0 + 1 + 2, abs=1e-5)
    assert portfolio.status is PlanStatus.OPTIMAL


def test_buys_nothing_when_the_offering_never_pays() -> None:
    dataset = small({"a": [0, 0, 0, 5]}, {"sp": {"a": "0.6"}})
    portfolio = optimise(dataset)
    assert portfolio.purchases == ()
    assert portfolio.before_usd == portfolio.after_usd == Decimal(5)


def test_takes_the_cheaper_of_two_offerings_with_the_same_reach() -> None:
    dataset = small({"a": [3, 3]}, {"dear": {"a": "0.7"}, "fair": {"a": "0.6"}})
    assert bought(optimise(dataset)) == pytest.approx({"fair": 1.8}, abs=1e-6)


def test_owned_capacity_is_not_bought_again() -> None:
    dataset = small({"a": [3, 3]}, {"sp": {"a": "0.6"}})
    held = holding(dataset, Decimal("1.2"), CommitmentState.ACTIVE)
    portfolio = optimise(replace(dataset, commitments=(held,)))
    assert bought(portfolio) == pytest.approx({"sp": 0.6}, abs=1e-6)


@pytest.mark.parametrize("state", [CommitmentState.QUEUED, CommitmentState.PAYMENT_PENDING])
def test_what_is_on_its_way_counts_as_owned_but_discounts_no_bill(state: CommitmentState) -> None:
    dataset = small({"a": [3, 3]}, {"sp": {"a": "0.6"}})
    held = holding(dataset, Decimal("1.8"), state)
    portfolio = optimise(replace(dataset, commitments=(held,)))
    assert portfolio.purchases == ()
    assert portfolio.after_usd == Decimal(6)
    assert float(portfolio.lower_bound_usd) == pytest.approx(3.6, abs=1e-5)


@pytest.mark.parametrize("state", [CommitmentState.RETURNED, CommitmentState.RETIRED])
def test_what_is_given_back_does_not_count_as_owned(state: CommitmentState) -> None:
    dataset = small({"a": [3, 3]}, {"sp": {"a": "0.6"}})
    held = holding(dataset, Decimal("1.8"), state)
    portfolio = optimise(replace(dataset, commitments=(held,)))
    assert bought(portfolio) == pytest.approx({"sp": 1.8}, abs=1e-6)


def holding(dataset: Dataset, quantity: Decimal, state: CommitmentState) -> Commitment:
    return Commitment(
        commitment=CommitmentId("held"),
        offering=OfferingId("sp"),
        account=BUYER,
        scope=None,
        zone=None,
        quantity=quantity,
        start=dataset.usage.hours.start - timedelta(days=10),
        end=dataset.usage.hours.end + timedelta(days=10),
        state=state,
    )


@pytest.mark.parametrize("seed", range(6))
def test_no_grid_of_amounts_is_cheaper_than_the_plan(seed: int) -> None:
    random = np.random.default_rng(seed)
    dataset = small(
        {name: list(random.integers(0, 5, 8).astype(float)) for name in "ab"},
        {
            "all": {"a": "0.70", "b": "0.65"},
            "only-a": {"a": "0.55"},
        },
    )
    portfolio = optimise(dataset)
    flat = compile_market(dataset.usage, dataset.skus, dataset.offerings)
    stack = flat.stack(
        [candidate(dataset.offerings[OfferingId(n)], dataset.usage.hours, BUYER)
         for n in ("all", "only-a")]
    )  # fmt: skip
    grid = product(np.linspace(0, 6, 25), np.linspace(0, 3, 25))
    best = min(stack.cost(np.array(levels)) for levels in grid)
    assert float(portfolio.after_usd) <= best + 1e-6
    assert portfolio.lower_bound_usd <= portfolio.after_usd


@pytest.mark.parametrize(
    ("seed", "shape"),
    [
        *((seed, {"skus": 12, "families": 3, "hours": 48}) for seed in range(8)),
        *((seed, {"skus": 16, "families": 4, "hours": 40, "accounts": 3}) for seed in range(4)),
        *((seed, {"skus": 20, "families": 4, "hours": 60, "capacity": False}) for seed in range(4)),
        (9, {"skus": 40, "families": 8, "hours": 120}),
        (9, {"skus": 40, "families": 8, "hours": 120, "capacity": False}),
    ],
)
def test_relaxation_equals_the_whole_linear_programme(seed: int, shape: dict[str, int]) -> None:
    bound, value, exact = posed(market(seed=seed, **shape))  # type: ignore[arg-type]
    assert bound <= exact + 1e-9
    assert bound == pytest.approx(exact, abs=2e-6)
    assert value == pytest.approx(exact, abs=2e-6)


@pytest.mark.parametrize("seed", range(4))
def test_relaxation_equals_the_whole_programme_with_holdings_in_the_way(seed: int) -> None:
    random = np.random.default_rng(seed)
    dataset = market(skus=12, families=3, hours=48, seed=seed, accounts=2)
    flat = float(bill(dataset).total_usd) / dataset.usage.hours.count
    held = []
    for number, name in enumerate(sorted(dataset.offerings)[:5]):
        start = int(random.integers(-10, 30))
        commitment = candidate(
            dataset.offerings[name],
            dataset.usage.hours,
            AccountId(f"acct{number % 2}"),
            Decimal(str(round(random.uniform(0.01, 0.1) * flat, 3))),
        )
        held.append(
            replace(
                commitment,
                commitment=CommitmentId(f"held-{number}"),
                scope=frozenset({AccountId("acct1")}) if number == 1 else None,
                start=dataset.usage.hours.hour(start),
                end=dataset.usage.hours.hour(start + int(random.integers(5, 60))),
            )
        )
    bound, value, exact = posed(replace(dataset, commitments=tuple(held)))
    assert bound <= exact + 1e-9
    assert bound == pytest.approx(exact, abs=2e-6)
    assert value == pytest.approx(exact, abs=2e-6)


@pytest.mark.parametrize("seed", range(5))
def test_replayed_plan_is_never_dearer_than_the_whole_programmes_replayed_optimum(
    seed: int,
) -> None:
    dataset = market(skus=20, families=4, hours=96, seed=seed)
    portfolio = optimise(dataset)
    flat = compile_market(dataset.usage, dataset.skus, dataset.offerings)
    offers = [
        candidate(one, dataset.usage.hours, portfolio.account) for one in dataset.offerings.values()
    ]
    stack = flat.stack(offers)
    problem = pose(
        stack.plan, held=0, quantity=flat.quantity.high, on_demand_usd=flat.on_demand_usd
    )
    exact = whole_programme(problem)
    levels = np.zeros(len(offers))
    places = {one.offering: place for place, one in enumerate(offers)}
    for name, units, per in zip(
        problem.offering, exact.bought, problem.units_per_quantity, strict=True
    ):
        if name is not None:
            levels[places[name]] = max(units, 0.0) / per
    assert float(portfolio.after_usd) <= stack.cost(levels) * (1 + 1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_reports_the_bill_that_the_purchases_give_and_a_bound_below_it(seed: int) -> None:
    dataset = market(skus=16, families=4, hours=72, seed=seed)
    portfolio = optimise(dataset)
    assert portfolio.before_usd == bill(dataset).total_usd
    assert portfolio.after_usd == rebilled(dataset, portfolio)
    assert portfolio.lower_bound_usd <= portfolio.after_usd < portfolio.before_usd
    expected = (portfolio.after_usd - portfolio.lower_bound_usd) / portfolio.before_usd
    assert portfolio.gap_ratio == round(expected, 12)


@pytest.mark.parametrize("seed", range(3))
def test_spend_plans_come_within_a_thousandth_of_the_bound(seed: int) -> None:
    portfolio = optimise(market(skus=24, families=4, hours=336, seed=seed, capacity=False))
    assert portfolio.gap_ratio < Decimal("0.001")
    assert portfolio.status is PlanStatus.OPTIMAL


@pytest.mark.parametrize("seed", range(3))
def test_a_larger_menu_never_costs_more(seed: int) -> None:
    dataset = market(skus=12, families=3, hours=72, seed=seed)
    names = sorted(dataset.offerings)
    few = optimise(dataset, menu=names[:3])
    more = optimise(dataset, menu=names)
    assert float(more.lower_bound_usd) <= float(few.lower_bound_usd) * (1 + 1e-6)
    assert float(more.after_usd) <= float(few.after_usd) * (1 + 1e-3)


def test_the_order_of_lines_and_offers_changes_nothing_that_matters() -> None:
    dataset = market(skus=12, families=3, hours=72, seed=5)
    order = np.random.default_rng(1).permutation(len(dataset.usage.lines))
    usage = Usage(
        dataset.usage.hours,
        tuple(dataset.usage.lines[one] for one in order),
        np.ascontiguousarray(dataset.usage.quantity[:, order]),
    )
    offers = dict(reversed(list(dataset.offerings.items())))
    one = optimise(dataset)
    other = optimise(replace(dataset, usage=usage, offerings=offers))
    assert float(other.after_usd) == pytest.approx(float(one.after_usd), rel=1e-5)
    assert float(other.lower_bound_usd) == pytest.approx(float(one.lower_bound_usd), rel=2e-6)


def test_the_same_input_gives_the_identical_plan() -> None:
    dataset = market(skus=12, families=3, hours=72, seed=6)
    assert optimise(dataset) == optimise(dataset)


def test_out_of_time_the_bound_still_holds_and_the_gap_tells() -> None:
    dataset = market(skus=12, families=3, hours=72, seed=7)
    asked = 0

    def expired() -> bool:
        nonlocal asked
        asked += 1
        return asked > 4

    hurried, patient = optimise(dataset, expired=expired), optimise(dataset)
    assert hurried.lower_bound_usd <= patient.lower_bound_usd * Decimal("1.000001")
    assert hurried.status is PlanStatus.FEASIBLE
    assert hurried.gap_ratio > patient.gap_ratio


def test_an_offering_with_an_unknown_term_is_refused_by_name() -> None:
    dataset = small({"a": [3, 3]}, {"sp": {"a": "0.6"}})
    odd = replace(dataset.offerings[OfferingId("sp")], term_months=7)
    portfolio = optimise(replace(dataset, offerings={OfferingId("sp"): odd}))
    assert portfolio.purchases == ()
    assert [(one.rule, one.offering) for one in portfolio.refusals] == [("term", "sp")]


def test_a_large_market_is_bounded_in_single_precision_and_certified_in_double() -> None:
    dataset = market(skus=80, families=4, hours=7_600, seed=3, capacity=False)
    assert dataset.usage.quantity.size > LARGE_CELLS
    portfolio = optimise(dataset, evaluations=0)
    assert portfolio.lower_bound_usd < portfolio.after_usd < portfolio.before_usd
    assert portfolio.gap_ratio < Decimal("0.003")
    assert portfolio.iterations < 60


def test_a_step_that_lost_its_digits_ends_the_method_and_not_the_process() -> None:
    solver = _Cholesky(np.eye(2))
    assert solver.solve(np.array([1.0, 2.0])).tolist() == [1.0, 2.0]
    with pytest.raises(np.linalg.LinAlgError, match="digits"):
        solver.solve(np.array([np.inf, 1.0]))


def test_when_nobody_is_named_another_account_buys_where_the_first_leaves_a_gap() -> None:
    """A plan serves its owner first: here that costs the account that uses least 0.5 %."""
    dataset = market(skus=8, families=2, hours=48, seed=14, accounts=2)
    least = buying_account(dataset)
    named, free = (optimise(dataset, purchase_account=one, evaluations=60) for one in (least, None))
    assert named.status is PlanStatus.FEASIBLE
    assert named.account == least
    assert free.status is PlanStatus.OPTIMAL
    assert free.account != least
    assert free.after_usd < named.after_usd
    held = Commitment(
        CommitmentId("owned"), min(dataset.offerings), least, None, None, Decimal(0),
        dataset.usage.hours.start, dataset.usage.hours.end, CommitmentState.ACTIVE,
    )  # fmt: skip
    assert optimise(replace(dataset, commitments=(held,))).account == least
