"""Identifiers. Each is text; the types keep one from being passed for another."""

from __future__ import annotations

from typing import NewType

AccountId = NewType("AccountId", str)
OfferingId = NewType("OfferingId", str)
CommitmentId = NewType("CommitmentId", str)
CycleId = NewType("CycleId", str)
PlanId = NewType("PlanId", str)
LineId = NewType("LineId", str)
ProposalId = NewType("ProposalId", str)
IntentId = NewType("IntentId", str)
ClientToken = NewType("ClientToken", str)
"""The idempotency key of one purchase: minted once, stored before the call, reused always."""
