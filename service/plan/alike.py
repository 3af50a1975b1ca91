"""Usage that no commitment can tell apart, added up.

Decides which lines are one. Lines of one price that every move takes together, at one rate, are
covered by the same share in every hour, whatever is bought: accounts and zones that nothing looks
at would only make the search longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import numpy as np

from service.billing.market import Market, compile_market
from service.billing.waterfall import Waterfall
from service.domain.commitments import Commitment
from service.domain.usage import Usage

_Meetings = list[tuple[int, Decimal]]


def merged(market: Market, commitments: Sequence[Commitment]) -> Market:
    """``market`` with alike lines added up; bills under ``commitments``, at any level, stay.

    A sum of lines stands in the place of the first of them.
    """
    lines = market.dataset.usage.lines
    if len({line.key for line in lines}) == len(lines):
        return market
    label = _labels(market, market.stack(commitments).plan)
    first = {of: line for line, of in reversed(list(enumerate(label)))}
    if len(first) == len(lines):
        return market
    quantity = market.dataset.usage.quantity
    total = np.zeros((len(quantity), len(first)))
    for line, of in enumerate(label):
        total[:, of] += quantity[:, line]
    usage = Usage(
        market.dataset.usage.hours, tuple(lines[first[of]] for of in range(len(first))), total
    )
    dataset = replace(market.dataset, usage=usage)
    return compile_market(usage, dataset.skus, dataset.offerings, sharing=market.sharing)


def _labels(market: Market, order: Waterfall) -> list[int]:
    """By line the number of its like, numbered in the order of the first of them."""
    meetings: list[_Meetings] = [[] for _ in market.dataset.usage.lines]
    for number, move in enumerate(order.moves):
        for line, rate in zip(move.lines, move.rates, strict=True):
            meetings[line].append((number, rate))
    known: dict[tuple[object, ...], int] = {}
    each = zip(market.on_demand_usd.tolist(), meetings, strict=True)
    return [known.setdefault((price, *met), len(known)) for price, met in each]
