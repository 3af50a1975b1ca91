import io
import re
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.api.app import create_app
from service.api.context import AppContext, attach
from service.api.edge import BODY_BYTES_MAX, SECURITY_HEADERS
from service.api.ports import policy_file
from service.store.states import Role
from tests.api.world import POLICY, SetClock, World, add_proposals, make_world


class WrongClock:
    """A clock that breaks, as nothing in the program foresees."""

    def now(self) -> object:
        message = "the token tnr_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0 met an unforeseen end"
        raise ZeroDivisionError(message)


def broken(engine: Engine) -> TestClient:
    app = create_app(
        engine=engine,
        clock=WrongClock(),  # type: ignore[arg-type]
        auth_clock=SetClock(),
        policy_source=policy_file(POLICY),
        open_reads=True,
    )
    return TestClient(app, base_url="http://localhost")


@pytest.mark.parametrize(
    ("method", "path", "status", "slug"),
    [
        ("GET", "/v1/nothing", 404, "not-found"),
        ("GET", "/v1/plans/none", 404, "not-found"),
        ("DELETE", "/v1/plans", 405, "method-not-allowed"),
        ("GET", "/v1/plans?limit=x", 422, "invalid"),
        ("GET", "/problems/none", 404, "not-found"),
    ],
)
def test_every_error_is_a_problem_of_its_kind(
    world: World, method: str, path: str, status: int, slug: str
) -> None:
    answer = world.client(world.token(Role.VIEWER)).request(method, path)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"/problems/{slug}"
    assert problem["status"] == status
    assert problem["instance"] == path.partition("?")[0]
    assert problem["title"]
    assert problem["detail"]


def test_what_nobody_foresaw_is_a_problem_with_an_id_and_the_log_has_the_rest(
    sqlite_engine: Engine, log: io.StringIO
) -> None:
    answer = broken(sqlite_engine).get("/v1/status")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert "Zero" not in answer.text
    assert "unforeseen end" not in answer.text
    written = log.getvalue()
    assert problem["error_id"] in written
    assert "ZeroDivisionError" in written
    assert "tnr_c2Vj" not in written


def test_a_page_that_fails_is_a_page_with_an_id(sqlite_engine: Engine, log: io.StringIO) -> None:
    answer = broken(sqlite_engine).get("/", headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 500
    assert answer.headers["content-type"].startswith("text/html")
    assert "Zero" not in answer.text
    (error_id,) = re.findall("<code>([0-9a-f]{16})</code>", answer.text)
    assert error_id in log.getvalue()


def test_a_name_that_is_not_this_services_is_refused_before_anything_is_looked_at(
    sqlite_engine: Engine,
) -> None:
    client = broken(sqlite_engine)
    for host in ("evil.test", "localhost.evil.test", "", "127.0.0.1.evil.test"):
        answer = client.get("/v1/status", headers={"Host": host})
        assert answer.status_code == 421, host
        assert answer.json()["type"] == "/problems/wrong-host"
    for host in ("localhost", "LOCALHOST:9", "127.0.0.1:8321", "[::1]:8321"):
        assert client.get("/problems", headers={"Host": host}).status_code == 200, host


def test_probes_are_answered_under_any_name(sqlite_engine: Engine) -> None:
    client = broken(sqlite_engine)
    assert client.get("/healthz", headers={"Host": "10.1.2.3:8321"}).status_code == 200


def test_a_body_beyond_the_limit_is_refused_before_it_is_read_whole(world: World) -> None:
    client = world.client(world.token(Role.OPERATOR))
    body = b'{"reason": "' + b"x" * BODY_BYTES_MAX + b'"}'
    answer = client.post("/v1/halt", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.json()["type"] == "/problems/too-large"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"null", b"5"])
def test_a_body_that_is_no_json_object_is_a_problem(world: World, body: bytes) -> None:
    client = world.client(world.token(Role.OPERATOR))
    answer = client.post("/v1/halt", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_policy_that_cannot_be_read_is_a_problem_and_not_a_crash(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    world = make_world(sqlite_engine, policy=tmp_path / "missing.yaml")
    answer = world.client(world.token(Role.VIEWER)).get("/v1/policies")
    assert answer.status_code == 503
    assert "policy" in answer.json()["reasons"]


@pytest.mark.parametrize(
    "path", ["/", "/v1/status", "/v1/none", "/login", "/static/tenor.css", "/healthz", "/readyz"]
)
def test_every_answer_carries_the_security_headers(world: World, path: str) -> None:
    answer = world.client().get(path, follow_redirects=False)
    for name, value in SECURITY_HEADERS.items():
        assert answer.headers[name] == value
    assert "unsafe" not in answer.headers["content-security-policy"]


def test_an_answer_to_an_unforeseen_error_carries_them_too(sqlite_engine: Engine) -> None:
    answer = broken(sqlite_engine).get("/v1/status")
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


def test_tokens_and_forms_leave_no_secret_in_the_log(world: World, log: io.StringIO) -> None:
    token = world.token(Role.OPERATOR)
    (proposal,) = add_proposals(world)
    client = world.client(token)
    client.get("/v1/status", params={"token": token})
    client.get(f"/v1/plans/{token}")
    client.post(
        f"/v1/proposals/{proposal.proposal}/approve",
        headers={"If-Match": '"v1"'},
        json={"comment": f"my token is {token}"},
    )
    world.signed_in(token).get("/")
    world.client(accept="text/html").post("/login", data={"token": token[:-2]})
    written = log.getvalue()
    assert "api.answered" in written
    assert "web.sign_in_refused" in written
    assert token not in written
    assert token[:-2] not in written
    assert token.removeprefix("tnr_") not in written


def test_each_request_is_logged_once_with_what_came_of_it(world: World, log: io.StringIO) -> None:
    world.client().get("/healthz")
    (line,) = [line for line in log.getvalue().splitlines() if "api.answered" in line]
    assert '"status": 200' in line
    assert '"request_id"' in line


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://tenor.example.test", "max-age=31536000"),
        ("http://localhost:8321", None),
        (None, None),
    ],
)
def test_browsers_that_come_over_tls_are_told_to_stay_with_it(
    world: World, url: str | None, told: str | None
) -> None:
    context: AppContext = world.app.state.tenor
    attach(world.app.state, replace(context, access=replace(context.access, public_url=url)))
    try:
        for path in ("/login", "/v1/none", "/healthz", "/static/tenor.css"):
            answer = world.client().get(path)
            assert answer.headers.get("strict-transport-security") == told
    finally:
        attach(world.app.state, context)
