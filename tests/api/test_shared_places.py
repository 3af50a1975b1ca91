"""What all who use the service share: one of them does not take it from the others."""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI, Request

from service.api.access import proxies_in
from service.api.context import AppContext, address_of
from service.api.serve import serve
from service.api.slots import STREAMS_MAX, STREAMS_MAX_EACH, Slots
from service.domain.errors import InputError
from service.store.states import Role
from tests.api.world import World, csrf_in


def test_one_policy_is_tried_at_a_time(world: World) -> None:
    client = world.signed_in(world.token(Role.VIEWER))
    form = {"csrf": csrf_in(client.get("/policy").text), "text": "["}
    context: AppContext = world.app.state.tenor
    with context.trying:
        answer = client.post("/policy/try", data=form)
    assert answer.status_code == 429
    for text in ("[" * 20_000, "- " * 4_000):
        answer = client.post("/policy/try", data={**form, "text": text})
        assert answer.status_code == 200
        assert "nested more than" in answer.text


def test_one_person_has_a_few_listeners_and_leaves_the_others_theirs(world: World) -> None:
    slots: Slots = world.app.state.tenor.slots
    ada = world.token(Role.VIEWER, label="Ada")
    path = "/v1/events/stream?wait_seconds=0"
    taken = [slots.take("person Ada") for _ in range(STREAMS_MAX_EACH)]
    try:
        assert all(taken)
        for token in (ada, world.token(Role.VIEWER, label="Ada")):
            assert world.client(token).get(path).status_code == 429
        assert world.client(world.token(Role.VIEWER, label="Bo")).get(path).status_code == 200
        assert world.signed_in(ada).get("/live").status_code == 429
    finally:
        for _ in taken:
            slots.give_back("person Ada")
    assert world.client(ada).get(path).status_code == 200
    assert slots.free == STREAMS_MAX


def address_seen(trusted: Sequence[str]) -> str:
    """Which address the application sees of a request that says that it is forwarded."""
    app = FastAPI()

    @app.get("/")
    def seen(request: Request) -> str:
        return address_of(request)

    running = serve(app, "127.0.0.1", 0, trusted_proxies=trusted)
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=10)
    try:
        connection.request("GET", "/", headers={"X-Forwarded-For": "203.0.113.9"})
        return connection.getresponse().read().decode().strip('"')
    finally:
        connection.close()
        running.stop()


@pytest.mark.parametrize(
    ("trusted", "seen"),
    [((), "127.0.0.1"), (("127.0.0.1",), "203.0.113.9"), (("192.0.2.0/24",), "127.0.0.1")],
)
def test_only_a_proxy_that_is_named_says_whom_it_speaks_for(
    trusted: tuple[str, ...], seen: str
) -> None:
    assert address_seen(trusted) == seen


def test_proxies_are_addresses_and_never_everybody() -> None:
    assert proxies_in(" 127.0.0.1, 10.0.0.0/24,") == ("127.0.0.1", "10.0.0.0/24")
    for wrong in ("*", "proxy.example.com", "10.0.0.1/24"):
        with pytest.raises(InputError, match="TENOR_TRUSTED_PROXIES"):
            proxies_in(wrong)
