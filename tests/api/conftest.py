"""An application over a fresh, migrated SQLite database, with a clock that stands still."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from fastapi import FastAPI
from sqlalchemy import Engine

from service.observe.log import configure_logging
from service.store.engine import open_engine
from tests.api.world import World, make_world, world_in


@pytest.fixture(scope="session")
def app(sqlite_template: Path) -> FastAPI:
    """One application, made once; each test hangs its own database and clock into it."""
    return make_world(open_engine(f"sqlite:///{sqlite_template}")).app


@pytest.fixture
def world(app: FastAPI, sqlite_engine: Engine) -> World:
    return world_in(app, sqlite_engine)


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
