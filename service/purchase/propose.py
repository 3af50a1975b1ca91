"""Decides what waits for a person, and takes the person's word, once, on what they saw.

Every function works in the caller's transaction and writes its event there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Connection

from service.domain.errors import InvariantError
from service.domain.ids import LineId, PlanId, ProposalId
from service.domain.plans import Decision, PlanLine, Verdict
from service.domain.purchases import Approval, Proposal, ProposalState
from service.guard.holds import Hold, hold_on
from service.observe.events import (
    ProposalApproved,
    ProposalEndorsed,
    ProposalExpired,
    ProposalRecorded,
    ProposalRejected,
    ProposalWithdrawn,
)
from service.purchase.in_part import cut_to
from service.purchase.lifecycle import PROPOSAL_START, Word
from service.purchase.people import has_approved, identity_of
from service.store import ledger, price_snapshots, proposals


class Obstacle(StrEnum):
    """Why a person's decision was not taken."""

    NOT_FOUND = "not_found"
    CHANGED = "changed"
    DECIDED = "decided"
    EXPIRED = "expired"
    SAME_PERSON = "same_person"
    QUANTITY = "quantity"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class NotDecided:
    """The decision was not taken and nothing changed. ``detail`` is a sentence for the person."""

    obstacle: Obstacle
    detail: str


def one_person(_: PlanLine) -> int:
    """How many must approve a line where no policy asks for more."""
    return 1


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

    The plan must be stored. What earlier plans of the same provider left undecided, or approved
    and not executed, is withdrawn: this plan was sized without counting those lines, and buying
    both would buy the gap twice. Another provider's usage has no part in it.
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
    person: str | None = None,
    label: str | None = None,
    quantity: Decimal | None = None,
    people_needed: Callable[[PlanLine], int] = one_person,
) -> Proposal | NotDecided:
    """Say yes to the proposal as ``version`` showed it, or to ``quantity`` of it.

    It is bought by the next execution once as many people as ``people_needed`` asks for have
    said yes to what is left of it; until then it waits. ``person`` identifies who says it, and
    ``label`` is what they are called (``by``, unless given).
    """
    found = _waiting(connection, proposal, version=version, by=by, now=now)
    if isinstance(found, NotDecided):
        return found
    who = by if person is None else person
    if has_approved(found.approvals, person=who, label=by if label is None else label):
        return NotDecided(Obstacle.SAME_PERSON, "You approved it already; another person must.")
    rejections = proposals.holding(connection, now=now, given_back=False)
    held = hold_on(found.line, found.line.account, rejections, now)
    if held is not None:
        return NotDecided(Obstacle.HELD, f"The like of it is held: {held.told}.")
    line = found.line if quantity is None else _cut(connection, found, quantity)
    if isinstance(line, str):
        return NotDecided(Obstacle.QUANTITY, line)
    approval = Approval(identity_of(who), by, now, comment, version, line.quantity)
    # The planned whole decides: a part is no way to need fewer people.
    needed, given = people_needed(found.planned or found.line), len(found.approvals) + 1
    target = ProposalState.APPROVED if given >= needed else ProposalState.WAITING
    decided = _move(
        connection,
        found,
        target,
        said=(by, now, comment) if target is ProposalState.APPROVED else None,
        line=None if line == found.line else line,
    )
    if isinstance(decided, NotDecided):
        return decided
    proposals.record_approval(connection, proposal, approval)
    event = _yes(found, approval, given=given, needed=needed)
    ledger.append(connection, event, now=now, actor=by)
    return _read_again(connection, proposal)


def _yes(
    found: Proposal, approval: Approval, *, given: int, needed: int
) -> ProposalApproved | ProposalEndorsed:
    planned = (found.planned or found.line).quantity
    if given >= needed:
        return ProposalApproved(
            proposal=found.proposal,
            by=approval.by,
            comment=approval.comment,
            version=approval.version,
            quantity=approval.quantity,
            planned_quantity=planned,
        )
    return ProposalEndorsed(
        proposal=found.proposal,
        by=approval.by,
        comment=approval.comment,
        version=approval.version,
        quantity=approval.quantity,
        planned_quantity=planned,
        approvals=given,
        needed=needed,
    )


def reject(
    connection: Connection,
    proposal: ProposalId,
    *,
    version: int,
    by: str,
    comment: str,
    now: datetime,
    holds_for: timedelta = timedelta(0),
) -> Proposal | NotDecided:
    """Say no to the proposal as ``version`` showed it; ``comment`` is the reason.

    For ``holds_for`` the like of it is neither planned nor bought; see ``guard.holds``.
    """
    found = _waiting(connection, proposal, version=version, by=by, now=now)
    if isinstance(found, NotDecided):
        return found
    decided = _move(connection, found, ProposalState.REJECTED, said=(by, now, comment))
    if isinstance(decided, NotDecided):
        return decided
    until = now + holds_for if holds_for > timedelta(0) else None
    if until is not None:
        hold = Hold(
            provider=found.line.provider,
            account=found.line.account,
            offering=found.line.offering,
            kind=found.line.kind,
            region=found.line.region,
            family=found.line.family,
            until=until,
            by=by,
            reason=comment,
        )
        proposals.record_hold(connection, found, hold, now=now)
    event = ProposalRejected(
        proposal=proposal, by=by, comment=comment, version=version, held_until=until
    )
    ledger.append(connection, event, now=now, actor=by)
    return decided


