from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from service.billing.bill import bill
from service.domain.commitments import Commitment, CommitmentState, Kind, Payment
from service.domain.errors import InvariantError
from service.domain.hours import HourRange
from service.domain.ids import AccountId, CommitmentId, CycleId, OfferingId
from service.domain.plans import Plan, PlanInputs, PlanStatus
from service.domain.usage import Dataset, Usage
from service.plan.decide import EXPECTED_HOURS, DecisionRequest, decide
from service.plan.pools import over
from service.plan.problem import candidate
from tests.plan.markets import market, offering

BUYER = AccountId("acct0")
WEEKS = 26


def request(dataset: Dataset, **changes: object) -> DecisionRequest:
    fields: dict[str, object] = {
        "cycle": CycleId("daily@2025-07-02"),
        "decided_at": dataset.usage.hours.end + timedelta(hours=48),
        "dataset": dataset,
        "menu": tuple(sorted(dataset.offerings)),
        "accounts": {"aws": BUYER},
        "inputs": PlanInputs("u", "p", "c", "y", dataset.usage.hours.end, 0, "test"),
        "lead_time_hours": 48,
    }
    return DecisionRequest(**{**fields, **changes})  # type: ignore[arg-type]


def steady(level: float = 10.0, hours: int = WEEKS * 168) -> Dataset:
    """One SKU at a steady level with a daily swing, and one compute plan at 70%."""
    dataset = market(skus=1, families=1, hours=hours, seed=0, terms=(12,), capacity=False)
    (line,) = dataset.usage.lines
    price = dataset.skus[line.key].on_demand_usd
    swing = 1 + 0.1 * np.sin(np.arange(hours) / 24 * 2 * np.pi)
    usage = Usage(
        HourRange(dataset.usage.hours.start, hours),
        (line,),
        (level / float(price) * swing)[:, None],
    )
    rates = {line.sku: price * Decimal("0.7")}
    plan = offering("csp-12", Kind.AWS_COMPUTE_SP, 12, None, rates)
    return replace(dataset, usage=usage, offerings={plan.offering: plan})


def held(dataset: Dataset, quantity: str, **changes: object) -> Commitment:
    hours = dataset.usage.hours
    fields: dict[str, object] = {
        "commitment": CommitmentId("held"),
        "offering": OfferingId("csp-12"),
        "account": BUYER,
        "scope": None,
        "zone": None,
        "quantity": Decimal(quantity),
        "start": hours.start,
        "end": hours.end + timedelta(days=300),
        "state": CommitmentState.ACTIVE,
    }
    return Commitment(**{**fields, **changes})  # type: ignore[arg-type]


def test_a_capped_line_gives_its_own_figures_as_the_reason() -> None:
    plan = decide(request(steady(), room=lambda _offering, _lines: Decimal(2)))
    (line,) = plan.lines
    assert line.quantity == 2
    told = line.reason.split("this purchase saves ")[1].split(" USD")[0]
    assert float(told) == pytest.approx(float(line.expected_savings_usd_per_hour) * 8760, rel=1e-3)


def committed(plan: Plan) -> Decimal:
    return sum((line.commit_usd_per_hour for line in plan.lines), Decimal(0))


def test_buys_on_steady_use_no_more_than_is_always_used() -> None:
    plan = decide(request(steady()))
    (line,) = plan.lines
    assert Decimal(6) < line.commit_usd_per_hour < Decimal("7.7")
    assert line.quantity % Decimal("0.001") == 0
    assert plan.status is PlanStatus.OPTIMAL
    assert plan.lower_bound_usd <= plan.after_usd < plan.before_usd


def test_every_line_carries_its_reasons_and_figures() -> None:
    (line,) = decide(request(steady())).lines
    for words in (
        *("last unit worth owning", "of the term's hours", "needs", "one step later", "rejected:"),
                  "worst case in twenty", "over the term"):  # fmt: skip
        assert words in line.reason
    assert line.expected_savings_low_usd_per_hour <= line.expected_savings_usd_per_hour
    assert line.expected_savings_usd_per_hour <= line.expected_savings_high_usd_per_hour
    assert 0 < line.expected_utilization_ratio <= 1
    assert float(line.break_even_months) == pytest.approx(0.7 * 12, rel=1e-3)
    assert line.total_usd == line.commit_usd_per_hour * 8760


def test_the_replay_is_the_bill_of_the_newest_hours_with_the_lines_added() -> None:
    dataset = market(skus=8, families=2, hours=WEEKS * 168, seed=3)
    plan = decide(request(dataset))
    assert plan.lines
    assert plan.window_hours == EXPECTED_HOURS
    usage = dataset.usage
    window = Usage(
        HourRange(usage.hours.end - timedelta(hours=EXPECTED_HOURS), EXPECTED_HOURS),
        usage.lines,
        usage.quantity[-EXPECTED_HOURS:],
    )
    lines = [
        over(
            candidate(dataset.offerings[one.offering], window.hours, one.account, one.quantity),
            window.hours,
        )
        for one in plan.lines
    ]
    replayed = bill(replace(dataset, usage=window, commitments=tuple(lines)))
    assert plan.after_usd == replayed.total_usd
    assert plan.coverage_ratio == replayed.coverage_ratio


def test_the_same_request_gives_the_identical_plan() -> None:
    dataset = market(skus=6, families=2, hours=WEEKS * 168, seed=4)
    assert decide(request(dataset)) == decide(request(dataset))


