"""From daily exports and hourly charges to a savings plan, against the sandbox Azure over HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.commitments import Kind
from service.domain.errors import InputError, ProviderError, RefusedError
from service.domain.hours import DAY_HOURS, HOUR, HourRange
from service.operate import demo
from service.operate.doctor import examine
from service.operate.ingesting import ingest
from service.operate.once import cycle_now
from service.operate.status import status_of
from service.providers.azure.charges import hourly_charges
from service.sandbox.azure.access import BILLING_ACCOUNT
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.server import shipped_routes
from service.sandbox.azure.wire.call import Call, Reply, route
from service.sandbox.azure.world import AzureWorldOptions
from service.settings import Settings, read_settings
from service.store import records
from service.store.engine import reading
from service.usage.day_shapes import DISAGREE
from service.usage.hourly_charges import read_charges
from service.wiring import Parts, build
from tests.sandbox.azure.clouds import SMALL, small_cloud

POLICY = Path(demo.__file__).with_name("demo_policy.yaml")
DAILY = AzureWorldOptions(history_days=45, horizon_days=120, daily_exports=True)
OPERATION = "azure.BenefitRecommendations.List"
PATH = "/{scope*}/providers/Microsoft.CostManagement/benefitRecommendations"


@contextmanager
def tenor_on(cloud: AzureSandbox, folder: Path, **settings: str) -> Iterator[Parts]:
    """Tenor in autopilot on the sandbox, set up by the environment that the sandbox names."""
    parts = build(_settings(cloud, folder, **settings), clock=cloud.world.clock)
    try:
        yield parts
    finally:
        parts.close()


def _settings(cloud: AzureSandbox, folder: Path, **settings: str) -> Settings:
    payer = cloud.access().subscription_id
    policy = POLICY.read_text("utf-8").replace("ACCOUNTS", f'azure: "{payer}"')
    (folder / "policy.yaml").write_text(policy.replace("PAYERS", f'"{payer}"'), "utf-8")
    environment = {
        **cloud.environment(),
        "TENOR_DATABASE_URL": f"sqlite:///{folder / 'tenor.db'}",
        "TENOR_DATA_DIR": str(folder),
        "TENOR_EXPORTS": str(folder / "exports"),
        "TENOR_POLICY_FILE": str(folder / "policy.yaml"),
        **settings,
    }
    return read_settings(environment)


@pytest.fixture
def daily(tmp_path: Path) -> Iterator[AzureSandbox]:
    with AzureSandbox.generated(DAILY, exports=tmp_path / "container") as cloud:
        cloud.advance(60)
        yield cloud


def test_daily_exports_end_in_a_savings_plan_that_says_what_it_was_decided_on(
    daily: AzureSandbox, tmp_path: Path
) -> None:
    with tenor_on(daily, tmp_path) as parts:
        told = cycle_now(parts, at=parts.clock.now())
        days = parts.usage.manifest()
        with reading(parts.engine) as connection:
            plan = records.find_plan(connection, told["plan"])  # type: ignore[arg-type]
        assert all(day.shape for day in days)
        assert (days[-1].day - days[0].day).days + 1 == len(days) >= 40
        assert plan is not None
        assert plan.inputs.estimated_days
        (declined,) = [one for one in plan.refusals if one.rule == "estimated_hours"]
        assert f"{plan.inputs.estimated_days} days" in declined.detail
        assert plan.lines
        assert {line.kind for line in plan.lines} == {Kind.AZURE_SAVINGS_PLAN}
        assert all("estimated from daily rows" in line.reason for line in plan.lines)
        _hours_cost_what_the_bill_says(daily, parts)
        (data,) = status_of(parts)["data"]
        assert data["estimated_days"] == data["days"] == len(days)
    bought = daily.snapshot()
    assert bought.commitments_active == told["bought"] == len(bought.paid_by_intent) > 0
    assert daily.server.calls["azure.ReservationOrder.Purchase"] == 0


def _hours_cost_what_the_bill_says(cloud: AzureSandbox, parts: Parts) -> None:
    """Nothing was owned yet, so that every hour's dollars are those of the true bill."""
    day = parts.usage.manifest()[10].day
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    usage = parts.usage.load(HourRange(start, DAY_HOURS), provider="azure")
    price = np.array(
        [float(cloud.world.catalog.skus[one.key].on_demand_usd) for one in usage.lines]
    )
    true = cloud.world.usage
    first, last = true.hours.clip(start, start + DAY_HOURS * HOUR)
    paid = np.array([float(cloud.world.catalog.skus[one.key].on_demand_usd) for one in true.lines])
    assert usage.quantity @ price == pytest.approx(true.quantity[first:last] @ paid, rel=2e-3)
    assert usage.quantity.sum() == pytest.approx(true.quantity[first:last].sum(), rel=1e-9)


