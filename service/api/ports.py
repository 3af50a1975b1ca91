"""What the API needs that the database does not hold: the policy in force, and the schedule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Protocol

from service.guard.policy import Policy, load_policy


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """The policy as it was read last, and the text that it was read from."""

    policy: Policy
    text: str


PolicySource = Callable[[], PolicyInForce]
"""Reads the policy in force; raises ``PolicyError`` when it cannot."""


def policy_file(path: Path) -> PolicySource:
    """A source that reads ``path`` strictly, anew each time: what it says now is in force."""

    def read() -> PolicyInForce:
        policy = load_policy(path)
        return PolicyInForce(policy=policy, text=path.read_text(encoding="utf-8-sig"))

    return read


class ScheduledJob(Protocol):
    """One job that the scheduler of this process keeps: due every ``every``, from ``offset``."""

    @property
    def name(self) -> str:
        """The job's schedule, as in the ids of its runs."""
        ...

    @property
    def every(self) -> timedelta:
        """The distance between two instants that it is due at."""
        ...

    @property
    def offset(self) -> timedelta:
        """How far its instants are shifted from those counted from 1970."""
        ...
