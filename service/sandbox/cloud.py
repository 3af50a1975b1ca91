"""A whole sandbox in one handle: a world, its server on loopback, and its billing exports."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from service.providers.aws.clients import AwsAccess, AwsClients
from service.sandbox.access import sandbox_access
from service.sandbox.accrual import Totals
from service.sandbox.exports import ExportWriter
from service.sandbox.server import SandboxServer
from service.sandbox.world import World, WorldOptions, WorldSnapshot


class SandboxCloud:
    """A running sandbox. Use as a context manager; time stands still between ``advance`` calls.

    ``exports``: the folder that billing data is written into, or ``None`` for none.
    """

    def __init__(self, world: World, *, exports: Path | None = None, port: int = 0) -> None:
        self.world = world
        self.server = SandboxServer(world, port=port)
        self._exports = None if exports is None else ExportWriter(world, exports)
        world.exports_folder = exports
        self._clients: AwsClients | None = None

    @classmethod
    def generated(
        cls,
        options: WorldOptions | None = None,
        *,
        exports: Path | None = None,
        port: int = 0,
    ) -> Self:
        """A sandbox on a world drawn from a seed."""
        return cls(World.generated(options), exports=exports, port=port)

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
    def endpoint_url(self) -> str:
        """What to give boto3 as ``endpoint_url``."""
        return self.server.endpoint_url

    def access(self, *, account: str | None = None) -> AwsAccess:
        """Credentials and address of the payer, or of its role in another account."""
        return sandbox_access(
            self.endpoint_url, account=account, external_id=self.world.options.external_id
        )

    def clients(self) -> AwsClients:
        """boto3 clients for the adapter, speaking for the payer; the same ones every time."""
        if self._clients is None:
            self._clients = AwsClients(self.access())
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
        return world.accrual.totals(world.options.start, world.now())

    def snapshot(self) -> WorldSnapshot:
        """Where holdings stand."""
        return self.world.snapshot()
