import http.client
import threading
import time
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI

from service.api.serve import serve
from service.domain.errors import InputError
from tests.api.world import World


def get(url: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_the_server_answers_as_soon_as_it_is_handed_over_and_stops_when_told(world: World) -> None:
    running = serve(world.app, "127.0.0.1", 0)
    try:
        assert running.url.startswith("http://127.0.0.1:")
        assert get(running.url, "/healthz") == (200, b'{"status":"alive"}')
    finally:
        running.stop()
    assert not running.is_alive
    with pytest.raises(ConnectionError):
        get(running.url, "/healthz")
    running.stop()


def test_stopping_lets_a_running_request_end() -> None:
    app = FastAPI()
    begun = threading.Event()

    @app.get("/slow")
    def slow() -> str:
        begun.set()
        time.sleep(0.3)
        return "done"

    running = serve(app, "127.0.0.1", 0)
    answers: list[tuple[int, bytes]] = []
    asking = threading.Thread(target=lambda: answers.append(get(running.url, "/slow")))
    asking.start()
    assert begun.wait(5)
    running.stop()
    asking.join(5)
    assert answers == [(200, b'"done"')]


def test_a_port_that_is_taken_is_an_error_of_the_caller(world: World) -> None:
    running = serve(world.app, "127.0.0.1", 0)
    port = urlsplit(running.url).port
    assert port is not None
    try:
        with pytest.raises(InputError, match=f"127.0.0.1:{port}"):
            serve(world.app, "127.0.0.1", port)
    finally:
        running.stop()


def test_an_address_of_another_machine_is_an_error_of_the_caller(world: World) -> None:
    with pytest.raises(InputError, match="cannot listen"):
        serve(world.app, "192.0.2.1", 0)
