"""Which machine types an estate's usage holds, and which of them a pool is.

A type is a family of one service (``m5`` of a cloud's machines); its regions are its kin.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from service.domain.usage import Sku, SkuKey, Usage
from service.forecast.phase_out import Kin, Kindred

Floats = NDArray[np.float64]


class Types:
    """The machine types of ``usage``, in on-demand dollars per hour."""

    def __init__(self, usage: Usage, skus: Mapping[SkuKey, Sku], on_demand_usd: Floats) -> None:
        """``on_demand_usd``: the price of each line of ``usage``."""
        lines: dict[tuple[str, str], list[int]] = {}
        self._of_line: list[tuple[str, str] | None] = []
        for line, used in enumerate(usage.lines):
            sku = skus[used.key]
            of = None
            if sku.family:
                name = f"{used.provider}/{sku.service}"
                of = (f"{name}/{used.region}", f"{name}/{sku.family}")
                lines.setdefault(of, []).append(line)
            self._of_line.append(of)
        self.kindred = Kindred(
            [
                Kin(region, name, np.asarray(usage.quantity[:, of] @ on_demand_usd[of]))
                for (region, name), of in lines.items()
            ]
        )

    def of(self, lines: Sequence[int], seen: Floats) -> Kin | None:
        """The type that all ``lines`` are, whose hours are ``seen``; ``None`` if several or none.

        What covers several types does not mind that one takes over from another.
        """
        found = {self._of_line[line] for line in lines}
        only = found.pop() if len(found) == 1 else None
        return None if only is None else Kin(*only, seen)
