"""Pools of one machine type learn from the type's other regions; wide pools do not mind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import numpy as np

from service.domain.commitments import Kind
from service.domain.hours import HourRange
from service.domain.ids import AccountId, OfferingId
from service.domain.plans import Plan
from service.domain.usage import Dataset, Sku, SkuKey, Usage, UsageLine
from service.plan.decide import decide
from tests.plan.markets import START, offering
from tests.plan.test_decide import request

HOURS = 40 * 168
AT = 32 * 168
USD = Decimal("0.1")
KINDS = {"compute": Kind.AWS_COMPUTE_SP, "instance": Kind.AWS_EC2_INSTANCE_SP}


def estate(plan: str, *, migrated: bool) -> Dataset:
    """Two regions that use ``m5``; the first went over to ``m6`` in week 32, or did not."""
    moved = np.arange(HOURS) >= AT if migrated else np.zeros(HOURS, dtype=bool)
    courses = {
        ("us-east-1", "m5"): np.where(moved, 0.0, 500.0),
        ("us-east-1", "m6"): np.where(moved, 450.0, 0.0),
        ("us-west-2", "m5"): np.full(HOURS, 400.0),
    }
    skus, lines = {}, []
    for where, name in courses:
        key = SkuKey("aws", where, f"BoxUsage:{name}.large")
        skus[key] = Sku(key, "ec2", name, Decimal(4), "linux", "shared", "Hrs", USD, USD)
        lines.append(UsageLine("aws", AccountId("acct0"), where, "", key.sku))
    usage = Usage(HourRange(START, HOURS), tuple(lines), np.array(list(courses.values())).T)
    rates = {"BoxUsage:m5.large": Decimal("0.07"), "BoxUsage:m6.large": Decimal("0.07")}
    region, family = (None, None) if plan == "compute" else ("us-west-2", "m5")
    sold = replace(offering(plan, KINDS[plan], 12, family, rates), region=region)
    return Dataset(usage, skus, {sold.offering: sold}, ())


def bought(plan: Plan) -> Mapping[OfferingId, Decimal]:
    return {one.offering: one.quantity for one in plan.lines}


def test_a_type_that_another_region_gave_up_is_no_longer_bought_for() -> None:
    kept = bought(decide(request(estate("instance", migrated=False))))
    assert kept[OfferingId("instance")] > 27
    plan = decide(request(estate("instance", migrated=True)))
    assert not bought(plan)
    (told,) = [one for one in plan.refusals if one.rule == "phase_out"]
    assert told.offering == OfferingId("instance")
    assert "aws/ec2/m5 was replaced in 1 of 2 regions" in told.detail


def test_a_plan_that_covers_every_type_is_bought_all_the_same() -> None:
    before, after = (bought(decide(request(estate("compute", migrated=m)))) for m in (False, True))
    assert after[OfferingId("compute")] > before[OfferingId("compute")] * Decimal("0.85") > 0
