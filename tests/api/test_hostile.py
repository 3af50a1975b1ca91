"""Whatever a stranger sends, the answer is an answer: never a 5xx, never a half-done change."""

import json
import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.api.cursor import encode
from service.store.states import Role
from tests.api.altered import add_alteration
from tests.api.test_who_may import CHANGES, PAGE_CHANGES, READS, body_for
from tests.api.world import World, add_proposals, csrf_in, make_world

NASTY = [
    "\0",
    "a\0b",
    "%00",
    "../../etc/passwd",
    "' OR 1=1 --",
    "💥",
    "x" * 5000,
    "\r\nSet-Cookie: a=b",
    "NaN",
    "1e999",
    "9" * 40,
]
FOR_DATABASES = ["\0", "a\0b", "' OR 1=1 --", "NaN", "1e999", "9" * 40]
"""What one database takes otherwise than another; the rest is refused, or not, before either."""

CURSORS = [
    encode("audit:-sequence", 10**30),
    encode("audit:-sequence", -(10**30)),
    encode("plans:-decided_at", "2026-01-01T00:00:00Z", "a\0b"),
    encode("plans:-decided_at", "9999-12-31T23:59:59-23:59", "a"),
    encode("plans:-decided_at", "0001-01-01T00:00:00+23:59", "a"),
    encode("proposals:-created_at", "2026-01-01T00:00:00Z", "\ud800"),
    encode("proposals:commit_usd_per_hour", "1e99", "a"),
    encode("proposals:commit_usd_per_hour", "NaN", "a"),
]


def checked(client: TestClient, method: str, url: str, **sent: object) -> int:
    answer = client.request(method, url, **sent)  # type: ignore[arg-type]
    assert answer.status_code < 500, (method, url, sent, answer.text)
    if answer.status_code >= 400 and url.startswith("/v1"):
        assert answer.headers["content-type"] == "application/problem+json", url
        assert answer.json()["status"] == answer.status_code
    return int(answer.status_code)


def test_hostile_text_in_a_url_is_refused_or_found_nowhere(engine: Engine) -> None:
    world = make_world(engine)
    add_proposals(world)
    client = world.client(world.token(Role.VIEWER))
    nasty = NASTY if engine.dialect.name == "sqlite" else FOR_DATABASES
    for path in READS:
        parameters = world.app.openapi()["paths"][path]["get"].get("parameters", [])
        names = [item["name"] for item in parameters if item["in"] == "query"]
        for text in nasty:
            filled = re.sub(r"{\w+}", quote(text, safe=""), path)
            for url in (filled, *(f"{filled}?{name}={quote(text, safe='')}" for name in names)):
                joined = "&" if "?" in url else "?"
                if "wait_seconds=" not in url:
                    url += f"{joined}wait_seconds=0"  # noqa: PLW2901 - or a stream stays open
                checked(client, "GET", url)


def test_a_cursor_that_no_row_could_have_made_is_refused(engine: Engine) -> None:
    world = make_world(engine)
    client = world.client(world.token(Role.VIEWER))
    for cursor in CURSORS:
        for path in ("/v1/plans", "/v1/audit", "/v1/proposals"):
            assert checked(client, "GET", f"{path}?cursor={quote(cursor)}") == 422


@pytest.mark.parametrize("text", ["a\0b", "\0", "\ud800"])
def test_text_that_a_database_cannot_hold_changes_nothing(engine: Engine, text: str) -> None:
    world = make_world(engine)
    (proposal,) = add_proposals(world)
    alteration = add_alteration(world)
    client = world.client(world.token(Role.OPERATOR))
    for path in CHANGES:
        url = path.replace("{proposal_id}", proposal.proposal)
        if path.endswith("/revoke"):
            assert (
                checked(client, "POST", f"/v1/tokens/{quote(text, errors='surrogatepass')}/revoke")
                >= 403
            )
            continue
        body = json.dumps(dict.fromkeys(body_for(path) or {}, text))
        headers = {"Content-Type": "application/json", "If-Match": '"v1"'}
        assert checked(client, "POST", url, content=body, headers=headers) == 422
    browser = world.signed_in(world.token(Role.OPERATOR))
    csrf = csrf_in(browser.get("/").text)
    if text != "\ud800":  # a form cannot spell it
        for path in PAGE_CHANGES:
            url = path.format(proposal_id=proposal.proposal, alteration_id=alteration)
            form = {"csrf": csrf, "version": "1", "reason": text, "comment": text}
            assert checked(browser, "POST", url, data={**form, "confirmed": "yes"}) == 422
    assert client.get(f"/v1/proposals/{proposal.proposal}").json()["state"] == "waiting"
    assert client.get("/v1/halt").json()["halted"] is False


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=JSON, tag=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20))
def test_any_body_is_taken_or_refused_and_never_a_crash(
    world: World, body: object, tag: str
) -> None:
    client = world.client(world.token(Role.OPERATOR))
    headers = {"Content-Type": "application/json", "If-Match": tag}
    for path in CHANGES:
        content = json.dumps(body)
        url = path.format(proposal_id="p", alteration_id="a", session_id="s", token_id="t")  # noqa: S106 - an id
        checked(client, "POST", url, content=content, headers=headers)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.binary(min_size=1, max_size=60).filter(lambda sent: not set(sent) & set(b"\r\n\0")))
def test_any_authorization_header_is_recognised_or_refused(world: World, sent: bytes) -> None:
    answer = world.client().get("/v1/me", headers={b"Authorization": sent})
    assert answer.status_code == 401
