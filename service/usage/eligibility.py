"""Decides which usage a commitment could cover, by dated rules kept as data.

The rest is split out before anything is decided: no forecast, no plan and no coverage ratio
counts usage that nothing on sale could cover. Rules: ``eligibility.yaml``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

import yaml

from service.domain.commitments import Kind
from service.usage import azure_sku, gcp_sku
from service.usage.aws_sku import describe_sku


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of ``eligibility.yaml``: usage of one service that some kinds of offer cover.

    ``words`` must each match a whole word of a SKU that the provider names (``named_words``);
    empty when the rule speaks only of services in a dataset's price list.
    """

    provider: str
    service: str
    words: tuple[re.Pattern[str], ...]
    kinds: frozenset[Kind]
    valid_from: date
    valid_to: date | None
    source: str

    def holds(self, on: date) -> bool:
        """Whether the rule holds on that day."""
        return self.valid_from <= on and (self.valid_to is None or on < self.valid_to)

    def matches(self, words: tuple[str, ...]) -> bool:
        """Whether the rule speaks of usage that its provider names by these words."""
        return len(words) == len(self.words) and all(
            pattern.fullmatch(word) for pattern, word in zip(self.words, words, strict=True)
        )


@cache
def shipped_rules() -> tuple[Rule, ...]:
    """The rules shipped with Tenor, read once."""
    raw = yaml.safe_load(files(__package__).joinpath("eligibility.yaml").read_text("utf-8"))
    return tuple(
        Rule(
            provider=rule["provider"],
            service=rule["service"],
            words=tuple(re.compile(rule[word]) for word in _WORDS if word in rule),
            kinds=frozenset(Kind(kind) for kind in rule["kinds"]),
            valid_from=rule["valid_from"],
            valid_to=rule.get("valid_to"),
            source=rule["source"],
        )
        for rule in raw["rules"]
    )


_WORDS = ("usage_type", "operation", "sku")


def coverable_by(
    provider: str, sku: str, on: date, rules: Iterable[Rule] | None = None, *, service: str = ""
) -> frozenset[Kind]:
    """The kinds of commitment that could cover this SKU's usage on ``on``; empty for none.

    ``service`` is what a dataset's price list calls it; where the SKU is named as its provider
    names SKUs, that tells more and counts alone.
    """
    words = named_words(provider, sku)
    covering: set[Kind] = set()
    for rule in shipped_rules() if rules is None else rules:
        if rule.provider != provider or not rule.holds(on):
            continue
        if rule.matches(words) if words else service and rule.service == service:
            covering |= rule.kinds
    return frozenset(covering)


def named_words(provider: str, sku: str) -> tuple[str, ...]:
    """What a rule's words must match; empty where the SKU is not named as the provider does.

    AWS: usage type without its region code, and operation. Azure and Google: the whole id.
    """
    if provider == "aws":
        facts = describe_sku(sku)
        named = "/" in sku and facts.usage_type != facts.bare_type
        return (facts.bare_type, facts.operation) if named else ()
    if provider == "azure":
        return (sku,) if "/" in sku or azure_sku.describe_sku(sku).arm_sku_name else ()
    return (sku,) if "/" in sku or gcp_sku.describe_sku(sku).family else ()


def is_eligible(provider: str, sku: str, on: date, *, service: str = "") -> bool:
    """Whether any commitment on sale could cover this SKU's usage on ``on``."""
    return bool(coverable_by(provider, sku, on, service=service))
