"""Tokens and sign-ins of a real issuer on loopback: good ones open, every bad one does not."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
import pytest
from joserfc.jwk import ECKey, OctKey
from starlette.testclient import TestClient

from service.api.access import access_from
from service.api.context import WallClock
from service.api.oidc import require_secure
from service.domain.errors import InputError
from service.settings import Settings
from service.store.states import Role
from tests.api.issuer import CLIENT, ROLES, SECRET, LocalIssuer, Steps
from tests.api.world import World, add_proposals, csrf_in


@pytest.fixture
def issuer_url(running: LocalIssuer) -> str:
    return running.url


def me(world: World, token: str) -> httpx2.Response:
    return world.client(token).get("/v1/me")


def test_a_token_of_the_issuer_opens_what_its_role_allows(
    trusting: World, issuer: LocalIssuer
) -> None:
    answer = me(trusting, issuer.token())
    assert answer.status_code == 200, answer.text
    assert (answer.json()["role"], answer.json()["label"]) == ("approver", "Ada")
    assert answer.json()["subject"] == f"{issuer.url}#u-1"


@pytest.mark.parametrize("algorithm", ["RS256", "PS256"])
def test_signatures_of_the_issuers_key_are_trusted(
    trusting: World, issuer: LocalIssuer, algorithm: str
) -> None:
    assert me(trusting, issuer.token(algorithm=algorithm)).status_code == 200


def test_an_elliptic_key_of_the_issuer_is_trusted(trusting: World, issuer: LocalIssuer) -> None:
    issuer.keys = [ECKey.generate_key("P-256", {"kid": "e", "use": "sig"})]
    issuer.published = list(issuer.keys)
    assert me(trusting, issuer.token(algorithm="ES256")).status_code == 200


def unsigned(issuer: LocalIssuer) -> str:
    head, body, _ = issuer.token().split(".")
    none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"
    return f"{none}.{body}." if head else ""


def altered(issuer: LocalIssuer) -> str:
    head, _, signature = issuer.token(roles=["viewers"]).split(".")
    _, body, _ = issuer.token(roles=["admins"]).split(".")
    return f"{head}.{body}.{signature}"


def by_shared_secret(issuer: LocalIssuer) -> str:
    """The issuer's public key taken for a shared secret."""
    public = issuer.keys[0].as_pem(private=False)
    key = OctKey.import_key(b"x" * 64)
    assert public
    return issuer.token(key=key, algorithm="HS256", header={"kid": issuer.keys[0].kid})


