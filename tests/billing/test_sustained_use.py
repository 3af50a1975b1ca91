"""Google's sustained use discount, by the figures of its own page and by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.billing.bill import bill
from service.billing.exact import written
from service.billing.sustained_use import discounted_units, months, rules, sustained_use_usd
from service.cli import main
from service.domain.commitments import Commitment, Kind, Offering
from service.domain.hours import HOUR, HourRange
from service.domain.usage import Dataset, Sku, UsageLine
from tests.billing.dataset_files import TABLES, write
from tests.billing.worlds import held, offer, sku, used, world

JUNE = datetime(2026, 6, 1, 7, tzinfo=UTC)  # midnight in Los Angeles
JUNE_HOURS = 720
N1 = "n1-standard-1", "n1", "0.0475"
C2 = "c2-standard-4", "c2", "0.2088"


def price(name: str, series: str, usd: str, unit: str = "vCPU-Hours") -> Sku:
    return sku(
        name, usd, provider="gcp", service="compute", family=series, size="1", platform=None,
        tenancy=None, unit=unit,
    )  # fmt: skip


def june(
    prices: Sequence[Sku],
    usage: Sequence[tuple[UsageLine, Sequence[float]]],
    offers: Sequence[Offering] = (),
    holdings: Sequence[Commitment] = (),
) -> Dataset:
    return world(prices, usage, offers, holdings, start=JUNE)


def steady(name: str, *spans: tuple[int, float], account: str = "A", zone: str = "a") -> (
    tuple[UsageLine, Sequence[float]]
):  # fmt: skip
    """Usage as (hours, quantity) one after another, then nothing to the end of June."""
    hours = [quantity for count, quantity in spans for _ in range(count)]
    return used(
        name, *hours, *[0.0] * (JUNE_HOURS - len(hours)), provider="gcp", account=account, zone=zone
    )


@pytest.mark.parametrize(
    ("machine", "quarter", "usd_per_hour"),
    [
        (N1, 0, "0.0475"), (N1, 1, "0.0380"), (N1, 2, "0.0285"), (N1, 3, "0.0190"),
        (C2, 0, "0.2088"), (C2, 1, "0.1811"), (C2, 2, "0.1530"), (C2, 3, "0.1252"),
    ],
)  # fmt: skip
def test_each_quarter_of_a_month_is_charged_at_the_rate_of_the_page(
    machine: tuple[str, str, str], quarter: int, usd_per_hour: str
) -> None:
    """Compute Engine, "Sustained use discounts": incremental rates of n1-standard-1 and of C2.

    The page cuts the rates off at four decimals or rounds them.
    """

    def charged(hours: int) -> Decimal:
        dataset = june([price(*machine)], [steady(machine[0], (hours, 1))])
        return bill(dataset).on_demand_usd - sustained_use_usd(dataset)

    one = (charged(180 * (quarter + 1)) - charged(180 * quarter)) / 180
    assert abs(one - Decimal(usd_per_hour)) < Decimal("0.0001")


@pytest.mark.parametrize(
    ("series", "month_share", "net_discount"),
    [
        ("n1", "0.25", "0"), ("n1", "0.5", "0.1"), ("n1", "0.75", "0.2"), ("n1", "1", "0.3"),
        ("m1", "1", "0.3"), ("N2", "1", "0.1998"), ("n2d", "1", "0.1998"), ("c2", "1", "0.1998"),
        ("e2", "1", "0"), ("n4", "1", "0"), ("c3", "1", "0"), ("t2d", "1", "0"),
    ],
)  # fmt: skip
def test_the_net_discount_grows_with_the_share_of_the_month(
    series: str, month_share: str, net_discount: str
) -> None:
    """The same page: 10 % at half a month, 20 % at three quarters, 30 % (N2: 20 %) at all of it."""
    hours = int(JUNE_HOURS * Decimal(month_share))
    dataset = june([price("core", series, "1")], [steady("core", (hours, 4))])
    assert sustained_use_usd(dataset) == 4 * hours * Decimal(net_discount)


def test_a_larger_machine_in_the_second_half_counts_as_a_layer_of_half_a_month() -> None:
    """Resource-based pricing: half a month of n1-standard-4, then half a month of n1-standard-8.

    That is 4 vCPUs for the whole month (30 %) and 4 more for half of it (10 %); memory likewise.
    """
    dataset = june(
        [price("core", "n1", "0.03"), price("ram", "n1", "0.004", unit="GB-Hours")],
        [
            steady("core", (360, 4), zone="a"),
            steady("core", (360, 0), (360, 8), zone="b"),
            steady("ram", (360, 15), (360, 30)),
        ],
    )
    cores = Decimal("0.03") * (4 * 720 * Decimal("0.3") + 4 * 360 * Decimal("0.1"))
    memory = Decimal("0.004") * (15 * 720 * Decimal("0.3") + 15 * 360 * Decimal("0.1"))
    assert sustained_use_usd(dataset) == cores + memory


def test_only_what_commitments_leave_is_discounted() -> None:
    """The same page, limitations: not on usage that committed use discounts cover."""
    prices = [price("core", "n1", "1")]
    usage = [steady("core", (JUNE_HOURS, 10))]
    cud = offer("cud", Kind.GCP_RESOURCE_CUD, {"core": "0.6"}, region="us-east-1", family="n1",
                flexible=True)  # fmt: skip
    flex = offer("flex", Kind.GCP_FLEXIBLE_CUD, {"core": "0.72"})
    assert sustained_use_usd(june(prices, usage)) == 720 * 10 * Decimal("0.3")
    for owned, left in ((("cud", "4"),), 6), ((("cud", "4"), ("flex", "1.44")), 4):
        holdings = [held(name, name, quantity) for name, quantity in owned]
        dataset = june(prices, usage, [cud, flex], holdings)
        assert sustained_use_usd(dataset) == 720 * left * Decimal("0.3")


def test_a_commitment_takes_away_from_the_months_of_its_term_only() -> None:
    hours = [10.0] * (JUNE_HOURS + 744)
    cud = offer("cud", Kind.GCP_FLEXIBLE_CUD, {"core": "0.72"})
    july = replace(held("july", "cud", "2.88"), start=JUNE + JUNE_HOURS * HOUR)
    dataset = world(
        [price("core", "n1", "1")], [used("core", *hours, provider="gcp")], [cud], [july], JUNE
    )
    assert sustained_use_usd(dataset) == (720 * 10 + 744 * 6) * Decimal("0.3")


def test_a_rule_holds_in_the_months_between_its_dates() -> None:
    tiers = replace(rules().tiers[0], start=date(2026, 2, 1), end=date(2026, 4, 1))
    core = price("core", "n1", "1")
    held_in = [month for month in range(1, 6) if tiers.holds(core, date(2026, month, 1))]
    assert held_in == [2, 3]


def test_projects_are_counted_apart_unless_the_billing_account_is_pooled() -> None:
    dataset = june(
        [price("core", "n1", "1")],
        [
            steady("core", (360, 1), account="one"),
            steady("core", (360, 0), (360, 1), account="two"),
        ],
    )
    assert sustained_use_usd(dataset) == 2 * 360 * Decimal("0.1")
    assert sustained_use_usd(dataset, pooled=True) == 720 * Decimal("0.3")


def test_other_services_and_units_have_no_such_discount() -> None:
    gpus = price("gpu", "n1", "1", unit="GPU-Hours")
    disks = sku("disk", "1", provider="gcp", service="storage", family="n1", unit="GB-Hours")
    dataset = june([gpus, disks], [steady("gpu", (720, 1)), steady("disk", (720, 1))])
    assert sustained_use_usd(dataset) == 0


def test_months_are_those_of_pacific_time_with_its_clock_changes() -> None:
    year = HourRange(datetime(2026, 1, 1, tzinfo=UTC), 8_760)
    found = list(months(year))
    assert [one.first for one in found][:2] == [date(2025, 12, 1), date(2026, 1, 1)]
    assert len(found) == 13
    by_month = {one.first: one.hours for one in found}
    assert by_month[date(2026, 6, 1)] == HourRange(JUNE, JUNE_HOURS)
    assert by_month[date(2026, 3, 1)].count == 743
    assert by_month[date(2026, 11, 1)].count == 721
    for one, other in pairwise(found):
        assert one.hours.end == other.hours.start


def test_the_discount_starts_anew_with_each_month() -> None:
    hours = [1.0] * (JUNE_HOURS + 744)
    prices = [price("core", "n1", "1")]
    both = world(prices, [used("core", *hours, provider="gcp")], start=JUNE)
    assert sustained_use_usd(both) == (720 + 744) * Decimal("0.3")
    late = world(prices, [used("core", *hours[:720], provider="gcp")], start=JUNE + 360 * HOUR)
    assert sustained_use_usd(late) == (180 + 360 - 186) * Decimal("0.2")


@given(st.lists(st.integers(0, 9), min_size=1, max_size=30), st.integers(0, 30))
def test_the_credit_is_that_of_the_layers_one_by_one(used_units: list[int], unused: int) -> None:
    ratios = rules().tiers[0].charged_ratio
    month_hours = len(used_units) + unused
    by_layer = sum(
        (
            _layer(sum(quantity > level for quantity in used_units), month_hours)
            for level in range(max(used_units))
        ),
        Decimal(0),
    )
    rows = written(np.array([used_units, used_units[::-1]], dtype=float))
    found, same = discounted_units(rows, month_hours, ratios)
    assert found == same
    assert abs(float(found) - float(by_layer)) < 1e-9


def _layer(hours: int, month_hours: int) -> Decimal:
    """What one unit that ran for so many hours is let off, quarter by quarter."""
    quarter = Decimal(month_hours) / 4
    return sum(
        (
            off * min(max(hours - index * quarter, Decimal(0)), quarter)
            for index, off in enumerate(map(Decimal, ("0", "0.2", "0.4", "0.6")))
        ),
        Decimal(0),
    )


def test_the_command_adds_two_keys_and_changes_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(
        f"{stamp.isoformat().replace('+00:00', 'Z')},gcp,{project},us-central1,,core,1,,\n"
        for index in range(JUNE_HOURS)
        for stamp in [JUNE + index * HOUR]
        for project in ["one" if index < JUNE_HOURS // 2 else "two"]
    )
    head = {name: text.splitlines()[0] + "\n" for name, text in TABLES.items()}
    price_row = "gcp,us-central1,core,compute,n1,1,,,vCPU-Hours,0.03,0.03\n"
    data = str(
        write(tmp_path, {**head, "usage": head["usage"] + rows, "skus": head["skus"] + price_row})
    )

    def answer(*more: str) -> dict[str, object]:
        assert main(["bill", "--data", data, "--json", *more]) == 0
        found: dict[str, object] = json.loads(capsys.readouterr().out)
        return found

    plain = answer()
    assert "sustained_use_usd" not in plain
    assert answer("--sustained-use") == {
        **plain,
        "sustained_use_usd": "2.16",
        "total_after_sustained_use_usd": "19.44",
    }
    assert answer("--sustained-use", "billing-account")["sustained_use_usd"] == "6.48"
    assert main(["bill", "--data", data, "--sustained-use"]) == 0
    shown = capsys.readouterr().out
    assert "total_after_sustained_use_usd" in shown
    assert "19.44" in shown
