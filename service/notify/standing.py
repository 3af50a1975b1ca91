"""Decides what is worth an alert in how things stand: deadlines, expiries, budgets, stale data.

Amounts in the texts are rounded for people; ``data`` has them exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from service.domain.hours import iso
from service.domain.wording import counted, provider_name, usd
from service.notify.about import About, linked, moment, saves
from service.notify.alerts import Alert, AlertKind, Severity

_MEASURES = {
    "commit_usd_per_hour": "Hourly commitment",
    "upfront_usd": "Upfront payments",
    "obligation_usd": "Obligations over the whole term",
}
_SPANS = {"day": "in 24 hours", "total": "in all"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """A proposal that waits for a person."""

    proposal: str
    expires_at: datetime
    commit_usd_per_hour: Decimal
    about: About | None = None


@dataclass(frozen=True, slots=True)
class WaitingChange:
    """A change of something owned that waits for a person: what is done to what."""

    alteration: str
    what: str
    sources: tuple[str, ...]
    expires_at: datetime
    about: About | None = None


@dataclass(frozen=True, slots=True)
class Expiring:
    """A commitment that is owned, and when its term is over. ``renews``: another follows it."""

    commitment: str
    end: datetime
    commit_usd_per_hour: Decimal
    renews: bool = False
    about: About | None = None


@dataclass(frozen=True, slots=True)
class CapUsed:
    """One ceiling of the policy and what is spent of it."""

    span: str
    measure: str
    limit: Decimal
    spent: Decimal


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand. ``data_age_hours`` is by provider; ``utilization_ratio`` the newest.

    ``awaited_hours``: how long usage has been looked for, by provider that none ever arrived of.
    """

    now: datetime
    waiting: tuple[Waiting, ...]
    expiring: tuple[Expiring, ...]
    caps: tuple[CapUsed, ...]
    data_age_hours: Mapping[str, Decimal]
    utilization_ratio: Decimal | None
    reported_through: datetime | None
    changes: tuple[WaitingChange, ...] = ()
    awaited_hours: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From where on how things stand is worth an alert. Ratios are 0-1."""

    proposal_expires_within_hours: Decimal
    data_age_hours: Decimal
    utilization_floor_ratio: Decimal
    budget_ratio: Decimal
    expiry_days: tuple[int, ...]


def of_standing(standing: Standing, limits: Thresholds, *, address: str = "") -> Iterator[Alert]:
    """Every alert that ``standing`` gives rise to, told before or not.

    ``address`` is where browsers reach the pages, empty where that is not known.
    """
    yield from _of_waiting(standing, limits, address)
    yield from _of_changes(standing, limits, address)
    yield from _of_expiries(standing, limits, address)
    yield from _of_caps(standing, limits)
    yield from _of_data(standing, limits)
    floor, ratio = limits.utilization_floor_ratio, standing.utilization_ratio
    if ratio is not None and standing.reported_through is not None and ratio < floor:
        through = iso(standing.reported_through)
        until = moment(through)
        yield Alert(
            key=f"utilization:{through[:10]}",
            kind=AlertKind.UTILIZATION_LOW,
            severity=Severity.WARNING,
            title="Commitments are used too little",
            body=f"Over the four weeks to {until} {ratio:.1%} of what is committed was used; "
            f"the floor is {floor:.1%}.",
            at=standing.now,
            data={"utilization_ratio": format(ratio, "f"), "floor_ratio": format(floor, "f")},
        )


def _of_waiting(standing: Standing, limits: Thresholds, address: str) -> Iterator[Alert]:
    within = timedelta(hours=float(limits.proposal_expires_within_hours))
    for one in standing.waiting:
        if standing.now < one.expires_at <= standing.now + within:
            what = f"Proposal {one.proposal}" if one.about is None else one.about.what
            body = (
                f"{what}: {usd(one.commit_usd_per_hour)}/h."
                f"{'' if one.about is None else saves(one.about)} It expires at "
                f"{moment(iso(one.expires_at))} if nobody decides ({one.proposal})."
            )
            yield Alert(
                key=f"expiring:{one.proposal}",
                kind=AlertKind.PROPOSAL_EXPIRING,
                severity=Severity.WARNING,
                title="A proposal is about to expire",
                body=linked(body, one.about, address),
                at=standing.now,
                data={
                    "proposal": one.proposal,
                    "expires_at": iso(one.expires_at),
                    "commit_usd_per_hour": format(one.commit_usd_per_hour, "f"),
                },
            )


def _of_changes(standing: Standing, limits: Thresholds, address: str) -> Iterator[Alert]:
    within = timedelta(hours=float(limits.proposal_expires_within_hours))
    for change in standing.changes:
        if standing.now < change.expires_at <= standing.now + within:
            sources = ", ".join(change.sources)
            what = sources if change.about is None else f"{change.about.what} ({sources})"
            body = (
                f"{change.what.replace('_', ' ')} of {what} expires at "
                f"{moment(iso(change.expires_at))} if nobody decides ({change.alteration})."
            )
            yield Alert(
                key=f"change_expiring:{change.alteration}",
                kind=AlertKind.PROPOSAL_EXPIRING,
                severity=Severity.WARNING,
                title="A change of something owned is about to expire",
                body=linked(f"{body[:1].upper()}{body[1:]}", change.about, address),
                at=standing.now,
                data={"alteration": change.alteration, "expires_at": iso(change.expires_at)},
            )


def _of_expiries(standing: Standing, limits: Thresholds, address: str) -> Iterator[Alert]:
    for one in standing.expiring:
        left = one.end - standing.now
        passed = [days for days in limits.expiry_days if timedelta(0) < left <= timedelta(days)]
        if not passed:
            continue
        days = min(passed)
        ends = "is renewed" if one.renews else "ends"
        after = "Its renewal is counted on" if one.renews else "What it covers is planned anew"
        what = one.commitment if one.about is None else f"{one.about.what} ({one.commitment})"
        body = (
            f"{what}, {usd(one.commit_usd_per_hour)}/h, {ends} at {moment(iso(one.end))}. "
            f"{after} before that."
        )
        yield Alert(
            key=f"expiry:{one.commitment}:{days}",
            kind=AlertKind.EXPIRY_AHEAD,
            severity=Severity.WARNING if days == min(limits.expiry_days) else Severity.INFO,
            title=f"A commitment {ends} within {counted(days, 'day')}",
            body=linked(body, one.about, address),
            at=standing.now,
            data={
                "commitment": one.commitment,
                "end": iso(one.end),
                "days": days,
                "commit_usd_per_hour": format(one.commit_usd_per_hour, "f"),
            },
        )


def _of_caps(standing: Standing, limits: Thresholds) -> Iterator[Alert]:
    for one in standing.caps:
        if one.limit <= 0 or one.spent < one.limit * limits.budget_ratio:
            continue
        period = iso(standing.now)[:10] if one.span == "day" else iso(standing.now)[:7]
        rate = "/h" if one.measure.endswith("_per_hour") else ""
        yield Alert(
            key=f"budget:{one.span}:{one.measure}:{one.limit:f}:{period}",
            kind=AlertKind.BUDGET_REACHED,
            severity=Severity.WARNING,
            title="A budget is nearly or wholly used",
            body=f"{_MEASURES[one.measure]} {_SPANS[one.span]}: {usd(one.spent)}{rate} of "
            f"{usd(one.limit)}{rate} is spent or promised. Tenor refuses whatever would pass it.",
            at=standing.now,
            data={
                "span": one.span,
                "measure": one.measure,
                "spent": format(one.spent, "f"),
                "limit": format(one.limit, "f"),
            },
        )


def _of_data(standing: Standing, limits: Thresholds) -> Iterator[Alert]:
    old = {
        provider: (age, f"The newest usage of {provider_name(provider)} is {age:.0f} hours old")
        for provider, age in standing.data_age_hours.items()
    }
    missing = {
        provider: (hours, f"No usage of {provider_name(provider)} ever came in {hours:.0f} hours")
        for provider, hours in standing.awaited_hours.items()
    }
    for provider, (age, words) in sorted((missing | old).items()):
        if age <= limits.data_age_hours:
            continue
        yield Alert(
            key=f"data:{provider}:{iso(standing.now)[:10]}",
            kind=AlertKind.DATA_LATE,
            severity=Severity.WARNING,
            title="Usage is late",
            body=f"{words}; more than {limits.data_age_hours:f} is told. Nothing is decided on "
            f"{'stale' if provider in old else 'missing'} data.",
            at=standing.now,
            data={"provider": provider, "age_hours": format(round(age, 1), "f")},
        )
