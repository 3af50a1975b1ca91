"""Inventory items and intents as reconciliation tests need them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from service.domain.commitments import Commitment, CommitmentState, Kind, Payment
from service.domain.ids import ClientToken, CommitmentId, IntentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import Intent, IntentState, InventoryItem, PurchaseOrder
from tests.purchase.cloud import ACCOUNT
from tests.purchase.world import PLAN, START, make_line


def listed(
    number: int,
    *,
    intent: str | None = None,
    state: CommitmentState = CommitmentState.ACTIVE,
    start: datetime = START,
    like: int | None = None,
) -> InventoryItem:
    """Commitment ``c<number>``, of line ``like``'s offering, tagged with ``intent``."""
    line = make_line(number if like is None else like)
    return InventoryItem(
        commitment=Commitment(
            commitment=CommitmentId(f"c{number}"),
            offering=OfferingId(line.offering),
            account=ACCOUNT,
            scope=None,
            zone=None,
            quantity=line.quantity,
            start=start,
            end=start + timedelta(days=365),
            state=state,
        ),
        kind=Kind.AWS_COMPUTE_SP,
        term_months=12,
        payment=Payment.PARTIAL_UPFRONT,
        region=None,
        family=None,
        commit_usd_per_hour=CommitUsdPerHour(Decimal(1)),
        upfront_usd=Decimal(100),
        intent=None if intent is None else IntentId(intent),
        returnable_until=None,
    )


def intent(
    number: int,
    state: IntentState,
    *,
    commitment: str | None = None,
    like: int | None = None,
) -> Intent:
    """Intent ``i<number>`` for line ``like``, recorded and last moved at the start."""
    line = make_line(number if like is None else like)
    return Intent(
        order=PurchaseOrder(
            intent=IntentId(f"i{number}"),
            token=ClientToken(f"t{number}"),
            account=line.account,
            offering=line.offering,
            kind=line.kind,
            term_months=line.term_months,
            payment=line.payment,
            quantity=line.quantity,
            upfront_usd=line.upfront_usd,
        ),
        plan=PLAN,
        proposal=None,
        line=replace(line),
        state=state,
        fence=1,
        recorded_at=START,
        updated_at=START,
        commitment=None if commitment is None else CommitmentId(commitment),
        detail="",
    )
