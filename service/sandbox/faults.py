"""What goes wrong in the sandbox, and when: decides the faults that one call meets.

A fault names an operation as ``service.Operation`` (``savingsplans.CreateSavingsPlan``; ``*``
alone for all) and strikes calls by number, or by chance drawn from the script's own seed.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum


class ApiError(Exception):
    """An error answer on the wire: the provider's code, its HTTP status and a sentence."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        self.code = code
        self.message = message
        self.status = status
        super().__init__(f"{status} {code}: {message}")


class FaultKind(StrEnum):
    """What happens to the call that a fault strikes."""

    REFUSE = "refuse"
    """Answer with ``code`` and do nothing."""
    THROTTLE = "throttle"
    """Answer with the service's own throttling error and do nothing."""
    TIMEOUT_BEFORE = "timeout_before"
    """Do nothing and never answer: hold the connection, then close it."""
    TIMEOUT_AFTER = "timeout_after"
    """Do it, and never answer."""
    ERROR_BEFORE = "error_before"
    """Do nothing and answer 500."""
    ERROR_AFTER = "error_after"
    """Do it and answer 500."""
    BROKEN_AFTER = "broken_after"
    """Do it, and answer 200 with a body that cannot be read."""
    LISTING_LAG = "listing_lag"
    """What the call buys stays out of listings for ``lag_hours`` and ``lag_reads`` listings."""
    PAYMENT_FAILS = "payment_fails"
    """What the call buys ends as payment-failed instead of active."""
    PRICE_CHANGE = "price_change"
    """After the call, the offerings it named cost ``price_factor`` times as much."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    ``after_calls``: so many calls of the operation, counted from when the fault is added, pass
    unharmed first; ``times``: so many are then struck. With ``chance`` (0–1) each of them is
    struck only by chance. ``hold_seconds``: real seconds that a timeout holds the connection.
    """

    operation: str
    kind: FaultKind
    after_calls: int = 0
    times: int = 1
    chance: float = 1.0
    code: str = "ValidationException"
    status: int = 400
    hold_seconds: float = 0.0
    lag_hours: float = 0.0
    lag_reads: int = 0
    price_factor: Decimal = Decimal(1)


@dataclass(slots=True)
class _Armed:
    fault: Fault
    calls_seen: int = 0
    struck: int = 0


class FaultScript:
    """The faults of one world. Not thread-safe: used under the world's lock."""

    def __init__(self, seed: int) -> None:
        # Practice faults, not secrets: a seeded generator makes a run repeatable.
        self._random = random.Random(seed)  # noqa: S311
        self._armed: list[_Armed] = []
        self.struck: Counter[tuple[str, FaultKind]] = Counter()

    def add(self, fault: Fault) -> None:
        """Arm one fault from now on."""
        self._armed.append(_Armed(fault))

    def clear(self) -> None:
        """Disarm everything: from now on nothing fails."""
        self._armed.clear()

    def strike(self, operation: str) -> tuple[Fault, ...]:
        """The faults that this call of ``operation`` meets; counts the call."""
        met: list[Fault] = []
        for armed in self._armed:
            if armed.fault.operation not in {operation, "*"}:
                continue
            armed.calls_seen += 1
            due = armed.calls_seen > armed.fault.after_calls and armed.struck < armed.fault.times
            if due and (armed.fault.chance >= 1 or self._random.random() < armed.fault.chance):
                armed.struck += 1
                met.append(armed.fault)
                self.struck[operation, armed.fault.kind] += 1
        return tuple(met)
