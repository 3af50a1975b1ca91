"""Decides what an operator must see at a glance, and reads it in one transaction.

Dollars per hour are amortised commitment; ``remaining_usd`` is what is still to run of it. The
weighted months left are the commitment lock-in: Σ c·m / Σ c over what is owned.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Connection, Row, func, select

from service.api import models, reads_alterations, status_models
from service.api.context import AppContext
from service.api.halting import halt_of, state_of
from service.api.ports import ScheduledJob
from service.api.reads import commitment_of, within_accounts
from service.api.status_caps import used
from service.domain.commitments import OWNED_STATES
from service.domain.errors import InputError
from service.domain.hours import HOUR, MONTH_HOURS
from service.domain.ids import PlanId
from service.domain.plans import Decision
from service.domain.purchases import IntentState, ProposalState
from service.store import lease, schema
from service.store.halt import read_halt
from service.store.records import verdicts_of
from service.store.states import RunState, VerdictStage
from service.store.usage_tables import usage_days

WHOLE_ESTATE = "all"
PURCHASES_SHOWN = 10
EXPIRIES_SHOWN = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OWNED = tuple(sorted(state.value for state in OWNED_STATES))


def read_status(
    connection: Connection, context: AppContext, *, accounts: frozenset[str] | None = None
) -> status_models.Status:
    """Everything on the status page, as of now, of ``accounts`` or of all (``None``)."""
    now = context.clock.now()
    policy = policy_state(context)
    return status_models.Status(
        now=now,
        policy=policy,
        halt=halt_of(read_halt(connection), policy),
        data=_data(connection, now),
        executor=_executor(connection),
        jobs=_told(_jobs(connection, context.jobs, now), accounts),
        # What is about all accounts together is not for who may see some of them only.
        latest_decision=None if accounts is not None else _latest_decision(connection),
        performance=None if accounts is not None else _performance(connection),
        caps=[] if accounts is not None else _caps(connection, context, now),
        lock_in=_lock_in(connection, now, accounts),
        unknown_purchases=_purchases(
            connection, (IntentState.UNKNOWN, IntentState.CALLING), None, accounts
        ),
        pending=_pending(connection, accounts),
        open_alterations=reads_alterations.standing(connection, accounts),
        latest_purchases=_purchases(connection, (IntentState.BOUGHT,), PURCHASES_SHOWN, accounts),
        next_expiries=_expiries(connection, now, accounts),
    )


def policy_state(context: AppContext) -> status_models.PolicyState:
    """The policy in force in short, or why there is none."""
    return state_of(context.policy_source)


def _caps(
    connection: Connection, context: AppContext, now: datetime
) -> list[status_models.CapLeft]:
    try:
        caps = context.policy_source().policy.caps
    except InputError:
        return []
    # Counted as the guard counts, or the room that is shown is not the room that there is.
    counted = used(connection, now)
    found = []
    for span, limits, amounts in (
        ("day", caps.per_day, counted.day),
        ("total", caps.in_total, counted.total),
    ):
        for measure, limit, amount in (
            ("commit_usd_per_hour", limits.commit_usd_per_hour, amounts.commit_usd_per_hour),
            ("upfront_usd", limits.upfront_usd, amounts.upfront_usd),
            ("obligation_usd", limits.obligation_usd, amounts.obligation_usd),
        ):
            cap = {"span": span, "measure": measure, "limit": limit, "spent": amount}
            left = max(limit - amount, Decimal(0))
            found.append(status_models.CapLeft.model_validate({**cap, "left": left}))
    return found


def _data(connection: Connection, now: datetime) -> list[status_models.DataState]:
    table = usage_days
    rows = connection.execute(
        select(
            table.c.provider,
            func.max(table.c.last_hour),
            func.max(table.c.seen_at),
            func.count(),
            func.count().filter(table.c.shape != ""),
        )
        .group_by(table.c.provider)
        .order_by(table.c.provider)
    )
    found = []
    for provider, last_hour, seen_at, days, estimated_days in rows:
        through = last_hour + HOUR
        found.append(
            status_models.DataState(
                provider=provider,
                days=days,
                estimated_days=estimated_days,
                through=through,
                age_hours=_hours(now - through),
                ingested_at=seen_at,
            )
        )
    return found


def _hours(span: timedelta) -> Decimal:
    return (Decimal(int(span.total_seconds())) / 3600).quantize(Decimal("0.1"))


def _executor(connection: Connection) -> status_models.Executor | None:
    held = lease.current(connection)
    if held is None:
        return None
    return status_models.Executor(holder=held.holder, fence=held.fence, expires_at=held.expires_at)


def _jobs(
    connection: Connection, scheduled: Sequence[ScheduledJob], now: datetime
) -> list[status_models.JobState]:
    table = schema.job_runs
    newest = (
        select(table.c.schedule, func.max(table.c.due_at).label("due_at"))
        .group_by(table.c.schedule)
        .subquery()
    )
    rows = connection.execute(
        select(table).join(
            newest,
            (table.c.schedule == newest.c.schedule) & (table.c.due_at == newest.c.due_at),
        )
    )
    last = {row.schedule: row for row in rows}
    kept = {job.name: job for job in scheduled}
    return [
        _job(connection, name, last.get(name), kept.get(name), now)
        for name in sorted({*last, *kept})
    ]


def _told(
    jobs: list[status_models.JobState], accounts: frozenset[str] | None
) -> list[status_models.JobState]:
    """Without what they did, for who may see some accounts only: it counts all of them."""
    if accounts is None:
        return jobs
    return [job.model_copy(update={"last_detail": ""}) for job in jobs]


def _job(
    connection: Connection,
    name: str,
    last: Row[Any] | None,
    job: ScheduledJob | None,
    now: datetime,
) -> status_models.JobState:
    return status_models.JobState(
        name=name,
        next_due_at=next_due(job, last.due_at if last else None, now) if job else None,
        last_due_at=last.due_at if last else None,
        last_state=last.state if last else None,
        last_started_at=last.started_at if last else None,
        last_finished_at=last.finished_at if last else None,
        last_success_at=_last_success(connection, last) if last else None,
        last_detail=last.detail if last else "",
        every_seconds=round(job.every.total_seconds()) if job else None,
    )


def _last_success(connection: Connection, last: Row[Any]) -> datetime | None:
    if last.state == RunState.DONE.value:
        finished: datetime | None = last.finished_at
        return finished
    table = schema.job_runs
    query = select(table.c.finished_at).where(
        table.c.schedule == last.schedule, table.c.state == RunState.DONE.value
    )
    return connection.execute(query.order_by(table.c.due_at.desc()).limit(1)).scalar_one_or_none()


def next_due(job: ScheduledJob, last_due_at: datetime | None, now: datetime) -> datetime:
    """The instant that ``job`` is due at next; a job that never ran is due at the newest one.

    The same grid as ``store.due``: every ``every`` from 1970 plus ``offset``.
    """
    if last_due_at is None:
        return _EPOCH + job.offset + (now - _EPOCH - job.offset) // job.every * job.every
    steps = (last_due_at - _EPOCH - job.offset) // job.every + 1
    return _EPOCH + job.offset + steps * job.every


def _latest_decision(connection: Connection) -> status_models.LatestDecision | None:
    table = schema.plans
    newest = connection.execute(
        select(table.c.plan_id, table.c.cycle_id, table.c.decided_at)
        .order_by(table.c.decided_at.desc(), table.c.plan_id.desc())
        .limit(1)
    ).one_or_none()
    if newest is None:
        return None
    judged = verdicts_of(connection, PlanId(newest.plan_id), stage=VerdictStage.PROPOSAL)
    said = Counter(verdict.decision for verdict in judged)
    rules = Counter(
        result.rule
        for verdict in judged
        for result in verdict.results
        if result.decision is Decision.REFUSE
    )
    return status_models.LatestDecision(
        plan=newest.plan_id,
        cycle=newest.cycle_id,
        decided_at=newest.decided_at,
        lines=len(judged),
        allowed=said[Decision.ALLOW],
        need_sign_off=said[Decision.NEEDS_SIGN_OFF],
        refused=said[Decision.REFUSE],
        refused_by=[
            status_models.RuleRefusals(rule=rule, lines=lines)
            for rule, lines in rules.most_common()
        ],
    )


def _performance(connection: Connection) -> status_models.Performance | None:
    table = schema.reports
    row = connection.execute(
        select(table)
        .where(table.c.subject == WHOLE_ESTATE)
        .order_by(table.c.period_end.desc(), table.c.made_at.desc(), table.c.report_id.desc())
        .limit(1)
    ).one_or_none()
    if row is None:
        return None
    return status_models.Performance(
        subject=row.subject,
        period_start=row.period_start,
        period_end=row.period_end,
        promised_usd=row.promised_usd,
        promised_low_usd=row.promised_low_usd,
        promised_high_usd=row.promised_high_usd,
        realised_usd=row.realised_usd,
        effective_savings_rate=row.document.get("effective_savings_rate"),
        coverage_ratio=row.document.get("coverage_ratio"),
        utilization_ratio=row.document.get("utilization_ratio"),
    )


def _lock_in(
    connection: Connection, now: datetime, accounts: frozenset[str] | None
) -> status_models.LockIn:
    table = schema.commitments
    rows = connection.execute(
        select(func.sum(table.c.commit_usd_per_hour), table.c.end_at, func.count())
        .where(
            table.c.state.in_(OWNED),
            table.c.end_at > now,
            table.c.vanished_at.is_(None),
            *within_accounts(table.c.account, accounts),
        )
        .group_by(table.c.end_at)
    ).all()
    hourly = sum((commit for commit, _, _ in rows), Decimal(0))
    remaining = sum((commit * _hours(end - now) for commit, end, _ in rows), Decimal(0))
    months = remaining / hourly / MONTH_HOURS if hourly else Decimal(0)
    return status_models.LockIn(
        commitments=sum(count for _, _, count in rows),
        commit_usd_per_hour=hourly,
        remaining_usd=remaining.quantize(Decimal("0.01")),
        weighted_months_left=months.quantize(Decimal("0.1")),
    )


def _pending(connection: Connection, accounts: frozenset[str] | None) -> status_models.Pending:
    table = schema.proposals
    line = schema.plan_lines
    rows = connection.execute(
        select(
            table.c.expires_at,
            line.c.commit_usd_per_hour,
            line.c.total_usd,
            line.c.document,
        )
        .select_from(table)
        .join(line, (line.c.plan_id == table.c.plan_id) & (line.c.line_id == table.c.line_id))
        .where(
            table.c.state == ProposalState.WAITING.value,
            *within_accounts(line.c.account, accounts),
        )
    ).all()
    return status_models.Pending(
        proposals=len(rows),
        commit_usd_per_hour=sum((commit for _, commit, _, _ in rows), Decimal(0)),
        expected_savings_usd_per_hour=sum(
            (Decimal(document["expected_savings_usd_per_hour"]) for *_, document in rows),
            Decimal(0),
        ),
        total_usd=sum((total for _, _, total, _ in rows), Decimal(0)),
        next_expires_at=min((expires for expires, *_ in rows), default=None),
    )


def _purchases(
    connection: Connection,
    states: Sequence[IntentState],
    limit: int | None,
    accounts: frozenset[str] | None,
) -> list[status_models.PurchaseMade]:
    table = schema.intents
    rows = connection.execute(
        select(table)
        .where(
            table.c.state.in_([state.value for state in states]),
            *within_accounts(table.c.account, accounts),
        )
        .order_by(table.c.updated_at.desc(), table.c.intent_id.desc())
        .limit(limit)
    )
    return [
        status_models.PurchaseMade(
            intent=row.intent_id,
            state=row.state,
            account=row.account,
            offering=row.offering,
            kind=row.kind,
            region=row.line["region"],
            family=row.line["family"],
            term_months=row.line["term_months"],
            payment=row.line["payment"],
            quantity=row.quantity,
            companion=row.line.get("companion"),
            commit_usd_per_hour=row.commit_usd_per_hour,
            upfront_usd=row.upfront_usd,
            total_usd=row.total_usd,
            commitment=row.commitment_id,
            recorded_at=row.recorded_at,
            updated_at=row.updated_at,
            detail=row.detail,
        )
        for row in rows
    ]


def _expiries(
    connection: Connection, now: datetime, accounts: frozenset[str] | None
) -> list[models.Commitment]:
    table = schema.commitments
    rows = connection.execute(
        select(table)
        .where(
            table.c.state.in_(OWNED),
            table.c.end_at > now,
            table.c.vanished_at.is_(None),
            *within_accounts(table.c.account, accounts),
        )
        .order_by(table.c.end_at, table.c.commitment_id)
        .limit(EXPIRIES_SHOWN)
    )
    return [commitment_of(row) for row in rows]