def expire(
    connection: Connection,
    proposal: ProposalId,
    *,
    version: int,
    by: str,
    comment: str,
    now: datetime,
) -> Proposal | NotDecided:
    """End a proposal's lifetime now, without a word for or against it: nothing is held."""
    found = _waiting(connection, proposal, version=version, by=by, now=now)
    if isinstance(found, NotDecided):
        return found
    decided = _move(connection, found, ProposalState.EXPIRED, said=(by, now, comment))
    if isinstance(decided, Proposal):
        event = ProposalExpired(
            proposal=proposal, expires_at=found.expires_at, by=by, comment=comment
        )
        ledger.append(connection, event, now=now, actor=by)
    return decided


def withdraw(
    connection: Connection,
    proposal: ProposalId,
    *,
    version: int,
    by: str,
    comment: str,
    now: datetime,
) -> Proposal | NotDecided:
    """Take a proposal back, or the yes to it, while nothing of it has been bought."""
    found = _waiting(
        connection,
        proposal,
        version=version,
        by=by,
        now=now,
        states=(ProposalState.WAITING, ProposalState.APPROVED),
    )
    if isinstance(found, NotDecided):
        return found
    decided = _move(connection, found, ProposalState.WITHDRAWN, said=(by, now, comment))
    if isinstance(decided, Proposal):
        event = ProposalWithdrawn(
            proposal=proposal, by=by, comment=comment, version=version, was=found.state.value
        )
        ledger.append(connection, event, now=now, actor=by)
    return decided


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
    provider = proposals.provider_of(connection, plan)
    for proposal in proposals.list_proposals(connection, states=left):
        if proposal.plan != plan and provider in {"", proposal.line.provider}:
            _expire(connection, proposal, Word.TENOR, now=now)


def _expire(connection: Connection, proposal: Proposal, word: Word, *, now: datetime) -> bool:
    if not proposals.move(connection, proposal, target=ProposalState.EXPIRED, word=word):
        return False  # somebody decided in the meantime
    event = ProposalExpired(proposal=proposal.proposal, expires_at=proposal.expires_at)
    ledger.append(connection, event, now=now)
    return True


def _waiting(
    connection: Connection,
    identity: ProposalId,
    *,
    version: int,
    by: str,
    now: datetime,
    states: Collection[ProposalState] = (ProposalState.WAITING,),
) -> Proposal | NotDecided:
    """The proposal, if it can still be decided on as ``version`` showed it."""
    if not by.strip():
        msg = "a decision needs the name of who made it"
        raise InvariantError(msg)
    ledger.lock(connection)
    found = proposals.find(connection, identity)
    if found is None:
        return NotDecided(Obstacle.NOT_FOUND, f"There is no proposal {identity}.")
    if found.state not in states:
        return NotDecided(Obstacle.DECIDED, f"The proposal is {found.state.value} already.")
    if found.expires_at <= now:
        return NotDecided(Obstacle.EXPIRED, "The proposal's lifetime is over.")
    return found if found.version == version else _changed(version)


def _changed(version: int) -> NotDecided:
    detail = f"The proposal has changed: version {version} was decided on. Read it again."
    return NotDecided(Obstacle.CHANGED, detail)


def _move(
    connection: Connection,
    found: Proposal,
    target: ProposalState,
    *,
    said: tuple[str, datetime, str] | None,
    line: PlanLine | None = None,
) -> Proposal | NotDecided:
    moved = proposals.move(
        connection, found, target=target, word=Word.PERSON, decided=said, line=line
    )
    return _read_again(connection, found.proposal) if moved else _changed(found.version)


def _read_again(connection: Connection, identity: ProposalId) -> Proposal:
    decided = proposals.find(connection, identity)
    if decided is None:
        msg = f"proposal {identity} went away while it was decided"
        raise InvariantError(msg)
    return decided


def _cut(connection: Connection, found: Proposal, quantity: Decimal) -> PlanLine | str:
    if quantity == found.line.quantity:
        return found.line
    prices = price_snapshots.find(connection, proposals.prices_digest_of(connection, found.plan))
    offering = None if prices is None else prices.offerings.get(found.line.offering)
    if offering is None:
        return "The steps that this can be bought in are not known; approve all of it or nothing."
    companion = found.line.companion
    beside = (
        None if prices is None or companion is None else prices.offerings.get(companion.offering)
    )
    return cut_to(found.line, quantity, offering, beside)
