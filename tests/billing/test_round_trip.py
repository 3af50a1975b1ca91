"""A random dataset written to files and read again is the same dataset: it has the same bill."""

from __future__ import annotations

import csv
import io
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from hypothesis import HealthCheck, given, settings

from service.billing.bill import bill
from service.domain.hours import iso
from service.domain.usage import Dataset
from service.usage.dataset import load_dataset
from tests.billing.dataset_files import TABLES, write, write_parquet
from tests.billing.markets import datasets


def as_text(name: str, rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(TABLES[name].splitlines()[0].split(","))
    writer.writerows([["" if cell is None else cell for cell in row] for row in rows])
    return out.getvalue()


def tables(dataset: Dataset) -> dict[str, str]:
    """The dataset as the CSV text of its four tables."""
    usage, offers = dataset.usage, dataset.offerings.values()
    return {
        "usage": as_text(
            "usage",
            [
                (iso(usage.hours.hour(hour)), line.provider, line.account, line.region, line.zone,
                 line.sku, repr(float(usage.quantity[hour, place])), None, None)
                for hour in range(usage.hours.count)
                for place, line in enumerate(usage.lines)
            ],
        ),
        "skus": as_text(
            "skus",
            [
                (*key, one.service, one.family, one.size_units, one.platform, one.tenancy,
                 one.unit, one.on_demand_usd, one.list_usd)
                for key, one in dataset.skus.items()
            ],
        ),
        "offers": as_text(
            "offers",
            [
                (one.offering, one.provider, one.kind, one.term_months, one.payment, one.region,
                 one.family, one.platform, one.tenancy, one.zone,
                 None if one.kind.is_spend else str(one.size_flexible).lower(), sku, rate,
                 one.upfront_usd, one.min_quantity, one.step)
                for one in offers
                for sku, rate in one.rates_usd.items()
            ],
        ),
        "holdings": as_text(
            "holdings",
            [
                (one.commitment, one.offering, one.account,
                 "shared" if one.scope is None else ",".join(sorted(one.scope)), one.zone,
                 one.quantity, iso(one.start), iso(one.end), one.state)
                for one in dataset.commitments
            ],
        ),
    }  # fmt: skip


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(datasets())
def test_what_is_written_and_read_again_has_the_same_bill(dataset: Dataset) -> None:
    before = bill(dataset)
    with tempfile.TemporaryDirectory() as folder:
        text = tables(dataset)
        forms = [write(Path(folder) / "csv", text)]
        if dataset.commitments:
            forms.append(write_parquet(Path(folder) / "parquet", text))
        for form in forms:
            after = bill(load_dataset(form))
            assert after.total_usd == before.total_usd
            assert after.commitments == before.commitments
            assert after.by_sku == before.by_sku
