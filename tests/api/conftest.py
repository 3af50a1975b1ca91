"""An application over a fresh, migrated SQLite database, with a clock that stands still."""

from pathlib import Path

import pytest
from fastapi import FastAPI
from sqlalchemy import Engine

from service.store.engine import open_engine
from tests.api.world import World, make_world, world_in


@pytest.fixture(scope="session")
def app(sqlite_template: Path) -> FastAPI:
    """One application, made once; each test hangs its own database and clock into it."""
    return make_world(open_engine(f"sqlite:///{sqlite_template}")).app


@pytest.fixture
def world(app: FastAPI, sqlite_engine: Engine) -> World:
    return world_in(app, sqlite_engine)
