"""Decides how proposals are written down: versioned rows, moved only along their table."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, RowMapping, Select, insert, select, update

from service.domain.commitments import Kind
from service.domain.ids import AccountId, CycleId, OfferingId, PlanId, ProposalId
from service.domain.plans import PlanLine, Verdict
from service.domain.purchases import Approval, Proposal, ProposalState
from service.guard.holds import Hold
from service.purchase.lifecycle import Word, require_proposal_move
from service.store.alterations import given_back as returned
from service.store.api_tables import approvals, holds
from service.store.codec import from_document, to_document
from service.store.schema import commitments, plan_lines, plans, proposals


def record(connection: Connection, proposal: Proposal) -> None:
    """Write a new proposal; the database refuses a second one for its line."""
    connection.execute(
        insert(proposals).values(
            proposal_id=proposal.proposal,
            plan_id=proposal.plan,
            line_id=proposal.line.line,
            state=proposal.state.value,
            created_at=proposal.created_at,
            expires_at=proposal.expires_at,
            decided_by=proposal.decided_by,
            decided_at=proposal.decided_at,
            comment=proposal.comment,
            version=proposal.version,
            verdict=to_document(proposal.verdict),
        )
    )


def move(
    connection: Connection,
    proposal: Proposal,
    *,
    target: ProposalState,
    word: Word,
    decided: tuple[str, datetime, str] | None = None,
    line: PlanLine | None = None,
) -> bool:
    """Move one proposal and raise its version; ``False`` when it has changed since it was read.

    ``decided`` is who decided, when, and the comment; ``line`` what was approved of the plan's.
    Both are kept as they are when ``None``.
    """
    require_proposal_move(proposal.state, target, word)
    values: dict[str, object] = {"state": target.value, "version": proposal.version + 1}
    if decided is not None:
        values["decided_by"], values["decided_at"], values["comment"] = decided
    if line is not None:
        values["approved_line"] = to_document(line)
    changed = connection.execute(
        update(proposals)
        .where(
            proposals.c.proposal_id == proposal.proposal,
            proposals.c.version == proposal.version,
            proposals.c.state == proposal.state.value,
        )
        .values(**values)
    ).rowcount
    return changed == 1


def find(connection: Connection, proposal: ProposalId) -> Proposal | None:
    """One proposal, or ``None``."""
    query = _select().where(proposals.c.proposal_id == proposal)
    row = connection.execute(query).mappings().one_or_none()
    return None if row is None else _proposal(row, approvals_of(connection, proposal))


def approvals_of(connection: Connection, proposal: ProposalId) -> tuple[Approval, ...]:
    """Every yes to a proposal, oldest first."""
    query = (
        select(approvals)
        .where(approvals.c.proposal_id == proposal)
        .order_by(approvals.c.approved_at, approvals.c.person)
    )
    return tuple(
        Approval(
            person=row["person"],
            by=row["approved_by"],
            at=row["approved_at"],
            comment=row["comment"],
            version=row["version"],
            quantity=row["quantity"],
        )
        for row in connection.execute(query).mappings()
    )


def record_approval(connection: Connection, proposal: ProposalId, approval: Approval) -> None:
    """Write one person's yes; the database refuses a second one of the same person."""
    connection.execute(
        insert(approvals).values(
            proposal_id=proposal,
            person=approval.person,
            approved_by=approval.by,
            approved_at=approval.at,
            comment=approval.comment,
            version=approval.version,
            quantity=approval.quantity,
        )
    )


def record_hold(connection: Connection, proposal: Proposal, hold: Hold, *, now: datetime) -> None:
    """Write down what was rejected, and until when that holds."""
    connection.execute(
        insert(holds).values(
            proposal_id=proposal.proposal,
            provider=hold.provider,
            account=hold.account,
            offering=hold.offering,
            kind=hold.kind.value,
            region=hold.region,
            family=hold.family,
            rejected_by=hold.by,
            rejected_at=now,
            held_until=hold.until,
            reason=hold.reason,
        )
    )


GIVEN_BACK = "a return"
"""Who holds what was given back."""


def holding(connection: Connection, *, now: datetime, given_back: bool = True) -> tuple[Hold, ...]:
    """What is held at ``now``: people's rejections, and, unless left out, what was given back."""
    people = _rejected(connection, now)
    return (*people, *_given_back(connection, now)) if given_back else people


