"""What is odd about a dataset without being wrong: counted and shown, never passed in silence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from service.billing.capacity import unit_sku
from service.billing.flexibility import fixed_size_rule
from service.billing.moves import Scene
from service.domain.commitments import Kind
from service.domain.usage import Dataset

_EXAMPLES = 3


@dataclass(frozen=True, slots=True)
class Warning:  # noqa: A001 - the word of the field; the built-in is not used here
    """``count`` cases of ``rule``; ``sentence`` tells them to a person."""

    rule: str
    count: int
    sentence: str


def warnings(dataset: Dataset) -> tuple[Warning, ...]:
    """Offers without any price, reservations that float less than told, zones that say nothing."""
    return (*_unpriced_offers(dataset), *_fixed_sizes(dataset), *_zones(dataset))


def _unpriced_offers(dataset: Dataset) -> Iterator[Warning]:
    known = {(key.provider, key.sku) for key in dataset.skus}
    placed = {(key.provider, key.region, key.sku) for key in dataset.skus}
    known |= {(provider, f"{region}/{sku}") for provider, region, sku in placed}
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


def _fixed_sizes(dataset: Dataset) -> Iterator[Warning]:
    usage = dataset.usage
    scene = Scene(usage.lines, dataset.skus, dataset.offerings)
    fixed: dict[str, list[str]] = {}
    for one in dataset.commitments:
        offering = dataset.offerings[one.offering]
        if offering.kind.is_spend:
            continue
        rule = fixed_size_rule(offering, unit_sku(scene, offering), usage.hours.start)
        if rule is not None:
            fixed.setdefault(rule.rule, []).append(one.commitment)
    for words, names in sorted(fixed.items()):
        yield Warning(
            "size_flexibility",
            len(names),
            f"{len(names)} commitments are billed by size although their offer says flexible"
            f" ({words}): {_examples(sorted(names))}",
        )


def _zones(dataset: Dataset) -> Iterator[Warning]:
    """Zonal commitments that name no zone, and zones of commitments that are not zonal."""
    anywhere, idle = [], []
    for one in dataset.commitments:
        offering = dataset.offerings[one.offering]
        if offering.kind is not Kind.AWS_RI_ZONAL:
            idle += [one.commitment] if one.zone is not None else []
        elif one.zone is None and offering.zone is None:
            anywhere.append(one.commitment)
    if anywhere:
        yield Warning(
            "zonal_without_zone",
            len(anywhere),
            f"{len(anywhere)} zonal commitments name no zone and are taken to hold in every one:"
            f" {_examples(sorted(anywhere))}",
        )
    if idle:
        yield Warning(
            "zone_of_no_effect",
            len(idle),
            f"{len(idle)} commitments name a zone though their kind is not zonal, and cover usage"
            f" in any: {_examples(sorted(idle))}",
        )


def _examples(names: Sequence[str]) -> str:
    more = len(names) - _EXAMPLES
    return ", ".join(names[:_EXAMPLES]) + (f" and {more} more" if more > 0 else "")
