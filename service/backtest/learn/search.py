"""Searches the weights by the exact slope of the bill along the whole walk.

What is bought this week is owned for a year and makes next week's purchase smaller. The bill is
piecewise linear in the levels of all weeks, so its slope in each of them is known: the slope
of the weeks in which a unit bought now would be owned, less those in which it would have been
bought later. Followed back through the signs to the weights, that is all the search needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.backtest.market import DEFAULT_MENU, Walk
from service.domain.hours import WEEK_HOURS
from service.plan.ladder_learnt import HIGHEST, LOWEST, Weights
from service.plan.ladder_signs import newest_level, signs, week_levels

Floats = NDArray[np.float64]

TERM_WEEKS = DEFAULT_MENU[0].hours // WEEK_HOURS
RATE = DEFAULT_MENU[0].rate_ratio
HOURS_KEPT = 28
"""So many stand for each week's hours: the means of as many equal parts of them, sorted."""

_CLIP = 3.0
_BATCH = 300
_RATE, _DECAY = 0.003, 0.02
_TYPICAL_SAVINGS = 0.2


@dataclass(frozen=True, slots=True)
class Lessons:
    """Walks to learn from; weeks beyond a walk's end have neither hours nor a level.

    ``hours[case, week, hour]`` sorted, ``counted[case, week]`` how many of them are real,
    ``newest[case, week]`` today's best level, ``signs[case, week, sign]``, ``weights[case]``,
    ``kinds[case]``.
    """

    names: tuple[str, ...]
    hours: NDArray[np.float32]
    counted: Floats
    newest: Floats
    signs: NDArray[np.float32]
    weights: Floats
    kinds: tuple[str, ...]


def lessons(cases: Sequence[tuple[str, Floats]], shares: Mapping[str, float]) -> Lessons:
    """Walks over ``cases`` (kind and hourly demand); a kind counts by its share."""
    walk = Walk()
    weeks = max(len(walk.instants(demand.size)) for _, demand in cases)
    hours = np.zeros((len(cases), weeks, HOURS_KEPT), dtype=np.float32)
    counted, newest = np.zeros((len(cases), weeks)), np.zeros((len(cases), weeks))
    rows: dict[tuple[int, int], dict[str, float]] = {}
    weights = np.zeros(len(cases))
    kinds = [kind for kind, _ in cases]
    for place, (kind, demand) in enumerate(cases):
        spend = float(demand[walk.warmup_hours :].mean()) * len(walk.instants(demand.size))
        weights[place] = shares[kind] / kinds.count(kind) / (_TYPICAL_SAVINGS * spend * HOURS_KEPT)
        first = int(np.argmax(demand > 0))
        for week, now in enumerate(walk.instants(demand.size)):
            hours[place, week] = _parts_of(demand[now : now + WEEK_HOURS])
            counted[place, week] = HOURS_KEPT
            seen = demand[first : now - walk.lag_hours] if first < now else demand[:0]
            level = newest_level(seen, 1 - RATE) if seen.size >= WEEK_HOURS else 0.0
            if level > 0:
                newest[place, week] = level
                rows[place, week] = signs(week_levels(seen))
    names = tuple(next(iter(rows.values())))
    table = np.zeros((len(cases), weeks, len(names)), dtype=np.float32)
    for (place, week), row in rows.items():
        table[place, week] = list(row.values())
    return Lessons(names, hours, counted, newest, table, weights, tuple(kinds))


def _parts_of(hours: Floats) -> Floats:
    """Means, so that they bill as all hours do; a pick of each part stands half a place aside."""
    return np.asarray(np.sort(hours).reshape(HOURS_KEPT, -1).mean(axis=1))


