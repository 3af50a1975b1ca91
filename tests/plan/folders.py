"""Writes a dataset as the folder that the commands read."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from service.domain.hours import iso
from service.domain.usage import Dataset

OFFER_COLUMNS = (
    "offer,provider,kind,term_months,payment,region,family,platform,tenancy,zone,"
    "size_flexible,sku,rate_usd,upfront_usd,min_quantity,step"
)


def write_folder(dataset: Dataset, folder: Path) -> Path:
    """``dataset`` as CSV tables in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    hours = dataset.usage.hours
    _table(
        folder / "usage.csv",
        "hour,provider,account,region,zone,sku,quantity",
        (
            (iso(hours.hour(hour)), *line[:5], format(dataset.usage.quantity[hour, place], "f"))
            for hour in range(hours.count)
            for place, line in enumerate(dataset.usage.lines)
        ),
    )
    _table(
        folder / "skus.csv",
        "provider,region,sku,service,family,size_units,platform,tenancy,unit,on_demand_usd,list_usd",
        (
            (*one.key, one.service, one.family, one.size_units, one.platform, one.tenancy,
             one.unit, one.on_demand_usd, one.list_usd)
            for one in dataset.skus.values()
        ),
    )  # fmt: skip
    _table(
        folder / "offers.csv",
        OFFER_COLUMNS,
        (
            (one.offering, one.provider, one.kind, one.term_months, one.payment, one.region,
             one.family, one.platform, one.tenancy, one.zone,
             "" if one.kind.is_spend else str(one.size_flexible).lower(),
             sku, rate, one.upfront_usd, one.min_quantity, one.step)
            for one in dataset.offerings.values()
            for sku, rate in one.rates_usd.items()
        ),
    )  # fmt: skip
    _table(
        folder / "holdings.csv",
        "commitment,offer,account,scope,zone,quantity,start,end,state",
        (
            (one.commitment, one.offering, one.account,
             "shared" if one.scope is None else ",".join(sorted(one.scope)),
             one.zone, one.quantity, iso(one.start), iso(one.end), one.state)
            for one in dataset.commitments
        ),
    )  # fmt: skip
    return folder


def _table(path: Path, header: str, rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header.split(","))
        writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
