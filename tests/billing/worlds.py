"""Small datasets in a few words, for tests of bills."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np

from service.domain.commitments import Commitment, CommitmentState, Kind, Offering, Payment
from service.domain.hours import HourRange
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.domain.usage import Dataset, Sku, SkuKey, Usage, UsageLine

START = datetime(2026, 3, 1, tzinfo=UTC)
FOREVER_HOURS = 30_000


def sku(
    name: str,
    on_demand_usd: str,
    *,
    provider: str = "aws",
    region: str = "us-east-1",
    service: str = "ec2",
    family: str | None = None,
    size: str | None = None,
    platform: str | None = "linux",
    tenancy: str | None = "shared",
    unit: str = "Hrs",
    list_usd: str | None = None,
) -> Sku:
    """One price."""
    return Sku(
        key=SkuKey(provider, region, name),
        service=service,
        family=family,
        size_units=None if size is None else Decimal(size),
        platform=platform,
        tenancy=tenancy,
        unit=unit,
        on_demand_usd=Decimal(on_demand_usd),
        list_usd=Decimal(list_usd or on_demand_usd),
    )


def used(
    name: str,
    *quantity: float,
    account: str = "A",
    zone: str = "",
    provider: str = "aws",
    region: str = "us-east-1",
    group: str = "",
    level: bool = False,
) -> tuple[UsageLine, tuple[float, ...]]:
    """Usage of one line, hour by hour."""
    return UsageLine(provider, AccountId(account), region, zone, name, group, level), quantity


def offer(
    name: str,
    kind: Kind,
    rates: Mapping[str, str],
    *,
    term_months: int = 12,
    region: str | None = None,
    family: str | None = None,
    platform: str | None = None,
    tenancy: str | None = None,
    zone: str | None = None,
    flexible: bool = False,
    payment: Payment = Payment.NO_UPFRONT,
) -> Offering:
    """One offering; rates are dollars."""
    return Offering(
        offering=OfferingId(name),
        provider=kind.split("_", maxsplit=1)[0],
        kind=kind,
        term_months=term_months,
        payment=payment,
        region=region,
        family=family,
        platform=platform,
        tenancy=tenancy,
        zone=zone,
        size_flexible=flexible,
        rates_usd={sku_name: Decimal(rate) for sku_name, rate in rates.items()},
        upfront_usd=Decimal(0),
        min_quantity=Decimal(0),
        step=Decimal(0),
    )


def held(
    name: str,
    offering: str,
    quantity: str,
    *,
    account: str = "A",
    scope: Sequence[str] | None = None,
    zone: str | None = None,
    first_hour: int = 0,
    last_hour: int = FOREVER_HOURS,
    state: CommitmentState = CommitmentState.ACTIVE,
) -> Commitment:
    """One commitment, from ``first_hour`` up to ``last_hour`` of the dataset."""
    return Commitment(
        commitment=CommitmentId(name),
        offering=OfferingId(offering),
        account=AccountId(account),
        scope=None if scope is None else frozenset(AccountId(one) for one in scope),
        zone=zone,
        quantity=Decimal(quantity),
        start=START + timedelta(hours=first_hour),
        end=START + timedelta(hours=last_hour),
        state=state,
    )


def world(
    skus: Sequence[Sku],
    usage: Sequence[tuple[UsageLine, Sequence[float]]],
    offers: Sequence[Offering] = (),
    holdings: Sequence[Commitment] = (),
    start: datetime = START,
) -> Dataset:
    """A dataset; all lines must have the same number of hours."""
    lines = tuple(line for line, _ in usage)
    quantity = np.array([amounts for _, amounts in usage], dtype=np.float64).T
    return Dataset(
        usage=Usage(HourRange(start, len(quantity)), lines, np.ascontiguousarray(quantity)),
        skus={one.key: one for one in skus},
        offerings={one.offering: one for one in offers},
        commitments=tuple(holdings),
    )
