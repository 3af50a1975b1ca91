"""Who may do what, route by route. A route that changes something and is not here fails a test."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from httpx2 import Response
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.api.sessions import open_session
from service.api.tokens import Caller
from service.api.who_may import API, FORMS, Reach, Rule, as_markdown, rule_of
from service.domain.errors import InvariantError
from service.store.engine import writing
from service.store.states import Role
from tests.api.altered import add_alteration
from tests.api.world import (
    World,
    add_proposals,
    add_purchase,
    csrf_in,
    make_world,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"

OPEN_ROUTES = {rule.path for rule in API if rule.role is None} | {"/openapi.json"}
READS = [rule.path for rule in API if rule.method == "GET" and rule.role is not None]
CHANGES = {rule.path: rule.role for rule in API if rule.method == "POST" and rule.role}
PAGE_CHANGES = {rule.path: rule.role for rule in FORMS if rule.role}
PAGES = [
    "/",
    "/proposals",
    "/commitments",
    "/cycles",
    "/policy",
    "/audit",
    "/alerts",
    "/halt",
    "/docs",
]
RANK = [None, *Role]
ENDS = {"wait_seconds": "0"}
"""Lets a stream end at once; others do not look at it."""
PICTURED = {"/v1/exports/bills"}
"""Reads that need usage; this world has none."""


def api_routes(world: World) -> list[tuple[str, str]]:
    found = []
    for path, operations in world.app.openapi()["paths"].items():
        found += [(path, method.upper()) for method in operations]
    return found


def page_routes(world: World) -> list[tuple[str, str]]:
    return [
        (route.path, method)
        for route in all_routes(world.app.routes)
        for method in route.methods or ()
        if not route.include_in_schema
    ]


def all_routes(routes: object) -> list[APIRoute]:
    found: list[APIRoute] = []
    for route in routes:  # type: ignore[attr-defined]
        if isinstance(route, APIRoute):
            found.append(route)
        for inner in ("routes", "original_router"):
            nested = getattr(route, inner, None)
            if nested is not None:
                found += all_routes(getattr(nested, "routes", nested))
    return found


def body_for(path: str) -> dict[str, str] | None:
    """What the change at ``path`` is told."""
    if path == "/v1/sessions/revoke":
        return {"person": "Vi"}
    if path.endswith("/revoke"):
        return None
    return {"reason" if "halt" in path or path.endswith("/reject") else "comment": "because"}


def add_session(world: World) -> str:
    """Somebody signed in through the identity provider."""
    now = world.clock.now()
    caller = Caller(token_id=None, label="Vi", role=Role.VIEWER, subject="https://id.test#vi")
    with writing(world.engine) as connection:
        return open_session(connection, caller, now=now, expires_at=now + timedelta(hours=12))


def call(client: TestClient, path: str, world: World) -> Response:
    """The change that ``path`` stands for, in a state in which it is possible."""
    if "/v1/sessions" in path:
        path = path.format(session_id=add_session(world))
        return client.post(path, json=body_for(path))
    if "{token_id}" in path:
        _, token_id = world.minted(Role.VIEWER)
        return client.post(path.format(token_id=token_id))
    if "{proposal_id}" in path:
        (proposal,) = add_proposals(world)
        version = 1
        if path.endswith("/withdraw"):
            # Who approved it may take it back; operators may anyway.
            first = path.replace("/withdraw", "/approve").format(proposal_id=proposal.proposal)
            done = client.post(first, headers={"If-Match": '"v1"'})
            version = 2 if done.status_code == 200 else 1
        path = path.format(proposal_id=proposal.proposal)
        return client.post(path, json=body_for(path), headers={"If-Match": f'"v{version}"'})
    if "{alteration_id}" in path:
        path = path.format(alteration_id=add_alteration(world))
        return client.post(path, json=body_for(path), headers={"If-Match": '"v1"'})
    if path == "/v1/halt/resume":
        world.halt()
    return client.post(path, json=body_for(path))


def test_the_documented_table_is_the_one_in_the_code() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    assert as_markdown() in text


def test_a_route_that_nobody_wrote_down_answers_nobody() -> None:
    with pytest.raises(InvariantError, match="nobody said who may"):
        rule_of("GET", "/v1/new")


def test_every_route_of_the_api_is_in_the_table(world: World) -> None:
    reads = {path for path, method in api_routes(world) if method == "GET"}
    changes = {path for path, method in api_routes(world) if method != "GET"}
    assert reads == {*READS, *OPEN_ROUTES} - {"/openapi.json"}
    assert changes == set(CHANGES)


LIMITED = frozenset({"999900001111"})
"""An account that nothing in these worlds is of."""


@pytest.mark.parametrize("rule", [rule for rule in API if rule.role], ids=lambda rule: rule.path)
def test_whoever_is_limited_to_other_accounts_sees_nothing_of_these(
    world: World, rule: Rule
) -> None:
    (proposal,) = add_proposals(world)
    alteration = add_alteration(world)
    client = world.client(world.token(Role.ADMIN, accounts=LIMITED))
    path = rule.path.format(
        proposal_id=proposal.proposal,
        alteration_id=alteration,
        cycle_id="c",
        plan_id=proposal.plan,
        token_id="t",  # noqa: S106 - an id
        session_id="s",
    )
    answer = client.request(
        rule.method, path, json=body_for(rule.path), headers={"If-Match": '"v1"'}
    )
    if rule.reach is Reach.WHOLE:
        assert answer.status_code == 403
    elif "{" in rule.path:
        assert answer.status_code == 404
    else:
        assert answer.status_code == 200
        for hidden in ("111122223333", proposal.proposal, alteration):
            assert hidden not in answer.text


def test_whoever_is_limited_to_an_account_sees_and_decides_what_is_of_it(world: World) -> None:
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.APPROVER, accounts=frozenset({"111122223333"})))
    assert len(client.get("/v1/proposals").json()["items"]) == 1
    path = f"/v1/proposals/{proposal.proposal}"
    assert client.get(path).status_code == 200
    # That is of the usage of all accounts.
    assert client.get(f"{path}/picture").status_code == 403
    page = world.signed_in(world.token(Role.VIEWER, accounts=frozenset({"111122223333"})))
    assert "you are limited to some" in page.get(f"/proposals/{proposal.proposal}").text
    assert client.post(f"{path}/approve", headers={"If-Match": '"v1"'}).status_code == 200


@pytest.mark.parametrize("path", ["/cycles", "/policy", "/audit", "/alerts"])
def test_pages_about_all_accounts_are_not_for_who_is_limited_to_some(
    world: World, path: str
) -> None:
    client = world.signed_in(world.token(Role.ADMIN, accounts=LIMITED))
    assert client.get(path).status_code == 403


def test_pages_show_who_is_limited_to_other_accounts_nothing_of_these(world: World) -> None:
    (proposal,) = add_proposals(world)
    add_purchase(world)
    client = world.signed_in(world.token(Role.ADMIN, accounts=LIMITED))
    for path in ("/", "/proposals", "/commitments"):
        page = client.get(path)
        assert page.status_code == 200
        assert "111122223333" not in page.text
        assert proposal.proposal not in page.text
    assert client.get(f"/proposals/{proposal.proposal}").status_code == 404


def test_every_form_of_the_pages_is_in_the_table(world: World) -> None:
    changes = {path for path, method in page_routes(world) if method == "POST"}
    assert changes == {*PAGE_CHANGES, "/login", "/logout"}


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("role", RANK, ids=lambda role: role or "no token")
def test_a_change_needs_a_token_of_its_role(world: World, path: str, role: Role | None) -> None:
    client = world.client(world.token(role) if role else None)
    answer = call(client, path, world)
    if role is None:
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer")
    elif RANK.index(role) < RANK.index(CHANGES[path]):
        assert answer.status_code == 403
        assert CHANGES[path].value in answer.json()["detail"]
    else:
        assert answer.status_code == 200, answer.text


def expired(world: World) -> str:
    token = world.token(Role.OPERATOR, days=1)
    world.clock.instant += timedelta(days=1)
    return token


def revoked(world: World) -> str:
    token, token_id = world.minted(Role.OPERATOR)
    world.revoke(token_id)
    return token


def guessed(world: World) -> str:
    real = world.token(Role.OPERATOR)
    return real[:-1] + ("A" if real[-1] != "A" else "B")


def without_prefix(world: World) -> str:
    return world.token(Role.OPERATOR).removeprefix("tnr_")


DEAD: list[Callable[[World], str]] = [expired, revoked, guessed, without_prefix]


@pytest.mark.parametrize("path", CHANGES)
@pytest.mark.parametrize("dead", DEAD)
def test_a_dead_token_changes_nothing(
    world: World, path: str, dead: Callable[[World], str]
) -> None:
    token = dead(world)
    assert call(world.client(token), path, world).status_code == 401


@pytest.mark.parametrize("path", CHANGES)
def test_opening_reads_does_not_open_any_change(sqlite_engine: Engine, path: str) -> None:
    world = make_world(sqlite_engine, open_reads=True)
    assert call(world.client(), path, world).status_code == 401
    assert call(world.client(world.token(Role.VIEWER)), path, world).status_code == 403


@pytest.mark.parametrize("path", CHANGES)
def test_a_browser_session_changes_nothing_through_the_api(world: World, path: str) -> None:
    client = world.signed_in(world.token(Role.OPERATOR))
    assert call(client, path, world).status_code == 401


@pytest.mark.parametrize("path", READS)
def test_reads_need_a_viewer_unless_they_were_opened(
    world: World, sqlite_engine: Engine, path: str
) -> None:
    assert world.client().get(path).status_code == 401
    needed = next(rule for rule in API if rule.path == path and rule.method == "GET")
    for role in Role:
        allowed = world.client(world.token(role)).get(path, params=ENDS).status_code
        if list(Role).index(role) < list(Role).index(needed.role or Role.VIEWER):
            assert allowed == 403
        else:
            assert allowed == (404 if "{" in path else 409 if path in PICTURED else 200)
    opened = make_world(sqlite_engine, open_reads=True)
    answer = opened.client().get(path, params=ENDS)
    assert (answer.status_code == 401) is (needed.role is not Role.VIEWER)


@pytest.mark.parametrize("dead", DEAD)
def test_a_dead_token_reads_nothing_even_where_reads_are_open(
    sqlite_engine: Engine, dead: Callable[[World], str]
) -> None:
    world = make_world(sqlite_engine, open_reads=True)
    assert world.client(dead(world)).get("/v1/status").status_code == 401


@pytest.mark.parametrize("path", PAGES)
def test_pages_send_strangers_to_sign_in_and_back(world: World, path: str) -> None:
    answer = world.client(accept="text/html").get(path, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/login?next={path}"


@pytest.mark.parametrize("path", PAGE_CHANGES)
@pytest.mark.parametrize("role", RANK, ids=lambda role: role or "not signed in")
def test_a_form_needs_a_session_of_its_role(world: World, path: str, role: Role | None) -> None:
    client = world.signed_in(world.token(role)) if role else world.client(accept="text/html")
    answer = send_form(client, path, world, csrf=csrf_in(client.get("/").text) if role else "")
    if role is None:
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/login?next=/")
    elif RANK.index(role) < RANK.index(PAGE_CHANGES[path]):
        assert answer.status_code == 403
    elif path == "/policy/try":
        # It answers at once: nothing was changed that could be looked at elsewhere.
        assert answer.status_code == 200
    else:
        assert answer.status_code == 303, answer.text
        assert not answer.headers["location"].startswith("/login")


def send_form(client: TestClient, path: str, world: World, *, csrf: str) -> Response:
    if "{proposal_id}" in path:
        (proposal,) = add_proposals(world)
        path = path.format(proposal_id=proposal.proposal)
    if "{alteration_id}" in path:
        path = path.format(alteration_id=add_alteration(world))
    if path == "/halt/resume":
        world.halt()
    if path.endswith("/withdraw"):
        # Approvers take back what they approved themselves.
        client.post(path.replace("/withdraw", "/approve"), data={"csrf": csrf, "version": "1"})
    form = {"csrf": csrf, "version": "1", "reason": "because", "confirmed": "yes", "text": "x"}
    if path.endswith("/withdraw") and client.cookies:
        form["version"] = "2"
    return client.post(path, data=form, follow_redirects=False)


@pytest.mark.parametrize("path", PAGE_CHANGES)
@pytest.mark.parametrize("csrf", ["", "0" * 64], ids=["missing", "made up"])
def test_a_form_without_the_sessions_own_field_changes_nothing(
    world: World, path: str, csrf: str
) -> None:
    client = world.signed_in(world.token(Role.OPERATOR))
    assert send_form(client, path, world, csrf=csrf).status_code == 403


def test_a_form_with_another_sessions_field_changes_nothing(world: World) -> None:
    token = world.token(Role.OPERATOR)
    theirs = csrf_in(world.signed_in(token).get("/").text)
    mine = world.signed_in(token)
    assert send_form(mine, "/halt/set", world, csrf=theirs).status_code == 403
    assert send_form(mine, "/halt/set", world, csrf=csrf_in(mine.get("/").text)).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.test"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_a_form_that_another_site_sent_changes_nothing(
    world: World, headers: dict[str, str]
) -> None:
    client = world.signed_in(world.token(Role.OPERATOR))
    client.headers.update(headers)
    csrf = csrf_in(client.get("/").text)
    assert send_form(client, "/halt/set", world, csrf=csrf).status_code == 403


def test_a_form_from_our_own_origin_is_taken(world: World) -> None:
    client = world.signed_in(world.token(Role.OPERATOR))
    client.headers.update({"Origin": "http://tenor.test", "Sec-Fetch-Site": "same-origin"})
    csrf = csrf_in(client.get("/").text)
    assert send_form(client, "/halt/set", world, csrf=csrf).status_code == 303


def test_another_site_cannot_sign_anybody_in(world: World) -> None:
    client = world.client(accept="text/html", Origin="http://evil.test")
    answer = client.post("/login", data={"token": world.token(Role.VIEWER)})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
