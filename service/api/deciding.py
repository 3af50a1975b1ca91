"""Takes a person's word on a proposal, from the API and from the pages alike.

A decision binds to what was seen: it names the version that was read, and is refused when the
proposal has changed since. What is not of the caller's accounts does not exist for them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import Connection

from service.api import models, reads_plans
from service.api.context import AppContext
from service.api.problems import Kind, ProblemError
from service.api.tokens import Caller
from service.domain.errors import InvariantError, PolicyError
from service.domain.ids import ProposalId
from service.domain.plans import PlanLine
from service.domain.purchases import Proposal
from service.guard.checks import people_needed
from service.observe.log import get_logger
from service.purchase import propose
from service.purchase.people import identity_of
from service.purchase.propose import NotDecided, Obstacle
from service.store import proposals
from service.store.engine import writing
from service.store.states import Role

_KIND_OF_OBSTACLE = {
    Obstacle.NOT_FOUND: Kind.NOT_FOUND,
    Obstacle.CHANGED: Kind.STALE_VERSION,
    Obstacle.DECIDED: Kind.CONFLICT,
    Obstacle.EXPIRED: Kind.CONFLICT,
    Obstacle.SAME_PERSON: Kind.CONFLICT,
    Obstacle.QUANTITY: Kind.INVALID,
    Obstacle.HELD: Kind.CONFLICT,
}


class Verb(StrEnum):
    """What a person can do with a proposal."""

    APPROVE = "approve"
    REJECT = "reject"
    EXPIRE = "expire"
    WITHDRAW = "withdraw"


def decide(
    context: AppContext,
    caller: Caller,
    proposal_id: str,
    verb: Verb,
    *,
    version: int,
    comment: str,
    quantity: Decimal | None = None,
) -> models.Proposal:
    """Do ``verb`` with the version that ``caller`` saw; a problem when it cannot be done.

    ``quantity`` approves a part. Approving and rejecting need the policy in force: it says how
    many people must approve, and how long a rejection holds.
    """
    with writing(context.engine) as connection:
        found = proposals.find(connection, ProposalId(proposal_id))
        if found is None or not caller.sees(found.line.account):
            raise ProblemError(Kind.NOT_FOUND, f"There is no proposal {proposal_id}.")
        if verb is Verb.WITHDRAW:
            _require_own(caller, found)
        answer = _said(
            connection,
            context,
            caller,
            found,
            verb,
            version=version,
            comment=comment,
            quantity=quantity,
        )
        if isinstance(answer, NotDecided):
            raise ProblemError(_KIND_OF_OBSTACLE[answer.obstacle], answer.detail)
        decided = reads_plans.proposal(connection, proposal_id, people=people_for(context))
    if decided is None:
        msg = f"proposal {proposal_id} went away while it was decided"
        raise InvariantError(msg)
    get_logger("tenor.api").info(
        "proposal.decided",
        proposal=proposal_id,
        verb=verb.value,
        state=decided.state.value,
        by=caller.actor,
    )
    return decided


def people_for(context: AppContext) -> Callable[[PlanLine], int] | None:
    """How many people must approve a line by the policy in force; ``None`` without a policy."""
    try:
        policy = context.policy_source().policy
    except PolicyError:
        return None
    return lambda line: people_needed(line, policy)


def _said(
    connection: Connection,
    context: AppContext,
    caller: Caller,
    found: Proposal,
    verb: Verb,
    *,
    version: int,
    comment: str,
    quantity: Decimal | None,
) -> Proposal | NotDecided:
    by, now, proposal = caller.actor, context.clock.now(), found.proposal
    match verb:
        case Verb.APPROVE:
            policy = context.policy_source().policy
            return propose.approve(
                connection,
                proposal,
                version=version,
                by=by,
                person=caller.person,
                label=caller.label,
                comment=comment,
                now=now,
                quantity=quantity,
                people_needed=lambda line: people_needed(line, policy),
            )
        case Verb.REJECT:
            return propose.reject(
                connection,
                proposal,
                version=version,
                by=by,
                comment=comment,
                now=now,
                holds_for=_hold(context),
            )
        case _:
            end = propose.expire if verb is Verb.EXPIRE else propose.withdraw
            return end(connection, proposal, version=version, by=by, comment=comment, now=now)


def _hold(context: AppContext) -> timedelta:
    hours = context.policy_source().policy.timing.rejection_holds_hours
    return timedelta(seconds=int(hours * 3600))


def _require_own(caller: Caller, found: Proposal) -> None:
    """Operators take anything back, approvers only what they approved themselves."""
    if caller.may(Role.OPERATOR):
        return
    if any(identity_of(one.person) == identity_of(caller.person) for one in found.approvals):
        return
    raise ProblemError(Kind.FORBIDDEN, "Taking back what others approved needs the role operator.")


def holds_now(connection: Connection, caller: Caller, now: datetime) -> list[models.Hold]:
    """The rejections that hold now, of the caller's accounts."""
    return [
        models.Hold(
            provider=one.provider,
            account=one.account,
            offering=one.offering,
            kind=one.kind,
            region=one.region,
            family=one.family,
            held_until=one.until,
            rejected_by=one.by,
            reason=one.reason,
        )
        for one in proposals.holding(connection, now=now)
        if caller.sees(one.account)
    ]
