"""Public prices from the Retail Prices API, and a customer's own over them.

One row prices one meter; its SKU is named as bills name it. Of several rows for one thing the first
tier counts, the one that all usage passes through, then the meter's own region, then the newest.
Spot and development rows are other SKUs and drop out. A reservation's price
is for the whole term, whatever its unit of measure says; savings plan rates stand inside the
on-demand rows and are per unit. A price that is not there is an error, never an estimate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from service.domain.errors import InputError, ProviderError
from service.domain.usage import Sku, SkuKey
from service.providers.azure.access import PROVIDER
from service.providers.azure.catalog import Catalog
from service.providers.azure.clients import Answer, AzureClients
from service.providers.azure.price_sheet import NO_SHEET, PriceSheet
from service.providers.azure.words import CURRENCY, RETAIL_TERMS, block_of
from service.providers.port import ShownPrice
from service.usage.azure_sku import VIRTUAL_MACHINES, azure_sku, describe_sku

API_VERSION = "2023-01-01-preview"  # the one that tells savings plan rates
_SIZES_PER_REQUEST = 12  # a filter must fit into an address
Named = tuple[str, str]
"""A region, and a SKU or a size in it."""


@dataclass(slots=True)
class Retail:
    """What the price list says, by region and SKU (or size), in dollars for one unit.

    ``on_demand``: unit, what this customer pays, the public price. ``plans`` and
    ``reservations`` are by months of the term; the latter for one machine and the whole term.
    ``ranks`` tells how good the row is that each came from.
    """

    on_demand: dict[Named, tuple[str, Decimal, Decimal]] = field(default_factory=dict)
    plans: dict[Named, dict[int, Decimal]] = field(default_factory=dict)
    reservations: dict[Named, dict[int, Decimal]] = field(default_factory=dict)
    ranks: dict[tuple[Named, int], _Rank] = field(default_factory=dict)

    def note(self, row: Answer, sheet: PriceSheet) -> None:
        """Take in one row; ``ProviderError`` where two rows price one thing differently."""
        region = str(row.get("armRegionName") or "")
        kind = row.get("type")
        if kind == "Reservation":
            months = RETAIL_TERMS.get(str(row.get("reservationTerm")))
            size = (region, str(row.get("armSkuName") or ""))
            if months is not None and not _is_windows(row) and self._counts(row, size, months):
                own = sheet.reservation_usd(_meter(row), months)
                price = _usd(row, "retailPrice") if own is None else own
                _put(self.reservations.setdefault(size, {}), months, price, size)
        elif kind == "Consumption":
            name, block = (region, sku_of(row)), block_of(str(row.get("unitOfMeasure")))
            if block is not None and self._counts(row, name, 0):
                self._note_usage(row, name, block, sheet)

    def _counts(self, row: Answer, name: Named, months: int) -> bool:
        """Whether the row is no worse than what is known; forgets what is worse than it."""
        rank, known = _rank(row), self.ranks.get((name, months))
        if known is not None and rank < known:
            return False
        if known is not None and rank > known:
            if months:
                self.reservations[name].pop(months, None)
            else:
                self.on_demand.pop(name, None)
                self.plans.pop(name, None)
        self.ranks[name, months] = rank
        return True

    def _note_usage(self, row: Answer, name: Named, block: Decimal, sheet: PriceSheet) -> None:
        public = _usd(row, "retailPrice") / block
        paid = sheet.on_demand_usd(_meter(row))
        priced = (str(row.get("unitOfMeasure")), public if paid is None else paid, public)
        _put(self.on_demand, name, priced, name)
        rates = self.plans.setdefault(name, {})
        for plan in row.get("savingsPlan") or ():
            months = RETAIL_TERMS.get(str(plan.get("term")))
            if months is not None:
                own = sheet.plan_usd(_meter(row), months)
                rates[months] = _usd(plan, "retailPrice") / block if own is None else own


_Rank = tuple[Decimal, bool, str]
"""How good a row is: its tier (negative: the first is best), its meter's region, its date."""


def _rank(row: Answer) -> _Rank:
    tier = _usd(row, "tierMinimumUnits") if row.get("tierMinimumUnits") else Decimal(0)
    primary = row.get("isPrimaryMeterRegion") is not False
    return -tier, primary, str(row.get("effectiveStartDate") or "")


