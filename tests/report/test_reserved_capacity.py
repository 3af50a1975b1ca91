"""What DynamoDB's reserved capacity would save, worked out by hand; never a level that loses."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.errors import InputError
from service.domain.hours import HourRange
from service.domain.ids import AccountId
from service.domain.usage import SkuKey, Usage, UsageLine
from service.report.reserved_capacity import (
    Advice,
    ReservedRate,
    advise,
    read_rates,
    shipped_rates,
)
from service.usage.aws_sku import aws_tables
from tests.billing.worlds import START

WRITES = "USE1-WriteCapacityUnit-Hrs/CommittedThroughput"
PRICE = Decimal("0.001")
# A block costs 87.6 / 8,760 + 0.03 = 0.04 an hour: a unit 0.0004, 40 % of on demand.
RATE = ReservedRate(
    "us-east-1", "write", 12, Decimal("87.6"), Decimal("0.03"), as_of=date(2026, 1, 1)
)
RATES = {("us-east-1", "write", 12): RATE}


def seen(*lines: tuple[str, list[float]], account: str = "A", region: str = "us-east-1") -> Usage:
    labels = tuple(UsageLine("aws", AccountId(account), region, "", sku) for sku, _ in lines)
    return Usage(HourRange(START, len(lines[0][1])), labels, np.array([q for _, q in lines]).T)


def priced(usage: Usage) -> dict[SkuKey, Decimal]:
    return {line.key: PRICE for line in usage.lines}


def only(units: list[float]) -> Advice:
    usage = seen((WRITES, units))
    [found] = advise(usage, priced(usage), RATES).advice
    return found


def test_a_level_that_enough_hours_reach_is_reserved_whole() -> None:
    # 500 units in half of the hours, 300 in the others: of 500, 80 % are used.
    found = only([500.0, 300.0] * 84)
    assert (found.units, found.used_ratio) == (500, Decimal("0.8"))
    assert found.break_even_ratio == Decimal("0.4")
    # 500 x (0.001 x 0.8 - 0.0004); on demand 400 x 0.001.
    assert found.savings_usd_per_hour == Decimal("0.2")
    assert found.on_demand_usd_per_hour == Decimal("0.4")
    assert (found.upfront_usd, found.usd_per_hour) == (Decimal("438.0"), Decimal("0.15"))


def test_a_peak_of_a_quarter_of_the_hours_is_left_on_demand() -> None:
    found = only([500.0, 300.0, 300.0, 300.0] * 42)
    assert (found.units, found.used_ratio) == (300, Decimal(1))
    assert found.savings_usd_per_hour == Decimal("0.18")


@pytest.mark.parametrize(
    ("level", "units", "saving"),
    [
        (250.0, 300, "0.13"),  # 300: 250 x 0.001 - 300 x 0.0004; 200 would save 0.12
        (230.0, 200, "0.12"),  # 300 would save 0.11
        (39.0, 0, "0"),  # a block would be used to 39 %, and pays at 40 %
        (41.0, 100, "0.001"),
    ],
)
def test_whole_blocks_are_reserved_and_only_those_that_pay(
    level: float, units: int, saving: str
) -> None:
    found = only([level] * 168)
    assert (found.units, found.savings_usd_per_hour) == (units, Decimal(saving))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1500), min_size=1, max_size=40).filter(any))
def test_no_other_number_of_blocks_saves_more(units: list[int]) -> None:
    found = only([float(one) for one in units])
    savings = [
        PRICE * sum(min(one, level) for one in units) / len(units) - level * Decimal("0.0004")
        for level in range(0, 1700, 100)
    ]
    assert abs(found.savings_usd_per_hour - max(savings)) < Decimal("0.000002")


def test_what_is_dearer_than_on_demand_is_never_advised() -> None:
    usage = seen((WRITES, [1000.0] * 168))
    [found] = advise(usage, dict.fromkeys(priced(usage), Decimal("0.0004")), RATES).advice
    assert (found.units, found.savings_usd_per_hour) == (0, Decimal(0))
    assert found.break_even_ratio == 1


def test_only_what_can_be_reserved_counts() -> None:
    others = (
        "USE1-IA-WriteCapacityUnit-Hrs/CommittedThroughput",
        "USE1-ReplWriteCapacityUnit-Hrs/CommittedThroughput",
        "USE1-WriteRequestUnits/PayPerRequestThroughput",
        "USE1-BoxUsage:m5.large/RunInstances",
    )
    usage = seen((WRITES, [100.0] * 168), *((sku, [900.0] * 168) for sku in others))
    found = advise(usage, priced(usage), RATES)
    assert [(one.capacity, one.units) for one in found.advice] == [("write", 100)]
    [term] = found.not_advised
    assert term.reason == "no rate known for region us-east-1, 36 months"


def test_accounts_stand_alone_unless_they_share() -> None:
    lines = tuple(UsageLine("aws", AccountId(one), "us-east-1", "", WRITES) for one in "AB")
    units = np.array([[100.0, 0.0], [0.0, 100.0]] * 84)
    usage = Usage(HourRange(START, 168), lines, units)
    alone = advise(usage, priced(usage), RATES).advice
    assert [(one.account, one.units, one.savings_usd_per_hour) for one in alone] == [
        ("A", 100, Decimal("0.01")),
        ("B", 100, Decimal("0.01")),
    ]
    [both] = advise(usage, priced(usage), RATES, shared=True).advice
    assert (both.account, both.units, both.savings_usd_per_hour) == ("*", 100, Decimal("0.06"))


def test_a_region_without_a_rate_and_a_sku_without_a_price_are_said() -> None:
    far = seen((WRITES, [100.0] * 168), region="mars-1")
    reasons = [one.reason for one in advise(far, priced(far), RATES).not_advised]
    assert reasons == [f"no rate known for region mars-1, {term} months" for term in (12, 36)]
    near = seen((WRITES, [100.0] * 168))
    found = advise(near, {}, RATES)
    assert (found.advice, found.not_advised[0].reason) == ((), "no on-demand price known")


def test_the_shipped_rates_save_what_the_provider_says() -> None:
    rates = shipped_rates()
    assert {region for region, _, _ in rates} <= set(aws_tables().regions.values())
    # us-east-1, on demand 0.00065 and 0.00013: 54 % off for a year, 77 % for three.
    for capacity, price in (("write", "0.00065"), ("read", "0.00013")):
        for term, discount in ((12, 0.54), (36, 0.77)):
            unit = rates["us-east-1", capacity, term].unit_usd_per_hour
            assert float(1 - unit / Decimal(price)) == pytest.approx(discount, abs=0.005)
    for (region, capacity, term), rate in rates.items():
        longer = rates.get((region, capacity, 36))
        if term == 12 and longer is not None:
            assert longer.unit_usd_per_hour < rate.unit_usd_per_hour


GOOD = (
    '- {region: r, capacity: read, term_months: 12, upfront_usd: "1", usd_per_hour: "0", '
    "as_of: 2026-01-01}\n"
)


@pytest.mark.parametrize(
    ("text", "row", "column"),
    [
        (GOOD + GOOD, 2, None),
        ("- {region: r}\n", 1, None),
        (GOOD.replace("read", "storage"), 1, "capacity"),
        (GOOD.replace("12", "24"), 1, "term_months"),
        (GOOD.replace('"1"', '"-1"'), 1, "upfront_usd"),
        (GOOD.replace('"0"', "0.5"), 1, "usd_per_hour"),
        (GOOD.replace('"0"', '"cheap"'), 1, "usd_per_hour"),
        (GOOD.replace("2026-01-01", "lately"), 1, "as_of"),
        (GOOD.replace("region: r", 'region: ""'), 1, "region"),
        ("rates: 1\n", None, None),
    ],
)
def test_a_file_of_rates_is_read_strictly(
    tmp_path: Path, text: str, row: int | None, column: str | None
) -> None:
    path = tmp_path / "rates.yaml"
    path.write_text(GOOD, encoding="utf-8")
    assert read_rates(path)["r", "read", 12].upfront_usd == 1
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        read_rates(path)
    assert (refused.value.row, refused.value.column) == (row, column)
