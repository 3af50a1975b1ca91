"""Symmetric linear systems of the same sparsity, one per hour, factored for all hours at once.

Every entry of the matrix is a vector over hours, so that the loop over the few resources is Python
and the loop over the many hours is numpy. Resources that touch everything (a flexible plan) are
eliminated last; the others fall into small blocks (a family's plans) that do not see each other.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

BLOCK_LIMIT = 24
"""Largest block of resources kept together; above it the most connected one becomes shared."""


@dataclass(frozen=True, slots=True)
class Elimination:
    """An order of elimination and the entries that it fills.

    ``blocks`` are independent of each other once ``shared`` is set aside; ``later[p]`` lists the
    resources eliminated after ``p`` that ``p`` is coupled with, fill included; ``entry`` numbers
    the couplings (earlier, later).
    """

    size: int
    blocks: tuple[tuple[int, ...], ...]
    shared: tuple[int, ...]
    later: tuple[tuple[int, ...], ...]
    entry: dict[tuple[int, int], int]

    @property
    def order(self) -> tuple[int, ...]:
        """All resources, block by block, then the shared ones."""
        return (*(one for block in self.blocks for one in block), *self.shared)


def eliminate(size: int, cliques: Sequence[Sequence[int]]) -> Elimination:
    """The order for ``size`` resources of which those in one clique are all coupled."""
    degree = [0] * size
    for clique in cliques:
        for one in clique:
            degree[one] += 1
    shared: list[int] = []
    blocks = _connected(size, cliques, shared)
    while any(len(block) > BLOCK_LIMIT for block in blocks):
        large = next(block for block in blocks if len(block) > BLOCK_LIMIT)
        shared.append(max(large, key=lambda one: (degree[one], -one)))
        blocks = _connected(size, cliques, shared)
    ordered = tuple(tuple(sorted(block, key=lambda one: (degree[one], one))) for block in blocks)
    last = tuple(sorted(shared))
    order = [one for block in ordered for one in block] + list(last)
    later = _filled(size, cliques, order)
    entry = {
        (one, other): number
        for number, (one, other) in enumerate(
            (one, other) for one in range(size) for other in later[one]
        )
    }
    return Elimination(size, ordered, last, later, entry)


def _connected(
    size: int, cliques: Iterable[Sequence[int]], without: Sequence[int]
) -> list[list[int]]:
    parent = list(range(size))

    def root(one: int) -> int:
        while parent[one] != one:
            parent[one] = parent[parent[one]]
            one = parent[one]
        return one

    for clique in cliques:
        left = [one for one in clique if one not in without]
        for one, other in itertools.pairwise(left):
            parent[root(one)] = root(other)
    found: dict[int, list[int]] = {}
    for one in range(size):
        if one not in without:
            found.setdefault(root(one), []).append(one)
    return list(found.values())


def _filled(
    size: int, cliques: Sequence[Sequence[int]], order: Sequence[int]
) -> tuple[tuple[int, ...], ...]:
    place = {one: position for position, one in enumerate(order)}
    later: list[set[int]] = [set() for _ in range(size)]
    for clique in cliques:
        for one in clique:
            later[one].update(other for other in clique if place[other] > place[one])
    for one in order:
        after = sorted(later[one], key=place.__getitem__)
        for position, other in enumerate(after):
            later[other].update(after[position + 1 :])
    return tuple(tuple(sorted(one, key=place.__getitem__)) for one in later)


class Factor:
    """LDLᵀ of one symmetric positive definite matrix per hour.

    ``diagonal`` (resources × hours) and ``coupling`` (entries × hours) are overwritten. A pivot
    that falls below ``least_ratio`` of its diagonal has lost its digits and is held there.
    """

    def __init__(
        self, plan: Elimination, diagonal: Floats, coupling: Floats, least_ratio: float
    ) -> None:
        self._plan = plan
        self._ratios: list[list[Floats]] = [[] for _ in range(plan.size)]
        entry = plan.entry
        least = least_ratio * diagonal
        for one in plan.order:
            np.maximum(diagonal[one], least[one], out=diagonal[one])
            after = plan.later[one]
            ratios = [coupling[entry[one, other]] / diagonal[one] for other in after]
            for place, other in enumerate(after):
                diagonal[other] -= ratios[place] * coupling[entry[one, other]]
                for further in range(place + 1, len(after)):
                    pair = entry[other, after[further]]
                    coupling[pair] -= ratios[place] * coupling[entry[one, after[further]]]
            self._ratios[one] = ratios
        self._inverse = 1.0 / diagonal

    def reduce(self, right: Floats) -> Floats:
        """Forward substitution, in place; resources × hours."""
        for one in self._plan.order:
            for ratio, other in zip(self._ratios[one], self._plan.later[one], strict=True):
                right[other] -= ratio * right[one]
        return right

    def recover(self, reduced: Floats) -> Floats:
        """The solution for a right-hand side that ``reduce`` has been through; a new array."""
        solution = reduced * self._inverse
        for one in reversed(self._plan.order):
            for ratio, other in zip(self._ratios[one], self._plan.later[one], strict=True):
                solution[one] -= ratio * solution[other]
        return solution

    def gram(self, weight: Floats) -> Floats:
        """Σ over hours of W M⁻¹ W, W the diagonal of ``weight`` (resources × hours)."""
        size, hours = weight.shape
        total = np.zeros((size, size))
        tails = {one: np.zeros((size, hours)) for one in self._plan.shared}
        for block in self._plan.blocks:
            self._gram_of_block(block, weight, total, tails)
        for one in self._plan.shared:
            tails[one][one] = weight[one]
        for one in self._plan.shared:
            for ratio, other in zip(self._ratios[one], self._plan.later[one], strict=True):
                tails[other] -= ratio * tails[one]
            total += (tails[one] * self._inverse[one]) @ tails[one].T
        return total

    def _gram_of_block(
        self, block: Sequence[int], weight: Floats, total: Floats, tails: dict[int, Floats]
    ) -> None:
        members = np.array(block)
        rows = {one: np.zeros((len(block), weight.shape[1])) for one in block}
        for place, one in enumerate(block):
            rows[one][place] = weight[one]
        for one in block:
            row = rows[one]
            for ratio, other in zip(self._ratios[one], self._plan.later[one], strict=True):
                if other in rows:
                    rows[other] -= ratio * row
                else:
                    tails[other][members] -= ratio * row
            total[np.ix_(members, members)] += (row * self._inverse[one]) @ row.T
