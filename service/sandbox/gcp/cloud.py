"""A whole sandbox Google Cloud in one handle: a world, its server on loopback, its exports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from service.providers.gcp.clients import GcpAccess, GcpClients
from service.sandbox.accrual import Totals
from service.sandbox.clock import VirtualClock
from service.sandbox.gcp.access import sandbox_access
from service.sandbox.gcp.export_days import ExportDays, ExportWriter
from service.sandbox.gcp.server import GcpServer
from service.sandbox.gcp.world import GcpSnapshot, GcpWorld, GcpWorldOptions


class GcpSandbox:
    """A running sandbox. Use as a context manager; time stands still between ``advance`` calls.

    ``exports``: the folder that a copy of the billing export is written into, ``None`` for none;
    over the wire it is there always.
    """

    def __init__(self, world: GcpWorld, *, exports: Path | None = None, port: int = 0) -> None:
        self.world = world
        self.server = GcpServer(world, port=port)
        days = ExportDays(world)
        world.export_table = days.table
        self._exports = None if exports is None else ExportWriter(days, exports)
        self._clients: GcpClients | None = None

    @classmethod
    def generated(
        cls,
        options: GcpWorldOptions | None = None,
        *,
        exports: Path | None = None,
        port: int = 0,
    ) -> Self:
        """A sandbox on a world drawn from a seed."""
        return cls(GcpWorld.generated(options), exports=exports, port=port)

    def start(self) -> Self:
        """Answer on loopback, with the billing data that is due already written."""
        with ExitStack() as unless_it_starts:  # the port is bound already
            unless_it_starts.callback(self.close)
            self.write_exports()
            self.server.start()
            unless_it_starts.pop_all()
        return self

    def close(self) -> None:
        """Stop answering, and close the clients that were made here."""
        if self._clients is not None:
            self._clients.close()
        self.server.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def clock(self) -> VirtualClock:
        """The world's time, which other clouds may share."""
        return self.world.clock

    @property
    def endpoint_url(self) -> str:
        """What to give Google's SDKs as ``api_endpoint``."""
        return self.server.endpoint_url

    def environment(self) -> Mapping[str, str]:
        """Environment variables that point Tenor here."""
        return {"TENOR_GCP_ENDPOINT_URL": self.endpoint_url}

    def access(self, *, purchase_timeout_seconds: float = 60.0) -> GcpAccess:
        """Address of the sandbox, for the project that buys; it takes no credentials."""
        return sandbox_access(
            self.endpoint_url,
            shared=self.world.options.shared,
            purchase_timeout_seconds=purchase_timeout_seconds,
        )

    def clients(self) -> GcpClients:
        """SDK clients for the adapter; the same ones every time."""
        if self._clients is None:
            self._clients = GcpClients(self.access())
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
        first = world.started_at.replace(hour=0, minute=0, second=0, microsecond=0)
        return world.bills.totals(first, world.now())

    def snapshot(self) -> GcpSnapshot:
        """Where holdings stand."""
        return self.world.snapshot()
