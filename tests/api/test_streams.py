"""Open streams on a real server: they tell, keep alive, end when they must, and hold nothing."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

from service.api.context import AppContext, attach
from service.api.serve import RunningServer, serve
from service.api.slots import STREAMS_MAX, STREAMS_MAX_EACH, Pace
from service.store.states import Role
from tests.api.world import World, add_proposals, csrf_in, make_world

QUICK = Pace(look_seconds=0.02, heartbeat_seconds=0.05)
RARE = Pace(look_seconds=60, heartbeat_seconds=60)
PATIENCE_SECONDS = 30
MANY = STREAMS_MAX - 4
PEOPLE = STREAMS_MAX // STREAMS_MAX_EACH + 1
"""As many as it takes for so many streams."""


class Listener:
    """One open stream, read line by line."""

    def __init__(self, connection: http.client.HTTPConnection, path: str, **headers: str) -> None:
        connection.request("GET", path, headers={"Host": "tenor.test", **headers})
        self.answer = connection.getresponse()

    def until(self, wanted: str) -> str:
        """Read on to the first line that begins so."""
        while True:
            line = self.answer.readline().decode()
            assert line, f"the stream ended before {wanted!r}"
            if line.startswith(wanted):
                return line.strip()

    def rest(self) -> str:
        """Everything until the server ends it, properly: a cut connection raises."""
        return self.answer.read().decode()


@contextmanager
def listening(running: RunningServer, path: str, **headers: str) -> Iterator[Listener]:
    """Open ``path`` as a stream."""
    connection = http.client.HTTPConnection(urlsplit(running.url).netloc, timeout=PATIENCE_SECONDS)
    try:
        yield Listener(connection, path, **headers)
    finally:
        connection.close()


@contextmanager
def served(world: World, pace: Pace = QUICK) -> Iterator[RunningServer]:
    """The world behind a socket, its streams at ``pace``."""
    context: AppContext = world.app.state.tenor
    attach(world.app.state, replace(context, pace=pace))
    running = serve(world.app, "127.0.0.1", 0)
    try:
        yield running
    finally:
        running.stop()
        attach(world.app.state, context)


def signed_in(world: World, token: str) -> dict[str, str]:
    """The header of a browser that is signed in."""
    return {"Cookie": f"tenor_session={world.signed_in(token).cookies['tenor_session']}"}


def test_a_page_is_told_of_a_change_and_hears_that_the_line_is_alive(world: World) -> None:
    headers = signed_in(world, world.token(Role.VIEWER))
    with served(world) as running, listening(running, "/live", **headers) as page:
        assert page.answer.getheader("content-type", "").startswith("text/event-stream")
        assert page.until("data: ") == "data: 0"
        assert page.until(": ") == ": still here"
        add_proposals(world)
        assert page.until("data: ") == "data: 1"


def test_a_page_is_told_nothing_that_it_knows_and_at_once_what_it_missed(world: World) -> None:
    add_proposals(world)
    headers = signed_in(world, world.token(Role.VIEWER))
    with served(world) as running:
        with listening(running, "/live?since=1", **headers) as page:
            assert page.until(": ") == ": still here"
            add_proposals(world)  # and the one before is withdrawn
            assert page.until("data: ") == "data: 3"
        again = {**headers, "Last-Event-ID": "3"}
        with listening(running, "/live?since=1", **again) as page:
            assert page.until(": ") == ": still here"
        with listening(running, "/live?since=1", **headers) as page:
            assert page.until("data: ") == "data: 3"


def test_a_program_is_told_each_event_as_it_is_written(world: World) -> None:
    headers = {"Authorization": f"Bearer {world.token(Role.VIEWER)}"}
    path = "/v1/events/stream"
    with served(world) as running, listening(running, path, **headers) as program:
        assert program.until(": ") == ": the ledger stands at 0"
        assert program.until(": ") == ": still here"
        add_proposals(world)
        assert program.until("id: ") == "id: 1"
        assert program.until("event: ") == "event: proposal.recorded"


def test_strangers_are_told_nothing(world: World) -> None:
    with served(world) as running:
        with listening(running, "/live") as stranger:
            assert stranger.answer.status == 303
        with listening(running, "/v1/events/stream") as stranger:
            assert stranger.answer.status == 401


def test_signing_out_ends_a_pages_stream_and_a_kept_cookie_opens_no_other(world: World) -> None:
    client = world.signed_in(world.token(Role.VIEWER))
    headers = {"Cookie": f"tenor_session={client.cookies['tenor_session']}"}
    with served(world) as running, listening(running, "/live", **headers) as page:
        page.until("data: ")
        client.post("/logout", data={"csrf": csrf_in(client.get("/").text)})
        page.rest()
        with listening(running, "/live", **headers) as again:
            assert again.answer.status == 303


def test_revoking_a_token_ends_a_pages_stream(world: World) -> None:
    token, token_id = world.minted(Role.VIEWER)
    headers = signed_in(world, token)
    with served(world) as running, listening(running, "/live", **headers) as page:
        page.until("data: ")
        world.revoke(token_id)
        page.rest()


def test_a_revoked_token_ends_its_stream_however_much_there_is_to_tell(world: World) -> None:
    token, token_id = world.minted(Role.VIEWER)
    headers = {"Authorization": f"Bearer {token}"}
    at_every_look = replace(QUICK, heartbeat_seconds=0)
    path = "/v1/events/stream"
    with served(world, at_every_look) as running, listening(running, path, **headers) as program:
        program.until(": ")
        world.revoke(token_id)
        add_proposals(world, lines=250)
        assert program.rest().count("event: proposal.recorded") < 250


def test_streams_end_in_order_when_the_server_stops(world: World) -> None:
    headers = signed_in(world, world.token(Role.VIEWER))
    with served(world) as running, listening(running, "/live", **headers) as page:
        page.until("data: ")
        running.stop()
        page.rest()
        assert not running.is_alive


def test_a_pages_stream_ends_by_itself_after_its_time(world: World) -> None:
    headers = signed_in(world, world.token(Role.VIEWER))
    short = replace(QUICK, longest_seconds=0.1)
    with served(world, short) as running, listening(running, "/live", **headers) as page:
        assert "data: 0" in page.rest()


def test_listeners_who_wait_hold_no_connection_of_the_database(engine: Engine) -> None:
    world = make_world(engine)
    tokens = [world.token(Role.VIEWER, label=f"v{number}") for number in range(PEOPLE)]
    cookies = [signed_in(world, token) for token in tokens]
    bearers = [{"Authorization": f"Bearer {token}"} for token in tokens]
    slots = world.app.state.tenor.slots
    pool = engine.pool
    assert isinstance(pool, QueuePool)
    with served(world, RARE) as running:
        with ExitStack() as stack:
            for number in range(MANY):
                path = "/live" if number % 2 else "/v1/events/stream"
                headers = (cookies if number % 2 else bearers)[number % PEOPLE]
                one = stack.enter_context(listening(running, path, **headers))
                one.until("data: " if number % 2 else ": ")
            assert slots.free == STREAMS_MAX - MANY
            settled(lambda: pool.checkedout() == 0)
            with listening(running, "/v1/me", **bearers[0]) as other:
                assert other.answer.status == 200
        # Whoever goes away gives the place back at once, not at the next look.
        settled(lambda: slots.free == STREAMS_MAX)


def settled(is_so: Callable[[], bool]) -> None:
    """Wait until ``is_so()``, as long as the slowest machine needs."""
    for _ in range(PATIENCE_SECONDS * 50):
        if is_so():
            return
        time.sleep(0.02)
    pytest.fail("it did not come to rest")
