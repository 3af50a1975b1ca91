"""The listener of every sandbox cloud: bound to loopback, and to nothing else.

Decides how a request is read off the connection and how an answer, or none, is put on it. What a
request means is each cloud's own. The address is 127.0.0.1 in the code, not a setting.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self

from service.domain.errors import InvariantError

LOOPBACK = "127.0.0.1"
_BODY_BYTES_MAX = 1_000_000
_TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class Asked:
    """The parts of an HTTP request. ``path`` is as sent; header names are in lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back. ``Content-Length`` is the body's unless ``headers`` say otherwise."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Silence:
    """No answer at all: hold the connection so long, then close it."""

    hold_seconds: float


class LoopbackServer(ABC):
    """Answers on loopback. Use as a context manager, or ``start`` and ``close``.

    ``calls`` counts requests by operation.
    """

    def __init__(self, *, name: str, port: int = 0) -> None:
        self.calls: Counter[str] = Counter()
        self._closing = threading.Event()
        self._http = _Http((LOOPBACK, port), _RequestHandler)
        self._http.sandbox = self
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(0.05,), name=name, daemon=True
        )

    @abstractmethod
    def respond(self, asked: Asked) -> Answer | Silence:
        """Do what one request asks, with whatever fault strikes it."""

    def start(self) -> Self:
        """Begin to answer; returns at once, connections are accepted from now on."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop answering and free the port; waits for the listener only."""
        self._closing.set()
        if self._thread.is_alive():
            self._http.shutdown()
            self._thread.join()
        self._http.server_close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port that was bound."""
        return int(self._http.server_address[1])

    @property
    def endpoint_url(self) -> str:
        """What to give an SDK as the address of its service."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def is_closing(self) -> bool:
        """``close`` was called."""
        return self._closing.is_set()

    def wait_closing(self, seconds: float) -> None:
        """Sleep, but not beyond the server's end."""
        self._closing.wait(seconds)


class _Http(ThreadingHTTPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64
    sandbox: LoopbackServer | None = None


class _RequestHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "sandbox"
    sys_version = ""
    disable_nagle_algorithm = True
    # An answer is one write: headers and body in one segment, so nothing waits for an ACK.
    wbufsize = -1

    def do_GET(self) -> None:
        """Answer one request."""
        self._serve()

    # The names that the base calls.
    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815

    def _serve(self) -> None:
        sandbox = self._sandbox()
        length = self.headers.get("Content-Length") or "0"
        if not length.isdigit() or int(length) > _BODY_BYTES_MAX:
            self.close_connection = True
            self._send(Answer(_TOO_LARGE, {"Content-Type": "application/json"}, b"{}"))
            return
        path, _, query = self.path.partition("?")
        asked = Asked(
            method=self.command,
            path=path,
            query=query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self.rfile.read(int(length)),
        )
        # A connection kept alive from before must not outlive the server.
        answer = Silence(0) if sandbox.is_closing else sandbox.respond(asked)
        if isinstance(answer, Silence):
            sandbox.wait_closing(answer.hold_seconds)
            self.close_connection = True
            return
        self._send(answer)

    def _sandbox(self) -> LoopbackServer:
        server = self.server
        if not isinstance(server, _Http) or server.sandbox is None:
            msg = "the sandbox's listener has no sandbox"
            raise InvariantError(msg)
        return server.sandbox

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base's name
        """Say nothing: the caller's own log tells of its calls."""
