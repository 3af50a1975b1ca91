"""Sign-ins through the identity provider: whose word they are, and how they are ended."""

from __future__ import annotations

import http.client
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.api.context import AppContext, attach
from service.api.limiting import Limiter
from service.api.ports import policy_file
from service.api.serve import serve
from service.api.sessions import open_session
from service.api.slots import Pace
from service.api.tokens import Caller
from service.cli import main
from service.store import ledger
from service.store.engine import reading, writing
from service.store.states import Role
from service.web.session import Session, seal
from tests.api.issuer import LocalIssuer
from tests.api.world import POLICY, QUICK, World, add_proposals


def test_who_signed_in_does_not_say_yes_again_with_a_token_of_their_name(
    trusting: World, issuer: LocalIssuer, tmp_path: Path
) -> None:
    issuer.signs_in |= {"email": "ada@example.com", "email_verified": True}
    policy = tmp_path / "policy.yaml"
    text = POLICY.read_text(encoding="utf-8")
    policy.write_text(
        text.replace("\nsign_off:", "\nsign_off:\n  two_person_above_usd: 5000", 1),
        encoding="utf-8",
    )
    context: AppContext = trusting.app.state.tenor
    attach(trusting.app.state, replace(context, policy_source=policy_file(policy)))
    try:
        (proposal,) = add_proposals(trusting)
        path = f"/v1/proposals/{proposal.proposal}/approve"
        first = trusting.client(issuer.token()).post(path, headers={"If-Match": '"v1"'})
        assert (first.status_code, first.json()["state"]) == (200, "waiting")
        tokens = [trusting.token(Role.APPROVER, label=name) for name in ("ADA@example.com", "Bo")]
        answers = [
            trusting.client(token).post(path, headers={"If-Match": '"v2"'}) for token in tokens
        ]
    finally:
        attach(trusting.app.state, context)
    assert [answer.status_code for answer in answers] == [409, 200], answers[0].text


def test_wrong_tokens_of_an_address_keep_nobody_there_from_signing_in(
    trusting: World,
) -> None:
    context: AppContext = trusting.app.state.tenor
    few = replace(context.access, limiter=Limiter(replace(QUICK, wrong_tokens=1)))
    attach(trusting.app.state, replace(context, access=few))
    few.limiter.wrong_token("testclient")
    few.limiter.wrong_token("testclient")
    client = trusting.client(accept="text/html")
    away = client.get("/login/provider", follow_redirects=False)
    there = httpx2.get(away.headers["location"], follow_redirects=False)
    back = urlsplit(there.headers["location"])
    assert client.get(f"{back.path}?{back.query}").status_code == 200


SUBJECT = "https://id.example.com#u-1"


def open_for(engine: Engine, label: str, *, subject: str = SUBJECT, now: datetime) -> str:
    caller = Caller(token_id=None, label=label, role=Role.ADMIN, subject=subject)
    with writing(engine) as connection:
        return open_session(connection, caller, now=now, expires_at=now + timedelta(hours=12))


def browser(world: World, identity: str) -> TestClient:
    session = Session(identity, world.clock.now() + timedelta(hours=12), "a" * 32)
    cookie = seal(session, world.app.state.tenor.session_key)
    return world.client(accept="text/html", cookie=f"tenor_session={cookie}")


def is_signed_in(client: TestClient) -> bool:
    return client.get("/", follow_redirects=False).status_code == 200


def test_an_administrator_ends_sign_ins_and_the_ledger_knows(world: World) -> None:
    now = world.clock.now()
    ada, ada_too = (open_for(world.engine, "ada@example.com", now=now) for _ in range(2))
    bo = open_for(world.engine, "Bo", subject="https://id.example.com#u-2", now=now)
    browsers = {identity: browser(world, identity) for identity in (ada, ada_too, bo)}
    assert all(is_signed_in(one) for one in browsers.values())
    client = world.client(world.token(Role.ADMIN, label="Root"))
    listed = client.get("/v1/sessions").json()["items"]
    assert {one["id"] for one in listed} == {ada, ada_too, bo}
    for _ in range(2):
        answer = client.post(f"/v1/sessions/{ada}/revoke")
        assert answer.status_code == 200
        assert answer.json()["revoked_at"] is not None
    assert [is_signed_in(browsers[one]) for one in (ada, ada_too, bo)] == [False, True, True]
    answer = client.post("/v1/sessions/revoke", json={"person": "ADA@example.com"})
    assert [one["id"] for one in answer.json()["items"]] == [ada_too]
    assert [is_signed_in(browsers[one]) for one in (ada, ada_too, bo)] == [False, False, True]
    for path, body in (("nobody/revoke", None), ("revoke", {"person": "nobody"})):
        assert client.post(f"/v1/sessions/{path}", json=body).status_code == 404
    with reading(world.engine) as connection:
        events = [one for one in ledger.latest(connection) if one.kind == "session.revoked"]
    assert {one.payload["session_id"] for one in events} == {ada, ada_too}
    assert all(one.actor.startswith("Root") for one in events)
    assert all(one.payload["person"] == SUBJECT for one in events)


def test_an_open_page_ends_with_its_sign_in(world: World) -> None:
    identity = open_for(world.engine, "Ada", now=world.clock.now())
    cookie = browser(world, identity).headers["cookie"]
    context: AppContext = world.app.state.tenor
    quick = Pace(look_seconds=0.02, heartbeat_seconds=0.05)
    attach(world.app.state, replace(context, pace=quick))
    running = serve(world.app, "127.0.0.1", 0)
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=30)
    try:
        connection.request("GET", "/live", headers={"Host": "tenor.test", "Cookie": cookie})
        page = connection.getresponse()
        assert page.status == 200
        client = world.client(world.token(Role.ADMIN))
        assert client.post(f"/v1/sessions/{identity}/revoke").status_code == 200
        # It is read to its end, so it has one.
        assert b"data: " in page.read()
    finally:
        connection.close()
        running.stop()
        attach(world.app.state, context)


def test_the_command_line_lists_and_ends_sign_ins(
    sqlite_database_url: str, sqlite_engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    now = datetime.now(UTC)
    ada, bo = (open_for(sqlite_engine, name, subject=name, now=now) for name in ("Ada", "Bo"))
    url = ["--database-url", sqlite_database_url]
    assert main(["session", "revoke", ada, *url]) == 0
    assert main(["session", "revoke", "--person", "bo", *url]) == 0
    assert main(["session", "revoke", "--person", "nobody", *url]) == 2
    assert main(["session", "revoke", *url]) == 2
    capsys.readouterr()
    assert main(["session", "list", "--json", *url]) == 0
    shown = json.loads(capsys.readouterr().out)["sessions"]
    assert {one["session_id"] for one in shown if one["revoked_at"]} == {ada, bo}
    with reading(sqlite_engine) as connection:
        assert [one.kind for one in ledger.latest(connection)] == ["session.revoked"] * 2
