"""Decides how many connections may stay open for live events: each costs memory for hours."""

from __future__ import annotations

import threading

STREAMS_MAX = 64


class Slots:
    """A fixed number of places, taken and given back."""

    def __init__(self, most: int = STREAMS_MAX) -> None:
        self._lock = threading.Lock()
        self._free = most

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
