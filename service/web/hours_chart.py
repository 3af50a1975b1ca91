"""The hourly picture of a proposal as inline SVG: usage, what is owned of it, what would be added.

Shapes are stretched to the width that there is, text is not: it stays readable on a phone. The
same numbers stand in a table beside the picture.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from markupsafe import Markup

from service.api.routes_exports import HourlyPicture
from service.web.plotting import Series, plot

_WIDTH, _HEIGHT = 1000, 200
_FOOT = 20
_NICE = (1, 2, 2.5, 4, 5, 10)
_DAY_HOURS, _WEEK_HOURS = 24, 168
_A_MONDAY = datetime(1970, 1, 5, tzinfo=UTC)
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")

Hourly = Sequence[Decimal | None]
Tick = tuple[float, str]
"""Where on the horizontal axis (0-1) something is written, and what."""


@dataclass(frozen=True, slots=True)
class DayMean:
    """One day of the typical week: means in on-demand dollars an hour."""

    name: str
    usage: Decimal
    owned: Decimal
    proposed: Decimal

    @property
    def left(self) -> Decimal:
        """What would still be paid on demand."""
        return self.usage - self.owned - self.proposed


def typical_week(seen: HourlyPicture) -> Markup:
    """The mean hour of each weekday, Monday to Sunday; nothing where an hour was never seen."""
    layers = (
        seen.week_usage_usd_per_hour,
        seen.week_owned_usd_per_hour,
        seen.week_proposed_usd_per_hour,
    )
    ticks = [(day / len(DAYS), name) for day, name in enumerate(DAYS)]
    title = "The typical week, hour by hour from Monday"
    drawn = _drawn(layers, seen.capacity_usd_per_hour, ticks, title)
    return _plotted(drawn, layers, seen.capacity_usd_per_hour, start=_A_MONDAY)


def last_weeks(seen: HourlyPicture) -> Markup:
    """Every hour that was looked at, a tick each Monday."""
    days = range(seen.hours // _DAY_HOURS)
    mondays = [
        (day * _DAY_HOURS / seen.hours, moment.strftime("%d %b"))
        for day, moment in ((day, seen.start + timedelta(days=day)) for day in days)
        if moment.weekday() == 0
    ]
    last = seen.start + timedelta(hours=seen.hours)
    layers = (seen.usage_usd_per_hour, seen.owned_usd_per_hour, seen.proposed_usd_per_hour)
    title = f"Every hour from {_day(seen.start)} to {_day(last)}"
    drawn = _drawn(layers, seen.capacity_usd_per_hour, mondays, title)
    return _plotted(drawn, layers, seen.capacity_usd_per_hour, start=seen.start)


def day_means(seen: HourlyPicture) -> list[DayMean]:
    """The typical week by day; empty where an hour of it was never seen."""
    columns = (
        _whole(seen.week_usage_usd_per_hour),
        _whole(seen.week_owned_usd_per_hour),
        _whole(seen.week_proposed_usd_per_hour),
    )
    if any(len(column) != _WEEK_HOURS for column in columns):
        return []
    found = []
    for day, name in enumerate(DAYS):
        hours = slice(day * _DAY_HOURS, (day + 1) * _DAY_HOURS)
        usage, owned, proposed = (sum(column[hours]) / _DAY_HOURS for column in columns)
        found.append(DayMean(name, Decimal(usage), Decimal(owned), Decimal(proposed)))
    return found


def mean(hourly: Hourly) -> Decimal:
    """The mean of what is known; nought of nothing."""
    known = _whole(hourly)
    return sum(known, Decimal(0)) / len(known) if known else Decimal(0)


def _day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d")


def _whole(hourly: Hourly) -> list[Decimal]:
    return [one for one in hourly if one is not None]


def _drawn(
    layers: tuple[Hourly, Hourly, Hourly], capacity: Decimal, ticks: Sequence[Tick], title: str
) -> Markup:
    """The picture of usage, owned and proposed; nothing where an hour of them is not known."""
    used, has, adds = ([float(one) for one in _whole(given)] for given in layers)
    if not used or not len(used) == len(has) == len(adds) == len(layers[0]):
        return Markup("")
    both = [a + b for a, b in zip(has, adds, strict=True)]
    ceiling = [a + float(capacity) for a in has]
    top = _nice(max(*used, *ceiling))
    zero = [0.0] * len(used)
    shapes = Markup("").join(
        [
            _area("demand", zero, used, top),
            _area("owned", zero, has, top),
            _area("proposed", has, both, top),
            _line("ceiling", ceiling, top),
            _line("usage", used, top),
        ]
    )
    label = (
        f"{title}: usage between ${min(used):,.2f} and ${max(used):,.2f} an hour at on-demand "
        f"prices; owned commitments cover ${_mean(has):,.2f} of it on average, the proposal would "
        f"cover ${_mean(adds):,.2f} more"
    )
    return Markup(
        '<svg class="hours" role="img" aria-label="{}" height="{}">'
        '<svg aria-hidden="true" viewBox="0 0 {} {}" preserveAspectRatio="none" width="100%"'
        ' height="{}">{}</svg>{}{}</svg>'
    ).format(
        label,
        _HEIGHT + _FOOT,
        _WIDTH,
        _HEIGHT,
        _HEIGHT,
        shapes,
        _scale(top),
        _axis(ticks),
    )


def _plotted(
    drawn: Markup, layers: tuple[Hourly, Hourly, Hourly], capacity: Decimal, *, start: datetime
) -> Markup:
    """The picture with its numbers, each hour from ``start`` on; nothing where it is nothing."""
    if not drawn:
        return drawn
    used, has, adds = ([float(one) for one in _whole(given)] for given in layers)
    left = [max(a - b - c, 0.0) for a, b, c in zip(used, has, adds, strict=True)]
    first = int(start.timestamp())
    weekly = start == _A_MONDAY
    return plot(
        drawn,
        name="week" if weekly else "hours",
        at=[first + 3600 * hour for hour in range(len(used))],
        series=(
            Series("owned covers", "--owned", "stacked", has),
            Series("this would cover", "--proposed", "stacked", adds),
            Series("left on demand", "--demand", "stacked", left),
            Series("usage", "--ink", "line", used),
            Series("capacity", "--bad", "dashed", [one + float(capacity) for one in has]),
        ),
        weekly=weekly,
    )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _nice(most: float) -> float:
    """The round number at or above ``most`` that a scale ends at."""
    if most <= 0:
        return 1.0
    power = 10.0 ** (len(str(int(most))) - 1) if most >= 1 else 0.1
    while power > most:
        power /= 10
    return next(step * power for step in _NICE if step * power >= most)


def _steps(values: Sequence[float], top: float) -> Iterator[tuple[float, float]]:
    width = _WIDTH / len(values)
    for index, value in enumerate(values):
        y = _HEIGHT * (1 - value / top)
        yield index * width, y
        yield (index + 1) * width, y


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _area(name: str, low: Sequence[float], high: Sequence[float], top: float) -> Markup:
    points = [*_steps(high, top), *reversed(list(_steps(low, top)))]
    return Markup('<polygon class="{}" points="{}"/>').format(name, _points(points))


def _line(name: str, values: Sequence[float], top: float) -> Markup:
    return Markup('<polyline class="{}" points="{}"/>').format(
        name, _points(list(_steps(values, top)))
    )


def _scale(top: float) -> Markup:
    return Markup("").join(
        Markup(
            '<line class="grid" x1="0" x2="100%" y1="{0:.0f}" y2="{0:.0f}"/>'
            '<text class="tick" x="2" y="{1:.0f}">${2:g}/h</text>'
        ).format(_HEIGHT * (1 - share), _HEIGHT * (1 - share) + 13, top * share)
        for share in (1.0, 0.5)
    )


def _axis(ticks: Sequence[Tick]) -> Markup:
    return Markup("").join(
        Markup(
            '<line class="grid" x1="{0:.2f}%" x2="{0:.2f}%" y1="0" y2="{1}"/>'
            '<text class="tick" x="{0:.2f}%" dx="2" y="{2}">{3}</text>'
        ).format(place * 100, _HEIGHT, _HEIGHT + _FOOT - 5, name)
        for place, name in ticks
    )
