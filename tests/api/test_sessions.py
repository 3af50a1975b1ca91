"""Sessions of the pages: how they begin, what they hold, how they end."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.api.app import create_app
from service.store.states import Role
from tests.api.world import SetClock, World, csrf_in, make_world


def test_revoking_a_token_signs_its_holder_out_at_once(world: World) -> None:
    token, token_id = world.minted(Role.VIEWER)
    client = world.signed_in(token)
    assert client.get("/", follow_redirects=False).status_code == 200
    world.revoke(token_id)
    assert client.get("/", follow_redirects=False).status_code == 303


def test_a_session_ends_after_its_lifetime(world: World) -> None:
    client = world.signed_in(world.token(Role.VIEWER))
    world.clock.instant += timedelta(hours=11, minutes=59)
    assert client.get("/", follow_redirects=False).status_code == 200
    world.clock.instant += timedelta(minutes=1)
    assert client.get("/", follow_redirects=False).status_code == 303


def test_a_session_signed_with_another_key_opens_nothing(
    world: World, sqlite_engine: Engine
) -> None:
    foreign = make_world(sqlite_engine, app_key=b"x" * 32)
    cookies = foreign.signed_in(foreign.token(Role.OPERATOR)).cookies
    client = world.client(accept="text/html")
    client.cookies.update(cookies)
    assert client.get("/", follow_redirects=False).status_code == 303


@pytest.mark.parametrize("cookie", ["", ".", "x.y", "e30.", "WyJhIl0.00", "é.é"])
def test_a_damaged_session_is_no_session(world: World, cookie: str) -> None:
    headers = {"Cookie": f"tenor_session={cookie}".encode()}
    answer = world.client(accept="text/html").get("/", headers=headers, follow_redirects=False)  # type: ignore[arg-type]
    assert answer.status_code == 303


def test_each_process_signs_sessions_with_its_own_key_unless_given_one(
    sqlite_engine: Engine, world: World
) -> None:
    clock = SetClock()
    first, second = (
        create_app(
            engine=sqlite_engine, clock=clock, policy_source=lambda: pytest.fail("not asked")
        )
        for _ in range(2)
    )
    assert first.state.tenor.session_key != second.state.tenor.session_key
    assert len(first.state.tenor.session_key) == 32
    assert world.app.state.tenor.session_key == b"k" * 32


def test_signing_out_needs_the_sessions_field_and_takes_the_cookie_away(world: World) -> None:
    token = world.token(Role.VIEWER)
    client, other = world.signed_in(token), world.signed_in(token)
    csrf = csrf_in(client.get("/").text)
    assert client.post("/logout", data={"csrf": "no"}).status_code == 403
    cookie = client.cookies["tenor_session"]
    answer = client.post("/logout", data={"csrf": csrf}, follow_redirects=False)
    assert answer.status_code == 303
    assert client.get("/", follow_redirects=False).status_code == 303
    # Whoever kept a copy of the cookie has nothing either; other sign-ins with the token go on.
    thief = world.client(accept="text/html", cookie=f"tenor_session={cookie}")
    assert thief.get("/", follow_redirects=False).status_code == 303
    assert other.get("/", follow_redirects=False).status_code == 200


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(world: World) -> None:
    client = world.client(accept="text/html")
    answer = client.post("/login", data={"token": world.token(Role.VIEWER)}, follow_redirects=False)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie
    over_tls = TestClient(world.app, base_url="https://tenor.test")
    answer = over_tls.post(
        "/login", data={"token": world.token(Role.VIEWER)}, follow_redirects=False
    )
    assert "secure" in answer.headers["set-cookie"].lower()


def test_the_session_cookie_does_not_hold_the_token(world: World) -> None:
    token = world.token(Role.VIEWER)
    cookie = world.signed_in(token).cookies["tenor_session"]
    assert token not in cookie
    assert token.removeprefix("tnr_") not in cookie


@pytest.mark.parametrize(
    "wanted", ["https://evil.test/", "//evil.test", "/\\evil.test", "javascript:alert(1)", "/\r\nx"]
)
def test_signing_in_never_leads_to_another_site(world: World, wanted: str) -> None:
    client = world.client(accept="text/html")
    form = {"token": world.token(Role.VIEWER), "next": wanted}
    answer = client.post("/login", data=form, follow_redirects=False)
    assert answer.headers["location"] == "/"


def test_a_wrong_token_does_not_sign_in(world: World) -> None:
    client = world.client(accept="text/html")
    answer = client.post("/login", data={"token": "tnr_nonsense"})
    assert answer.status_code == 401
    assert "unknown, expired or revoked" in answer.text
    assert "set-cookie" not in answer.headers
