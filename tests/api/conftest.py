"""An application over a fresh, migrated SQLite database, with a clock that stands still."""

import pytest
from sqlalchemy import Engine

from tests.api.world import World, make_world


@pytest.fixture
def world(sqlite_engine: Engine) -> World:
    return make_world(sqlite_engine)
