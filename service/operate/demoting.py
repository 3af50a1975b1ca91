"""Decides when autopilot stops trusting itself: stale data, or promises that are not kept.

It then asks a person, as copilot does, in the provider concerned, until a person restores it. A
deployment that has no scope on autopilot there has nothing to give up. Drift ends that trust where
it is seen: see ``service.reconcile.stopping``.
"""

from __future__ import annotations

from collections.abc import Iterable

from service.domain.errors import PolicyError, RefusedError
from service.guard.fields import Mode
from service.guard.policy import Policy
from service.observe.log import get_logger
from service.report.promise import Promises
from service.store import demotion
from service.store.engine import writing
from service.wiring import Parts

log = get_logger(__name__)

LEAST_EVIDENCE_HOURS = 14 * 24
"""How many hours of its term a promise must have seen before it can break trust."""


def demote_on_stale_data(parts: Parts, error: RefusedError) -> None:
    """Ask people again once usage has become too old to decide on; before any, there is none."""
    provider = parts.cloud.provider
    known = any(day.provider == provider for day in parts.usage.manifest())
    if error.rule == "data_age" and known:
        _demote(parts, rule="data_age", detail=error.detail)


def demote_on_broken_promises(parts: Parts, promises: Promises) -> None:
    """Ask people again when purchases together saved less than the least they had promised."""
    seen = max((one.hours for one in promises.kept), default=0)
    if promises.broken and seen >= LEAST_EVIDENCE_HOURS:
        detail = (
            f"saved {promises.joint_usd:.2f} USD, at least "
            f"{promises.promised_low_usd:.2f} USD was promised"
        )
        _demote(parts, rule="promise", detail=detail)


def may_act_alone(parts: Parts) -> bool:
    """True where the policy has anything of the provider on autopilot, or cannot be read.

    What it says once it can be read again is not known: until a person has looked, nothing there
    is decided without one.
    """
    try:
        policy = parts.policy().policy
    except PolicyError:
        return True
    return Mode.AUTOPILOT in _modes(policy, parts.cloud.provider)


def _demote(parts: Parts, *, rule: str, detail: str) -> None:
    if not may_act_alone(parts):
        return
    provider = parts.cloud.provider
    with writing(parts.engine) as connection:
        now = parts.clock.now()
        if demotion.demote(connection, provider, rule=rule, detail=detail, now=now):
            log.warning("autopilot.given_up", provider=provider, rule=rule, detail=detail)


def _modes(policy: Policy, provider: str) -> Iterable[Mode]:
    yield policy.mode
    for scope in policy.scopes:
        if scope.match.providers is None or provider in scope.match.providers:
            yield scope.mode
