"""The share of today's best level that pools with such signs came to bear for a year.

The mean of several answers, each a small function of a pool's signs (``ladder_signs``): a straight
part and a few bends. Their weights were found by ``python -m service.backtest.learn`` as those that
saved most when made pools of many kinds were walked through week by week, for each answer other
pools; none was chosen by hand. It answers what
bounds one by one cannot: how far to believe a rise, a fall or a season when each may be another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

import numpy as np

from service.domain.errors import InvariantError
from service.forecast.level import Series
from service.plan.ladder_signs import OLDEST_WEEKS, signs

WEIGHTS = "ladder_weights.txt"

LOWEST, HIGHEST = -1.5, 0.03
"""Logarithms between which the share lies: growth until the next decision may be bought ahead,
no more."""

_CLIP = 3.0
_REMEMBERED = 4096
_PER_LINE = 24
_FORM = "answers, form 2\n"


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

    def log_share(self, found: dict[str, float]) -> float:
        """The share's logarithm for the signs ``found``.

        Raises ``InvariantError`` when they are not those learnt on.
        """
        if tuple(found) != self.names:
            msg = "the signs are not those that the weights were learnt on"
            raise InvariantError(msg)
        scaled = (np.array(list(found.values())) - self.mean) / self.deviation
        scaled = np.clip(scaled, -_CLIP, _CLIP)
        bent = np.tanh(scaled @ self.first + self.bend) @ self.second
        log = float(bent + scaled @ self.straight + self.level)
        return min(max(log, LOWEST), HIGHEST)


@dataclass(frozen=True, slots=True)
class Judged:
    """The ``share`` of today's best level worth owning, and whether the last 13 weeks fall."""

    share: float
    is_falling: bool


def judged(weekly: Series, *, blind: tuple[str, ...] = ()) -> Judged:
    """What a pool's weekly levels, oldest first, say; at least one must be > 0.

    Signs whose names start with one of ``blind`` count as what they are on average. A walk asks
    again for weeks that it asked for before, so the newest answers are remembered.
    """
    return _judged(weekly[-OLDEST_WEEKS:].astype(np.float64).tobytes(), blind)


@lru_cache(maxsize=_REMEMBERED)
def _judged(weekly: bytes, blind: tuple[str, ...]) -> Judged:
    found = signs(np.frombuffer(weekly))
    is_falling = found["slope_13"] < 0
    answers = _answers()
    if blind:
        usual = dict(zip(answers[0].names, answers[0].mean.tolist(), strict=True))
        found = {name: usual[name] if name.startswith(blind) else found[name] for name in found}
    share = float(np.exp(np.mean([answer.log_share(found) for answer in answers])))
    return Judged(share, is_falling)


def as_text(answers: Sequence[Weights]) -> str:
    """The answers as lines of text, the form in which they are kept: form, then one by one."""
    return "\n".join([_FORM, *(_one_as_text(answer) for answer in answers)])


def from_text(text: str) -> tuple[Weights, ...]:
    """The answers that ``as_text`` wrote."""
    form, *parts = text.split("\n\n")
    if form + "\n" != _FORM or not parts:
        msg = f"weights of another form than {_FORM.strip()!r}"
        raise InvariantError(msg)
    return tuple(_one_from_text(part) for part in parts)


def _one_as_text(weights: Weights) -> str:
    lines = [" ".join(weights.names), str(weights.bend.size)]
    numbers = np.concatenate([part.ravel() for part in _parts(weights)])
    texts = [f"{number:.6g}" for number in numbers]
    lines += [" ".join(texts[at : at + _PER_LINE]) for at in range(0, len(texts), _PER_LINE)]
    return "\n".join(lines) + "\n"


def _one_from_text(text: str) -> Weights:
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
def _answers() -> tuple[Weights, ...]:
    return from_text(files(__package__).joinpath(WEIGHTS).read_text(encoding="utf-8"))
