"""Decides how many connections may stay open for live events, how they pace, and when all end."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import ASGIApp, Receive, Scope, Send

STREAMS_MAX = 64
STREAMS_MAX_EACH = 8
"""Of one person, or of one address where nobody is asked who they are."""

_ENDING = "tenor.ending"


@dataclass(frozen=True, slots=True)
class Pace:
    """How often streams look at the ledger, break silence, and how long a page's may last."""

    look_seconds: float = 1.0
    heartbeat_seconds: float = 15.0
    longest_seconds: float = 600.0


class Slots:
    """A fixed number of places, of which nobody has more than a few."""

    def __init__(self, most: int = STREAMS_MAX, each: int = STREAMS_MAX_EACH) -> None:
        self._lock = threading.Lock()
        self._free = most
        self._each = each
        self._taken: Counter[str] = Counter()

    @property
    def free(self) -> int:
        """How many more streams may be opened now."""
        with self._lock:
            return self._free

    def take(self, who: str) -> bool:
        """Take a place for ``who``; ``False`` when there is none, or they have enough of them."""
        with self._lock:
            if self._free == 0 or self._taken[who] >= self._each:
                return False
            self._free -= 1
            self._taken[who] += 1
            return True

    def give_back(self, who: str) -> None:
        """Give a place back that ``who`` took."""
        with self._lock:
            self._free += 1
            self._taken[who] -= 1
            if self._taken[who] == 0:
                del self._taken[who]


def ending_with(app: ASGIApp, is_ending: Callable[[], bool]) -> ASGIApp:
    """``app`` as a server runs it whose streams end when ``is_ending`` says so."""

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, _ENDING: is_ending}, receive, send)

    return served


def is_ending(scope: Scope) -> bool:
    """True when the server of a request is about to stop."""
    found: Callable[[], bool] | None = scope.get(_ENDING)
    return found is not None and found()
