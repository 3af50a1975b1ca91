"""Purchases that bring two offerings at once: what is sold beside another joins that one's line.

Decides how much of each such a line gets: no more of what comes beside than the provider sells for
each unit, at least what it sells with every purchase, and of both together what the caps leave.
The line then has the sums: caps, budgets, quotes and the ledger know one purchase.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from service.domain.commitments import Offering
from service.domain.hours import TERM_HOURS
from service.domain.ids import OfferingId
from service.domain.money import CommitUsdPerHour, floor_to_step
from service.domain.plans import Companion, PlanLine, Refusal, Shortfall
from service.plan.explain import Sized, commit_usd_per_hour
from service.plan.quantise import exactly

_ZERO = Decimal(0)
_PLACES = 6


def companions(
    offerings: Mapping[OfferingId, Offering], menu: Iterable[OfferingId]
) -> dict[OfferingId, Offering]:
    """What on the menu is sold beside another offering, by that other one's name."""
    sold = (offerings[name] for name in menu)
    return {one.beside.offering: one for one in sold if one.beside is not None}


def within_ratio(
    sized: Sequence[Sized],
    offerings: Mapping[OfferingId, Offering],
    decided: Collection[OfferingId],
) -> tuple[list[Sized], list[Refusal]]:
    """``sized``, with no more of what is sold beside another than that one's amount allows.

    ``decided``: the offerings whose amounts are settled; what is sold beside others stays.
    """
    amounts = {one.offering: one.quantity for one in sized}
    kept: list[Sized] = []
    refusals: list[Refusal] = []
    for one in sized:
        terms = offerings[one.offering].beside
        if terms is None or terms.offering not in decided:
            kept.append(one)
            continue
        most = amounts.get(terms.offering, 0.0) * float(terms.most_per_unit)
        if one.quantity <= most:
            kept.append(one)
            continue
        detail = (
            f"{one.quantity:.2f} {terms.unit} are worth owning; {most:.2f} can be bought, at most "
            f"{terms.most_per_unit} beside each unit of {terms.offering} in the same purchase"
        )
        refusals.append(Refusal("beside", one.offering, detail))
        if most > 0:
            part = most / one.quantity
            kept.append(replace(one, on_demand_usd_per_hour=one.on_demand_usd_per_hour * part))
    return kept, refusals


def amounts(
    offering: Offering, own: Decimal, other: Offering, wanted: float, left: Decimal | None
) -> tuple[Decimal, Decimal]:
    """How much to buy of ``offering`` and of ``other`` beside it; nothing of either: (0, 0).

    ``own``: what may be bought of the first, in its steps; ``wanted`` what is worth owning of the
    second, ``left`` what the caps leave of it in a line that has ``own`` already (``None``: no
    caps). Where that is too little, both shrink alike.
    """
    terms = other.beside
    if terms is None or own <= 0:
        return _ZERO, _ZERO
    beside = min(max(exactly(wanted), terms.least), own * terms.most_per_unit)
    if left is not None and beside > left:
        one_usd = commit_usd_per_hour(offering, Decimal(1))
        other_usd = commit_usd_per_hour(other, Decimal(1))
        cap_usd = own * one_usd + left * other_usd
        part = cap_usd / (own * one_usd + beside * other_usd)
        beside = max(floor_to_step(beside * part, other.step), terms.least)
        fits = (cap_usd - beside * other_usd) / one_usd
        own = min(own, floor_to_step(max(fits, _ZERO), offering.step))
    beside = min(beside, own * terms.most_per_unit)
    if own <= 0 or own < offering.min_quantity:
        return _ZERO, _ZERO
    return own, max(floor_to_step(beside, other.step), terms.least)


def least_of(line: PlanLine, other: Offering, quantity: Decimal) -> PlanLine:
    """``quantity`` of ``other`` that nobody decided on: it counts as pure cost."""
    commit = commit_usd_per_hour(other, quantity)
    return replace(
        line,
        offering=other.offering,
        quantity=quantity,
        commit_usd_per_hour=CommitUsdPerHour(commit),
        upfront_usd=quantity * other.upfront_usd,
        total_usd=commit * TERM_HOURS[other.term_months],
        expected_savings_usd_per_hour=-commit,
        expected_savings_low_usd_per_hour=-commit,
        expected_savings_high_usd_per_hour=-commit,
        expected_utilization_ratio=_ZERO,
        break_even_months=Decimal(other.term_months),
        reason="the least that comes with such a purchase, counted as cost",
        shortfall=None,
    )


def joined(line: PlanLine, beside: PlanLine, unit: str) -> PlanLine:
    """One line of two: sums of amounts and savings, ratios weighted by what each commits."""
    commit = line.commit_usd_per_hour + beside.commit_usd_per_hour
    used = sum(
        (one.expected_utilization_ratio * one.commit_usd_per_hour for one in (line, beside)), _ZERO
    )
    saved = line.expected_savings_usd_per_hour + beside.expected_savings_usd_per_hour
    reason = (
        f"two things in one purchase, {commit:.4f} USD/h committed and {saved:.4f} USD/h saved in "
        f"expectation by both; {line.reason}; in the same purchase "
        f"{beside.quantity.normalize():f} {unit} "
        f"({beside.commit_usd_per_hour:.4f} USD/h committed), sold beside it only; {beside.reason}"
    )
    return replace(
        line,
        commit_usd_per_hour=CommitUsdPerHour(commit),
        upfront_usd=line.upfront_usd + beside.upfront_usd,
        total_usd=line.total_usd + beside.total_usd,
        expected_savings_usd_per_hour=saved,
        expected_savings_low_usd_per_hour=line.expected_savings_low_usd_per_hour
        + beside.expected_savings_low_usd_per_hour,
        expected_savings_high_usd_per_hour=line.expected_savings_high_usd_per_hour
        + beside.expected_savings_high_usd_per_hour,
        expected_utilization_ratio=round(used / commit, _PLACES),
        break_even_months=_break_even(line, beside),
        reason=reason,
        shortfall=_worse(line.shortfall, beside.shortfall),
        companion=Companion(beside.offering, beside.quantity, beside.commit_usd_per_hour, unit),
    )


def _break_even(line: PlanLine, beside: PlanLine) -> Decimal:
    """Months of use that pay for both: the term × what both commit ÷ what that is on demand.

    One alone breaks even after the term × its share of on demand, which tells its on-demand worth.
    """
    both = (line, beside)
    commit = sum((one.commit_usd_per_hour for one in both), _ZERO)
    worth = sum(
        (
            one.commit_usd_per_hour * line.term_months / one.break_even_months
            for one in both
            if one.break_even_months > 0
        ),
        _ZERO,
    )
    return round(line.term_months * commit / worth, _PLACES) if worth else line.break_even_months


def _worse(one: Shortfall | None, other: Shortfall | None) -> Shortfall | None:
    """What the worse of the two pools risks; what one purchase adds to the plan is in both."""
    if one is None or other is None:
        return one or other
    return max(one, other, key=lambda risk: risk.pool_usd)
