"""Decides what the targets of an alteration would risk, where the policy limits that."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from decimal import Decimal

from service.domain.commitments import Offering
from service.domain.ids import AccountId, CommitmentId, CycleId, OfferingId
from service.domain.plans import Shortfall
from service.operate.deciding import inputs_of
from service.operate.foreseen import foreseen
from service.operate.situation import Situation
from service.plan.decide import DecisionRequest
from service.plan.guarded import risk_budget
from service.plan.risked import shortfalls
from service.wiring import Parts


def risks(
    parts: Parts,
    situation: Situation,
    *,
    account: AccountId,
    given: Collection[CommitmentId],
    made: Mapping[OfferingId, Decimal],
    offerings: Mapping[OfferingId, Offering],
) -> Mapping[OfferingId, Shortfall]:
    """The expected shortfall of ``made`` beside all that is owned but what is ``given`` for it.

    Measured as a plan measures its own lines, on the same scenarios. Empty where the policy sets
    no limit: then nothing asks for it.
    """
    policy = situation.policy
    risk = risk_budget(policy)
    if risk.per_pool_usd is None and risk.total_usd is None:
        return {}
    known = foreseen(parts.settings.changes_file, parts.settings.holidays_file)
    dataset = situation.dataset()
    kept = tuple(one for one in dataset.commitments if one.commitment not in given)
    provider = parts.cloud.provider
    request = DecisionRequest(
        cycle=CycleId("alteration"),
        decided_at=situation.now,
        dataset=replace(dataset, commitments=kept, offerings={**dataset.offerings, **offerings}),
        menu=tuple(made),
        accounts={provider: account},
        inputs=inputs_of(situation, provider, parts.settings.seed),
        lead_time_hours=int(policy.timing.lead_time_hours),
        step_hours=parts.settings.cycle_every_hours,
        changes=known.changes,
        holidays=known.holidays,
        capital_annual_ratio=float(policy.finance.cost_of_capital_annual_ratio),
        risk=risk,
    )
    return shortfalls(request, made)
