"""From daily exports and hourly charges to what is bought, on the sandbox Azure over HTTP."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.domain.commitments import Kind
from service.domain.errors import InputError, ProviderError, RefusedError
from service.domain.hours import DAY_HOURS, HOUR, WEEK_HOURS, HourRange
from service.domain.plans import Plan
from service.domain.usage import SkuKey, Usage, UsageLine
from service.operate import demo
from service.operate.doctor import examine
from service.operate.ingesting import ingest
from service.operate.once import cycle_now
from service.operate.replay import Replayed, replay
from service.operate.status import status_of
from service.providers.azure.charges import hourly_charges
from service.sandbox.azure.access import BILLING_ACCOUNT
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.server import shipped_routes
from service.sandbox.azure.wire.call import Call, Reply, route
from service.sandbox.azure.world import AzureWorld, AzureWorldOptions
from service.settings import Settings, read_settings
from service.store import records
from service.store.engine import reading
from service.usage.day_shapes import DISAGREE
from service.usage.days import UsageDay
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
    options = replace(DAILY, history_days=12)
    with AzureSandbox.generated(options, exports=tmp_path / "container") as cloud:
        cloud.advance(60)
        yield cloud


@dataclass(frozen=True)
class Decided:
    """A decision on daily rows, and another one after a fortnight of what it bought.

    ``usage_before`` and ``usage_after`` are a Thursday's, before anything was bought and after.
    """

    plans: tuple[Plan, Plan]
    bought: tuple[object, object]
    days: tuple[UsageDay, ...]
    usage_before: Usage
    usage_after: Usage
    cloud: AzureSandbox
    status: Mapping[str, object]
    replayed: Replayed


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Decided]:
    folder = tmp_path_factory.mktemp("daily")
    with AzureSandbox.generated(DAILY, exports=folder / "container") as cloud:
        cloud.advance(60)
        with tenor_on(cloud, folder) as parts:
            plans, bought = [], []
            for weeks in (2, 0):
                told = cycle_now(parts, at=parts.clock.now())
                with reading(parts.engine) as connection:
                    plan = records.find_plan(connection, told["plan"])  # type: ignore[arg-type]
                assert plan is not None
                plans.append(plan)
                bought.append(told["bought"])
                cloud.advance(weeks * WEEK_HOURS)
            with reading(parts.engine) as connection:
                replayed = replay(connection, parts.usage, plans[1].plan)
            days = parts.usage.manifest()
            (status,) = status_of(parts)["data"]
            usage = [
                parts.usage.load(HourRange(day.first_hour, DAY_HOURS), provider="azure", level=True)
                for day in (days[-25], days[-4])
            ]
        yield Decided(
            plans=(plans[0], plans[1]),
            bought=(bought[0], bought[1]),
            days=days,
            usage_before=usage[0],
            usage_after=usage[1],
            cloud=cloud,
            status=status,
            replayed=replayed,
        )


def test_daily_exports_end_in_a_savings_plan_that_says_what_it_was_decided_on(
    decided: Decided,
) -> None:
    plan, days = decided.plans[0], decided.days
    assert all(day.shape for day in days)
    assert (days[-1].day - days[0].day).days + 1 == len(days) >= 54
    assert decided.status["estimated_days"] == decided.status["days"] == len(days)
    assert plan.inputs.estimated_days
    (declined,) = [one for one in plan.refusals if one.rule == "estimated_hours"]
    assert f"{plan.inputs.estimated_days} days" in declined.detail
    said = {line.kind: line.reason for line in plan.lines}
    assert said[Kind.AZURE_SAVINGS_PLAN].endswith("are estimated from daily rows.")


def test_daily_exports_end_in_reservations_of_machines_that_ran_all_day(decided: Decided) -> None:
    reserved = [one for one in decided.plans[0].lines if one.kind is Kind.AZURE_RESERVATION]
    assert len(reserved) >= 3
    assert all("decided on machines that ran all day" in line.reason for line in reserved)
    # A scale set is one row of many machines: nothing of it is proven.
    assert not any("_F" in line.offering for line in reserved)
    assert decided.bought[0] == sum(
        not line.offering.count("westeurope") for line in decided.plans[0].lines
    )
    assert decided.cloud.server.calls["azure.ReservationOrder.Purchase"] >= len(reserved) - 1


def test_no_reservation_is_larger_than_what_truly_ran_in_the_least_hour(decided: Decided) -> None:
    world = decided.cloud.world
    ran = _by_group(world.usage, world, lambda _: True)
    first, last = world.usage.hours.clip(world.now() - timedelta(days=42), world.now())
    reserved = _reserved(world)
    assert reserved
    for group, units in reserved.items():
        assert units <= ran[group][first:last].min()


def test_what_is_covered_is_proven_as_before_and_not_reserved_twice(decided: Decided) -> None:
    world = decided.cloud.world
    before = _by_group(decided.usage_before, world, lambda line: line.level)
    after = _by_group(decided.usage_after, world, lambda line: line.level)
    for group, units in _reserved(world).items():
        assert after[group].min() > 0.9 * before[group].min()
        assert units <= after[group].min()
    first, again = (
        sum(one.commit_usd_per_hour for one in plan.lines if not one.kind.is_spend)
        for plan in decided.plans
    )
    assert again < first


def test_the_decision_can_be_taken_again(decided: Decided) -> None:
    assert decided.plans[1].lines
    assert decided.replayed.identical, decided.replayed.differences


def test_each_hour_costs_what_it_truly_did_before_and_after_commitments(decided: Decided) -> None:
    world = decided.cloud.world
    for usage in (decided.usage_before, decided.usage_after):
        price = np.array([float(world.catalog.skus[one.key].on_demand_usd) for one in usage.lines])
        first, last = world.usage.hours.clip(usage.hours.start, usage.hours.end)
        true = world.usage.quantity[first:last]
        paid = [float(world.catalog.skus[one.key].on_demand_usd) for one in world.usage.lines]
        assert usage.quantity @ price == pytest.approx(true @ np.array(paid), rel=2e-3)


def _by_group(
    usage: Usage, world: AzureWorld, counts: Callable[[UsageLine], bool]
) -> dict[tuple[str, str | None], np.ndarray]:
    """Units used in each hour by region and flexibility group."""
    found: dict[tuple[str, str | None], np.ndarray] = {}
    for line, used in zip(usage.lines, usage.quantity.T, strict=True):
        sku = world.catalog.skus[line.key]
        if counts(line) and sku.size_units is not None:
            group = (line.region, sku.family)
            found[group] = found.get(group, 0.0) + used * float(sku.size_units)
    return found


def _reserved(world: AzureWorld) -> dict[tuple[str, str | None], float]:
    """Units reserved by region and flexibility group."""
    found: dict[tuple[str, str | None], float] = {}
    for one in world.book.reservations():
        machine = one.order.machine
        sku = world.catalog.skus[SkuKey("azure", machine.region, machine.arm_name)]
        group = (machine.region, machine.group)
        found[group] = found.get(group, 0.0) + one.quantity * float(sku.size_units or 0)
    return found


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
        daily.advance(24 * 53)
        ingest(parts)
        charges = read_charges(tmp_path / "exports" / "azure")
        days = parts.usage.manifest()
    told = hourly_charges(daily.clients(), BILLING_ACCOUNT)
    assert min(charges) == min(kept) < min(told)
    assert len(charges) == DAY_HOURS * len({hour.date() for hour in charges})
    assert len(days) > 60


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
