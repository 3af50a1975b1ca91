"""The composition root: from settings to the parts of a running Tenor. Nothing else builds them."""

from __future__ import annotations

import os
import socket
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from service.api.ports import PolicyInForce, PolicySource, policy_file
from service.clouds import Cloud, clouds_of, not_set_up
from service.domain.commitments import Offering
from service.domain.errors import InputError
from service.domain.hours import Clock
from service.domain.ids import CommitmentId
from service.domain.usage import SkuKey
from service.settings import Settings
from service.store import migrate
from service.store.clock import clock_of
from service.store.engine import open_engine
from service.store.usage_days import UsageDays

ROOT = Path(__file__).resolve().parent


class WallClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The current instant in UTC."""
        return datetime.now(UTC)


def _new_key() -> str:
    return str(uuid.uuid4())


OwnedRates = dict[tuple[CommitmentId, tuple[SkuKey, ...]], Offering]
"""By commitment and the SKUs asked for: the commitment's own offering."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What whoever only asks or tells the database works with: no cloud is spoken to from here."""

    settings: Settings
    engine: Engine
    clock: Clock

    def policy(self) -> PolicyInForce:
        """The policy file as it stands now; raises ``PolicyError`` when it is not sound."""
        return _policy_source(shipped(self.settings.policy_file))()

    def close(self) -> None:
        """Close every connection to the database."""
        self.engine.dispose()


@dataclass(frozen=True, slots=True)
class Parts(Ground):
    """What every command that runs the service works with. ``holder`` names this process.

    ``clouds`` are all that this deployment speaks to, ``cloud`` the one that a piece of work is
    about: each provider is decided for, bought in and reconciled by itself, under caps that count
    them all. ``rates`` remembers what owned commitments were bought at, which never changes.
    ``new_key`` mints intent ids and tokens, unique for ever.
    """

    usage: UsageDays
    clouds: tuple[Cloud, ...]
    cloud: Cloud
    holder: str
    rates: OwnedRates = field(default_factory=dict)
    new_key: Callable[[], str] = _new_key

    @property
    def lease_lifetime(self) -> timedelta:
        """How long the executor's lease lasts without a heartbeat."""
        return timedelta(seconds=self.settings.lease_seconds)

    def each(self) -> tuple[Parts, ...]:
        """These parts once per cloud, each about that one."""
        return tuple(replace(self, cloud=cloud) for cloud in self.clouds)

    def about(self, provider: str) -> Parts:
        """These parts, about ``provider``; ``InputError`` when it is not set up."""
        for parts in self.each():
            if parts.cloud.provider == provider:
                return parts
        raise not_set_up(provider, [cloud.provider for cloud in self.clouds])

    def close(self) -> None:
        """Close every connection to the database and the clouds, whichever of them fails to."""
        with ExitStack() as closing:
            closing.callback(Ground.close, self)
            for cloud in self.clouds:
                closing.callback(cloud.close)


@cache
def _policy_source(path: Path) -> PolicySource:
    """One source per file, so that a text which has not changed is not parsed again."""
    return policy_file(path)


def shipped(path: Path) -> Path:
    """``path``, or the file of that name that came with Tenor when there is none there."""
    if path.exists() or path.is_absolute():
        return path
    for root in (ROOT.parent, ROOT / "_shipped"):
        if (root / path).exists():
            return root / path
    return path


@contextmanager
def opened(settings: Settings, *, clock: Clock | None = None) -> Iterator[Parts]:
    """``build``, with every connection closed at the end."""
    parts = build(settings, clock=clock)
    try:
        yield parts
    finally:
        parts.close()


@contextmanager
def grounded(
    settings: Settings, *, clock: Clock | None = None, current: bool = True
) -> Iterator[Ground]:
    """The database, its clock and the policy, whatever is the matter with the clouds.

    Unless it must be ``current``, a served database may not have been migrated yet.
    """
    ground = _ground(settings, clock, current=current)
    try:
        yield ground
    finally:
        ground.close()


def build(settings: Settings, *, clock: Clock | None = None) -> Parts:
    """The parts that ``settings`` describe.

    An embedded database (SQLite) is created and brought up to date here; a served one must have
    been migrated with ``tenor migrate``, or ``InputError`` says so.
    """
    ground = _ground(settings, clock)
    try:
        clouds = clouds_of(settings, ground.clock)
    except BaseException:
        ground.close()
        raise
    return Parts(
        settings=settings,
        engine=ground.engine,
        clock=ground.clock,
        usage=UsageDays(ground.engine, settings.usage_dir),
        clouds=clouds,
        cloud=clouds[0],
        holder=f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}",
    )


def _ground(settings: Settings, clock: Clock | None, *, current: bool = True) -> Ground:
    engine = open_engine(settings.database_url)
    if engine.dialect.name == "sqlite":
        _make_folder_of(settings.database_url)
        migrate.upgrade(engine)
    else:
        try:
            _require_reachable(engine, current=current)
        except BaseException:
            engine.dispose()
            raise
    return Ground(settings=settings, engine=engine, clock=clock or clock_of(engine))


def _require_reachable(engine: Engine, *, current: bool) -> None:
    try:
        if current:
            migrate.require_current(engine)
        else:
            engine.connect().close()
    except OperationalError as error:
        reason = str(error.orig).strip().splitlines()[0]
        raise InputError(
            f"cannot be used: {reason}",
            file=engine.url.render_as_string(hide_password=True),
            remedy="Check TENOR_DATABASE_URL, and that the server is up.",
        ) from error


def _make_folder_of(database_url: str) -> None:
    prefix = "sqlite:///"
    if not database_url.startswith(prefix):
        return
    folder = Path(database_url.removeprefix(prefix)).parent
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the database's folder cannot be made: {error}",
            file=str(folder),
            remedy="Set TENOR_DATABASE_URL to a place that can be written.",
        ) from error
