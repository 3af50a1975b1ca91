"""An application over a fresh, migrated SQLite database, with a clock that stands still."""

import io
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import structlog
from sqlalchemy import Engine

from service.api.context import AppContext, attach
from service.api.identity import Identity, roles_of
from service.api.oidc import Issuer
from service.observe.log import configure_logging
from tests.api.compiled import compiling_once
from tests.api.issuer import CLIENT, ROLES, SECRET, LocalIssuer, Steps, local_issuer
from tests.api.world import World, make_world


@pytest.fixture
def sqlite_engine(sqlite_engine: Engine) -> Engine:
    return compiling_once(sqlite_engine)


@pytest.fixture
def engine(engine: Engine) -> Engine:
    return compiling_once(engine)


@pytest.fixture
def world(sqlite_engine: Engine) -> World:
    return make_world(sqlite_engine)


@pytest.fixture(autouse=True)
def log() -> Iterator[io.StringIO]:
    """The process's log, set up as the daemon sets it up, in memory."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    written = io.StringIO()
    configure_logging("DEBUG", written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture(scope="module")
def running() -> Iterator[LocalIssuer]:
    with local_issuer() as issuer:
        yield issuer


@pytest.fixture
def issuer(running: LocalIssuer) -> LocalIssuer:
    running.anew()
    return running


@pytest.fixture
def steps() -> Steps:
    return Steps()


@pytest.fixture
def trusting(world: World, issuer: LocalIssuer, steps: Steps) -> Iterator[World]:
    """A world that lets in whom the issuer vouches for. The clock stands where tokens are made."""
    world.clock.instant = datetime.now(UTC).replace(microsecond=0)
    context: AppContext = world.app.state.tenor
    identity = Identity(
        issuer=Issuer(issuer.url, clock=world.clock, monotonic=steps),
        client_id=CLIENT,
        client_secret=SECRET,
        audience=CLIENT,
        roles_claim="roles",
        roles=roles_of(ROLES, variable="TENOR_OIDC_ROLES"),
        accounts_claim="accounts",
        public_url="http://127.0.0.1:8321",
    )
    attach(world.app.state, replace(context, access=replace(context.access, identity=identity)))
    issuer.signs_in["accounts"] = ["*"]
    yield world
    attach(world.app.state, replace(world.app.state.tenor, access=context.access))
