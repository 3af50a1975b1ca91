"""Decides what is worth an alert: from each event of the ledger, and from how things stand.

An alert's ``key`` names the fact it tells of. The same fact makes the same key, however often it
is looked at, and a key is told once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from service.domain.hours import iso


class Severity(StrEnum):
    """How soon somebody must look, least first."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for info, 1 for warning, 2 for critical."""
        return list(Severity).index(self)


class AlertKind(StrEnum):
    """What an alert is about."""

    PROPOSAL_WAITING = "proposal_waiting"
    PROPOSAL_EXPIRING = "proposal_expiring"
    PURCHASE_MADE = "purchase_made"
    PURCHASE_REFUSED = "purchase_refused"
    PURCHASE_UNKNOWN = "purchase_unknown"
    CHANGE_MADE = "change_made"
    CHANGE_UNKNOWN = "change_unknown"
    UNDO_NOT_JUDGED = "undo_not_judged"
    DRIFT = "drift"
    DATA_LATE = "data_late"
    UTILIZATION_LOW = "utilization_low"
    EXPIRY_AHEAD = "expiry_ahead"
    BUDGET_REACHED = "budget_reached"
    AUTOPILOT_DEMOTED = "autopilot_demoted"
    POLICY_UNREADABLE = "policy_unreadable"
    HALT = "halt"
    CYCLE_FAILED = "cycle_failed"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to tell. ``data`` is what a program would want, as JSON values."""

    key: str
    kind: AlertKind
    severity: Severity
    title: str
    body: str
    at: datetime
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rule:
    kind: AlertKind
    severity: Severity
    title: str
    body: str


_WARN, _CRIT, _INFO = Severity.WARNING, Severity.CRITICAL, Severity.INFO

_OF_EVENT: Mapping[str, _Rule] = {
    "proposal.recorded": _Rule(
        AlertKind.PROPOSAL_WAITING,
        _INFO,
        "A proposal waits for you",
        "Proposal {proposal}: {commit_usd_per_hour} USD/h, {upfront_usd} USD upfront. It waits "
        "until {expires_at}.",
    ),
    "proposal.refused": _Rule(
        AlertKind.PURCHASE_REFUSED,
        _WARN,
        "An approved proposal was refused",
        "Proposal {proposal} was approved, and the check before buying said no: {rule}, {detail}.",
    ),
    "purchase.bought": _Rule(
        AlertKind.PURCHASE_MADE,
        _INFO,
        "A commitment was bought",
        "{commitment} in {account}: {commit_usd_per_hour} USD/h, {upfront_usd} USD upfront "
        "(offering {offering}).",
    ),
    "purchase.refused": _Rule(
        AlertKind.PURCHASE_REFUSED,
        _WARN,
        "A purchase was refused",
        "Intent {intent} was refused, nothing was bought: {code}, {detail}.",
    ),
    "purchase.unknown": _Rule(
        AlertKind.PURCHASE_UNKNOWN,
        _CRIT,
        "Whether something was bought is not known",
        "Intent {intent}: {detail}. Nothing more is bought in its scope until the inventory "
        "settles it. See docs/runbooks/unknown-outcome.md.",
    ),
    "alteration.asked": _Rule(
        AlertKind.PROPOSAL_WAITING,
        _INFO,
        "Something owned is to be changed",
        "{alteration} of {sources} in {account}: {reason}",
    ),
    "alteration.altered": _Rule(
        AlertKind.CHANGE_MADE,
        _INFO,
        "A commitment was changed",
        "Alteration {intent} is done: {evidence}. {pay_usd} USD paid, {refund_usd} USD refunded.",
    ),
    "alteration.unknown": _Rule(
        AlertKind.CHANGE_UNKNOWN,
        _CRIT,
        "Whether a commitment was changed is not known",
        "Alteration {intent}: {detail}. See docs/runbooks/unknown-outcome.md.",
    ),
    "undo.not_judged": _Rule(
        AlertKind.UNDO_NOT_JUDGED,
        _WARN,
        "A recent purchase could not be looked at again",
        "Whether {commitment} should be given back could not be judged: {detail}. It stays; the "
        "time in which it can be given back for nothing goes on.",
    ),
    "reconcile.drift": _Rule(
        AlertKind.DRIFT,
        _CRIT,
        "Ledger and inventory differ",
        "{finding}: {detail}. See docs/runbooks/drift.md.",
    ),
    "usage.refused": _Rule(
        AlertKind.DATA_LATE,
        _WARN,
        "Usage could not be read",
        "{source}: {rule}, {detail}",
    ),
    "autopilot.demoted": _Rule(
        AlertKind.AUTOPILOT_DEMOTED,
        _CRIT,
        "Autopilot fell back to copilot",
        "{rule}: {detail}. A person must restore it.",
    ),
    "halt.set": _Rule(AlertKind.HALT, _CRIT, "Buying is halted", "By {by}: {reason}"),
    "halt.cleared": _Rule(AlertKind.HALT, _INFO, "Buying goes on", "By {by}: {reason}"),
    "policy.halted": _Rule(
        AlertKind.HALT,
        _CRIT,
        "The policy halts buying",
        "The policy {policy} says halt: true. Nothing is bought until it is taken out.",
    ),
    "policy.halt_ended": _Rule(
        AlertKind.HALT, _INFO, "The policy halts no more", "The policy {policy} halts no more."
    ),
    "policy.refused": _Rule(
        AlertKind.POLICY_UNREADABLE,
        _CRIT,
        "The policy cannot be read",
        "{file}, {detail}. Nothing is bought until it can be read.",
    ),
    "policy.restored": _Rule(
        AlertKind.POLICY_UNREADABLE, _INFO, "The policy can be read again", "{file} is in force."
    ),
    "cycle.failed": _Rule(
        AlertKind.CYCLE_FAILED, _WARN, "A decision cycle failed", "{cycle}: {error}, {detail}"
    ),
}
"""What each kind of event tells; an event that is not here tells nobody."""


class _Fields(dict[str, Any]):
    """An event's fields; one that an older event lacks reads as a dash."""

    def __missing__(self, key: str) -> str:
        return "-"