def _given_back(connection: Connection, now: datetime) -> tuple[Hold, ...]:
    held = {(provider, name): until for name, provider, until in returned(connection, now=now)}
    if not held:
        return ()
    query = select(commitments).where(
        commitments.c.commitment_id.in_(sorted({name for _, name in held}))
    )
    return tuple(
        Hold(
            provider=row["provider"],
            account=AccountId(row["account"]),
            offering=OfferingId(row["offering"]),
            kind=Kind(row["kind"]),
            region=row["region"],
            family=row["family"],
            until=held[row["provider"], row["commitment_id"]],
            by=GIVEN_BACK,
            reason=f"{row['commitment_id']} was given back",
        )
        for row in connection.execute(query).mappings()
        if (row["provider"], row["commitment_id"]) in held
    )


def _rejected(connection: Connection, now: datetime) -> tuple[Hold, ...]:
    """The rejections that hold at ``now``, those that end first first."""
    query = (
        select(holds)
        .where(holds.c.held_until > now)
        .order_by(holds.c.held_until, holds.c.proposal_id)
    )
    return tuple(
        Hold(
            provider=row["provider"],
            account=AccountId(row["account"]),
            offering=OfferingId(row["offering"]),
            kind=Kind(row["kind"]),
            region=row["region"],
            family=row["family"],
            until=row["held_until"],
            by=row["rejected_by"],
            reason=row["reason"],
        )
        for row in connection.execute(query).mappings()
    )


def prices_digest_of(connection: Connection, plan: PlanId) -> str:
    """The digest of the prices and offerings that a plan was decided on."""
    query = select(plans.c.prices_digest).where(plans.c.plan_id == plan)
    return str(connection.execute(query).scalar_one())


def provider_of(connection: Connection, plan: PlanId) -> str:
    """Whose usage a stored plan was decided on; empty when it is of no one provider."""
    document = connection.execute(
        select(plans.c.document).where(plans.c.plan_id == plan)
    ).scalar_one_or_none()
    return "" if document is None else str(document["inputs"].get("provider", ""))


def cycle_of(connection: Connection, plan: PlanId) -> CycleId:
    """The cycle that a plan was decided in."""
    query = select(plans.c.cycle_id).where(plans.c.plan_id == plan)
    return CycleId(connection.execute(query).scalar_one())


def list_proposals(
    connection: Connection, *, states: Iterable[ProposalState] | None = None
) -> tuple[Proposal, ...]:
    """Proposals in ``states`` (all when ``None``), oldest first, without who approved them."""
    query = _select().order_by(proposals.c.created_at, proposals.c.proposal_id)
    if states is not None:
        query = query.where(proposals.c.state.in_([state.value for state in states]))
    return tuple(_proposal(row) for row in connection.execute(query).mappings().all())


def expired(connection: Connection, now: datetime) -> tuple[Proposal, ...]:
    """Undecided or unexecuted proposals whose lifetime has ended."""
    live = [ProposalState.WAITING.value, ProposalState.APPROVED.value]
    query = _select().where(proposals.c.state.in_(live), proposals.c.expires_at <= now)
    return tuple(_proposal(row) for row in connection.execute(query).mappings())


def _select() -> Select[tuple[object, ...]]:
    return select(proposals, plan_lines.c.document.label("line")).join(
        plan_lines,
        (plan_lines.c.plan_id == proposals.c.plan_id)
        & (plan_lines.c.line_id == proposals.c.line_id),
    )


def _proposal(row: RowMapping, given: tuple[Approval, ...] = ()) -> Proposal:
    planned = from_document(PlanLine, row["line"])
    cut = row["approved_line"]
    return Proposal(
        proposal=ProposalId(row["proposal_id"]),
        plan=PlanId(row["plan_id"]),
        line=planned if cut is None else from_document(PlanLine, cut),
        verdict=from_document(Verdict, row["verdict"]),
        state=ProposalState(row["state"]),
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        decided_by=row["decided_by"],
        decided_at=row["decided_at"],
        comment=row["comment"],
        version=row["version"],
        approvals=given,
        planned=None if cut is None else planned,
    )
