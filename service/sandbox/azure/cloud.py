"""A whole sandbox Azure in one handle: a world, its server on loopback, and its cost exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from service.providers.azure.access import AzureAccess
from service.providers.azure.clients import AzureClients
from service.sandbox.accrual import Totals
from service.sandbox.azure.access import sandbox_access
from service.sandbox.azure.exports import AzureExportWriter
from service.sandbox.azure.server import AzureServer
from service.sandbox.azure.wire import blobs
from service.sandbox.azure.world import AzureSnapshot, AzureWorld, AzureWorldOptions


class AzureSandbox:
    """A running sandbox. Use as a context manager; time stands still between ``advance`` calls.

    ``exports``: the folder that stands for the blob container of cost exports, or ``None`` for
    none.
    """

    def __init__(self, world: AzureWorld, *, exports: Path | None = None, port: int = 0) -> None:
        self.world = world
        self.server = AzureServer(world, port=port)
        self._exports = None if exports is None else AzureExportWriter(world, exports)
        if exports is not None:
            self.server.add_routes(blobs.routes(exports))
        self._clients: AzureClients | None = None

    @classmethod
    def generated(
        cls,
        options: AzureWorldOptions | None = None,
        *,
        exports: Path | None = None,
        port: int = 0,
    ) -> Self:
        """A sandbox on a world drawn from a seed."""
        return cls(AzureWorld.generated(options), exports=exports, port=port)

    def start(self) -> Self:
        """Answer on loopback, with the billing data that is due already written."""
        with ExitStack() as unless_it_starts:  # the port is bound already
            unless_it_starts.callback(self.close)
            self.write_exports()
            self.server.start()
            unless_it_starts.pop_all()
        return self

    def close(self) -> None:
        """Stop answering."""
        if self._clients is not None:
            self._clients.close()
        self.server.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def endpoint_url(self) -> str:
        """What to give the SDKs as their base URL."""
        return self.server.endpoint_url

    def access(self) -> AzureAccess:
        """Token and address of the paying subscription."""
        return sandbox_access(self.endpoint_url)

    def environment(self) -> Mapping[str, str]:
        """Environment variables that point Tenor here."""
        found = {"TENOR_AZURE_ENDPOINT_URL": self.endpoint_url}
        if self.world.options.daily_exports:
            found["TENOR_AZURE_DAILY_ROWS"] = "shape"
        return found

    def clients(self) -> AzureClients:
        """SDK clients for the adapter; the same ones every time."""
        if self._clients is None:
            self._clients = AzureClients(self.access(), sleep=lambda _: None)
        return self._clients

    def advance(self, hours: float) -> Sequence[Path]:
        """Let time pass and billing data arrive; the export files that are new or changed."""
        self.world.advance(hours)
        return self.write_exports()

    def write_exports(self) -> Sequence[Path]:
        """Write billing data that is due; the files that are new or changed."""
        return () if self._exports is None else self._exports.write_due()

    def totals(self) -> Totals:
        """The bill since the world began: every whole day from its start until now."""
        world = self.world
        world.settle()
        return world.accrual.totals(world.options.start, world.now())

    def snapshot(self) -> AzureSnapshot:
        """Where holdings stand."""
        return self.world.snapshot()
