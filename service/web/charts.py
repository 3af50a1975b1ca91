"""Small pictures as inline SVG: no script, no style attribute, a sentence for who cannot see.

Each is decoration beside a table or list that holds the same numbers.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import accumulate

from markupsafe import Markup

from service.domain.hours import floor_hour
from service.web.plotting import Series, plot

_WIDTH, _HEIGHT = 1000, 150
_LEFT, _BOTTOM = 0, 20
_DAY = timedelta(days=1)
_AT_EDGES = 0.12
"""The share of the width in which other words stand."""


def ladder(steps: Sequence[tuple[datetime, Decimal]], now: datetime) -> Markup:
    """Commitment still running, in $/h, from ``now`` until the last of ``steps`` has ended.

    ``steps`` are the end and $/h of each commitment that is owned.
    """
    ending = sorted((end, commit) for end, commit in steps if end > now)
    if not ending:
        return Markup("")
    total = sum((commit for _, commit in ending), Decimal(0))
    if not total:
        return Markup("")
    last = ending[-1][0]
    width = (last - now) / _DAY

    def x(moment: datetime) -> float:
        return _LEFT + (_WIDTH - _LEFT) * ((moment - now) / _DAY) / width

    def y(commit: Decimal) -> float:
        return (_HEIGHT - _BOTTOM) * (1 - float(commit / total)) + 4

    points = [(x(now), y(total))]
    left = total
    for end, commit in ending:
        points.append((x(end), y(left)))
        left -= commit
        points.append((x(end), y(left)))
    area = [(x(now), y(Decimal(0))), *points]
    drawn = Markup(
        '<svg class="chart" role="img" aria-label="{}" height="{}">'
        '<svg aria-hidden="true" viewBox="0 0 {} {}" preserveAspectRatio="none" width="100%"'
        ' height="{}"><polygon class="area" points="{}"/><polyline class="line" points="{}"/></svg>'
        '<text class="tick" x="2" y="16">${}/h</text>'
        '<text class="tick" x="2" y="{}">today</text>{}'
        '<text class="tick" x="100%" y="{}" text-anchor="end">{:%Y-%m-%d}</text></svg>'
    ).format(
        f"Commitment of ${total:.2f} an hour now, the last of it ending {last:%Y-%m-%d}",
        _HEIGHT + 6,
        _WIDTH,
        _HEIGHT - _BOTTOM + 6,
        _HEIGHT - _BOTTOM + 6,
        _points(area),
        _points(points),
        f"{total:.2f}",
        _HEIGHT,
        _years(now, last),
        _HEIGHT,
        last,
    )
    return _plotted(drawn, ending, now)


def _plotted(drawn: Markup, ending: Sequence[tuple[datetime, Decimal]], now: datetime) -> Markup:
    """The ladder with its numbers: what still runs from now, and from each end on."""
    ends: dict[datetime, Decimal] = defaultdict(Decimal)
    for end, commit in ending:
        ends[end] += commit
    left = [sum(ends.values(), Decimal(0))]
    left.extend(left[0] - gone for gone in accumulate(ends.values()))
    return plot(
        drawn,
        name="ladder",
        # To the hour: a chart is not drawn again each time that the page is.
        at=[int(moment.timestamp()) for moment in (floor_hour(now), *ends)],
        series=(
            Series(
                label="still running",
                colour="--accent-soft",
                how="stacked",
                values=[float(one) for one in left],
                edge="--accent",
            ),
        ),
    )


def _years(now: datetime, last: datetime) -> Markup:
    """The years that begin between two instants, but for where other words stand."""
    ticks = Markup("")
    for year in range(now.year + 1, last.year + 1):
        share = (datetime(year, 1, 1, tzinfo=now.tzinfo) - now) / (last - now)
        if _AT_EDGES < share < 1 - _AT_EDGES:
            ticks += Markup('<text class="tick" x="{:.1f}%" y="{}">{}</text>').format(
                100 * share, _HEIGHT, year
            )
    return ticks


def _points(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def interval(low: Decimal, middle: Decimal, high: Decimal, actual: Decimal | None) -> Markup:
    """A promised range with its middle, and where reality stands in it, if known."""
    values = [low, middle, high, Decimal(0), *([] if actual is None else [actual])]
    least, most = min(values), max(values)
    if least == most:
        return Markup("")

    def x(value: Decimal) -> float:
        return 8 + (_WIDTH - 16) * float((value - least) / (most - least))

    marks = Markup('<line class="axis" x1="{0:.1f}" x2="{0:.1f}" y1="2" y2="34"/>').format(
        x(Decimal(0))
    )
    marks += Markup('<rect class="range" x="{:.1f}" y="10" width="{:.1f}" height="16"/>').format(
        x(low), max(x(high) - x(low), 1.0)
    )
    marks += Markup('<line class="line" x1="{0:.1f}" x2="{0:.1f}" y1="7" y2="29"/>').format(
        x(middle)
    )
    label = f"promised {middle:.2f}, between {low:.2f} and {high:.2f}"
    if actual is not None:
        marks += Markup('<rect class="actual" x="{:.1f}" y="4" width="6" height="28"/>').format(
            x(actual) - 3
        )
        label += f"; realised {actual:.2f}"
    return Markup(
        '<svg class="chart range" viewBox="0 0 {} 36" preserveAspectRatio="none" role="img"'
        ' aria-label="{}">{}</svg>'
    ).format(_WIDTH, label, marks)