@pytest.mark.parametrize(
    "state",
    [CommitmentState.ACTIVE, CommitmentState.QUEUED, CommitmentState.PAYMENT_PENDING],
)
def test_what_is_owned_or_on_its_way_is_not_bought_again(state: CommitmentState) -> None:
    dataset = steady()
    covered = replace(dataset, commitments=(held(dataset, "7", state=state),))
    assert committed(decide(request(covered))) < Decimal("0.2")


def test_what_expires_within_the_lead_time_is_sized_as_gone() -> None:
    dataset = steady()
    ends = dataset.usage.hours.end + timedelta(hours=48 + 24)
    lapsing = replace(dataset, commitments=(held(dataset, "7", end=ends),))
    assert committed(decide(request(lapsing))) > Decimal(6)
    lasting = decide(request(lapsing, lead_time_hours=12))
    assert committed(lasting) < Decimal("0.2")


def test_what_was_given_back_is_not_owned() -> None:
    dataset = steady()
    returned = replace(dataset, commitments=(held(dataset, "7", state=CommitmentState.RETURNED),))
    assert committed(decide(request(returned))) > Decimal(6)


def test_buys_nothing_from_an_empty_menu() -> None:
    plan = decide(request(steady(), menu=()))
    assert plan.lines == ()
    assert plan.before_usd == plan.after_usd


def test_buys_nothing_where_use_has_stopped() -> None:
    dataset = steady()
    quantity = dataset.usage.quantity.copy()
    quantity[-14 * 24 :] = 0.0
    usage = replace(dataset.usage, quantity=quantity)
    assert decide(request(replace(dataset, usage=usage))).lines == ()


def test_caps_bound_the_lines() -> None:
    plan = decide(request(steady(), room=lambda _offering, _lines: Decimal(2)))
    assert committed(plan) == Decimal(2)


def test_below_the_smallest_purchase_is_a_refusal_not_a_purchase() -> None:
    dataset = steady()
    name = OfferingId("csp-12")
    large = {name: replace(dataset.offerings[name], min_quantity=Decimal(100))}
    plan = decide(request(replace(dataset, offerings=large)))
    assert plan.lines == ()
    assert [one.rule for one in plan.refusals] == ["min_quantity"]


def test_an_offering_at_a_rate_of_0_is_refused_by_name() -> None:
    dataset = steady()
    name = OfferingId("csp-12")
    odd = {name: replace(dataset.offerings[name], rates_usd={"BoxUsage:f0.0": Decimal(0)})}
    plan = decide(request(replace(dataset, offerings=odd)))
    assert plan.lines == ()
    assert [(one.rule, one.offering) for one in plan.refusals] == [("rate", name)]


def test_where_the_caps_leave_too_little_the_refusal_says_so() -> None:
    plan = decide(request(steady(), room=lambda _offering, _lines: Decimal("0.0004")))
    assert plan.lines == ()
    (refusal,) = plan.refusals
    assert refusal.rule == "caps"
    assert "the policy's caps leave 0.000400: below the smallest purchase" in refusal.detail


def test_what_narrower_purchases_take_from_a_wider_pool_is_told() -> None:
    dataset = market(skus=8, families=2, hours=9 * 168, seed=2)
    plan = decide(request(dataset))
    (refusal,) = [one for one in plan.refusals if one.offering == "csp-12"]
    assert refusal.rule == "ladder"
    allowed, taken = re.findall(
        r"of ([0-9.]+) that may be bought .* take ([0-9.]+)", refusal.detail
    )[0]
    assert float(taken) >= float(allowed) > 0


def test_never_owns_more_than_the_widest_pool_is_worth() -> None:
    dataset = market(skus=12, families=3, hours=WEEKS * 168, seed=8)
    plan = decide(request(dataset))
    covered = sum(
        float(one.commit_usd_per_hour) / (float(one.break_even_months) / one.term_months)
        for one in plan.lines
    )
    price = np.array([float(dataset.skus[one.key].on_demand_usd) for one in dataset.usage.lines])
    demand = dataset.usage.quantity[-EXPECTED_HOURS:] @ price
    assert covered < np.quantile(demand, 0.9)


def test_refuses_usage_from_after_the_decision() -> None:
    dataset = steady()
    with pytest.raises(InvariantError):
        decide(request(dataset, decided_at=dataset.usage.hours.start))


def test_money_paid_early_has_the_price_that_the_policy_gives_it() -> None:
    # 1% cheaper paid a year ahead: worth it for free money, not at 20% a year on half of it.
    dataset = steady()
    (line,) = dataset.usage.lines
    rates = {line.sku: dataset.skus[line.key].on_demand_usd * Decimal("0.69")}
    ahead = offering(
        "csp-12-upfront", Kind.AWS_COMPUTE_SP, 12, None, rates,
        payment=Payment.ALL_UPFRONT, upfront_usd=Decimal(8760),
    )  # fmt: skip
    dataset = replace(dataset, offerings={**dataset.offerings, ahead.offering: ahead})
    free = decide(request(dataset))
    dear = decide(request(dataset, capital_annual_ratio=0.2))
    assert [one.offering for one in free.lines] == ["csp-12-upfront"]
    assert [one.offering for one in dear.lines] == ["csp-12"]