def of_event(kind: str, sequence: int, at: datetime, payload: Mapping[str, Any]) -> Alert | None:
    """The alert of one event of the ledger, or ``None``."""
    rule = _OF_EVENT.get(kind)
    if rule is None:
        return None
    return Alert(
        key=_key_of(kind, sequence, at, payload),
        kind=rule.kind,
        severity=rule.severity,
        title=rule.title,
        body=rule.body.format_map(_Fields(payload)),
        at=at,
        data={"event": kind, "sequence": sequence, **payload},
    )


def _key_of(kind: str, sequence: int, at: datetime, payload: Mapping[str, Any]) -> str:
    """One key an event; what one cause says of every recent purchase is told once a day."""
    if kind != "undo.not_judged":
        return f"event:{sequence}"
    return f"undo_not_judged:{iso(at)[:10]}:{payload.get('detail', '-')}"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal that waits for a person."""

    proposal: str
    expires_at: datetime
    commit_usd_per_hour: Decimal


@dataclass(frozen=True, slots=True)
class WaitingChange:
    """A change of something owned that waits for a person: what is done to what."""

    alteration: str
    what: str
    sources: tuple[str, ...]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Expiring:
    """A commitment that is owned, and when its term is over. ``renews``: another follows it."""

    commitment: str
    end: datetime
    commit_usd_per_hour: Decimal
    renews: bool = False


@dataclass(frozen=True, slots=True)
class CapUsed:
    """One ceiling of the policy and what is spent of it."""

    span: str
    measure: str
    limit: Decimal
    spent: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand. ``data_age_hours`` is by provider; ``utilization_ratio`` the newest."""

    now: datetime
    waiting: tuple[Waiting, ...]
    expiring: tuple[Expiring, ...]
    caps: tuple[CapUsed, ...]
    data_age_hours: Mapping[str, Decimal]
    utilization_ratio: Decimal | None
    reported_through: datetime | None
    changes: tuple[WaitingChange, ...] = ()


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on how things stand is worth an alert. Ratios are 0-1."""

    proposal_expires_within_hours: Decimal
    data_age_hours: Decimal
    utilization_floor_ratio: Decimal
    budget_ratio: Decimal
    expiry_days: tuple[int, ...]


def of_standing(standing: Standing, limits: Thresholds) -> Iterator[Alert]:
    """Every alert that ``standing`` gives rise to, told before or not."""
    yield from _of_waiting(standing, limits)
    yield from _of_expiries(standing, limits)
    yield from _of_caps(standing, limits)
    yield from _of_data(standing, limits)
    floor, ratio = limits.utilization_floor_ratio, standing.utilization_ratio
    if ratio is not None and standing.reported_through is not None and ratio < floor:
        through = iso(standing.reported_through)
        yield Alert(
            key=f"utilization:{through[:10]}",
            kind=AlertKind.UTILIZATION_LOW,
            severity=Severity.WARNING,
            title="Commitments are used too little",
            body=f"Over the four weeks to {through} {ratio:.1%} of what is committed was used; "
            f"the floor is {floor:.1%}.",
            at=standing.now,
            data={"utilization_ratio": format(ratio, "f"), "floor_ratio": format(floor, "f")},
        )


def _of_waiting(standing: Standing, limits: Thresholds) -> Iterator[Alert]:
    within = timedelta(hours=float(limits.proposal_expires_within_hours))
    for one in standing.waiting:
        if standing.now < one.expires_at <= standing.now + within:
            yield Alert(
                key=f"expiring:{one.proposal}",
                kind=AlertKind.PROPOSAL_EXPIRING,
                severity=Severity.WARNING,
                title="A proposal is about to expire",
                body=f"Proposal {one.proposal} ({one.commit_usd_per_hour:f} USD/h) expires at "
                f"{iso(one.expires_at)} if nobody decides.",
                at=standing.now,
                data={"proposal": one.proposal, "expires_at": iso(one.expires_at)},
            )
    for change in standing.changes:
        if standing.now < change.expires_at <= standing.now + within:
            sources = ", ".join(change.sources)
            yield Alert(
                key=f"change_expiring:{change.alteration}",
                kind=AlertKind.PROPOSAL_EXPIRING,
                severity=Severity.WARNING,
                title="A change of something owned is about to expire",
                body=f"{change.what} of {sources} ({change.alteration}) expires at "
                f"{iso(change.expires_at)} if nobody decides.",
                at=standing.now,
                data={"alteration": change.alteration, "expires_at": iso(change.expires_at)},
            )


def _of_expiries(standing: Standing, limits: Thresholds) -> Iterator[Alert]:
    for one in standing.expiring:
        left = one.end - standing.now
        passed = [days for days in limits.expiry_days if timedelta(0) < left <= timedelta(days)]
        if not passed:
            continue
        days = min(passed)
        ends = "is renewed" if one.renews else "ends"
        after = "Its renewal is counted on" if one.renews else "What it covers is planned anew"
        yield Alert(
            key=f"expiry:{one.commitment}:{days}",
            kind=AlertKind.EXPIRY_AHEAD,
            severity=Severity.WARNING if days == min(limits.expiry_days) else Severity.INFO,
            title=f"A commitment {ends} within {days} days",
            body=f"{one.commitment} ({one.commit_usd_per_hour:f} USD/h) {ends} at {iso(one.end)}. "
            f"{after} before that.",
            at=standing.now,
            data={"commitment": one.commitment, "end": iso(one.end), "days": days},
        )


def _of_caps(standing: Standing, limits: Thresholds) -> Iterator[Alert]:
    for one in standing.caps:
        if one.limit <= 0 or one.spent < one.limit * limits.budget_ratio:
            continue
        period = iso(standing.now)[:10] if one.span == "day" else iso(standing.now)[:7]
        yield Alert(
            key=f"budget:{one.span}:{one.measure}:{one.limit:f}:{period}",
            kind=AlertKind.BUDGET_REACHED,
            severity=Severity.WARNING,
            title="A budget is nearly or wholly used",
            body=f"{one.measure} per {one.span}: {one.spent:f} of {one.limit:f} is spent or "
            "promised. Tenor refuses whatever would pass it.",
            at=standing.now,
            data={
                "span": one.span,
                "measure": one.measure,
                "spent": format(one.spent, "f"),
                "limit": format(one.limit, "f"),
            },
        )


def _of_data(standing: Standing, limits: Thresholds) -> Iterator[Alert]:
    for provider, age in sorted(standing.data_age_hours.items()):
        if age <= limits.data_age_hours:
            continue
        yield Alert(
            key=f"data:{provider}:{iso(standing.now)[:10]}",
            kind=AlertKind.DATA_LATE,
            severity=Severity.WARNING,
            title="Usage is late",
            body=f"The newest usage of {provider} is {age:.0f} hours old; more than "
            f"{limits.data_age_hours:f} is told. Nothing is decided on stale data.",
            at=standing.now,
            data={"provider": provider, "age_hours": format(round(age, 1), "f")},
        )


def at_least(alerts: Iterable[Alert], severity: Severity) -> tuple[Alert, ...]:
    """Those of ``alerts`` that are as severe as ``severity``, or more."""
    return tuple(one for one in alerts if one.severity.rank >= severity.rank)
