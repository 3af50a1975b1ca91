"""Savings net of waste, lock-in, and promises, worked by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from service.billing.bill import bill
from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.errors import InvariantError
from service.domain.hours import MONTH_HOURS
from service.domain.ids import CommitmentId
from service.domain.usage import Dataset
from service.report.promise import Promise, held_against
from service.report.savings import binding, realised
from tests.billing.worlds import START, held, offer, sku, used, world

YEAR = 8760


def two_accounts() -> Dataset:
    """Two accounts and a $0.90/h plan of the first, over four hours.

    The plan covers 1 of A's unit each hour ($0.60) and half of B's ($0.30) in the first two; in
    the last two hours $0.30 of it is unused.
    """
    return world(
        [sku("m5", "1")],
        [used("m5", 1, 1, 1, 1, account="A"), used("m5", 1, 1, 0, 0, account="B")],
        [offer("plan", Kind.AWS_COMPUTE_SP, {"m5": "0.6"})],
        [held("sp", "plan", "0.9", account="A", last_hour=YEAR)],
    )


def test_savings_are_net_of_waste_and_waste_is_not_taken_off_twice() -> None:
    dataset = two_accounts()
    found = realised(
        bill(dataset),
        commitments=dataset.commitments,
        offerings=dataset.offerings,
        as_of=dataset.usage.hours.end,
    )
    assert found.on_demand_equivalent_usd == 6
    assert found.on_demand_usd == 1
    assert found.commitment_usd == Decimal("3.6")
    assert found.savings_usd == Decimal("1.4")
    assert found.unused_usd == Decimal("0.6")
    assert found.waste_ratio == Decimal("0.6") / Decimal("3.6")
    assert found.effective_savings_rate == pytest.approx(Decimal("1.4") / 6)
    assert found.coverage_ratio == pytest.approx(Decimal(5) / 6)
    assert found.utilization_ratio == pytest.approx(Decimal(5) / 6)


def test_an_unused_commitment_is_a_loss_not_a_zero() -> None:
    idle = replace(two_accounts(), usage=world([], [used("m5", 0, 0, account="A")]).usage)
    found = realised(
        bill(idle), commitments=idle.commitments, offerings=idle.offerings, as_of=START
    )
    assert found.savings_usd == Decimal("-1.8")
    assert found.waste_ratio == 1
    assert found.effective_savings_rate == 0


def test_without_commitments_every_figure_is_zero_and_nothing_divides() -> None:
    bare = replace(two_accounts(), commitments=())
    found = realised(bill(bare), commitments=(), offerings={}, as_of=START)
    assert {found.savings_usd, found.waste_ratio, found.utilization_ratio} == {Decimal(0)}
    assert found.binding.lock_in_months == 0


def test_lock_in_weighs_the_months_left_by_hourly_cost() -> None:
    offers = {one.offering: one for one in [offer("plan", Kind.AWS_COMPUTE_SP, {"m5": "0.6"})]}
    long = held("long", "plan", "1", last_hour=12 * MONTH_HOURS)
    short = held("short", "plan", "3", last_hour=6 * MONTH_HOURS)
    found = binding([long, short], offerings=offers, as_of=START)
    assert found.lock_in_months == Decimal("7.5")
    assert found.commit_usd_per_hour == 4
    assert found.remaining_usd == (12 + 18) * MONTH_HOURS
    assert found.payable_usd == found.remaining_usd


def test_what_is_queued_is_owed_but_does_not_bind_yet_and_what_is_over_is_neither() -> None:
    offers = {one.offering: one for one in [offer("plan", Kind.AWS_COMPUTE_SP, {"m5": "0.6"})]}
    queued = held("q", "plan", "2", first_hour=100, last_hour=200, state=CommitmentState.QUEUED)
    returned = held("r", "plan", "5", state=CommitmentState.RETURNED)
    over = held("o", "plan", "5", last_hour=10)
    found = binding([queued, returned, over], offerings=offers, as_of=START + timedelta(hours=50))
    assert found.commitments_active == 0
    assert found.lock_in_months == 0
    assert found.remaining_usd == 200


def test_what_was_paid_upfront_is_not_payable_again() -> None:
    paid = replace(
        offer("plan", Kind.AWS_COMPUTE_SP, {"m5": "0.6"}, payment=Payment.ALL_UPFRONT),
        upfront_usd=Decimal(YEAR),
    )
    found = binding(
        [held("c", "plan", "1", last_hour=YEAR)], offerings={paid.offering: paid}, as_of=START
    )
    assert found.remaining_usd == YEAR
    assert found.payable_usd == 0


def test_capacity_binds_at_its_amortised_rate() -> None:
    ri = offer("ri", Kind.AWS_RI_REGIONAL, {"m5": "0.55"}, region="us-east-1")
    found = binding(
        [held("c", "ri", "4", last_hour=1000)], offerings={ri.offering: ri}, as_of=START
    )
    assert found.commit_usd_per_hour == Decimal("2.20")


def test_a_commitment_of_an_unknown_offering_is_never_left_out_of_what_is_owed() -> None:
    with pytest.raises(InvariantError, match="not known"):
        binding([held("c", "lost", "1")], offerings={}, as_of=START)


def promise(name: str, low: str, expected: str, high: str) -> Promise:
    return Promise(CommitmentId(name), Decimal(low), Decimal(expected), Decimal(high), YEAR)


def test_a_promise_is_held_against_the_bill_without_the_commitment() -> None:
    found = held_against(two_accounts(), [promise("sp", "0.2", "0.3", "0.4")])
    (kept,) = found.kept
    assert kept.realised_usd == Decimal("1.4")
    assert (kept.promised_low_usd, kept.promised_usd) == (Decimal("0.8"), Decimal("1.2"))
    assert kept.within
    assert kept.hours == 4
    assert kept.term_ratio == Decimal(4) / YEAR
    assert found.joint_usd == Decimal("1.4")
    assert not found.broken


def test_a_broken_promise_is_said_to_be_broken() -> None:
    found = held_against(two_accounts(), [promise("sp", "0.4", "0.5", "0.6")])
    assert not found.kept[0].within
    assert found.broken


def test_two_commitments_on_the_same_usage_do_not_share_one_saving_twice() -> None:
    dataset = two_accounts()
    twin = held("twin", "plan", "0.9", account="A", last_hour=YEAR)
    both = replace(dataset, commitments=(*dataset.commitments, twin))
    promises = [promise("sp", "0", "0", "0"), promise("twin", "0", "0", "0")]
    found = held_against(both, promises)
    # With both, 1.8/h covers everything (1.2/h, then 0.6/h): 6 - 7.2. Each alone saves 1.4.
    assert found.joint_usd == Decimal("-1.2")
    assert [one.realised_usd for one in found.kept] == [Decimal("-2.6"), Decimal("-2.6")]
    assert found.broken


def test_a_promise_made_for_a_whole_purchase_is_held_against_all_its_parts() -> None:
    dataset = two_accounts()
    part = held("sp/memory", "plan", "0.9", account="A", last_hour=YEAR)
    both = replace(dataset, commitments=(*dataset.commitments, part))
    whole = replace(promise("sp", "0", "0", "0"), whole=True)
    found = held_against(both, [whole])
    (kept,) = found.kept
    # Without either nothing is saved; with both 1.8/h covers what costs 1.5/h: 6 - 7.2.
    assert kept.realised_usd == found.joint_usd == Decimal("-1.2")
    alone = held_against(both, [promise("sp", "0", "0", "0")])
    assert alone.kept[0].realised_usd == Decimal("-2.6")


def test_promises_that_the_window_saw_nothing_of_are_left_out() -> None:
    dataset = two_accounts()
    later = held("later", "plan", "1", first_hour=100, last_hour=200)
    both = replace(dataset, commitments=(*dataset.commitments, later))
    found = held_against(both, [promise("later", "1", "1", "1"), promise("gone", "1", "1", "1")])
    assert found.kept == ()
    assert not found.broken


@pytest.mark.parametrize("state", [CommitmentState.RETIRED, CommitmentState.RETURNED])
def test_a_promise_ends_with_the_commitment_that_was_split_or_returned(
    state: CommitmentState,
) -> None:
    dataset = two_accounts()
    split = replace(dataset.commitments[0], state=state)
    successor = replace(dataset.commitments[0], commitment=CommitmentId("made-of-it"))
    found = held_against(
        replace(dataset, commitments=(split, successor)), [promise("sp", "0.2", "0.3", "0.4")]
    )
    assert found.kept == ()
    assert not found.broken
