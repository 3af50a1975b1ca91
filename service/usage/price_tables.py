"""Reads the price list, the offers and the holdings of a dataset folder, strictly.

Decides what a well-formed row of each is (docs/tables.md). Rates, prices and commitments stay the
decimals that they are written as.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from service.billing.legacy_cud import Stated, commit_usd_per_hour, legacy_rule
from service.billing.moves import names_group
from service.domain.commitments import Commitment, CommitmentState, Kind, Offering, Payment
from service.domain.errors import InputError
from service.domain.hours import iso
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.domain.usage import Sku, SkuKey
from service.usage.columns import Column, Table, as_decimal, as_hour

T = TypeVar("T")
Word = TypeVar("Word", bound=StrEnum)

PROVIDERS = ("aws", "azure", "gcp")
TERMS_MONTHS = (12, 36, 60)


def read_skus(table: Table) -> dict[SkuKey, Sku]:
    """The price list by provider, region and SKU."""
    provider = _cells(table, "provider", one_of(PROVIDERS), f"Use {', '.join(PROVIDERS)}")
    region, sku = table.column("region").texts(required=False), _texts(table, "sku")
    service, unit = _texts(table, "service"), _texts(table, "unit")
    family, platform = _optional_texts(table, "family"), _optional_texts(table, "platform")
    tenancy = _optional_texts(table, "tenancy")
    size_units = _optional(table, "size_units", _positive, "Write a number above 0, or nothing")
    on_demand = _cells(table, "on_demand_usd", as_decimal, _MONEY)
    listed = _cells(table, "list_usd", as_decimal, _MONEY)
    skus: dict[SkuKey, Sku] = {}
    for row in range(table.rows):
        key = SkuKey(provider[row], region[row], sku[row])
        if key in skus:
            raise InputError(
                f"{key.provider} {key.region} {key.sku} has a row already",
                file=table.file, row=row + 1, column="sku", remedy="Keep one price for it",
            )  # fmt: skip
        skus[key] = Sku(
            key=key, service=service[row], family=family[row], size_units=size_units[row],
            platform=platform[row], tenancy=tenancy[row], unit=unit[row],
            on_demand_usd=on_demand[row], list_usd=listed[row],
        )  # fmt: skip
    return skus


def read_offers(table: Table) -> dict[OfferingId, Offering]:
    """Offerings by id. All rows of one offer must agree in everything but sku and rate."""
    ids = _texts(table, "offer")
    shared = _offer_fields(table)
    sku, rate = _texts(table, "sku"), _cells(table, "rate_usd", as_decimal, _MONEY)
    first: dict[str, int] = {}
    rates: dict[str, dict[str, Decimal]] = {}
    for row, offer in enumerate(ids):
        start = first.setdefault(offer, row)
        for name, cells in shared.items():
            if cells[row] != cells[start]:
                raise InputError(
                    f"offer {offer} says {cells[row]} here and {cells[start]} in row {start + 1}",
                    file=table.file, row=row + 1, column=name,
                    remedy="Write the same in every row of an offer",
                )  # fmt: skip
        entry = rates.setdefault(offer, {})
        if sku[row] in entry:
            raise InputError(
                f"offer {offer} has a row for {sku[row]} already",
                file=table.file, row=row + 1, column="sku", remedy="Keep one rate for it",
            )  # fmt: skip
        entry[sku[row]] = rate[row]
    offerings = {}
    for offer, row in first.items():
        offering = _offering(offer, {name: cells[row] for name, cells in shared.items()}, rates)
        if not offering.kind.is_spend and len(offering.rates_usd) != 1:
            raise InputError(
                f"offer {offer} is capacity of kind {offering.kind} and has"
                f" {len(offering.rates_usd)} rows",
                file=table.file, row=row + 1, column="sku",
                remedy="Keep the one SKU that a unit of its capacity is defined in",
            )  # fmt: skip
        offerings[offering.offering] = offering
    return offerings


def _offer_fields(table: Table) -> dict[str, Sequence[object]]:
    kinds = ", ".join(Kind)
    kind = _cells(table, "kind", _member(Kind), f"Use one of {kinds}")
    provider = _cells(table, "provider", one_of(PROVIDERS), f"Use {', '.join(PROVIDERS)}")
    for row, (one, other) in enumerate(zip(kind, provider, strict=True)):
        if not one.startswith(other):
            raise InputError(
                f"kind {one} is not one of {other}'s", file=table.file, row=row + 1,
                column="kind", remedy="Mend the kind or the provider",
            )  # fmt: skip
    return {
        "provider": provider,
        "kind": kind,
        "term_months": _cells(table, "term_months", _term, "Use 12, 36 or 60"),
        "payment": _cells(table, "payment", _member(Payment), f"Use one of {', '.join(Payment)}"),
        "region": _optional_texts(table, "region"),
        "family": _optional_texts(table, "family"),
        "platform": _optional_texts(table, "platform"),
        "tenancy": _optional_texts(table, "tenancy"),
        "zone": _optional_texts(table, "zone"),
        "size_flexible": _optional(table, "size_flexible", _boolean, "Write true or false"),
        "upfront_usd": _optional(table, "upfront_usd", as_decimal, _MONEY),
        "min_quantity": _optional(table, "min_quantity", as_decimal, _MONEY),
        "step": _optional(table, "step", as_decimal, _MONEY),
    }


def _offering(
    offer: str, cells: Mapping[str, object], rates: Mapping[str, Mapping[str, Decimal]]
) -> Offering:
    values = dict(cells)
    for name in ("upfront_usd", "min_quantity", "step"):
        values[name] = Decimal(0) if values[name] is None else values[name]
    values["size_flexible"] = values["size_flexible"] is True
    return Offering(offering=OfferingId(offer), rates_usd=rates[offer], **values)  # type: ignore[arg-type]


def read_holdings(table: Table, offerings: Mapping[OfferingId, Offering]) -> tuple[Commitment, ...]:
    """Commitments in the order of the file, spend in discounted dollars however it is stated."""
    ids, account = _texts(table, "commitment"), _texts(table, "account")
    offer = _cells(table, "offer", one_of(offerings), "Add the offer's rows to offers")
    scope = _cells(table, "scope", _scope, _SCOPE)
    zone = _optional_texts(table, "zone")
    quantity = _cells(table, "quantity", as_decimal, _MONEY)
    hour = "Write the start of an hour in UTC, as 2026-01-31T13:00:00Z"
    start, end = _cells(table, "start", as_hour, hour), _cells(table, "end", as_hour, hour)
    states = ", ".join(CommitmentState)
    state = _cells(table, "state", _member(CommitmentState), f"Use one of {states}")
    seen: dict[str, int] = {}
    found = []
    for row in range(table.rows):
        earlier = seen.setdefault(ids[row], row)
        if earlier != row:
            raise InputError(
                f"commitment {ids[row]} stands in row {earlier + 1} already",
                file=table.file, row=row + 1, column="commitment",
                remedy="Give each commitment one row and an id of its own",
            )  # fmt: skip
        if end[row] <= start[row]:
            raise InputError(
                f"it ends {iso(end[row])}, not after it starts {iso(start[row])}",
                file=table.file, row=row + 1, column="end", remedy="Mend the start or the end",
            )  # fmt: skip
        found.append(
            Commitment(
                commitment=CommitmentId(ids[row]), offering=OfferingId(offer[row]),
                account=AccountId(account[row]), scope=scope[row], zone=zone[row],
                quantity=quantity[row], start=start[row], end=end[row], state=state[row],
            )
        )  # fmt: skip
    _refuse_foreign_groups(table, found, offerings)
    return tuple(_discounted(table, found, offerings))


def _refuse_foreign_groups(
    table: Table, commitments: Sequence[Commitment], offerings: Mapping[OfferingId, Offering]
) -> None:
    for row, one in enumerate(commitments):
        provider = offerings[one.offering].provider
        if provider != "azure" and any(map(names_group, one.scope or ())):
            raise InputError(
                f"resource groups are Azure's, and the offer is {provider}'s", file=table.file,
                row=row + 1, column="scope", remedy="Name whole accounts",
            )  # fmt: skip


def _discounted(
    table: Table, commitments: Sequence[Commitment], offerings: Mapping[OfferingId, Offering]
) -> Iterator[Commitment]:
    """The commitments, those stated in on-demand dollars converted by the rule of their start."""
    if not table.has("stated"):
        yield from commitments
        return
    words = ", ".join(Stated)
    stated = _optional(table, "stated", _member(Stated), f"Use one of {words}, or leave it empty")
    rule = legacy_rule()
    for row, one in enumerate(commitments):
        if stated[row] is not Stated.ON_DEMAND_EQUIVALENT:
            yield one
            continue
        offering = offerings[one.offering]
        ratio = rule.discount_ratio(offering)
        if ratio is None or one.start >= rule.discounted_since:
            never = f"{offering.kind} over {offering.term_months} months never was"
            late = f"what starts {iso(one.start)} no longer is"
            raise InputError(
                f"{never if ratio is None else late} stated in on-demand dollars",
                file=table.file, row=row + 1, column="stated",
                remedy="State the discounted dollars an hour and write discounted",
            )  # fmt: skip
        yield replace(one, quantity=commit_usd_per_hour(one.quantity, ratio, one.start))


_SCOPE = "Write shared, or accounts (Azure: account/group too) separated by commas"
_MONEY = "Write a decimal number that is not negative"


def _texts(table: Table, name: str) -> list[str]:
    return table.column(name).texts(required=True)


def _optional_texts(table: Table, name: str) -> list[str | None]:
    return [word or None for word in table.column(name).texts(required=False)]


def _cells(table: Table, name: str, parser: Callable[[object], T], remedy: str) -> list[T]:
    column = filled(table.column(name))
    values = column.parse(parser, remedy)
    return [values[code] for code in column.codes]


def _optional(
    table: Table, name: str, parser: Callable[[object], T], remedy: str
) -> list[T | None]:
    column = table.column(name)
    values = [*column.parse(parser, remedy), None]
    return [values[code] for code in column.codes]


def one_of(known: Collection[str]) -> Callable[[object], str]:
    """A parser that takes only ``known`` words."""

    def check(value: object) -> str:
        if value not in known:
            msg = f"{value!r} is not known"
            raise ValueError(msg)
        return str(value)

    return check


def _member(words: type[Word]) -> Callable[[object], Word]:
    def parse(value: object) -> Word:
        if value not in set(words):
            msg = f"{value!r} is not known"
            raise ValueError(msg)
        return words(str(value))

    return parse


def _positive(value: object) -> Decimal:
    number = as_decimal(value)
    if number == 0:
        msg = "it is 0"
        raise ValueError(msg)
    return number


def _term(value: object) -> int:
    number = as_decimal(value)
    if number not in TERMS_MONTHS:
        msg = f"{value} months is not a term"
        raise ValueError(msg)
    return int(number)


def _boolean(value: object) -> bool:
    words = {"true": True, "false": False}
    word = str(value).strip().lower()
    if word not in words:
        msg = f"{value!r} is neither true nor false"
        raise ValueError(msg)
    return words[word]


def _scope(value: object) -> frozenset[AccountId] | None:
    if value == "shared":
        return None
    accounts = [word.strip() for word in str(value).split(",")]
    if not all(accounts):
        msg = f"{value!r} names an empty account"
        raise ValueError(msg)
    groups = [word.split("/") for word in accounts if names_group(word)]
    if not all(len(parts) == 2 and all(parts) for parts in groups):  # noqa: PLR2004 - two names
        msg = f"{value!r} names no account and group"
        raise ValueError(msg)
    return frozenset(AccountId(_folded(word)) for word in accounts)


def _folded(word: str) -> str:
    """An account as it is, a resource group in lower case: Azure does not tell case apart."""
    if not names_group(word):
        return word
    account, group = word.split("/")
    return f"{account}/{group.lower()}"


def filled(column: Column) -> Column:
    """The column itself; ``InputError`` when a cell is empty."""
    column.require_filled()
    return column
