"""Draws a bill hour by hour: what was used, stacked by what paid for it, the unused above."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from service.billing.bill import Bill
from service.billing.exact import Floats
from service.domain.usage import Dataset

MOST_BANDS = 10


def draw(dataset: Dataset, result: Bill, path: Path) -> None:
    """Write a PNG or SVG, by the ending of ``path``."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter, date2num  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    # One more instant, so that the last hour is drawn as wide as the others.
    instants = [result.hours.hour(index) for index in range(result.hours.count + 1)]
    hours = np.asarray(date2num(instants), dtype=np.float64)  # type: ignore[no-untyped-call]
    bands = _bands(dataset, result)
    floor = np.zeros(result.hours.count)
    for name, values, colour in bands:
        top = floor + values
        axes.fill_between(
            hours,
            np.append(floor, floor[-1]),
            np.append(top, top[-1]),
            step="post",
            label=name,
            color=colour,
            linewidth=0,
        )
        floor = top
    unused = floor + result.hourly_unused_usd.sum(axis=0)
    axes.fill_between(
        hours,
        np.append(floor, floor[-1]),
        np.append(unused, unused[-1]),
        step="post",
        label="committed, not used",
        facecolor="none",
        edgecolor="0.35",
        hatch="////",
        linewidth=0.3,
    )
    locator = AutoDateLocator()  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    axes.set_xlim(float(hours[0]), float(hours[-1]))
    axes.set_ylim(bottom=0)
    axes.set_ylabel("US dollars an hour")
    axes.set_xlabel("UTC")
    axes.set_title("What each hour's usage was paid with")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, reverse=True)
    aside = path.with_name(f".{path.name}.part")
    try:
        figure.savefig(aside, format=path.suffix[1:], dpi=120)
        os.replace(aside, path)  # noqa: PTH105 - whole or not at all
    finally:
        aside.unlink(missing_ok=True)


def _bands(dataset: Dataset, result: Bill) -> list[tuple[str, Floats, object]]:
    """Bands from the bottom up: what commitments paid (by kind if they are many), on demand."""
    import matplotlib as mpl  # noqa: PLC0415

    names = [str(name) for name in result.commitments]
    if len(names) > MOST_BANDS:
        kinds = {
            str(one.commitment): str(dataset.offerings[one.offering].kind)
            for one in dataset.commitments
        }
        names = [kinds[name] for name in names]
    bands: dict[str, Floats] = {}
    for name, values in zip(names, result.hourly_used_usd, strict=True):
        if values.any():
            bands[name] = bands.get(name, np.zeros(result.hours.count)) + values
    colours = mpl.colormaps["viridis"](np.linspace(0.15, 0.95, max(len(bands), 1)))
    stacked: list[tuple[str, Floats, object]] = [
        (name, values, tuple(colour))
        for (name, values), colour in zip(bands.items(), colours, strict=False)
    ]
    return [*stacked, ("on demand", result.hourly_on_demand_usd, "tab:red")]
