"""What Azure's reservation catalogue says of machine sizes: what is sold, and which sizes float.

Instance size flexibility is the catalogue's ``ReservationsAutofitGroup`` and
``ReservationsAutofitRatio``, which differ by region. A size that the catalogue does not list is
known by its name alone, at the scale of its group. Groups keep the name that sizes tell, so that
price lists, offers and holdings agree.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Self

from service.domain.commitments import Payment
from service.domain.errors import ProviderError
from service.providers.azure.access import PROVIDER
from service.providers.azure.clients import Answer, AzureClients, read
from service.providers.azure.retirements import is_retired
from service.providers.azure.words import RESERVATION_PLANS, TERM_MONTHS, VIRTUAL_MACHINES
from service.usage.azure_sku import flexibility

_GROUP, _RATIO = "ReservationsAutofitGroup", "ReservationsAutofitRatio"
Terms = Mapping[int, frozenset[Payment]]
"""Payments on sale by months of the term."""


@dataclass(frozen=True, slots=True)
class Size:
    """One machine size in one region: its group and weight where it floats, what is sold."""

    family: str | None
    units: Decimal | None
    terms: Terms


@dataclass(frozen=True, slots=True)
class Catalog:
    """The catalogues of some regions, by region and size (lower case)."""

    sizes: Mapping[tuple[str, str], Size]

    @classmethod
    def read(cls, clients: AzureClients, regions: Iterable[str], on: date) -> Self:
        """Every size that can be reserved in ``regions``; retired ones are left out."""
        sizes: dict[tuple[str, str], Size] = {}
        for region in sorted(set(regions)):
            listed = read("Catalog.List", partial(_listed, clients, region))
            names = _family_names(listed)
            for one in listed:
                sizes[region, str(one["name"]).lower()] = _size(one, names, on)
        return cls(sizes)

    def size(self, region: str, arm_sku_name: str) -> Size:
        """What is known of a size; what its name tells where the catalogue lists it not."""
        known = self.sizes.get((region, arm_sku_name.lower()))
        if known is not None:
            return known
        family, units = flexibility(arm_sku_name)
        scale = self._scale(region, family) if units is not None else None
        return Size(family, units if scale is None or units is None else units * scale, {})

    def _scale(self, region: str, family: str | None) -> Decimal | None:
        """The catalogue's ratio for one unit of a name's weight, in a group that it lists."""
        for (place, name), size in self.sizes.items():
            if place == region and size.family == family and size.units is not None:
                _, units = flexibility(_cased(name))
                if units:
                    return size.units / units
        return None


def _cased(name: str) -> str:
    """A size in the spelling that its name is read in."""
    head, _, rest = name.partition("_")
    return f"{head.capitalize()}_{rest[:1].upper()}{rest[1:]}"


def _listed(clients: AzureClients, region: str) -> list[Answer]:
    pages = clients.reservations.get_catalog(
        clients.access.subscription_id,
        reserved_resource_type=VIRTUAL_MACHINES,
        location=region,
    )
    return [one.as_dict() for one in pages if _is_machine(one.resource_type)]


def _is_machine(resource_type: str | None) -> bool:
    return (resource_type or "").lower() == VIRTUAL_MACHINES.lower()


def _family_names(listed: Iterable[Answer]) -> Mapping[str, str]:
    """The catalogue's groups, each by the one name that its sizes tell, else by its own."""
    told: dict[str, set[str | None]] = {}
    for one in listed:
        group = _properties(one).get(_GROUP)
        if group:
            told.setdefault(group, set()).add(flexibility(str(one["name"]))[0])
    single = {group: next(iter(names)) for group, names in told.items() if len(names) == 1}
    twice = [name for name in single.values() if list(single.values()).count(name) > 1]
    return {
        group: name if (name := single.get(group)) and name not in twice else group
        for group in told
    }


def _size(one: Answer, names: Mapping[str, str], on: date) -> Size:
    properties = _properties(one)
    group, ratio = properties.get(_GROUP), properties.get(_RATIO)
    floats = bool(group and ratio)
    return Size(
        family=names[group] if group else flexibility(str(one["name"]))[0],
        units=Decimal(ratio) if floats and ratio else None,
        terms=_terms(one, on),
    )


def _terms(one: Answer, on: date) -> Terms:
    """Payments by term. A plan that Azure added since is left out; a term likewise.

    So is what this subscription is restricted from.
    """
    plans = one.get("billingPlans") or {}
    denied = [each for each in one.get("restrictions") or () if each.get("type") != "Term"]
    if denied:
        return {}
    barred = {word for each in one.get("restrictions") or () for word in each.get("values") or ()}
    return {
        months: frozenset(
            RESERVATION_PLANS[plan] for plan in plans.get(word, ()) if plan in RESERVATION_PLANS
        )
        for word in one.get("terms") or ()
        if (months := TERM_MONTHS.get(str(word))) is not None
        and word not in barred
        and not is_retired(str(one["name"]), months, on)
    }


def _properties(one: Answer) -> Mapping[str, str]:
    found = {str(p.get("name")): str(p.get("value")) for p in one.get("skuProperties") or ()}
    if not one.get("name"):
        raise ProviderError(
            provider=PROVIDER,
            operation="Catalog.List",
            code="incomplete_answer",
            detail="an entry of the catalogue has no name",
        )
    return found
