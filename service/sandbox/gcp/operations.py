"""Long-running operations: decides when one is done, and whether it ended in an error.

An operation is pending when it is answered, runs when it is first asked about, and is done at the
second look or after a virtual minute, whichever comes first. Its error shows only when it is done.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

READS_UNTIL_DONE = 2
TIME_UNTIL_DONE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class OperationError:
    """Why an operation failed: Google's code and a sentence."""

    code: str
    message: str


@dataclass(slots=True)
class Operation:
    """One operation on ``target``. ``finish`` makes its effect and answers with what went wrong."""

    name: str
    number: int
    kind: str
    project: str
    region: str
    target: str
    inserted_at: datetime
    finish: Callable[[], OperationError | None]
    doomed: OperationError | None = None
    reads: int = 0
    done_at: datetime | None = None
    error: OperationError | None = None

    @property
    def status(self) -> str:
        """``PENDING``, ``RUNNING`` or ``DONE``."""
        if self.done_at is not None:
            return "DONE"
        return "RUNNING" if self.reads else "PENDING"

    @property
    def failed(self) -> bool:
        """It is done, and had no effect."""
        return self.error is not None

    def look(self, now: datetime) -> None:
        """One more question about the operation, which moves it on."""
        self.reads += 1
        if self.reads >= READS_UNTIL_DONE:
            self._end(now)

    def settle(self, now: datetime) -> None:
        """End the operation if its time is over; idempotent."""
        due = self.inserted_at + TIME_UNTIL_DONE
        if now >= due:
            self._end(due)

    def _end(self, at: datetime) -> None:
        if self.done_at is None:
            self.error = self.doomed or self.finish()
            self.done_at = at
