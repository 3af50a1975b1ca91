"""The Retail Prices API: decides which price rows a filter asks for.

Prices of reservations are for the whole term, whatever the unit of measure says. Savings plan
prices stand inside the on-demand rows, in the preview version only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal

from service.sandbox.azure.catalog import AzureCatalog, Machine
from service.sandbox.azure.wire.call import Call, Reply, route
from service.sandbox.faults import ApiError

_PREVIEW = "2023-01-01-preview"
_YEARS = {12: "1 Year", 36: "3 Years"}
_TOKEN = re.compile(r"\s*(?:(\(|\))|'((?:[^']|'')*)'|([A-Za-z_]\w*))")
Row = Mapping[str, object]


def prices(call: Call) -> Reply:
    """One page of price rows."""
    keep = _Filter(call.query.get("$filter", "")).predicate()
    preview = call.query.get("api-version") == _PREVIEW
    found = [row for row in _rows(call, preview=preview) if keep(row)]
    call.priced += sorted({(str(row["armRegionName"]), str(row["armSkuName"])) for row in found})
    items, link = call.page(found, token="$skip")  # noqa: S106  # the name of a parameter
    body = {
        "BillingCurrency": "USD",
        "CustomerEntityId": "Default",
        "CustomerEntityType": "Retail",
        "Items": items,
        "NextPageLink": link,
        "Count": len(items),
    }
    return Reply(200, body)


def _rows(call: Call, *, preview: bool) -> Iterator[Row]:
    catalog, today = call.world.catalog, call.world.now().date()
    for machine in catalog.machines.values():
        for windows in (False, True) if machine.licence_usd else (False,):
            yield _consumption(catalog, machine, windows=windows, preview=preview)
            yield _spot(machine, windows=windows)
        for months, years in _YEARS.items():
            if catalog.is_sold(machine, months, today):
                whole = catalog.reservation_usd(machine, months)
                row = _row(machine, whole, windows=False, kind="Reservation")
                yield {**row, "reservationTerm": years}


def _consumption(
    catalog: AzureCatalog, machine: Machine, *, windows: bool, preview: bool
) -> dict[str, object]:
    price = machine.machine_usd + (machine.licence_usd if windows else 0)
    row = _row(machine, price, windows=windows, kind="Consumption")
    if preview:
        rates = {m: catalog.plan_rate_usd(machine, m, windows=windows) for m in (36, 12)}
        row["savingsPlan"] = [
            {"unitPrice": rate, "retailPrice": rate, "term": _YEARS[months]}
            for months, rate in rates.items()
        ]
    return row


def _spot(machine: Machine, *, windows: bool) -> dict[str, object]:
    row = _row(machine, machine.machine_usd / 5, windows=windows, kind="Consumption")
    name = f"{machine.meter} Spot"
    return {**row, "meterName": name, "skuName": name, "meterId": f"{row['meterId']}-spot"}


def _row(machine: Machine, price: Decimal, *, windows: bool, kind: str) -> dict[str, object]:
    # A reservation is priced under the meter of the usage that it covers, as sheets do it too.
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0,
        "retailPrice": price,
        "unitPrice": price,
        "armRegionName": machine.region,
        "location": machine.location,
        "effectiveStartDate": "2021-11-01T00:00:00Z",
        "meterId": machine.meter_id(windows=windows),
        "meterName": machine.meter,
        "productName": machine.product(windows=windows),
        "skuName": machine.meter,
        "serviceName": "Virtual Machines",
        "serviceFamily": "Compute",
        "unitOfMeasure": "1 Hour",
        "type": kind,
        "isPrimaryMeterRegion": True,
        "armSkuName": machine.arm_name,
    }


class _Filter:
    """OData as far as price lists need it: ``name eq 'text'``, ``and``, ``or``, parentheses."""

    def __init__(self, text: str) -> None:
        self._tokens: list[tuple[str, str]] = []
        place = 0
        while text[place:].strip():
            found = _TOKEN.match(text, place)
            if found is None:
                raise _unfit(text)
            mark, quoted, word = found.groups()
            kind = "mark" if mark else "word" if word else "text"
            self._tokens.append((kind, mark or word or (quoted or "").replace("''", "'")))
            place = found.end()
        self._text = text

    def predicate(self) -> Callable[[Row], bool]:
        """Whether a row is asked for."""
        if not self._tokens:
            return lambda _: True
        predicate = self._any()
        if self._tokens:
            raise _unfit(self._text)
        return predicate

    def _any(self) -> Callable[[Row], bool]:
        parts = [self._all()]
        while self._took("word", "or"):
            parts.append(self._all())
        return lambda row: any(part(row) for part in parts)

    def _all(self) -> Callable[[Row], bool]:
        parts = [self._one()]
        while self._took("word", "and"):
            parts.append(self._one())
        return lambda row: all(part(row) for part in parts)

    def _one(self) -> Callable[[Row], bool]:
        if self._took("mark", "("):
            inner = self._any()
            if not self._took("mark", ")"):
                raise _unfit(self._text)
            return inner
        kinds = [kind for kind, _ in self._tokens[:3]]
        if kinds != ["word", "word", "text"] or self._tokens[1][1] != "eq":
            raise _unfit(self._text)
        (_, name), _, (_, value) = self._tokens[:3]
        del self._tokens[:3]
        member = "type" if name == "priceType" else name
        return lambda row: row.get(member) == value

    def _took(self, kind: str, word: str) -> bool:
        if self._tokens[:1] != [(kind, word)]:
            return False
        del self._tokens[0]
        return True


def _unfit(text: str) -> ApiError:
    return ApiError("BadRequest", f"The filter {text!r} is not valid.")


ROUTES = (route("GET", "/api/retail/prices", "azure.Retail.Prices", "", prices),)
