"""Decides what Prometheus is told: how the deployment stands, read from the database per scrape.

Every replica tells the same; what a process did by itself is in ``observe.metrics``. Names end in
their unit, ratios run from 0 to 1, instants are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar, get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select

from service import __version__
from service.api.context import AppContext
from service.api.models import Halter
from service.api.status import read_status
from service.api.status_models import Status
from service.observe.metrics import PROCESS
from service.store import alerts, schema
from service.store.demotion import demoted
from service.store.engine import reading
from service.store.states import RunState

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
Number = Decimal | float
Labels = TypeVar("Labels", tuple[()], tuple[str])


def exposition(context: AppContext) -> bytes:
    """Everything in Prometheus' text format."""
    with reading(context.engine) as connection:
        families = [*of_status(read_status(connection, context)), *_of_rows(connection)]
    registry = CollectorRegistry()
    registry.register(_Fixed(families))
    return generate_latest(registry) + generate_latest(PROCESS)


class _Fixed(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = tuple(families)

    def collect(self) -> Iterable[Metric]:
        """The families as they were read."""
        return self._families


def of_status(status: Status) -> Iterator[Metric]:
    """The status page as numbers."""
    yield _gauge("tenor_build_info", "Which version answers.", {(__version__,): 1}, "version")
    yield _gauge("tenor_halted", "1 while buying is halted.", {(): status.halt.halted})
    by = {(one,): one in status.halt.halted_by for one in get_args(Halter)}
    yield _gauge("tenor_halted_by", "1 for each that halts buying.", by, "halter")
    readable = status.policy.problem is None
    yield _gauge("tenor_policy_readable", "1 when the policy can be read.", {(): readable})
    held = status.executor is not None and status.executor.expires_at > datetime.now(UTC)
    yield _gauge("tenor_executor_lease_held", "1 while some process may buy.", {(): held})
    ages = {(one.provider,): one.age_hours * 3600 for one in status.data}
    yield _gauge("tenor_usage_age_seconds", "Age of the newest usage.", ages, "provider")
    yield from _of_jobs(status)
    yield from _of_performance(status)
    yield from _of_caps(status)
    lock_in = status.lock_in
    yield _gauge("tenor_commitments", "Commitments that are owned.", {(): lock_in.commitments})
    yield _gauge(
        "tenor_committed_usd_per_hour",
        "Amortised dollars an hour of all that is owned.",
        {(): lock_in.commit_usd_per_hour},
    )
    yield _gauge(
        "tenor_remaining_obligation_usd",
        "What is still to run of all that is owned.",
        {(): lock_in.remaining_usd},
    )
    yield _gauge(
        "tenor_lock_in_months", "Weighted months left.", {(): lock_in.weighted_months_left}
    )
    unknown = len(status.unknown_purchases)
    yield _gauge("tenor_unknown_purchases", "Outcomes that nobody knows yet.", {(): unknown})
    changes = status.open_alterations
    yield _gauge(
        "tenor_unknown_alterations",
        "Changes of what is owned whose outcome nobody knows yet.",
        {(): changes.unknown},
    )
    yield _gauge("tenor_alterations_waiting", "Waiting for a person.", {(): changes.waiting})
    pending = status.pending
    yield _gauge("tenor_proposals_waiting", "Waiting for a person.", {(): pending.proposals})
    yield _gauge(
        "tenor_proposals_waiting_usd_per_hour",
        "Amortised dollars an hour that wait for a person.",
        {(): pending.commit_usd_per_hour},
    )


def _of_jobs(status: Status) -> Iterator[Metric]:
    ended = {
        (job.name,): job.last_finished_at.timestamp()
        for job in status.jobs
        if job.last_finished_at is not None
    }
    yield _gauge("tenor_job_last_end_timestamp_seconds", "When it last ended.", ended, "job")
    failed = {
        (job.name,): job.last_state.value == "failed"
        for job in status.jobs
        if job.last_state is not None
    }
    yield _gauge("tenor_job_last_failed", "1 when its last run failed.", failed, "job")
    yield from _of_job_ages(status)
    due = {
        (job.name,): job.next_due_at.timestamp()
        for job in status.jobs
        if job.next_due_at is not None
    }
    yield _gauge("tenor_job_next_due_timestamp_seconds", "When it is due next.", due, "job")


def _of_job_ages(status: Status) -> Iterator[Metric]:
    """What tells a job that hangs, or never gets to run, from one that only fails."""
    went_well = {
        (job.name,): job.last_success_at.timestamp()
        for job in status.jobs
        if job.last_success_at is not None
    }
    text = "When a run last ended well."
    yield _gauge("tenor_job_last_success_timestamp_seconds", text, went_well, "job")
    running = {
        (job.name,): job.last_started_at.timestamp()
        for job in status.jobs
        if job.last_started_at is not None and job.last_state is RunState.STARTED
    }
    text = "Since when a run is under way."
    yield _gauge("tenor_job_running_since_timestamp_seconds", text, running, "job")
    every = {(job.name,): job.every_seconds for job in status.jobs if job.every_seconds is not None}
    yield _gauge("tenor_job_interval_seconds", "How often it is due.", every, "job")


def _of_performance(status: Status) -> Iterator[Metric]:
    seen = status.performance
    if seen is None:
        return
    told = (
        (
            "tenor_effective_savings_ratio",
            "Net savings over on demand.",
            seen.effective_savings_rate,
        ),
        ("tenor_coverage_ratio", "On-demand dollars that are covered.", seen.coverage_ratio),
        ("tenor_utilization_ratio", "Committed dollars that are used.", seen.utilization_ratio),
        ("tenor_realised_savings_usd", "Saved in the newest report.", seen.realised_usd),
        ("tenor_promised_savings_usd", "Promised for the same hours.", seen.promised_usd),
        ("tenor_promised_low_savings_usd", "The promise's lower end.", seen.promised_low_usd),
        ("tenor_promised_high_savings_usd", "The promise's upper end.", seen.promised_high_usd),
    )
    for name, text, value in told:
        if value is not None:
            yield _gauge(name, text, {(): value})


def _of_caps(status: Status) -> Iterator[Metric]:
    for measure in ("commit_usd_per_hour", "upfront_usd", "obligation_usd"):
        mine = [cap for cap in status.caps if cap.measure == measure]
        limits = {(str(cap.span),): cap.limit for cap in mine}
        spent = {(str(cap.span),): cap.spent for cap in mine}
        yield _gauge(f"tenor_cap_limit_{measure}", "A ceiling of the policy.", limits, "span")
        yield _gauge(f"tenor_cap_spent_{measure}", "What counts against it.", spent, "span")


def _of_rows(connection: Connection) -> Iterator[Metric]:
    purchases = connection.execute(
        select(schema.intents.c.state, func.count()).group_by(schema.intents.c.state)
    )
    by_state = {(str(state),): int(count) for state, count in purchases}
    yield _gauge("tenor_purchases", "Intents by state.", by_state, "state")
    waiting = {(state,): count for state, count in alerts.counts(connection).items()}
    yield _gauge("tenor_alert_deliveries", "Alerts on their way, by state.", waiting, "state")
    yield _gauge(
        "tenor_autopilot_demoted",
        "1 where autopilot fell back to copilot.",
        {(provider,): 1 for provider in demoted(connection)},
        "provider",
    )
    newest = connection.execute(select(schema.ledger_head.c.sequence)).scalar_one_or_none()
    family = CounterMetricFamily("tenor_ledger_events", "Events of the ledger so far.")
    family.add_metric((), float(newest or 0))
    yield family


def _gauge(
    name: str, text: str, values: Mapping[Labels, Number], *labels: str
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for found, value in values.items():
        family.add_metric(found, float(value))
    return family
