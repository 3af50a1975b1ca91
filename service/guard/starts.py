"""When a purchase starts: at once, or queued for so many hours as its scope wants.

A queued purchase can be taken back for nothing until it starts. Where a scope wants a delay, what
its provider cannot queue is not bought there: buying it at once would give no time to look again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from service.domain.commitments import QUEUEABLE_KINDS
from service.domain.hours import HOUR, floor_hour, iso
from service.domain.plans import Plan, PlanLine, RuleResult
from service.guard.context import Target, target_of
from service.guard.language import Policy
from service.guard.results import flag, plain
from service.guard.scopes import fields_stated, scopes_for

MONTH_ENDS = timedelta(hours=24)
"""A queued Savings Plan must be invoiced in the UTC month that it starts in, or its payment fails;
an invoice may take hours. What would start in a month's last hours starts with the next."""


def delay_hours(policy: Policy, target: Target) -> Decimal:
    """How long after it is decided a purchase for ``target`` starts; 0: at once.

    The most specific matching scope that states it decides, of equally specific ones the longest
    delay; else the policy's own.
    """
    stated = [
        (fields_stated(scope.match), scope.purchase_delay_hours)
        for scope in scopes_for(policy, target)
        if scope.purchase_delay_hours is not None
    ]
    return max(stated)[1] if stated else policy.timing.purchase_delay_hours


def start_for(policy: Policy, target: Target, at: datetime) -> datetime | None:
    """When a purchase decided ``at`` starts: on the hour, at least the delay later.

    ``None``: at once, or never, where it cannot be queued (see ``start_rule``).
    """
    delay = delay_hours(policy, target)
    if delay <= 0 or target.kind not in QUEUEABLE_KINDS:
        return None
    earliest = at + max(timedelta(hours=float(delay)), HOUR)
    start = floor_hour(earliest + HOUR - timedelta(microseconds=1))
    later = start + MONTH_ENDS
    if later.month == start.month:
        return start
    return later.replace(day=1, hour=0)


def with_starts(plan: Plan, policy: Policy) -> Plan:
    """``plan``, each line with the start that the policy wants for it."""
    lines = tuple(
        replace(line, start_at=start_for(policy, target_of(line), plan.decided_at))
        for line in plan.lines
    )
    return replace(plan, lines=lines)


def start_now(policy: Policy, line: PlanLine, now: datetime) -> datetime | None:
    """When ``line`` starts if it is bought ``now``: never before what was shown when decided.

    What was approved days after it was decided still has its time to be taken back.
    """
    wanted = start_for(policy, target_of(line), now)
    ahead = [one for one in (line.start_at, wanted) if one is not None and one > now]
    return max(ahead, default=None)


def start_rule(
    line: PlanLine, policy: Policy, now: datetime, decided_at: datetime | None = None
) -> Iterator[RuleResult]:
    """Refuses what would start sooner than its scope wants; says nothing where none is wanted.

    ``decided_at``: when the line's start was decided. The policy may want a longer delay by now,
    which that start must have as well: under one token it cannot be moved. ``None``: the start is
    decided anew when the line is bought.
    """
    delay = delay_hours(policy, target_of(line))
    if delay <= 0 and line.start_at is None:
        return
    actual = "at once" if line.start_at is None else iso(line.start_at)
    detail = ""
    if line.kind not in QUEUEABLE_KINDS:
        detail = f"{line.kind} cannot be queued; a scope with purchase_delay_hours: 0 lets it be"
    passed = (line.start_at is None) == (delay <= 0)
    if line.start_at is not None:
        passed = line.start_at > now and line.kind in QUEUEABLE_KINDS
    if passed and line.start_at is not None and decided_at is not None:
        passed = line.start_at >= decided_at + timedelta(hours=float(delay))
        detail = "" if passed else f"its start was decided at {iso(decided_at)}, for less"
    wanted = f"{plain(delay)} h after it is decided" if delay > 0 else "ahead"
    yield flag("start", wanted=wanted, actual=actual, passed=passed, detail=detail)
