"""Decides how an alert's text names what it is about, and its amounts: in words, for people.

The exact amounts, and ids for programs, stay in the alert's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from service.domain.commitments import Kind
from service.domain.hours import TERM_HOURS
from service.domain.plans import PlanLine
from service.domain.purchases import InventoryItem
from service.domain.wording import cents, kind_name, usd

_NAMED_BY = ("proposal", "commitment", "intent")


@dataclass(frozen=True, slots=True)
class About:
    """What an alert is about.

    ``what``: product, place and account in words. ``path`` of the page that shows it; empty for
    none. ``savings_usd_per_hour``: what it is expected to save over its ``term_months``; ``None``
    where that is not known.
    """

    what: str
    path: str = ""
    savings_usd_per_hour: Decimal | None = None
    term_months: int = 0


def about_line(line: PlanLine, path: str = "") -> About:
    """A plan's line, proposed or bought."""
    return About(
        what=_what(line.kind, line.family, line.region, line.term_months, line.account),
        path=path,
        savings_usd_per_hour=line.expected_savings_usd_per_hour,
        term_months=line.term_months,
    )


def about_item(item: InventoryItem, path: str = "") -> About:
    """Something owned."""
    account = item.commitment.account
    return About(_what(item.kind, item.family, item.region, item.term_months, account), path)


def _what(kind: Kind, family: str | None, region: str | None, months: int, account: str) -> str:
    place = [family or "", f"in {region}" if region else ""]
    told = [kind_name(kind), " ".join(one for one in place if one), f"{months} months"]
    return f"{', '.join(one for one in told if one)}, account {account}"


class Words(dict[str, str]):
    """What an alert's text is made of; what an older event lacks reads as a dash."""

    def __missing__(self, key: str) -> str:
        return "-"


def words_of(payload: Mapping[str, Any], about: About | None) -> Words:
    """An event's fields as a person reads them, ``what`` it is about, and what it ``saves``."""
    told = Words({name: _told(name, value) for name, value in payload.items()})
    named = next((f"{name} {payload[name]}" for name in _NAMED_BY if payload.get(name)), "-")
    told["what"] = f"{named[:1].upper()}{named[1:]}" if about is None else about.what
    told["saves"] = "" if about is None else saves(about)
    return told


def saves(about: About) -> str:
    """A sentence on what it is expected to save, after a blank; empty where that is not known."""
    rate = about.savings_usd_per_hour
    if rate is None:
        return ""
    whole = cents(rate * TERM_HOURS[about.term_months])
    return f" It is expected to save {usd(rate)}/h, {whole} over its term."


def linked(body: str, about: About | None, address: str) -> str:
    """``body`` with the address of the page of what it is ``about``, where both are known."""
    return (
        body if about is None or not (address and about.path) else f"{body} {address}{about.path}"
    )


def _told(name: str, value: object) -> str:
    if name.endswith("_usd_per_hour"):
        return f"{_amount(value)}/h"
    if name.endswith("_usd"):
        return _amount(value)
    if name == "alteration":
        return str(value).replace("_", " ")
    if name.endswith("_at"):
        return moment(str(value))
    return str(value).rstrip(".")


def moment(instant: str) -> str:
    """An ISO instant to the minute."""
    return f"{instant[:16].replace('T', ' ')} UTC"


def _amount(value: object) -> str:
    try:
        return usd(Decimal(str(value)))
    except InvalidOperation:
        return str(value)
