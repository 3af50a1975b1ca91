"""What the policy gives too little time to repay itself is not sized: plan and guard agree."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from service.domain.commitments import Kind
from service.domain.ids import OfferingId
from service.domain.usage import Dataset
from service.guard.policy import Policy
from service.plan.guarded import plan_dataset
from service.plan.repaying import repaying
from tests.guard.cases import policy
from tests.plan.markets import offering
from tests.plan.test_decide import request, steady

LONG = OfferingId("csp-36")
SHORT = OfferingId("csp-12")


def both() -> Dataset:
    """A year at 70%, which repays itself after 8.4 months, and three at 45%, after 16.2."""
    dataset = steady()
    ((sku, rate),) = dataset.offerings[SHORT].rates_usd.items()
    rates = {sku: rate / Decimal("0.7") * Decimal("0.45")}
    long = offering(LONG, Kind.AWS_COMPUTE_SP, 36, None, rates)
    return replace(dataset, offerings={**dataset.offerings, LONG: long})


def within(months: str) -> Policy:
    share = "max_pool_share_per_tranche_ratio: "
    sound = policy(f"{share}0.5", f"{share}1")
    return sound.model_copy(
        update={
            "allowed": sound.allowed.model_copy(update={"terms_months": (12, 36)}),
            "worth": sound.worth.model_copy(update={"max_break_even_months": Decimal(months)}),
        }
    )


def test_what_takes_too_long_is_not_sized_and_takes_nobodys_place() -> None:
    dataset = both()
    plan = plan_dataset(dataset, policy=within("10"))
    alone = plan_dataset(
        replace(dataset, offerings={SHORT: dataset.offerings[SHORT]}),
        policy=within("10"),
    )
    assert [one.rule for one in plan.refusals if one.offering == LONG] == ["break_even"]
    assert [(one.offering, one.quantity) for one in plan.plan.lines] == [
        (one.offering, one.quantity) for one in alone.plan.lines
    ]
    assert {one.offering for one in plan.plan.lines} == {SHORT}


def test_with_more_time_it_is_sized() -> None:
    plan = plan_dataset(both(), policy=within("36"))
    assert LONG in {one.offering for one in plan.plan.lines}


@pytest.mark.parametrize(
    ("months", "kept"),
    [("8.3", ()), ("8.4", (SHORT,)), ("16.1", (SHORT,)), ("16.2", (SHORT, LONG))],
)
def test_the_months_are_those_that_the_line_would_say(
    months: str, kept: tuple[OfferingId, ...]
) -> None:
    menu, refusals = repaying(request(both()), Decimal(months))
    assert menu == kept
    assert {one.offering for one in refusals} == {SHORT, LONG} - set(kept)
