"""One running Tenor and one browser for all tests of the pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser
from sqlalchemy import Engine

from tests.api.compiled import compiling_once
from tests.web.browser import CHROMIUM, Site, chromium, running_site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("web") / "demo", history_days=38) as made:
        yield made


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed; Debian's package chromium has it")
    with chromium() as made:
        yield made


@pytest.fixture
def sqlite_engine(sqlite_engine: Engine) -> Engine:
    return compiling_once(sqlite_engine)
