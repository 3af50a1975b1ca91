"""Decides when autopilot stops trusting itself: stale data, or promises that are not kept.

It then asks a person, as copilot does, in the provider concerned, until a person restores it. A
deployment that has no scope on autopilot there has nothing to give up. Drift ends that trust where
it is seen: see ``service.reconcile.stopping``.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from service.domain.errors import PolicyError, RefusedError
from service.guard.fields import Mode
from service.guard.policy import Policy
from service.observe.log import get_logger
from service.report.promise import Kept, Promises
from service.store import demotion
from service.store.engine import writing
from service.wiring import Parts

log = get_logger(__name__)

LEAST_EVIDENCE_HOURS = 14 * 24
"""How many hours of its term a promise must have seen before it can break trust."""


MATERIAL_RATIO = Decimal("0.1")
"""How much of all that was promised one purchase may fall short of its least, unseen beside others
that did better."""


def demote_on_stale_data(parts: Parts, error: RefusedError) -> None:
    """Ask people again once usage has become too old to decide on; before any, there is none."""
    provider = parts.cloud.provider
    known = any(day.provider == provider for day in parts.usage.manifest())
    if error.rule == "data_age" and known:
        _demote(parts, rule="data_age", detail=error.detail)


def demote_on_broken_promises(parts: Parts, promises: Promises) -> None:
    """Ask people again when purchases saved less than the least that they had promised.

    All together, or one alone by so much that the others only hide it.
    """
    seen = max((one.hours for one in promises.kept), default=0)
    if promises.broken and seen >= LEAST_EVIDENCE_HOURS:
        detail = (
            f"saved {promises.joint_usd:.2f} USD, at least "
            f"{promises.promised_low_usd:.2f} USD was promised"
        )
        _demote(parts, rule="promise", detail=detail)
    for one in broken_alone(promises):
        detail = (
            f"{one.commitment} saved {one.realised_usd:.2f} USD in {one.hours} hours, at least "
            f"{one.promised_low_usd:.2f} USD was promised"
        )
        _demote(parts, rule="promise", detail=detail)


def broken_alone(promises: Promises) -> tuple[Kept, ...]:
    """Purchases that fell short of their own least by a material part of all that was promised.

    One in ten falls short of its least when nothing is wrong; that alone says nothing. Of equal
    purchases on the same usage each seems to save little beside the others: what all save together
    beyond the sum of that is credited to a purchase, less what others lack as materially.
    """
    material_usd = max(promises.promised_usd, Decimal(0)) * MATERIAL_RATIO
    lacks = {
        one.commitment: short_usd
        for one in promises.kept
        if (short_usd := one.promised_low_usd - one.realised_usd) > material_usd
    }
    alone_usd = sum((one.realised_usd for one in promises.kept), Decimal(0))
    shared_usd = max(promises.joint_usd - alone_usd, Decimal(0))
    lacking_usd = sum(lacks.values(), Decimal(0))
    return tuple(
        one
        for one in promises.kept
        if one.hours >= LEAST_EVIDENCE_HOURS
        and (lacking := lacks.get(one.commitment)) is not None
        and lacking - max(shared_usd - (lacking_usd - lacking), Decimal(0)) > material_usd
    )


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