def retail(clients: AzureClients, keys: Iterable[SkuKey], sheet: PriceSheet = NO_SHEET) -> Retail:
    """Everything that the price list says of ``keys``."""
    found = Retail()
    for text in _filters(keys):
        for row in clients.retail({"api-version": API_VERSION, "$filter": text}):
            if row.get("currencyCode") != CURRENCY:
                raise _unusable(f"a price is in {row.get('currencyCode')}")
            found.note(row, sheet)
    return found


def priced(
    keys: Sequence[SkuKey],
    shown: Mapping[SkuKey, ShownPrice],
    found: Retail,
    catalog: Catalog,
) -> list[Sku]:
    """The on-demand price of each key, in the order given.

    Where the price list has none, the price that bills show is taken. Raises ``InputError`` for a
    key that neither has.
    """
    return [_sku(key, found.on_demand.get((key.region, key.sku)), shown, catalog) for key in keys]


def sku_of(row: Answer) -> str:
    """The SKU id of a row, as bills name what it prices."""
    return azure_sku(
        meter_category=str(row.get("serviceName") or ""),
        meter_subcategory=str(row.get("productName") or ""),
        meter_name=str(row.get("meterName") or ""),
        arm_sku_name=str(row.get("armSkuName") or ""),
    )


def _sku(
    key: SkuKey,
    price: tuple[str, Decimal, Decimal] | None,
    shown: Mapping[SkuKey, ShownPrice],
    catalog: Catalog,
) -> Sku:
    facts = describe_sku(key.sku)
    if price is None and key in shown:
        unit, usd = shown[key]
        price = (unit, usd, usd)
    if price is None:
        raise InputError(
            f"neither Azure's price list nor the exports have an on-demand price for {key.sku} "
            f"in {key.region}",
            file="the Azure price list",
            remedy="Export the list unit price (FOCUS ListUnitPrice), which tells what it costs.",
        )
    unit, paid, public = price
    family, units = facts.family, facts.size_units
    if facts.arm_sku_name is not None:
        size = catalog.size(key.region, facts.arm_sku_name)
        family, units = size.family, size.units
    return Sku(
        key=key,
        service=facts.service or "",
        family=family,
        size_units=units,
        platform=facts.platform,
        tenancy=facts.tenancy,
        unit=facts.unit or unit,
        on_demand_usd=paid,
        list_usd=public,
    )


def _filters(keys: Iterable[SkuKey]) -> Iterator[str]:
    """Filters that ask for every key: machines by size, everything else by service."""
    sizes: dict[str, set[str]] = {}
    services: set[tuple[str, str]] = set()
    for key in keys:
        size = describe_sku(key.sku).arm_sku_name
        if size is None:
            services.add((key.region, key.sku.partition("/")[0]))
        else:
            sizes.setdefault(key.region, set()).add(size)
    for region, names in sorted(sizes.items()):
        ordered = sorted(names)
        for first in range(0, len(ordered), _SIZES_PER_REQUEST):
            some = ordered[first : first + _SIZES_PER_REQUEST]
            any_size = " or ".join(f"armSkuName eq {_quoted(name)}" for name in some)
            yield (
                f"serviceName eq {_quoted(VIRTUAL_MACHINES)} and "
                f"armRegionName eq {_quoted(region)} and ({any_size})"
            )
    for region, service in sorted(services):
        yield f"serviceName eq {_quoted(service)} and armRegionName eq {_quoted(region)}"


def _quoted(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


def _put(into: dict[Any, Any], name: object, price: object, what: object) -> None:
    known = into.setdefault(name, price)
    if known != price:
        raise _unusable(f"{what} costs {known} and {price}")


def _meter(row: Answer) -> str:
    return str(row.get("meterId") or "")


def _is_windows(row: Answer) -> bool:
    return str(row.get("productName") or "").lower().endswith("windows")


def _usd(row: Answer, name: str) -> Decimal:
    try:
        price = Decimal(str(row.get(name)))
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or price < 0:
        raise _unusable(f"{name} of {row.get('meterName')} is {row.get(name)!r}")
    return price


def _unusable(detail: str) -> ProviderError:
    return ProviderError(
        provider=PROVIDER, operation="Retail.Prices", code="unusable_price", detail=detail
    )
