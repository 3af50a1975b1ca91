"""What is odd about a dataset without being wrong: counted and shown, never passed in silence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.domain.usage import Dataset

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 - the word of the field; the built-in is not used here
    """``count`` cases of ``rule``; ``sentence`` tells them to a person."""

    rule: str
    count: int
    sentence: str


def warnings(dataset: Dataset) -> tuple[Warning, ...]:
    """Offers that can never apply because the price list has none of their SKUs."""
    return tuple(_unpriced_offers(dataset))


def _unpriced_offers(dataset: Dataset) -> Iterator[Warning]:
    known = {(key.provider, key.sku) for key in dataset.skus}
    placed = {(key.provider, key.region, key.sku) for key in dataset.skus}
    lost = [
        offering.offering
        for offering in dataset.offerings.values()
        if not any(
            (offering.provider, offering.region, sku) in placed
            if offering.region is not None
            else (offering.provider, sku) in known
            for sku in offering.rates_usd
        )
    ]
    if lost:
        yield Warning(
            "offer_without_price",
            len(lost),
            f"{len(lost)} offers name no SKU that is in the price list and can cover nothing:"
            f" {_examples(sorted(lost))}",
        )


def _examples(names: Sequence[str]) -> str:
    more = len(names) - _EXAMPLES
    return ", ".join(names[:_EXAMPLES]) + (f" and {more} more" if more > 0 else "")