def test_without_the_setting_days_are_refused_and_the_setting_is_named(
    daily: AzureSandbox, tmp_path: Path
) -> None:
    with (
        tenor_on(daily, tmp_path, TENOR_AZURE_DAILY_ROWS="refuse") as parts,
        pytest.raises(InputError, match="TENOR_AZURE_DAILY_ROWS=shape"),
    ):
        ingest(parts)
    assert daily.server.calls[OPERATION] == 0


def test_what_was_told_stays_when_azure_tells_it_no_more(
    daily: AzureSandbox, tmp_path: Path
) -> None:
    with tenor_on(daily, tmp_path) as parts:
        ingest(parts)
        kept = read_charges(tmp_path / "exports" / "azure")
        daily.advance(24 * 30)
        ingest(parts)
        charges = read_charges(tmp_path / "exports" / "azure")
        days = parts.usage.manifest()
    told = hourly_charges(daily.clients(), BILLING_ACCOUNT)
    assert min(charges) == min(kept) < min(told)
    assert len(charges) == DAY_HOURS * len({hour.date() for hour in charges})
    assert len(days) > 45


def test_a_day_that_its_charges_contradict_is_told_and_the_others_are_stored(
    daily: AzureSandbox, tmp_path: Path
) -> None:
    with tenor_on(daily, tmp_path) as parts:
        _answer(daily, lambda p: {**p, "usage": _doubled(p["usage"], first=24, count=24)})
        with pytest.raises(RefusedError, match="1 days are not what") as caught:
            ingest(parts)
        days = [day.day for day in parts.usage.manifest()]
    assert caught.value.rule == DISAGREE
    assert days[1] - days[0] == timedelta(days=2)


def test_the_doctor_reads_the_charges(daily: AzureSandbox, tmp_path: Path) -> None:
    settings = _settings(daily, tmp_path)
    name = "azure: may Microsoft.CostManagement/benefitRecommendations/read"
    checks = {check.name: check for check in examine(settings)}
    assert checks[name].passed
    daily.world.granted = ("Microsoft.Resources/*", "Microsoft.Capacity/*")
    checks = {check.name: check for check in examine(settings)}
    assert not checks[name].passed
    assert "Cost Management Reader" in checks[name].mend


def _doubled(usage: Any, *, first: int, count: int) -> dict[str, object]:  # noqa: ANN401
    charges = list(usage["charges"])
    charges[first : first + count] = [2 * one for one in charges[first : first + count]]
    return {**usage, "charges": charges}


def _answer(cloud: AzureSandbox, change: Any) -> None:  # noqa: ANN401
    """From now on recommendations are told as ``change`` makes their properties."""
    (true,) = [one for one in shipped_routes() if one.operation == OPERATION]

    def told(call: Call) -> Reply:
        body = json.loads(true.handler(call).raw(), parse_float=Decimal)
        body["value"] = [{**one, "properties": change(one["properties"])} for one in body["value"]]
        return Reply(200, body)

    cloud.server.answer_first((route("GET", PATH, OPERATION, true.action, told),))


@pytest.fixture
def small() -> Iterator[AzureSandbox]:
    with small_cloud(options=replace(SMALL, charges_lag_hours=24)) as cloud:
        yield cloud


