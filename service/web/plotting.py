"""Hands the numbers of a picture to the chart library, for whoever has scripts.

The picture is whole without them: the library draws over it, and shows values under the cursor.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from markupsafe import Markup

_PLACES = 4


@dataclass(frozen=True, slots=True)
class Series:
    """One row of amounts, in dollars an hour, for each instant of a plot.

    ``stacked`` ones lie on each other in their order. ``colour`` is a variable of the style sheet,
    as is ``edge``, the colour of the line above something stacked.
    """

    label: str
    colour: str
    how: Literal["stacked", "line", "dashed"]
    values: Sequence[float]
    edge: str = ""


def plot(
    drawn: Markup, *, name: str, at: Sequence[int], series: Sequence[Series], weekly: bool = False
) -> Markup:
    """The picture ``drawn`` with its data beside it; ``name`` is its own on the page.

    ``at`` are seconds since 1970, one for each value; of a ``weekly`` plot the weekday is told,
    not the date. A value holds from its instant to the next.
    """
    facts = {
        "weekly": weekly,
        "at": list(at),
        "series": [asdict(one) | {"values": _rounded(one.values)} for one in series],
    }
    told = json.dumps(facts, separators=(",", ":"))
    return Markup('<div class="plot" id="plot-{}" data-plot="{}">{}</div>').format(
        name, told, drawn
    )


def _rounded(values: Sequence[float]) -> list[float]:
    return [round(one, _PLACES) for one in values]
