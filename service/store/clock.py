"""Decides what time it is for a running service: one time for all replicas, and no unseen step.

Who waits for a purchase to be listed compares when one process wrote it down with when another one
read. Where replicas share a database server, its clock is everybody's. An embedded database has the
clock of its one machine, which may be set: then what was dated before says nothing of how long ago
it was, and waiting begins anew.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from service.domain.hours import Clock
from service.store.engine import open_aside, reading
from service.store.lease import database_now

STEP = timedelta(seconds=30)
"""How far a clock may run from the time that has passed before it counts as having been set."""

ASKED_EVERY = timedelta(seconds=30)
"""How often the database is asked for the time; in between, the time that passes is added."""

UNASKED_AT_MOST = timedelta(minutes=10)
"""How long the last answer is good for while the database does not answer."""

ANSWERS_WITHIN_S = 3
"""How long one question for the time may take."""

Elapsed = Callable[[], timedelta]
"""Time that has passed since some moment, on a clock that nobody sets."""


def machine_now() -> datetime:
    """What this machine's clock says, in UTC."""
    return datetime.now(UTC)


def since_boot() -> timedelta:
    """Time since this machine started, its sleep included where the system can tell."""
    source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return timedelta(seconds=time.clock_gettime(source))


@dataclass(frozen=True, slots=True)
class _Anchor:
    instant: datetime
    elapsed: timedelta

    def after(self, elapsed: timedelta) -> datetime:
        return self.instant + (elapsed - self.elapsed)


class SharedClock:
    """A ``Clock`` that is the database's, and notices when the clock behind it is set.

    ``shared`` asks the database's clock; ``None``: it is this machine's. ``stepped_at`` is the time
    as of which it was set last, ``None`` while it has run evenly. What it told it never takes back
    by less than ``STEP``: it stands still until it is that late. Safe to share between threads.
    """

    def __init__(
        self,
        shared: Callable[[], datetime] | None,
        *,
        machine: Callable[[], datetime] = machine_now,
        elapsed: Elapsed = since_boot,
    ) -> None:
        self._shared = shared
        self._machine = machine
        self._elapsed = elapsed
        self._anchor: _Anchor | None = None
        self._asking = False
        self._lock = threading.Lock()
        self._stepped_at: datetime | None = None
        self._told: datetime | None = None

    @property
    def stepped_at(self) -> datetime | None:
        """The instant from which on the clock is known to have run evenly; ``None``: always.

        Asked anew: another replica may have seen that it was set, and have dated by it since. And
        one that cannot ask may date by what it was for a while yet.
        """
        self._tell(self._reckon(anew=True))
        if self._stepped_at is None or self._shared is None:
            return self._stepped_at
        return self._stepped_at + UNASKED_AT_MOST

    def now(self) -> datetime:
        """The current instant in UTC. Raises what asking the database raises, once it must."""
        return self._tell(self._reckon())

    def _tell(self, instant: datetime) -> datetime:
        """``instant``, but never earlier than one told before, unless the clock was set back."""
        with self._lock:
            if self._told is not None and instant < self._told:
                if self._told - instant <= STEP:
                    return self._told
                self._stepped_at = instant
            self._told = instant
            return instant

    def _reckon(self, *, anew: bool = False) -> datetime:
        with self._lock:
            begun, before = self._elapsed(), self._anchor
            age = None if before is None else begun - before.elapsed
            good = age is not None and not anew and self._is_good(age)
            if before is not None and good:
                return before.after(begun)
            self._asking = True
        # Never asked under the lock: whoever has an answer that is good yet does not wait for this.
        try:
            instant = self._machine() if self._shared is None else self._shared()
        except SQLAlchemyError:
            if before is None or age is None or anew or age > UNASKED_AT_MOST:
                raise
            return before.after(self._elapsed())
        finally:
            self._asking = False
        # The answer is of some moment between question and now: taken as of the middle.
        halfway = begun + (self._elapsed() - begun) / 2
        at = begun if self._shared is None else halfway
        return self._answered(_Anchor(instant, at)).after(self._elapsed())

    def machine_now(self) -> datetime:
        """What this machine's own clock says, however wrong."""
        return self._machine()

    def _is_good(self, age: timedelta) -> bool:
        """Whether an answer this old is gone by; an older one too while a new one is asked for."""
        if self._shared is None:
            return False
        return age < ASKED_EVERY or (self._asking and age <= UNASKED_AT_MOST)

    def _answered(self, anchor: _Anchor) -> _Anchor:
        with self._lock:
            before = self._anchor
            if before is not None and before.elapsed > anchor.elapsed:
                return before
            if before is not None:
                off = abs(anchor.instant - before.after(anchor.elapsed))
                self._stepped_at = anchor.instant if off > STEP else self._stepped_at
            self._anchor = anchor
            return anchor


def clock_of(engine: Engine) -> SharedClock:
    """The clock of those who share ``engine``'s database."""
    if engine.dialect.name == "sqlite":
        return SharedClock(None)

    # Callers may hold a connection already, and all of the pool may be theirs.
    aside = open_aside(engine, answers_within_s=ANSWERS_WITHIN_S)

    def ask() -> datetime:
        with reading(aside) as connection:
            return database_now(connection)

    return SharedClock(ask)


def steady_since(clock: Clock) -> datetime | None:
    """Since when two instants of ``clock`` tell how much time lay between; ``None``: always."""
    return clock.stepped_at if isinstance(clock, SharedClock) else None
