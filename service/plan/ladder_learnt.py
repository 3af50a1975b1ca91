"""The share of today's best level that pools with such signs came to bear for a year.

A small function of a pool's signs (``ladder_signs``): a straight part and a few bends. Its
weights were found by ``python -m service.backtest.learn`` as those that saved most when made
pools of many kinds were walked through week by week; none was chosen by hand. It answers what
bounds one by one cannot: how far to believe a rise, a fall or a season when each may be another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np

from service.domain.errors import InvariantError
from service.forecast.level import Series

WEIGHTS = "ladder_weights.txt"

LOWEST, HIGHEST = -1.5, 0.03
"""Logarithms between which the share lies: growth until the next decision may be bought ahead,
no more."""

_CLIP = 3.0
_PER_LINE = 8


@dataclass(frozen=True, slots=True)
class Weights:
    """``names`` of the signs; each is scaled by ``mean`` and ``deviation`` first.

    ``first[sign, bend]``, ``bend``, ``second``: the bends. ``straight[sign]``, ``level``.
    """

    names: tuple[str, ...]
    mean: Series
    deviation: Series
    first: Series
    bend: Series
    second: Series
    straight: Series
    level: float

    def share(self, found: dict[str, float]) -> float:
        """The share for ``signs``; raises ``InvariantError`` when they are not those learnt on."""
        if tuple(found) != self.names:
            msg = "the signs are not those that the weights were learnt on"
            raise InvariantError(msg)
        scaled = (np.array(list(found.values())) - self.mean) / self.deviation
        scaled = np.clip(scaled, -_CLIP, _CLIP)
        bent = np.tanh(scaled @ self.first + self.bend) @ self.second
        log = float(bent + scaled @ self.straight + self.level)
        return float(np.exp(min(max(log, LOWEST), HIGHEST)))


def learnt_share(found: dict[str, float], *, blind: tuple[str, ...] = ()) -> float:
    """The share of today's best level worth owning, for the signs ``found``.

    Signs whose names start with one of ``blind`` count as what they are on average.
    """
    weights = _weights()
    if blind:
        usual = dict(zip(weights.names, weights.mean.tolist(), strict=True))
        found = {name: usual[name] if name.startswith(blind) else found[name] for name in found}
    return weights.share(found)


def as_text(weights: Weights) -> str:
    """The weights as lines of text, the form in which they are kept."""
    lines = [" ".join(weights.names), str(weights.bend.size)]
    numbers = np.concatenate([part.ravel() for part in _parts(weights)])
    texts = [f"{number:.6g}" for number in numbers]
    lines += [" ".join(texts[at : at + _PER_LINE]) for at in range(0, len(texts), _PER_LINE)]
    return "\n".join(lines) + "\n"


def from_text(text: str) -> Weights:
    """The weights that ``as_text`` wrote."""
    head, bends, *lines = text.splitlines()
    names, hidden = tuple(head.split()), int(bends)
    size = len(names)
    numbers = np.array(" ".join(lines).split(), dtype=np.float64)
    cuts = np.cumsum([size, size, size * hidden, hidden, hidden, size])
    mean, deviation, first, bend, second, straight, level = np.split(numbers, cuts)
    if level.size != 1:
        msg = f"{numbers.size} weights do not fit {size} signs and {hidden} bends"
        raise InvariantError(msg)
    return Weights(
        names=names,
        mean=mean,
        deviation=deviation,
        first=first.reshape(size, hidden),
        bend=bend,
        second=second,
        straight=straight,
        level=float(level[0]),
    )


def _parts(weights: Weights) -> list[Series]:
    return [
        *(weights.mean, weights.deviation, weights.first, weights.bend, weights.second),
        *(weights.straight, np.array([weights.level])),
    ]


@cache
def _weights() -> Weights:
    return from_text(files(__package__).joinpath(WEIGHTS).read_text(encoding="utf-8"))