def halves(given: Lessons, number: int) -> Lessons:
    """A half of each kind's cases, by lot; numbers 0 and 1, 2 and 3 … are together all of them.

    Answers that learnt on other cases err apart, so their mean is surer than any.
    """
    draw = np.random.default_rng(number // 2)
    mine = np.zeros(given.newest.shape[0], dtype=bool)
    for kind in dict.fromkeys(given.kinds):
        places = draw.permutation(np.flatnonzero(np.array(given.kinds) == kind))
        mine[places[number % 2 :: 2]] = True
    return replace(
        given,
        kinds=tuple(np.array(given.kinds)[mine]),
        hours=given.hours[mine],
        counted=given.counted[mine],
        newest=given.newest[mine],
        signs=given.signs[mine],
        weights=2 * given.weights[mine],
    )


def search(
    given: Lessons,
    *,
    hidden: int,
    rounds: int,
    seed: int,
    tell: Callable[[int, float], object] = lambda _round, _saved: None,
) -> Weights:
    """The weights that save most over the lessons; ``tell`` hears of every round's savings."""
    real = given.newest > 0
    mean, deviation = given.signs[real].mean(axis=0), given.signs[real].std(axis=0) + 1e-3
    scaled = np.clip((given.signs - mean) / deviation, -_CLIP, _CLIP).astype(np.float32)
    generator = np.random.default_rng(seed)
    size = len(given.names)
    parts = [
        generator.standard_normal((size, hidden)) * 0.5 / np.sqrt(size),
        np.zeros(hidden),
        np.zeros((hidden, 1)),
        np.zeros((size, 1)),
        np.full(1, -0.05),
    ]
    steps = _Steps(parts, rounds * -(-given.newest.shape[0] // _BATCH))
    for number in range(rounds):
        order = generator.permutation(given.newest.shape[0])
        saved = 0.0
        for chosen in np.array_split(order, -(-order.size // _BATCH)):
            saved += _learn(given, scaled, chosen, steps)
        tell(number, saved)
    first, bend, second, straight, level = steps.parts
    return Weights(
        names=given.names,
        mean=mean.astype(np.float64),
        deviation=deviation.astype(np.float64),
        first=first,
        bend=bend,
        second=second[:, 0],
        straight=straight[:, 0],
        level=float(level[0]),
    )


def _learn(
    given: Lessons, scaled: NDArray[np.float32], chosen: NDArray[np.int64], steps: _Steps
) -> float:
    inputs = scaled[chosen]
    first, bend, second, straight, level = steps.parts
    inner = np.tanh(inputs @ first + bend)
    logs = (inner @ second + inputs @ straight + level)[..., 0]
    levels = given.newest[chosen] * np.exp(np.clip(logs, LOWEST, HIGHEST))
    owned, bought = walked(levels)
    saved, slope = savings(given.hours[chosen], given.counted[chosen], owned)
    weights = given.weights[chosen][:, None]
    pull = -slopes(bought, slope) * weights * levels * ((logs > LOWEST) & (logs < HIGHEST))
    pull = (pull * (given.newest.shape[0] / chosen.size)).reshape(-1, 1).astype(np.float32)
    flat, bent = inputs.reshape(pull.size, -1), inner.reshape(pull.size, -1)
    inward = (pull @ second.T) * (1 - bent**2)
    steps.take([flat.T @ inward, inward.sum(0), bent.T @ pull, flat.T @ pull, pull.sum(0)])
    return float((saved.sum(axis=1) * given.weights[chosen]).sum())


def walked(levels: Floats) -> tuple[Floats, Floats]:
    """Capacity owned and bought per case and week when each week buys up to its level."""
    cases, weeks = levels.shape
    owned, bought, total = np.zeros((weeks, cases)), np.zeros((weeks, cases)), np.zeros((1, cases))
    totals = np.concatenate([total, np.zeros((weeks, cases))])
    for week in range(weeks):
        held = totals[week] - totals[max(week - TERM_WEEKS + 1, 0)]
        bought[week] = np.maximum(levels[:, week] - held, 0.0)
        owned[week] = held + bought[week]
        totals[week + 1] = totals[week] + bought[week]
    return owned.T, bought.T


def savings(hours: NDArray[np.float32], counted: Floats, owned: Floats) -> tuple[Floats, Floats]:
    """Each week's saving, and its slope in the capacity owned."""
    used = np.minimum(hours, owned[..., None]).sum(axis=2)
    above = (hours >= owned[..., None]).sum(axis=2)
    real = counted > 0
    slope = np.where(real, above - RATE * counted, 0.0)
    return np.where(real, used - RATE * owned * counted, 0.0), slope


def slopes(bought: Floats, slope: Floats) -> Floats:
    """The slope of all savings in each week's level, given those in the capacity owned."""
    cases, weeks = bought.shape
    found, held = np.zeros((weeks, cases)), np.zeros((weeks + TERM_WEEKS + 1, cases))
    later = np.zeros(cases)
    for week in range(weeks - 1, -1, -1):
        later = later + held[week + 1] - held[week + TERM_WEEKS]
        buys = bought[:, week] > 0
        found[week] = np.where(buys, slope[:, week] + later, 0.0)
        held[week] = np.where(buys, -later, slope[:, week])
    return found.T


class _Steps:
    """Adam's steps, shorter towards the end, with the weights drawn to nothing."""

    def __init__(self, parts: list[Floats], count: int) -> None:
        self.parts, self._count, self._taken = parts, count, 0
        self._mean = [np.zeros_like(part) for part in parts]
        self._square = [np.zeros_like(part) for part in parts]

    def take(self, pulls: Sequence[Floats]) -> None:
        self._taken += 1
        rate = _RATE * min(1.0, 2 * (1 - (self._taken - 1) / self._count) + 0.02)
        for place, pull in enumerate(pulls):
            self._mean[place] = 0.9 * self._mean[place] + 0.1 * pull
            self._square[place] = 0.99 * self._square[place] + 0.01 * pull**2
            mean = self._mean[place] / (1 - 0.9**self._taken)
            square = self._square[place] / (1 - 0.99**self._taken)
            decay = _DECAY * self.parts[place] if self.parts[place].ndim == 2 else 0.0  # noqa: PLR2004
            step = mean / (np.sqrt(square) + 1e-9) + decay
            self.parts[place] = self.parts[place] - rate * step
