"""Decides what of a decision's inputs is kept with its plan, so that it can be taken again.

Usage, prices and policies are kept under their digests anyway; here is the rest: what is owned and
at which rates, the menu, and what the caps left each time that the decision asked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from sqlalchemy import Engine

from service.domain.commitments import Commitment, Offering
from service.domain.hours import iso
from service.domain.money import text
from service.domain.plans import Plan, PlanGiven, PlanLine
from service.operate.foreseen import Foreseen
from service.operate.situation import Situation
from service.plan.decide import DecisionRequest
from service.plan.lines import Room
from service.store import price_snapshots
from service.store.engine import writing

OWNED = "owned"
"""Marks snapshots of what owned commitments cover; they are no provider's prices."""


class Given:
    """Watches one decision."""

    def __init__(self) -> None:
        self._rooms: list[Decimal] = []

    def recorded(self, room: Room) -> Room:
        """``room``, its answers noted."""

        def asked(
            offering: Offering, lines: Sequence[PlanLine], begun: PlanLine | None = None
        ) -> Decimal:
            self._rooms.append(room(offering, lines, begun))
            return self._rooms[-1]

        return asked

    def kept_with(
        self,
        plan: Plan,
        request: DecisionRequest,
        situation: Situation,
        known: Foreseen,
        engine: Engine,
    ) -> Plan:
        """``plan`` with what it was given; the rates of what is owned are kept in the store."""
        (account,) = request.accounts.values()
        return replace(
            plan,
            given=PlanGiven(
                account=account,
                menu=request.menu,
                usage_hours=situation.usage.hours.count,
                owned_digest=_kept_rates(plan.inputs.provider, situation, engine),
                commitments=situation.commitments,
                rooms=tuple(self._rooms),
                step_hours=request.step_hours,
                changes=known.changes_text,
                holidays=known.holidays_text,
            ),
        )


def commitments_digest(commitments: Sequence[Commitment]) -> str:
    """A digest of what is owned; the order does not matter."""
    rows = sorted(
        "|".join(
            (
                one.commitment,
                one.offering,
                text(one.quantity),
                iso(one.start),
                iso(one.end),
                one.state.value,
            )
        )
        for one in commitments
    )
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _kept_rates(provider: str, situation: Situation, engine: Engine) -> str:
    if not situation.owned:
        return ""
    snapshot = price_snapshots.snapshot_of(
        f"{OWNED} {provider}", situation.now, (), situation.owned.values()
    )
    with writing(engine) as connection:
        price_snapshots.keep(connection, snapshot)
    return snapshot.digest