def test_charges_are_those_of_the_bill_hour_by_hour(small: AzureSandbox) -> None:
    told = hourly_charges(small.clients(), BILLING_ACCOUNT)
    world = small.world
    last = world.now() - timedelta(days=1)
    assert max(told) == last - HOUR
    assert len(told) == 9 * DAY_HOURS
    bill = world.accrual.day(last - timedelta(days=1)).rows
    assert (
        sum(list(told.values())[-DAY_HOURS:]) == Decimal(int(bill.effective_nano_usd.sum())) / 10**9
    )


def test_a_subscription_tells_its_own_charges_alone(small: AzureSandbox) -> None:
    total = hourly_charges(small.clients(), BILLING_ACCOUNT)
    ours = [
        hourly_charges(small.clients(), f"/subscriptions/{one}")
        for one in small.world.subscriptions.values()
    ]
    assert {hour: sum(one[hour] for one in ours) for hour in total} == total
    assert len({tuple(one.values()) for one in ours}) == len(ours)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"usage": {"usageGrain": "Daily", "charges": [1]}}, "incomplete_answer"),
        ({"usage": {"usageGrain": "Hourly", "charges": []}}, "incomplete_answer"),
        ({"usage": None}, "incomplete_answer"),
        ({"currencyCode": "EUR"}, "unusable_price"),
        ({"totalHours": 167}, "ambiguous_answer"),
        ({"firstConsumptionDate": "2026-02-19T00:30:00Z"}, "ambiguous_answer"),
        ({"firstConsumptionDate": "2026-02-18T00:00:00Z"}, "ambiguous_answer"),
        ({"lastConsumptionDate": "2026-03-05T00:00:00Z"}, "ambiguous_answer"),
        ({"firstConsumptionDate": None}, "incomplete_answer"),
    ],
    ids=str,
)
def test_charges_that_cannot_be_placed_are_an_error(
    changed: dict[str, object], code: str, small: AzureSandbox
) -> None:
    _answer(small, lambda properties: {**properties, **changed})
    with pytest.raises(ProviderError) as caught:
        hourly_charges(small.clients(), BILLING_ACCOUNT)
    assert caught.value.code == code


@pytest.mark.parametrize("charge", [Decimal(-1), None, "1", True])
def test_an_hours_charge_is_a_number_that_is_not_negative(
    charge: object, small: AzureSandbox
) -> None:
    def spoilt(properties: dict[str, Any]) -> dict[str, Any]:
        charges = [charge, *properties["usage"]["charges"][1:]]
        return {**properties, "usage": {**properties["usage"], "charges": charges}}

    _answer(small, spoilt)
    with pytest.raises(ProviderError) as caught:
        hourly_charges(small.clients(), BILLING_ACCOUNT)
    assert caught.value.code == "unusable_price"


@pytest.mark.parametrize("last", ["2026-02-28T23:00:00Z", "2026-03-01T00:00:00Z", "2026-02-28"])
def test_the_last_day_may_be_told_as_its_last_hour_its_end_or_its_beginning(
    last: str, small: AzureSandbox
) -> None:
    true = hourly_charges(small.clients(), BILLING_ACCOUNT)
    _answer(small, lambda properties: {**properties, "lastConsumptionDate": last})
    assert hourly_charges(small.clients(), BILLING_ACCOUNT) == true


def test_a_scope_without_a_recommendation_is_told(small: AzureSandbox) -> None:
    small.world.options = replace(small.world.options, charges_lag_hours=24 * 60)
    with pytest.raises(ProviderError) as caught:
        hourly_charges(small.clients(), BILLING_ACCOUNT)
    assert caught.value.code == "no_charges"


@pytest.mark.parametrize(
    "scope", ["5b0000", "/subscriptions/a/resourceGroups/b", "/subscriptions/a?x=1", "https://x"]
)
def test_a_scope_that_is_none_is_refused(scope: str, small: AzureSandbox) -> None:
    with pytest.raises(InputError, match="not a scope of costs"):
        replace(small.access(), charges_scope=scope)
