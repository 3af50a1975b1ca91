import base64
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.api.cursor import decode, decode_position, encode
from service.api.problems import ProblemError
from service.store.states import Role
from tests.api.altered import add_alteration
from tests.api.world import World, add_proposals, add_purchase, make_world

COLLECTIONS = [
    "/v1/cycles",
    "/v1/plans",
    "/v1/proposals",
    "/v1/alterations",
    "/v1/commitments",
    "/v1/audit",
]


def key_of(item: dict[str, Any]) -> str:
    return str(item["sequence"] if "sequence" in item else item["id"])


def walk(client: TestClient, path: str, limit: int) -> list[list[str]]:
    """Every page of a collection, as its items' keys, following ``next``."""
    pages = []
    link: str | None = f"{path}?limit={limit}"
    while link is not None:
        answer = client.get(link)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert len(body["items"]) <= limit
        expected = None if body["next"] is None else f'<{body["next"]}>; rel="next"'
        assert answer.headers.get("link") == expected
        pages.append([key_of(item) for item in body["items"]])
        link = body["next"]
    return pages


def fill(world: World, rows: int) -> None:
    for number in range(rows):
        # Pairs share an instant, so that the key must break ties.
        world.clock.instant += timedelta(seconds=number % 2)
        add_proposals(world, 2 * number + 1)
        add_purchase(world, 2 * number + 2)
        add_alteration(world)


def test_pages_cover_a_collection_once_in_order_whatever_their_size(engine: Engine) -> None:
    world = make_world(engine)
    fill(world, 4)
    client = world.client(world.token(Role.VIEWER))
    for path in COLLECTIONS:
        (whole,) = walk(client, path, 200)
        assert len(whole) == len(set(whole)) >= 4, path
        for limit in (1, 3):
            pages = walk(client, path, limit)
            assert [key for page in pages for key in page] == whole, path
            assert all(len(page) == limit for page in pages[:-1])


def test_rows_that_arrive_meanwhile_neither_repeat_nor_hide_others(world: World) -> None:
    fill(world, 3)
    client = world.client(world.token(Role.VIEWER))
    before = {path: walk(client, path, 200)[0] for path in COLLECTIONS}
    firsts = {path: client.get(f"{path}?limit=2").json() for path in COLLECTIONS}
    world.clock.instant += timedelta(minutes=1)
    fill_from = 50
    add_proposals(world, fill_from)
    add_purchase(world, fill_from + 1)
    add_alteration(world)
    for path, first in firsts.items():
        seen = [key_of(item) for item in first["items"]]
        link = first["next"]
        while link is not None:
            body = client.get(link).json()
            seen += [key_of(item) for item in body["items"]]
            link = body["next"]
        assert seen == before[path], path
        assert len(walk(client, path, 200)[0]) > len(before[path])


def test_the_next_page_keeps_the_filters(world: World) -> None:
    add_proposals(world, lines=3)
    client = world.client(world.token(Role.VIEWER))
    body = client.get("/v1/proposals", params={"state": "waiting", "limit": 2}).json()
    assert "state=waiting" in body["next"]
    assert len(client.get(body["next"]).json()["items"]) == 1
    audit = client.get("/v1/audit", params={"kind": "proposal.recorded", "limit": 1}).json()
    assert "kind=proposal.recorded" in audit["next"]


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", "1.5"])
@pytest.mark.parametrize("path", COLLECTIONS)
def test_a_limit_outside_its_range_is_refused(world: World, path: str, limit: str) -> None:
    client = world.client(world.token(Role.VIEWER))
    assert client.get(path, params={"limit": limit}).status_code == 422


def packed(content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "!!!",
        packed({}),
        packed(["plans:-decided_at"]),
        packed(["plans:-decided_at", "2026-01-01T00:00:00", "p"]),
        packed(["plans:-decided_at", "yesterday", "p"]),
        packed(["cycles:-due_at", "2026-01-01T00:00:00Z", "p"]),
        packed(["plans:-decided_at", 5, "p"]),
        packed(["audit:-sequence", "5"]),
        packed(["audit:-sequence", True]),
        "[" * 900,
    ],
)
@pytest.mark.parametrize("path", ["/v1/plans", "/v1/audit"])
def test_a_cursor_that_is_not_ours_is_refused(world: World, path: str, cursor: str) -> None:
    client = world.client(world.token(Role.VIEWER))
    answer = client.get(path, params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["type"] == "/problems/invalid"


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_a_problem_and_never_a_crash(text: str) -> None:
    for attempt in (text, base64.urlsafe_b64encode(text.encode()).decode()):
        try:
            decode_position("plans", attempt, datetime)
        except ProblemError:
            continue


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30),
    st.integers(0, 2**63 - 1),
)
def test_a_cursor_gives_back_what_it_was_made_of(key: str, number: int) -> None:
    assert decode("things", encode("things", key, number), str, int) == [key, number]
