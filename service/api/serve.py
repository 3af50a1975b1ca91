"""Runs an application in a thread of this process, until told to stop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI

from service.api.slots import ending_with
from service.domain.errors import InputError, TenorError

START_ATTEMPTS = 750
START_ATTEMPT_SECONDS = 0.02
STOP_SECONDS = 8.0


class RunningServer:
    """A server that answers at ``url`` until ``stop`` is called."""

    def __init__(
        self, server: uvicorn.Server, thread: threading.Thread, url: str, stopping: threading.Event
    ) -> None:
        self._server = server
        self._stopping = stopping
        self._thread = thread
        self.url = url

    @property
    def is_alive(self) -> bool:
        """False once the server has ended, on request or by itself."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Let running requests end (at most a few seconds), then close. Safe to call twice.

        Open streams end at their next look.
        """
        self._stopping.set()
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS)
        if self._thread.is_alive():
            self._server.force_exit = True
            self._thread.join(STOP_SECONDS)


def serve(
    app: FastAPI, host: str, port: int, *, trusted_proxies: Sequence[str] = ()
) -> RunningServer:
    """Serve ``app`` on ``host``:``port`` in a thread; port 0 takes a free one.

    Only to ``trusted_proxies`` is it left to say from which address and by which scheme a request
    came: whoever else could, would have as many addresses as they make up.
    Returns when it answers. Raises ``InputError`` when the address cannot be had: the socket is
    bound here, in the caller's thread, so that the failure is the caller's too.
    """
    listening = _bind(host, port)
    stopping = threading.Event()
    server = uvicorn.Server(
        uvicorn.Config(
            ending_with(app, stopping.is_set),
            # Our own edge logs each request; uvicorn's loggers keep to the process's set-up.
            log_config=None,
            access_log=False,
            lifespan="off",
            server_header=False,
            proxy_headers=bool(trusted_proxies),
            forwarded_allow_ips=list(trusted_proxies),
            timeout_graceful_shutdown=5,
            timeout_keep_alive=5,
        )
    )
    thread = threading.Thread(target=_run, args=(server, listening), name="tenor-api", daemon=True)
    thread.start()
    for _ in range(START_ATTEMPTS):
        if server.started or not thread.is_alive():
            break
        thread.join(START_ATTEMPT_SECONDS)
    if not server.started:
        server.should_exit = True
        msg = f"the API did not start on {host}:{port}"
        raise TenorError(msg)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listening.getsockname()[1]}"
    return RunningServer(server, thread, url, stopping)


def _run(server: uvicorn.Server, listening: socket.socket) -> None:
    with listening:
        server.run(sockets=[listening])


def _bind(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise InputError(
            f"cannot listen there: {error}",
            file=f"{host}:{port}",
            remedy="Choose a free port (0 picks one) and an address of this machine.",
        ) from error
    return listening
