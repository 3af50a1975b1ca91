"""An issuer that is named with a slash, is away, or hangs: who is let in, and who waits for it."""

from __future__ import annotations

import threading
from dataclasses import replace

import anyio
import httpx2
import pytest

from service.api.context import AppContext, attach
from service.api.identity import Identity
from service.api.oidc import EXCHANGES_AT_ONCE, Issuer
from service.store.states import Role
from tests.api.issuer import LocalIssuer, Steps
from tests.api.test_identity import me, signed_in
from tests.api.world import World

DISCOVERY = "/.well-known/openid-configuration"


def identity_of(world: World) -> Identity:
    context: AppContext = world.app.state.tenor
    assert context.access.identity is not None
    return context.access.identity


def set_identity(world: World, identity: Identity) -> None:
    context: AppContext = world.app.state.tenor
    attach(world.app.state, replace(context, access=replace(context.access, identity=identity)))


def called(world: World, url: str) -> None:
    """Name the issuer ``url`` in the settings."""
    issuer = Issuer(url, clock=world.clock, monotonic=Steps())
    set_identity(world, replace(identity_of(world), issuer=issuer))


def test_an_issuer_whose_name_ends_in_a_slash_is_trusted_under_that_name(
    trusting: World, issuer: LocalIssuer
) -> None:
    issuer.ending = "/"
    called(trusting, f"{issuer.url}/")
    assert me(trusting, issuer.token()).json()["subject"] == f"{issuer.url}/#u-1"
    assert me(trusting, issuer.token(iss=issuer.url)).status_code == 401
    assert signed_in(trusting)[1].status_code == 200


@pytest.mark.parametrize(("named", "is_called"), [("", "/"), ("/", "")])
def test_another_name_of_the_issuer_is_told_beside_the_one_in_the_settings(
    trusting: World, issuer: LocalIssuer, named: str, is_called: str
) -> None:
    issuer.ending = is_called
    called(trusting, issuer.url + named)
    answer = me(trusting, issuer.token())
    assert answer.status_code == 503
    why = answer.json()["reasons"]["identity"]
    assert f"{issuer.name!r}" in why
    assert f"{issuer.url + named!r}" in why


def test_nobody_waits_for_an_issuer_that_somebody_waits_for_already(
    trusting: World, issuer: LocalIssuer
) -> None:
    token = issuer.token()
    issuer.open_doors.clear()
    first = threading.Thread(target=me, args=(trusting, token))
    first.start()
    try:
        while not issuer.asked:
            first.join(0.01)
            assert first.is_alive()
        answers = [me(trusting, token) for _ in range(5)]
        away = trusting.client().get("/login/provider", follow_redirects=False)
    finally:
        issuer.open_doors.set()
        first.join()
    assert {answer.status_code for answer in (*answers, away)} == {503}
    assert issuer.asked.count(DISCOVERY) == 1
    assert me(trusting, trusting.token(Role.VIEWER)).status_code == 200


def test_an_issuer_that_failed_is_left_alone_for_a_while(
    trusting: World, issuer: LocalIssuer, steps: Steps
) -> None:
    token = issuer.token()
    issuer.down = True
    answers = [me(trusting, token) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [503] * 4
    assert {answer.headers["retry-after"] for answer in answers} == {"5"}
    assert len(issuer.asked) == 1
    issuer.down = False
    assert me(trusting, token).status_code == 503
    steps.seconds += 5
    assert me(trusting, token).status_code == 200


def test_keys_are_sought_once_while_the_issuer_is_away_and_trusted_for_an_hour_at_most(
    trusting: World, issuer: LocalIssuer, steps: Steps
) -> None:
    token, rotated = issuer.token(), issuer.token(key=LocalIssuer.new_key())
    assert me(trusting, token).status_code == 200
    issuer.down = True
    asked = len(issuer.asked)
    steps.seconds = 601
    assert [me(trusting, token).status_code for _ in range(3)] == [200] * 3
    # Perhaps a new key, perhaps made up: nothing can be known of it now.
    assert [me(trusting, rotated).status_code for _ in range(3)] == [503] * 3
    assert len(issuer.asked) == asked + 1
    steps.seconds = 3600
    assert me(trusting, token).status_code == 503


def test_only_so_many_sign_ins_wait_for_the_issuer_at_once(trusting: World) -> None:
    exchanges = identity_of(trusting).issuer.exchanges
    for _ in range(EXCHANGES_AT_ONCE - 1):
        assert exchanges.acquire(blocking=False)
    assert [signed_in(trusting)[1].status_code for _ in range(2)] == [200, 200]
    assert exchanges.acquire(blocking=False)
    assert signed_in(trusting)[1].status_code == 503


def test_a_client_without_a_secret_signs_in_by_its_name_and_proof(
    trusting: World, issuer: LocalIssuer
) -> None:
    issuer.is_public = True
    set_identity(trusting, replace(identity_of(trusting), client_secret=None))
    assert signed_in(trusting)[1].status_code == 200


def test_an_id_token_that_came_with_another_access_token_is_refused(
    trusting: World, issuer: LocalIssuer
) -> None:
    issuer.at_hash = "of-another-access-token"
    assert signed_in(trusting)[1].status_code == 403


@pytest.mark.asyncio
async def test_being_alive_is_answered_while_every_worker_waits(world: World) -> None:
    workers = anyio.to_thread.current_default_thread_limiter()
    busy = [object() for _ in range(int(workers.available_tokens))]
    for one in busy:
        workers.acquire_on_behalf_of_nowait(one)
    try:
        transport = httpx2.ASGITransport(world.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://tenor.test") as client:
            with anyio.fail_after(20):
                assert (await client.get("/healthz")).json() == {"status": "alive"}
    finally:
        for one in busy:
            workers.release_on_behalf_of(one)
