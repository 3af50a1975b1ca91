"""The sandbox's time: it moves only when told to, or at a set pace."""

from __future__ import annotations

from datetime import datetime, timedelta

from service.domain.errors import InvariantError
from service.domain.hours import require_utc


class VirtualClock:
    """A ``Clock`` that stands still until advanced, and never runs backwards."""

    def __init__(self, start: datetime) -> None:
        self._now = require_utc(start)

    def now(self) -> datetime:
        """The current virtual instant, aware, in UTC."""
        return self._now

    def advance(self, step: timedelta) -> datetime:
        """Move time forward; raises ``InvariantError`` for a step back."""
        if step < timedelta(0):
            msg = f"the virtual clock cannot run back by {-step}"
            raise InvariantError(msg)
        self._now += step
        return self._now
