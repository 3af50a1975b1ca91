"""What the status shows beside purchases: a day of usage, a report."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from sqlalchemy import insert

from service.domain.hours import HOUR
from service.store import records
from service.store.engine import writing
from service.store.usage_tables import usage_days
from tests.api.world import World


def add_usage(world: World, *, age: timedelta = timedelta(hours=50)) -> None:
    """The manifest of one day of usage whose last hour ended ``age`` ago."""
    end = (world.clock.now() - age).replace(minute=0, second=0, microsecond=0)
    with writing(world.engine) as connection:
        connection.execute(
            insert(usage_days).values(
                provider="aws",
                day=(end - HOUR).date(),
                file="aws/day.parquet",
                digest="e" * 64,
                rows=10,
                hours_present=1,
                hours_mask=1,
                first_hour=end - HOUR,
                last_hour=end - HOUR,
                seen_at=world.clock.now(),
                eligible_usd=Decimal(10),
                total_usd=Decimal(12),
                hour_weights={"weights": [None] * 24},
            )
        )


def add_report(world: World, *, subject: str = "all", realised_usd: Decimal = Decimal(90)) -> None:
    """A week's report of what was promised and realised."""
    end = world.clock.now().replace(minute=0, second=0, microsecond=0)
    with writing(world.engine) as connection:
        records.record_report(
            connection,
            records.ReportRow(
                report=f"r-{subject}",
                subject=subject,
                period_start=end - timedelta(days=7),
                period_end=end,
                promised_usd=Decimal(100),
                promised_low_usd=Decimal(80),
                promised_high_usd=Decimal(110),
                realised_usd=realised_usd,
                made_at=end,
                document={
                    "effective_savings_rate": "0.213",
                    "coverage_ratio": "0.7",
                    "utilization_ratio": "0.99",
                },
            ),
        )
