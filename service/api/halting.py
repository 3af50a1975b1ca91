"""Decides whether buying is halted, and by what: the switch, the policy, or one nobody can read.

Every place that says whether Tenor buys says what this says: the API, the pages, the command line,
the metrics.
"""

from __future__ import annotations

from sqlalchemy import Connection

from service.api import models
from service.api.ports import PolicySource
from service.api.status_models import PolicyState
from service.domain.errors import InputError
from service.store.halt import Halt, read_halt


def halt_now(connection: Connection, source: PolicySource) -> models.Halt:
    """Whether buying is halted as of now, and by what."""
    return halt_of(read_halt(connection), state_of(source))


def halt_of(switch: Halt, policy: PolicyState) -> models.Halt:
    """The switch and the policy together: either stops every purchase."""
    by: list[models.Halter] = []
    told = []
    if switch.halted:
        by.append("switch")
        told.append(f"by {switch.changed_by}: {switch.reason}")
    if policy.halt:
        by.append("policy")
        told.append(f"by the policy {policy.name}: take halt: true out of its file")
    if policy.problem is not None:
        by.append("unreadable_policy")
        told.append(f"the policy cannot be read: {policy.problem}")
    return models.Halt(
        halted=bool(by),
        halted_by=by,
        detail="; ".join(told),
        reason=switch.reason,
        changed_by=switch.changed_by or None,
        changed_at=switch.changed_at,
    )


def state_of(source: PolicySource) -> PolicyState:
    """The policy in force in short, or why there is none."""
    try:
        current = source()
    except InputError as error:
        return PolicyState(
            name=None, digest=None, mode=None, scopes={}, halt=False, problem=str(error)
        )
    policy = current.policy
    return PolicyState(
        name=policy.name,
        digest=policy.digest,
        mode=policy.mode,
        scopes={scope.name: scope.mode for scope in policy.scopes},
        halt=policy.halt,
        problem=None,
    )
