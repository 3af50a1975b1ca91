"""Decides how many connections may stay open for live events, how they pace, and when all end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

STREAMS_MAX = 64
_ENDING = "tenor.ending"


@dataclass(frozen=True, slots=True)
class Pace:
    """How often streams look at the ledger, break silence, and how long a page's may last."""

    look_seconds: float = 1.0
    heartbeat_seconds: float = 15.0
    longest_seconds: float = 600.0


class Slots:
    """A fixed number of places, taken and given back."""

    def __init__(self, most: int = STREAMS_MAX) -> None:
        self._lock = threading.Lock()
        self._free = most

    @property
    def free(self) -> int:
        """How many more streams may be opened now."""
        with self._lock:
            return self._free

    def take(self) -> bool:
        """Take a place; ``False`` when there is none."""
        with self._lock:
            if self._free == 0:
                return False
            self._free -= 1
            return True

    def give_back(self) -> None:
        """Give a place back that was taken."""
        with self._lock:
            self._free += 1


def ending_with(app: ASGIApp, is_ending: Callable[[], bool]) -> ASGIApp:
    """``app`` as a server runs it whose streams end when ``is_ending`` says so."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, _ENDING: is_ending}, receive, send)

    return served


def is_ending(scope: Scope) -> bool:
    """True when the server of a request is about to stop."""
    found: Callable[[], bool] | None = scope.get(_ENDING)
    return found is not None and found()
