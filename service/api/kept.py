"""Decides what is computed once and shown to several who ask at the same time.

A value is kept for a moment, and only while what it was made from stands as it stood.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, TypeVar

T = TypeVar("T")
ENTRIES_MAX = 64


class Kept:
    """Values by key, each made by one thread at a time. The oldest go first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}
        self._values: OrderedDict[Hashable, tuple[Hashable, float, Any]] = OrderedDict()

    def value(self, key: Hashable, stamp: Hashable, *, seconds: float, make: Callable[[], T]) -> T:
        """The value under ``key``, if it was made from ``stamp`` and is younger than ``seconds``.

        Otherwise ``make`` makes it; who asks meanwhile waits for that one.
        """
        if seconds <= 0:
            return make()
        found: tuple[T] | None = self._find(key, stamp, seconds)
        if found is not None:
            return found[0]
        with self._lock:
            making = self._making.setdefault(key, threading.Lock())
        with making:
            found = self._find(key, stamp, seconds)
            if found is not None:
                return found[0]
            value = make()
            with self._lock:
                self._values[key] = (stamp, time.monotonic(), value)
                self._values.move_to_end(key)
                while len(self._values) > ENTRIES_MAX:
                    old, _ = self._values.popitem(last=False)
                    self._making.pop(old, None)
        return value

    def _find(self, key: Hashable, stamp: Hashable, seconds: float) -> tuple[Any] | None:
        with self._lock:
            kept = self._values.get(key)
        if kept is None or kept[0] != stamp or time.monotonic() - kept[1] >= seconds:
            return None
        return (kept[2],)
