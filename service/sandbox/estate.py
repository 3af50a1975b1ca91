"""Several sandbox clouds on one clock, as one organisation uses them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Protocol

from service.domain.errors import InputError
from service.sandbox.accrual import Totals
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.world import AzureWorldOptions
from service.sandbox.clock import VirtualClock
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import FaultScript
from service.sandbox.gcp.cloud import GcpSandbox
from service.sandbox.gcp.world import GcpWorldOptions
from service.sandbox.wire.s3 import BUCKET
from service.sandbox.world import WorldOptions

PROVIDERS = ("aws", "azure", "gcp")
FIRST_INSTANT = WorldOptions().start
OTHERS_HISTORY_DAYS = 60
"""Enough for decisions; every day more is billing data that a demo reads before it begins."""


class Snapshot(Protocol):
    """What every cloud's snapshot tells."""

    @property
    def double_purchases(self) -> int:
        """Purchases beyond the first of any intent."""
        ...

    @property
    def commitments_active(self) -> int:
        """Commitments that discount usage now."""
        ...


class OneCloud(Protocol):
    """What every sandbox cloud can do."""

    @property
    def endpoint_url(self) -> str:
        """Where it answers."""
        ...

    def advance(self, hours: float) -> object:
        """Let time pass and what is due happen; 0 when another cloud has moved the clock."""
        ...

    def totals(self) -> Totals:
        """Its bill since the world began."""
        ...

    def snapshot(self) -> Snapshot:
        """Where holdings stand."""
        ...


@dataclass(frozen=True, slots=True)
class Estate:
    """Running sandbox clouds, by provider, and the account that buys in each."""

    clock: VirtualClock
    aws: SandboxCloud
    azure: AzureSandbox | None
    gcp: GcpSandbox | None

    @property
    def clouds(self) -> dict[str, OneCloud]:
        """Those that run, by provider."""
        found: dict[str, OneCloud | None] = {"aws": self.aws, "azure": self.azure, "gcp": self.gcp}
        return {name: one for name, one in found.items() if one is not None}

    @property
    def payers(self) -> dict[str, str]:
        """The account, subscription or project that buys in each."""
        payers = {"aws": str(self.aws.world.payer)}
        if self.azure is not None:
            payers["azure"] = self.azure.access().subscription_id
        if self.gcp is not None:
            payers["gcp"] = self.gcp.access().project
        return payers

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that point Tenor, and AWS's own tools, at all of them."""
        found = {
            **self.aws.server.environment(),
            "TENOR_AWS_ENDPOINT_URL": self.aws.endpoint_url,
            "TENOR_AWS_EXPORTS_S3": f"s3://{BUCKET}",
            "TENOR_AWS_PURCHASE_ACCOUNT": self.payers["aws"],
        }
        if self.azure is not None:
            found |= self.azure.environment()
        if self.gcp is not None:
            found |= self.gcp.environment()
        return found

    @property
    def faults(self) -> dict[str, FaultScript]:
        """Each cloud's own script of what goes wrong."""
        scripts = {"aws": self.aws.world.faults}
        if self.azure is not None:
            scripts["azure"] = self.azure.world.faults
        if self.gcp is not None:
            scripts["gcp"] = self.gcp.world.faults
        return scripts

    def advance(self, hours: float) -> None:
        """Let time pass in all of them at once, and billing data arrive."""
        self.aws.advance(hours)
        for name, cloud in self.clouds.items():
            if name != "aws":
                cloud.advance(0)

    def totals(self) -> Totals:
        """The bill of all of them together."""
        bills = [cloud.totals() for cloud in self.clouds.values()]
        return Totals(
            days=max(one.days for one in bills),
            on_demand_equivalent_usd=sum(
                (one.on_demand_equivalent_usd for one in bills), Decimal(0)
            ),
            on_demand_usd=sum((one.on_demand_usd for one in bills), Decimal(0)),
            commitment_usd=sum((one.commitment_usd for one in bills), Decimal(0)),
            used_usd=sum((one.used_usd for one in bills), Decimal(0)),
        )

    def double_purchases(self) -> int:
        """Purchases beyond the first of any intent, anywhere."""
        return sum(cloud.snapshot().double_purchases for cloud in self.clouds.values())

    def commitments_active(self) -> int:
        """Commitments that discount usage now, anywhere."""
        return sum(cloud.snapshot().commitments_active for cloud in self.clouds.values())


@contextmanager
def running(
    *,
    seed: int,
    history_days: int,
    folder: Path,
    providers: tuple[str, ...] = PROVIDERS,
    exports: Path | None = None,
    start: datetime | None = None,
    port: int = 0,
    azure_daily_exports: bool = False,
) -> Iterator[Estate]:
    """The clouds of ``providers``, AWS always among them, on one clock, until the end.

    AWS's exports arrive in ``exports`` (``folder/exports/aws`` unless given), Azure keeps its own
    in ``folder/container``, Google's are in its BigQuery. The clock begins at ``start``, if
    given; AWS listens on ``port``, any when 0, the others on any. ``azure_daily_exports``: a row a
    day in Azure's, as in the real ones, instead of an hour.

    Raises ``InputError`` for a provider that there is no sandbox of.
    """
    unknown = sorted(set(providers) - set(PROVIDERS))
    if unknown:
        raise InputError(
            f"there is no sandbox of {unknown[0]!r}",
            file="the command line",
            column="--clouds",
            remedy=f"Use any of {', '.join(PROVIDERS)}.",
        )
    with ExitStack() as stack:
        options = WorldOptions(seed=seed, history_days=history_days, start=start or FIRST_INSTANT)
        arriving = exports or folder / "exports" / "aws"
        aws = stack.enter_context(SandboxCloud.generated(options, exports=arriving, port=port))
        clock = aws.world.clock
        azure = gcp = None
        history_days = min(history_days, OTHERS_HISTORY_DAYS)
        if "azure" in providers:
            theirs = AzureWorldOptions(
                seed=seed,
                history_days=history_days,
                clock=clock,
                daily_exports=azure_daily_exports,
            )
            container = folder / "container"
            azure = stack.enter_context(AzureSandbox.generated(theirs, exports=container))
        if "gcp" in providers:
            ours = GcpWorldOptions(seed=seed, history_days=history_days, clock=clock)
            gcp = stack.enter_context(GcpSandbox.generated(ours))
        yield Estate(clock, aws, azure, gcp)
