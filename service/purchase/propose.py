"""Decides what waits for a person, and takes the person's word, once, on what they saw.

Every function works in the caller's transaction and writes its event there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import Connection

from service.domain.errors import InvariantError
from service.domain.ids import LineId, PlanId, ProposalId
from service.domain.plans import Decision, PlanLine, Verdict
from service.domain.purchases import Proposal, ProposalState
from service.observe.events import (
    ProposalApproved,
    ProposalExpired,
    ProposalRecorded,
    ProposalRejected,
)
from service.purchase.lifecycle import PROPOSAL_START, Word
from service.store import ledger, proposals


class Obstacle(StrEnum):
    """Why a person's decision was not taken."""

    NOT_FOUND = "not_found"
    CHANGED = "changed"
    DECIDED = "decided"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class NotDecided:
    """The decision was not taken and nothing changed. ``detail`` is a sentence for the person."""

    obstacle: Obstacle
    detail: str


def proposal_id(plan: PlanId, line: LineId) -> ProposalId:
    """The id of a line's proposal: always the same, so a resumed cycle proposes nothing twice."""
    digest = hashlib.sha256(f"{plan}\n{line}".encode()).hexdigest()
    return ProposalId(f"p-{digest[:20]}")


def record_proposals(
    connection: Connection,
    *,
    plan: PlanId,
    lines: Sequence[PlanLine],
    verdicts: Sequence[Verdict],
    lifetime: timedelta,
    now: datetime,
) -> tuple[Proposal, ...]:
    """Let each line that the guard did not refuse wait for a person until ``now + lifetime``.

    The plan must be stored. What earlier plans left undecided, or approved and not executed, is
    withdrawn: this plan was sized without counting those lines, and buying both would buy the
    gap twice.
    """
    ledger.lock(connection)
    by_line = {verdict.line: verdict for verdict in verdicts}
    _withdraw_older(connection, plan, now=now)
    recorded = []
    for line in lines:
        if line.line not in by_line:
            msg = f"line {line.line} has no verdict and cannot be proposed"
            raise InvariantError(msg)
        if by_line[line.line].decision is not Decision.REFUSE:
            recorded.append(
                _record_one(connection, plan, line, by_line[line.line], lifetime=lifetime, now=now)
            )
    return tuple(recorded)


def approve(
    connection: Connection,
    proposal: ProposalId,
    *,
    version: int,
    by: str,
    comment: str,
    now: datetime,
) -> Proposal | NotDecided:
    """Say yes to the proposal as ``version`` showed it. It is bought by the next execution."""
    found = _decide(
        connection, proposal, ProposalState.APPROVED, version=version, said=(by, now, comment)
    )
    if isinstance(found, Proposal):
        event = ProposalApproved(proposal=proposal, by=by, comment=comment, version=version)
        ledger.append(connection, event, now=now, actor=by)
    return found


def reject(
    connection: Connection,
    proposal: ProposalId,
    *,
    version: int,
    by: str,
    comment: str,
    now: datetime,
) -> Proposal | NotDecided:
    """Say no to the proposal as ``version`` showed it."""
    found = _decide(
        connection, proposal, ProposalState.REJECTED, version=version, said=(by, now, comment)
    )
    if isinstance(found, Proposal):
        event = ProposalRejected(proposal=proposal, by=by, comment=comment, version=version)
        ledger.append(connection, event, now=now, actor=by)
    return found


def expire_due(connection: Connection, *, now: datetime) -> tuple[ProposalId, ...]:
    """End every undecided or unexecuted proposal whose lifetime is over."""
    ledger.lock(connection)
    return tuple(
        proposal.proposal
        for proposal in proposals.expired(connection, now)
        if _expire(connection, proposal, Word.TIME, now=now)
    )


def _record_one(
    connection: Connection,
    plan: PlanId,
    line: PlanLine,
    verdict: Verdict,
    *,
    lifetime: timedelta,
    now: datetime,
) -> Proposal:
    identity = proposal_id(plan, line.line)
    known = proposals.find(connection, identity)
    if known is not None:
        return known
    proposal = Proposal(
        proposal=identity,
        plan=plan,
        line=line,
        verdict=verdict,
        state=PROPOSAL_START,
        created_at=now,
        expires_at=now + lifetime,
        decided_by=None,
        decided_at=None,
        comment="",
        version=1,
    )
    proposals.record(connection, proposal)
    event = ProposalRecorded(
        proposal=identity,
        plan=plan,
        line=line.line,
        commit_usd_per_hour=line.commit_usd_per_hour,
        upfront_usd=line.upfront_usd,
        expires_at=proposal.expires_at,
    )
    ledger.append(connection, event, now=now)
    return proposal


def _withdraw_older(connection: Connection, plan: PlanId, *, now: datetime) -> None:
    left = (ProposalState.WAITING, ProposalState.APPROVED)
    for proposal in proposals.list_proposals(connection, states=left):
        if proposal.plan != plan:
            _expire(connection, proposal, Word.TENOR, now=now)


def _expire(connection: Connection, proposal: Proposal, word: Word, *, now: datetime) -> bool:
    if not proposals.move(connection, proposal, target=ProposalState.EXPIRED, word=word):
        return False  # somebody decided in the meantime
    event = ProposalExpired(proposal=proposal.proposal, expires_at=proposal.expires_at)
    ledger.append(connection, event, now=now)
    return True


def _decide(
    connection: Connection,
    identity: ProposalId,
    target: ProposalState,
    *,
    version: int,
    said: tuple[str, datetime, str],
) -> Proposal | NotDecided:
    by, now, _ = said
    if not by.strip():
        msg = "a decision needs the name of who made it"
        raise InvariantError(msg)
    ledger.lock(connection)
    found = proposals.find(connection, identity)
    if found is None:
        return NotDecided(Obstacle.NOT_FOUND, f"There is no proposal {identity}.")
    if found.state is not ProposalState.WAITING:
        return NotDecided(Obstacle.DECIDED, f"The proposal is {found.state.value} already.")
    if found.expires_at <= now:
        return NotDecided(Obstacle.EXPIRED, "The proposal's lifetime is over.")
    moved = found.version == version and proposals.move(
        connection, found, target=target, word=Word.PERSON, decided=said
    )
    if not moved:
        detail = f"The proposal has changed: version {version} was decided on. Read it again."
        return NotDecided(Obstacle.CHANGED, detail)
    decided = proposals.find(connection, identity)
    if decided is None:
        msg = f"proposal {identity} went away while it was decided"
        raise InvariantError(msg)
    return decided