BAD: dict[str, Callable[[LocalIssuer], str]] = {
    "another key": lambda issuer: issuer.token(key=LocalIssuer.new_key()),
    "another key under the issuer's id": lambda issuer: issuer.token(
        key=LocalIssuer.new_key(), header={"kid": issuer.keys[0].kid}
    ),
    "another issuer": lambda issuer: issuer.token(iss="https://evil.test"),
    "no issuer": lambda issuer: issuer.token(iss=None),
    "another audience": lambda issuer: issuer.token(aud="another"),
    "no audience": lambda issuer: issuer.token(aud=None),
    "expired": lambda issuer: issuer.token(exp=int(time.time()) - 60),
    "never expires": lambda issuer: issuer.token(exp=None),
    "not yet": lambda issuer: issuer.token(nbf=int(time.time()) + 120),
    "no subject": lambda issuer: issuer.token(sub=None),
    "not signed": unsigned,
    "altered": altered,
    "signed with a shared secret": by_shared_secret,
    "another algorithm": lambda issuer: issuer.token(algorithm="RS512"),
    "garbage": lambda _: "eyJhbGciOiJSUzI1NiJ9.e30.e30",
    "not a token": lambda _: "x.y.z",
    "too long": lambda issuer: issuer.token(padding="x" * 20_000),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_token_that_proves_nothing_opens_nothing(
    trusting: World, issuer: LocalIssuer, bad: Callable[[LocalIssuer], str]
) -> None:
    assert me(trusting, bad(issuer)).status_code == 401
    assert me(trusting, issuer.token()).status_code == 200


def test_a_rotated_key_is_found_and_the_old_one_trusted_no_more(
    trusting: World, issuer: LocalIssuer, steps: Steps
) -> None:
    before = issuer.token()
    assert me(trusting, before).status_code == 200
    issuer.rotate()
    steps.seconds += 6
    assert me(trusting, issuer.token()).status_code == 200
    assert me(trusting, before).status_code == 401


def test_keys_are_kept_and_made_up_keys_do_not_make_the_issuer_work(
    trusting: World, issuer: LocalIssuer, steps: Steps
) -> None:
    for _ in range(3):
        me(trusting, issuer.token())
        me(trusting, issuer.token(key=LocalIssuer.new_key()))
    assert issuer.asked.count("/keys") == 1
    steps.seconds += 6
    me(trusting, issuer.token(key=LocalIssuer.new_key()))
    assert issuer.asked.count("/keys") == 2
    assert issuer.asked.count("/.well-known/openid-configuration") == 1


def test_an_issuer_that_is_down_is_no_reason_to_let_anybody_in_or_to_fail(
    trusting: World, issuer: LocalIssuer
) -> None:
    token = issuer.token()
    issuer.down = True
    answer = me(trusting, token)
    assert (answer.status_code, answer.json()["type"]) == (503, "/problems/not-ready")
    assert me(trusting, trusting.token(Role.VIEWER)).status_code == 200


@pytest.mark.parametrize("roles", [[], ["strangers"], None, "strangers", 5, {"admins": True}])
def test_who_is_known_but_has_no_role_is_refused(
    trusting: World, issuer: LocalIssuer, roles: object
) -> None:
    assert me(trusting, issuer.token(roles=roles)).status_code == 403


def test_the_highest_role_counts_and_accounts_limit(trusting: World, issuer: LocalIssuer) -> None:
    (proposal,) = add_proposals(trusting)
    token = issuer.token(roles=["viewers", "admins"], accounts=["999900001111"])
    answer = me(trusting, token).json()
    assert (answer["role"], answer["accounts"]) == ("admin", ["999900001111"])
    assert trusting.client(token).get(f"/v1/proposals/{proposal.proposal}").status_code == 404
    nothing = issuer.token(accounts=None)
    assert trusting.client(nothing).get("/v1/proposals").json()["items"] == []


def test_an_address_that_nobody_verified_names_nobody(trusting: World, issuer: LocalIssuer) -> None:
    claims: dict[str, Any] = {"email": "bo@example.test", "name": "Ada"}
    assert me(trusting, issuer.token(**claims, email_verified=False)).json()["label"] == "Ada"
    verified = me(trusting, issuer.token(**claims, email_verified=True)).json()
    assert verified["label"] == "bo@example.test"


def signed_in(world: World, wanted: str = "/proposals") -> tuple[TestClient, httpx2.Response]:
    """Go through the whole sign-in as a browser would."""
    client = TestClient(world.app, base_url="http://tenor.test", headers={"accept": "text/html"})
    away = client.get("/login/provider", params={"next": wanted}, follow_redirects=False)
    assert away.status_code == 303, away.text
    there = httpx2.get(away.headers["location"], follow_redirects=False)
    back = urlsplit(there.headers["location"])
    return client, client.get(f"{back.path}?{back.query}", follow_redirects=False)


def test_a_person_signs_in_and_goes_on_to_where_they_wanted(trusting: World) -> None:
    client, answer = signed_in(trusting)
    assert answer.status_code == 200, answer.text
    assert 'content="0; url=/proposals"' in answer.text
    page = client.get("/proposals", follow_redirects=False)
    assert page.status_code == 200
    assert "Ada (approver)" in page.text
    cookie = next(
        line for line in answer.headers.get_list("set-cookie") if line.startswith("tenor_session=")
    ).lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_who_signed_in_approves_under_their_name(trusting: World) -> None:
    (proposal,) = add_proposals(trusting)
    client, _ = signed_in(trusting)
    path = f"/proposals/{proposal.proposal}"
    form = {"csrf": csrf_in(client.get(path).text), "version": "1", "comment": "fine"}
    assert client.post(f"{path}/approve", data=form).status_code == 200
    shown = trusting.client(trusting.token(Role.VIEWER)).get(f"/v1{path}").json()
    assert shown["state"] == "approved"
    assert shown["decided_by"].startswith("Ada (http://127.0.0.1")


def test_what_was_asked_for_holds_proofs_and_no_secret(trusting: World) -> None:
    answer = trusting.client().get("/login/provider", follow_redirects=False)
    asked = parse_qs(urlsplit(answer.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert asked["response_type"] == ["code"]
    assert len(asked["state"][0]) >= 32
    assert len(asked["nonce"][0]) >= 32
    assert SECRET not in answer.headers["location"]


def test_an_answer_to_a_sign_in_that_was_begun_elsewhere_is_refused(trusting: World) -> None:
    client, _ = signed_in(trusting)
    client.cookies.clear()
    answer = client.get("/login/callback", params={"code": "c", "state": "s"})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_another_state_code_or_issuer_is_refused(trusting: World) -> None:
    client = trusting.client(accept="text/html")
    away = client.get("/login/provider", follow_redirects=False)
    there = httpx2.get(away.headers["location"], follow_redirects=False)
    good = {
        name: values[0]
        for name, values in parse_qs(urlsplit(there.headers["location"]).query).items()
    }
    for bad in ({"state": "x"}, {"code": "x"}, {"iss": "https://evil.test"}, {"error": "denied"}):
        answer = client.get("/login/callback", params={**good, **bad}, follow_redirects=False)
        assert answer.status_code == 403, bad
        assert "tenor_session" not in answer.headers.get("set-cookie", "")


def test_an_id_token_with_another_nonce_is_refused(trusting: World, issuer: LocalIssuer) -> None:
    issuer.nonce = "of another sign-in"
    _, answer = signed_in(trusting)
    assert answer.status_code == 403


def test_a_sign_in_takes_no_longer_than_ten_minutes(trusting: World) -> None:
    client = trusting.client(accept="text/html")
    away = client.get("/login/provider", follow_redirects=False)
    there = httpx2.get(away.headers["location"], follow_redirects=False)
    back = urlsplit(there.headers["location"])
    trusting.clock.instant += timedelta(minutes=10)
    assert client.get(f"{back.path}?{back.query}").status_code == 403


def test_signing_out_ends_the_session_for_whoever_kept_its_cookie(trusting: World) -> None:
    client, _ = signed_in(trusting)
    kept = dict(client.cookies)
    csrf = csrf_in(client.get("/").text)
    client.post("/logout", data={"csrf": csrf})
    again = trusting.client(accept="text/html")
    again.cookies.update(kept)
    assert again.get("/", follow_redirects=False).status_code == 303


def test_a_session_of_the_provider_ends_after_its_lifetime(trusting: World) -> None:
    client, _ = signed_in(trusting)
    trusting.clock.instant += timedelta(hours=12)
    assert client.get("/", follow_redirects=False).status_code == 303


def test_neither_tokens_nor_secrets_are_logged(
    trusting: World, issuer: LocalIssuer, log: io.StringIO
) -> None:
    token, bad = issuer.token(), issuer.token(aud="another")
    me(trusting, token)
    me(trusting, bad)
    client, _ = signed_in(trusting)
    written = log.getvalue()
    assert "token_not_trusted" in written
    for secret in (token, bad, SECRET, client.cookies["tenor_session"]):
        assert secret not in written


def test_without_a_provider_there_is_no_way_to_it(world: World) -> None:
    assert world.client().get("/login/provider").status_code == 404
    assert "organisation" not in world.client(accept="text/html").get("/login").text


def test_the_settings_make_an_identity(tmp_path: Path, issuer_url: str) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n", encoding="utf-8")
    settings = Settings(
        oidc_issuer=issuer_url,
        oidc_client_id=CLIENT,
        oidc_client_secret_file=secret,
        oidc_roles=ROLES,
        public_url="https://tenor.example.test/",
        allowed_hosts="tenor.example.test",
    )
    access = access_from(settings, WallClock())
    assert access.identity is not None
    assert access.identity.client_secret == SECRET
    assert access.is_tls
    assert SECRET not in repr(access)


@pytest.mark.parametrize(
    "changed",
    [
        {"oidc_client_id": None},
        {"public_url": None},
        {"public_url": "http://tenor.example.test"},
        {"oidc_issuer": "http://issuer.example.test"},
        {"oidc_issuer": "ftp://issuer.example.test"},
        {"oidc_roles": "admins"},
        {"oidc_roles": "admins=root"},
        {"oidc_client_secret_file": Path("/nowhere/at/all")},
        {"session_key_file": Path("/nowhere/at/all")},
        {"allowed_hosts": "localhost"},
    ],
)
def test_settings_that_cannot_be_trusted_stop_the_start(changed: dict[str, object]) -> None:
    sound: dict[str, object] = {
        "oidc_issuer": "https://issuer.example.test",
        "oidc_client_id": CLIENT,
        "public_url": "https://tenor.example.test",
        "allowed_hosts": "localhost,tenor.example.test",
        "oidc_roles": ROLES,
    }
    assert access_from(Settings.model_validate(sound), WallClock()).identity is not None
    with pytest.raises(InputError):
        access_from(Settings.model_validate({**sound, **changed}), WallClock())


def test_a_session_key_of_a_file_is_shared_and_a_short_one_refused(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("ab" * 32, encoding="utf-8")
    made = access_from(Settings(session_key_file=key), WallClock())
    assert made.session_key == b"ab" * 32
    key.write_text("short", encoding="utf-8")
    with pytest.raises(InputError, match="fewer than"):
        access_from(Settings(session_key_file=key), WallClock())


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://localhost", "http://[::1]:9"])
def test_plain_http_is_for_this_machine_only(url: str) -> None:
    assert require_secure(url, variable="X") == url
    with pytest.raises(InputError):
        require_secure("http://127.0.0.1.evil.test", variable="X")
