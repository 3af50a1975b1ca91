"""The items inside one step of the interior-point method: their state and their arithmetic.

Everything works in place, on arrays of items × hours that stay in a core's cache. See ``interior``
for the meaning of the letters.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Items = NDArray[np.floating]
"""Arrays over items: float64, or float32 where a problem is large and its tolerance wide."""

_START_ROUNDS = 6


class Cell:
    """One group's items over a shard's hours: data, state, and room to work in.

    ``rate`` is k × items × 1. Everything is allocated once: an iteration only overwrites.
    """

    def __init__(self, resources: tuple[int, ...], demand: Items, rate: Items) -> None:
        kind = demand.dtype
        self.resources = resources
        self.demand = demand
        self.rate: Items = rate.astype(kind)[:, :, None]
        self.price = np.empty_like(demand)
        self.left = np.empty_like(demand)
        self.covered = [np.empty_like(demand) for _ in resources]
        self.inverse = [np.empty_like(demand) for _ in resources]  # 1 ÷ slack
        self.weight = [np.empty_like(demand) for _ in resources]  # rate·Y/slack
        self.share = np.empty_like(demand)  # 1 ÷ Σ of all Y/slack and Z/slack
        self.first = np.empty_like(demand)
        self.second = np.empty_like(demand)
        # Z, then Y: first with the predictor's second-order term, later their directions
        self.trial = [np.empty_like(demand) for _ in range(len(resources) + 1)]


class Fall:
    """The largest relative falls seen in each hour, as negative numbers; 0 when nothing falls."""

    def __init__(self, hours: int) -> None:
        self.primal: Items = np.zeros(hours)
        self.dual: Items = np.zeros(hours)

    def take(self, primal: Items, dual: Items) -> None:
        """Note the relative changes of variables and of their slacks, both things × hours."""
        np.minimum(self.primal, primal.min(axis=0), out=self.primal)
        np.minimum(self.dual, dual.min(axis=0), out=self.dual)

    def lengths(self, keep: float) -> tuple[Items, Items]:
        """Each hour's longest primal and dual step that leaves 1 − ``keep`` of what falls."""
        return _longest(self.primal, keep), _longest(self.dual, keep)


def _longest(fall: Items, keep: float) -> Items:
    longest: Items = np.minimum(1.0, -keep / np.minimum(fall, -1e-12))
    return longest


def dot(one: Items, other: Items) -> Items:
    """Σ over items, by hour."""
    return np.asarray(np.einsum("nt,nt->t", one, other))


def spare(shape: tuple[int, ...], kind: np.dtype[np.floating]) -> tuple[Items, Items, Items]:
    """Three arrays to work in."""
    return np.empty(shape, kind), np.empty(shape, kind), np.empty(shape, kind)


def centred(demand: Items, ceilings: list[Items], barrier: float) -> Items:
    """Item prices at which the barrier's covers add up to the demand, by Newton's method.

    The price on demand is 1; ``ceilings`` are the prices of the covers.
    """
    least = np.minimum(1.0, ceilings[0])
    for ceiling in ceilings[1:]:
        np.minimum(least, ceiling, out=least)
    price: Items = least - (len(ceilings) + 1) * barrier / demand
    for _ in range(_START_ROUNDS):
        part = barrier / (1.0 - price)
        value = part - demand
        slope = part / (1.0 - price)
        for ceiling in ceilings:
            part = barrier / (ceiling - price)
            value += part
            slope += part / (ceiling - price)
        price = np.minimum(price - value / slope, price + 0.9 * (least - price))
    return price


def second_order(out: Items, ratio: Items, value: Items, fall: Fall) -> None:
    """Into ``out`` the predictor's second-order term of ``value``.

    ``ratio`` is its slack's relative change; its own is −1 − ratio.
    """
    np.subtract(-1.0, ratio, out=out)
    fall.take(out, ratio)
    out *= ratio
    out *= value


def direction(trial: Items, barred: Items, ratio: Items, value: Items, fall: Fall) -> None:
    """Overwrite ``trial`` by the direction of ``value``: barred − trial − ratio·value.

    ``barred`` is the barrier ÷ slack, overwritten too; ``ratio`` the slack's relative change.
    """
    np.subtract(barred, trial, out=trial)
    np.multiply(ratio, value, out=barred)
    trial -= barred
    np.divide(trial, value, out=barred)
    fall.take(barred, ratio)
