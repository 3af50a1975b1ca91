"""What Cost Explorer's operations share: periods, groups, what is known yet, how figures look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service.sandbox.accrual import DAY, DayBill
from service.sandbox.calendar import month_end
from service.sandbox.wire.call import Fields
from service.sandbox.wire.words import SERVICE_NAMES, wire_sku
from service.sandbox.world import World

_FRESH_AFTER = timedelta(hours=24)
_DAYS_MAX = 400
_GROUPS_MAX = 2
_FORMS = {False: "%Y-%m-%d", True: "%Y-%m-%dT%H:%M:%SZ"}


@dataclass(frozen=True, slots=True)
class Period:
    """Half-open; shown as dates."""

    start: datetime
    end: datetime

    def shown(self) -> dict[str, str]:
        """As answers write it."""
        return {"Start": f"{self.start:%Y-%m-%d}", "End": f"{self.end:%Y-%m-%d}"}


def dimension_of(day: DayBill, index: int, name: str) -> str:
    """The value of a dimension for one usage line."""
    line = day.dataset.usage.lines[index]
    sku = day.dataset.skus[line.key]
    words = {
        "SERVICE": SERVICE_NAMES.get(sku.service, sku.service),
        "REGION": line.region,
        "INSTANCE_FAMILY": sku.family or "NoInstanceFamily",
        "LINKED_ACCOUNT": line.account,
        "USAGE_TYPE": wire_sku(sku).usage_type,
        "OPERATION": line.sku.partition("/")[2],
    }
    return words[name]


def asked_period(fields: Fields, *, hourly: bool = False) -> Period:
    """The period that a request names: dates, or hours where they are asked for."""
    part = fields.part_or_none("TimePeriod")
    if part is None:
        raise fields.invalid("TimePeriod is required.")
    start, end = (_instant(part, name, _FORMS[hourly]) for name in ("Start", "End"))
    if not start < end <= start + _DAYS_MAX * DAY:
        raise fields.invalid("Start must be before End, by at most 13 months.")
    return Period(start, end)


def _instant(fields: Fields, name: str, form: str) -> datetime:
    try:
        return datetime.strptime(fields.text(name), form).replace(tzinfo=UTC)
    except ValueError as error:
        raise fields.invalid(f"{name} must be written as {form}.") from error


def split_period(fields: Fields, asked: Period, granularity: str) -> list[Period]:
    """The days or months of a period."""
    if granularity not in {"DAILY", "MONTHLY"}:
        raise fields.invalid("Granularity must be DAILY or MONTHLY.")
    periods: list[Period] = []
    start = asked.start
    while start < asked.end:
        following = start + DAY if granularity == "DAILY" else month_end(start)
        periods.append(Period(start, min(following, asked.end)))
        start = following
    return periods


def fresh_days(world: World, period: Period) -> Sequence[DayBill]:
    """The period's days that Cost Explorer knows already."""
    return world.accrual.days(period.start, min(period.end, world.now() - _FRESH_AFTER))


def groups_of(fields: Fields, allowed: frozenset[str]) -> list[str]:
    """The dimensions that a request groups by."""
    names: list[str] = []
    for part in fields.parts("GroupBy"):
        name = part.text("Key")
        if part.text("Type") != "DIMENSION" or name not in allowed:
            raise fields.invalid(f"Group by DIMENSION and one of {', '.join(sorted(allowed))}.")
        names.append(name)
    if len(names) > _GROUPS_MAX or len(set(names)) < len(names):
        raise fields.invalid(f"Group by at most {_GROUPS_MAX} different dimensions.")
    return names


def refuse_filter(fields: Fields) -> None:
    """Most of the sandbox's operations take none."""
    if fields.part_or_none("Filter") is not None:
        raise fields.invalid("The sandbox takes no filter here.")


def figure(amount: float) -> str:
    """A number as Cost Explorer writes it."""
    return f"{amount:.10f}"
