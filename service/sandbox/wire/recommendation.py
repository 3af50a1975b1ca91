"""``GetSavingsPlansPurchaseRecommendation``: what AWS would buy, assuming the past repeats.

Sizes one commitment for each scope: the one that would have saved most over the lookback on
what was left on demand. As in AWS, purchases still queued or pending are not known to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from service.billing.focus import NONE
from service.domain.commitments import Kind, Offering, Payment
from service.domain.hours import iso
from service.sandbox.accrual import DAY, DayBill
from service.sandbox.wire.call import Call, Fields
from service.sandbox.world import World

_LOOKBACK_DAYS = {"SEVEN_DAYS": 7, "THIRTY_DAYS": 30, "SIXTY_DAYS": 60}
_KINDS = {"COMPUTE_SP": Kind.AWS_COMPUTE_SP, "EC2_INSTANCE_SP": Kind.AWS_EC2_INSTANCE_SP}
_TERMS = {"ONE_YEAR": 12, "THREE_YEARS": 36}
_SCOPES = frozenset({"PAYER"})
_PAYMENTS = {
    "NO_UPFRONT": Payment.NO_UPFRONT,
    "PARTIAL_UPFRONT": Payment.PARTIAL_UPFRONT,
    "ALL_UPFRONT": Payment.ALL_UPFRONT,
}
_FRESH_AFTER = timedelta(hours=24)
_MONTH_HOURS = 730
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class _Advice:
    """One commitment advised, in $/h, and how it would have done, in $ over the lookback."""

    offering: Offering
    commit: float
    hours: int
    on_demand: Floats
    covered: Floats
    used: Floats

    @property
    def saved(self) -> float:
        return float(self.covered.sum()) - self.commit * self.hours


def recommend(world: World, call: Call) -> Mapping[str, object]:
    """Answer the operation."""
    fields = call.fields
    kind_word = _one_of(fields, "SavingsPlansType", _KINDS)
    term_word = _one_of(fields, "TermInYears", _TERMS)
    payment_word = _one_of(fields, "PaymentOption", _PAYMENTS)
    lookback_word = _one_of(fields, "LookbackPeriodInDays", _LOOKBACK_DAYS)
    scope = fields.text_or_none("AccountScope") or "PAYER"
    if scope not in _SCOPES or fields.part_or_none("Filter") is not None:
        raise fields.invalid("The sandbox recommends for the whole payer only.")
    last = (world.now() - _FRESH_AFTER).replace(hour=0, minute=0, second=0, microsecond=0)
    days = world.accrual.days(last - _LOOKBACK_DAYS[lookback_word] * DAY, last)
    offers = [
        offering
        for offering in world.catalog.offerings.values()
        if offering.kind is _KINDS[kind_word]
        and offering.term_months == _TERMS[term_word]
        and offering.payment is _PAYMENTS[payment_word]
    ]
    advices = [one for one in (_advise(offering, days) for offering in offers) if one]
    return {
        "Metadata": {
            "RecommendationId": str(world.new_id()),
            "GenerationTimestamp": iso(world.now()),
        },
        "SavingsPlansPurchaseRecommendation": {
            "AccountScope": scope,
            "SavingsPlansType": kind_word,
            "TermInYears": term_word,
            "PaymentOption": payment_word,
            "LookbackPeriodInDays": lookback_word,
            "SavingsPlansPurchaseRecommendationDetails": [
                _detail(one, str(world.new_id()), world.payer) for one in advices
            ],
            "SavingsPlansPurchaseRecommendationSummary": _summary(advices),
        },
    }


def _one_of(fields: Fields, name: str, allowed: Mapping[str, object]) -> str:
    word = fields.text(name)
    if word not in allowed:
        raise fields.invalid(f"{name} must be one of {', '.join(allowed)}.")
    return word


def _advise(offering: Offering, days: Sequence[DayBill]) -> _Advice | None:
    """The commitment that would have saved most; ``None`` when none would have saved."""
    if not days:
        return None
    per_day = [_left(offering, day) for day in days]
    need = np.concatenate([one[0] for one in per_day])
    on_demand = np.concatenate([one[1] for one in per_day])
    if not need.any():
        return None
    worth = np.divide(on_demand, need, out=np.zeros_like(need), where=need > 0)
    levels = np.unique(np.floor(need * 1000) / 1000)
    saved = [float((np.minimum(level, need) * worth).sum() - level * len(need)) for level in levels]
    best = int(np.argmax(saved))
    if saved[best] <= 0:
        return None
    used = np.minimum(levels[best], need)
    return _Advice(offering, float(levels[best]), len(need), on_demand, used * worth, used)


def _left(offering: Offering, day: DayBill) -> tuple[Floats, Floats]:
    """By hour: the commitment that what is left on demand would use, and its dollars now."""
    rows = day.rows
    lines = day.dataset.usage.lines
    rates = np.array([float(offering.rates_usd.get(line.sku, 0)) for line in lines])
    prices = np.array([float(day.dataset.skus[line.key].on_demand_usd) for line in lines])
    bare = (rows.commitment == NONE) & (rates[rows.line] > 0)
    hour, line, quantity = rows.hour[bare], rows.line[bare], rows.quantity[bare]
    count = day.dataset.usage.hours.count
    need, now = np.zeros(count), np.zeros(count)
    np.add.at(need, hour, quantity * rates[line])
    np.add.at(now, hour, quantity * prices[line])
    return need, now


def _detail(one: _Advice, detail_id: str, payer: str) -> dict[str, object]:
    spent = one.commit * one.hours
    on_demand = float(one.on_demand.sum())
    scope = {"Region": one.offering.region, "InstanceFamily": one.offering.family}
    return {
        "SavingsPlansDetails": {
            **{name: value for name, value in scope.items() if value},
            "OfferingId": one.offering.offering,
        },
        "AccountId": payer,
        "UpfrontCost": _text(one.commit * float(one.offering.upfront_usd)),
        "EstimatedROI": _text(100 * one.saved / spent),
        "CurrencyCode": "USD",
        "EstimatedSPCost": _text(spent),
        "EstimatedOnDemandCost": _text(on_demand - float(one.covered.sum())),
        "EstimatedOnDemandCostWithCurrentCommitment": _text(on_demand),
        "EstimatedSavingsAmount": _text(one.saved),
        "EstimatedSavingsPercentage": _text(100 * one.saved / on_demand),
        "HourlyCommitmentToPurchase": f"{one.commit:.3f}",
        "EstimatedAverageUtilization": _text(100 * float(one.used.sum()) / spent),
        "EstimatedMonthlySavingsAmount": _text(one.saved / one.hours * _MONTH_HOURS),
        "CurrentMinimumHourlyOnDemandSpend": _text(float(one.on_demand.min())),
        "CurrentMaximumHourlyOnDemandSpend": _text(float(one.on_demand.max())),
        "CurrentAverageHourlyOnDemandSpend": _text(float(one.on_demand.mean())),
        "RecommendationDetailId": detail_id,
    }


def _summary(advices: Sequence[_Advice]) -> dict[str, object]:
    commit = sum(one.commit for one in advices)
    saved = sum(one.saved for one in advices)
    spent = sum(one.commit * one.hours for one in advices)
    on_demand = sum(float(one.on_demand.sum()) for one in advices)
    hours = max((one.hours for one in advices), default=1)
    return {
        "EstimatedROI": _text(100 * saved / spent if spent else 0.0),
        "CurrencyCode": "USD",
        "EstimatedTotalCost": _text(on_demand - saved),
        "CurrentOnDemandSpend": _text(on_demand),
        "EstimatedSavingsAmount": _text(saved),
        "TotalRecommendationCount": str(len(advices)),
        "DailyCommitmentToPurchase": f"{commit * 24:.3f}",
        "HourlyCommitmentToPurchase": f"{commit:.3f}",
        "EstimatedSavingsPercentage": _text(100 * saved / on_demand if on_demand else 0.0),
        "EstimatedMonthlySavingsAmount": _text(saved / hours * _MONTH_HOURS),
        "EstimatedOnDemandCostWithCurrentCommitment": _text(on_demand),
    }


def _text(amount: float) -> str:
    return f"{amount:.10f}"
