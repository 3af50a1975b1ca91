"""Finds what people must hear of, keeps it, and sends what is due to whoever wants it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import uuid4

from sqlalchemy import Connection, func, select

from service.domain.alterations import AlterationState
from service.domain.errors import InputError
from service.domain.hours import HOUR
from service.domain.purchases import ProposalState
from service.guard.caps import used
from service.guard.context import spent_so_far
from service.notify.about import about_item, about_line
from service.notify.alerts import (
    Alert,
    AlertKind,
    Severity,
    of_event,
    tells,
)
from service.notify.config import AlertsConfig, Target, load_alerts
from service.notify.runbooks import with_page
from service.notify.send import DeliveryError, send
from service.notify.standing import (
    CapUsed,
    Expiring,
    Standing,
    Waiting,
    WaitingChange,
    of_standing,
)
from service.notify.timing import due_at, next_attempt_at, wants
from service.observe.log import get_logger
from service.operate import timetable
from service.operate.alert_facts import Facts
from service.operate.reporting import WHOLE_ESTATE
from service.operate.watching_policy import watch_policy
from service.store import alerts as store
from service.store import alterations, holdings, intents, ledger, proposals, reported
from service.store.engine import reading, writing
from service.store.schema import job_runs
from service.store.usage_tables import usage_days
from service.wiring import Parts

log = get_logger(__name__)

STUCK_AFTER = timedelta(minutes=15)
_AT_ONCE = 500


def tell(parts: Parts) -> str:
    """Raise what is new and send what is due; returns a sentence. For the executor alone."""
    config = load_alerts(parts.settings.alerts_file)
    raised = collect(parts, config)
    sent, failed = deliver(parts, config)
    return f"{raised} raised, {sent} sent, {failed} failed"


def collect(parts: Parts, config: AlertsConfig) -> int:
    """Raise what the ledger and the state of things newly tell; returns how much it was."""
    watch_policy(parts)
    now = parts.clock.now()
    with reading(parts.engine) as connection:
        standing = _standing(parts, connection, now)
    address = (parts.settings.public_url or "").rstrip("/")
    found = list(of_standing(standing, config.limits.thresholds(), address=address))
    count = 0
    with writing(parts.engine) as connection:
        count += _raise(connection, config, found, now)
        facts = Facts(connection)
        while True:
            events = ledger.read(connection, after=store.cursor(connection), limit=_AT_ONCE)
            told = [_told(one, facts, address) for one in events if tells(one.kind)]
            count += _raise(connection, config, [one for one in told if one is not None], now)
            if events:
                store.move_cursor(connection, events[-1].sequence)
            if len(events) < _AT_ONCE:
                return count


def _told(event: ledger.Recorded, facts: Facts, address: str) -> Alert | None:
    about = facts.of(event.payload)
    return of_event(
        event.kind,
        event.sequence,
        event.happened_at,
        event.payload,
        about=about,
        address=address,
    )


def _raise(
    connection: Connection, config: AlertsConfig, found: Sequence[Alert], now: datetime
) -> int:
    known = store.known_keys(connection, [one.key for one in found])
    fresh = {one.key: one for one in found if one.key not in known}
    for one in map(with_page, fresh.values()):
        store.raise_alert(
            connection,
            key=one.key,
            kind=one.kind.value,
            severity=one.severity.value,
            title=one.title,
            body=one.body,
            at=one.at,
            data=one.data,
            targets={t.name: due_at(t, one, now) for t in config.targets if wants(t, one)},
        )
    return len(fresh)


def deliver(parts: Parts, config: AlertsConfig) -> tuple[int, int]:
    """Send what is due; returns how many deliveries went well and how many did not."""
    now = parts.clock.now()
    with writing(parts.engine) as connection:
        claimed = store.claim_due(connection, now=now, stuck_after=STUCK_AFTER)
    targets = {target.name: target for target in config.targets}
    sent = failed = 0
    for name, group in _grouped(claimed, targets):
        problem = _try(targets.get(name), [one.raised for one in group])
        now = parts.clock.now()
        with writing(parts.engine) as connection:
            for one in group:
                if problem is None:
                    store.sent(connection, one, now=now)
                    continue
                last = name not in targets or one.attempts + 1 >= config.attempts_max
                again_at = None if last else next_attempt_at(one.attempts + 1, now)
                store.failed(connection, one, error=problem, again_at=again_at, now=now)
        sent += len(group) if problem is None else 0
        failed += 0 if problem is None else len(group)
        if problem is not None:
            log.warning("alert.not_delivered", target=name, alerts=len(group), detail=problem)
    return sent, failed


def trial(parts: Parts, only: str | None) -> dict[str, str | None]:
    """Send a trial alert to each receiver now; by name, why it did not arrive, if it did not.

    Raises ``InputError`` when ``only`` names no receiver of the alerts file.
    """
    config = load_alerts(parts.settings.alerts_file)
    names = [target.name for target in config.targets]
    if only is not None and only not in names:
        raise InputError(
            f"{only!r} is no receiver",
            file=str(parts.settings.alerts_file),
            column="targets",
            remedy=f"Name one of: {', '.join(names) or 'none are set up'}.",
        )
    told = store.Raised(
        alert=str(uuid4()),
        kind=AlertKind.TEST.value,
        severity=Severity.INFO.value,
        title="A trial",
        body="Somebody asked Tenor to send this. Nothing happened.",
        raised_at=parts.clock.now(),
        data={},
    )
    chosen = [target for target in config.targets if only in {None, target.name}]
    return {target.name: _try(target, [told]) for target in chosen}


def _try(target: Target | None, alerts: Sequence[store.Raised]) -> str | None:
    """Why ``target`` did not take ``alerts``, or ``None`` when it did."""
    if target is None:
        return "the alerts file has no such receiver any more"
    try:
        send(target, alerts)
    except DeliveryError as error:
        return str(error)
    except InputError as error:
        return str(error)
    return None


def _grouped(
    claimed: Iterable[store.Delivery], targets: dict[str, Target]
) -> Iterable[tuple[str, list[store.Delivery]]]:
    """What goes out together: a digest, or what gathered in quiet hours; all else by itself."""
    together: dict[str, list[store.Delivery]] = defaultdict(list)
    for one in claimed:
        target = targets.get(one.target)
        gathers = target is not None and target.url is not None
        if gathers and one.raised.severity != Severity.CRITICAL.value:
            together[one.target].append(one)
        else:
            yield one.target, [one]
    yield from together.items()


def _standing(parts: Parts, connection: Connection, now: datetime) -> Standing:
    facts = Facts(connection)
    waiting = proposals.list_proposals(connection, states=(ProposalState.WAITING,))
    owed = holdings.owed(connection, now=now)
    report = reported.newest(connection, WHOLE_ESTATE)
    ratio = None if report is None else report.document.get("utilization_ratio")
    ages = _usage_ages(connection, now)
    return Standing(
        now=now,
        waiting=tuple(
            Waiting(
                one.proposal,
                one.expires_at,
                one.line.commit_usd_per_hour,
                about_line(one.line, f"/proposals/{one.proposal}"),
            )
            for one in waiting
        ),
        expiring=tuple(
            Expiring(
                item.commitment.commitment,
                item.commitment.end,
                item.commit_usd_per_hour,
                item.renews,
                about_item(item, "/commitments"),
            )
            for item in owed
            if item.commitment.state.is_owned
        ),
        caps=_caps(parts, connection, now),
        data_age_hours=ages,
        awaited_hours=_awaited(parts, connection, now, ages.keys()),
        utilization_ratio=None if ratio is None else Decimal(str(ratio)),
        reported_through=None if report is None else report.period_end,
        changes=tuple(
            WaitingChange(
                alteration=one.order.intent,
                what=one.order.alteration.value,
                sources=tuple(one.order.sources),
                expires_at=one.expires_at,
                about=facts.altered(one),
            )
            for one in alterations.list_alterations(connection, states=(AlterationState.WAITING,))
        ),
    )


def _usage_ages(connection: Connection, now: datetime) -> dict[str, Decimal]:
    """How old the newest usage is in hours, by provider that any has arrived of."""
    table = usage_days.c
    query = select(table.provider, func.max(table.last_hour)).group_by(table.provider)
    return {provider: _hours(now - last - HOUR) for provider, last in connection.execute(query)}


def _awaited(
    parts: Parts, connection: Connection, now: datetime, arrived: Collection[str]
) -> dict[str, Decimal]:
    """How long exports have been read, in hours, by provider that no usage has arrived of."""
    names = {
        timetable.ingesting(parts.settings, cloud.provider).name: cloud.provider
        for cloud in parts.clouds
        if cloud.provider not in arrived
    }
    query = (
        select(job_runs.c.schedule, func.min(job_runs.c.started_at))
        .where(job_runs.c.schedule.in_(sorted(names)))
        .group_by(job_runs.c.schedule)
    )
    return {names[schedule]: _hours(now - first) for schedule, first in connection.execute(query)}


def _hours(span: timedelta) -> Decimal:
    return Decimal(round(span.total_seconds())) / 3600


def _caps(parts: Parts, connection: Connection, now: datetime) -> tuple[CapUsed, ...]:
    try:
        caps = parts.policy().policy.caps
    except InputError:
        return ()  # watch_policy tells of a policy that cannot be read
    counted = spent_so_far(
        intents.list_intents(connection, states=intents.COUNTED),
        holdings.inventory(connection),
        now=now,
        run=None,
    )
    return tuple(
        CapUsed(span, measure, getattr(limits, measure), getattr(amounts, measure))
        for span, limits, amounts in used(caps, counted, now=now)
        if span != "run" and amounts is not None
        for measure in ("commit_usd_per_hour", "upfront_usd", "obligation_usd")
    )
