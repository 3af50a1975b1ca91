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
from service.usage.aws_sku import describe_sku


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of ``eligibility.yaml``: usage of one service that some kinds of offer cover."""

    provider: str
    service: str
    usage_type: re.Pattern[str]
    operation: re.Pattern[str]
    kinds: frozenset[Kind]
    valid_from: date
    valid_to: date | None
    source: str

    def matches(self, usage_type: str, operation: str, on: date) -> bool:
        """Whether the rule speaks of this usage (no region code in the type) on that day."""
        return (
            self.valid_from <= on
            and (self.valid_to is None or on < self.valid_to)
            and self.usage_type.fullmatch(usage_type) is not None
            and self.operation.fullmatch(operation) is not None
        )


@cache
def shipped_rules() -> tuple[Rule, ...]:
    """The rules shipped with Tenor, read once."""
    raw = yaml.safe_load(files(__package__).joinpath("eligibility.yaml").read_text("utf-8"))
    return tuple(
        Rule(
            provider=rule["provider"],
            service=rule["service"],
            usage_type=re.compile(rule["usage_type"]),
            operation=re.compile(rule["operation"]),
            kinds=frozenset(Kind(kind) for kind in rule["kinds"]),
            valid_from=rule["valid_from"],
            valid_to=rule.get("valid_to"),
            source=rule["source"],
        )
        for rule in raw["rules"]
    )


def coverable_by(
    provider: str, sku: str, on: date, rules: Iterable[Rule] | None = None
) -> frozenset[Kind]:
    """The kinds of commitment that could cover this SKU's usage on ``on``; empty for none."""
    if provider != "aws":
        # Only AWS's SKU ids say what they bill; no rule speaks of the others.
        return frozenset()
    facts = describe_sku(sku)
    covering: set[Kind] = set()
    for rule in shipped_rules() if rules is None else rules:
        if rule.provider == provider and rule.matches(facts.bare_type, facts.operation, on):
            covering |= rule.kinds
    return frozenset(covering)


def is_eligible(provider: str, sku: str, on: date) -> bool:
    """Whether any commitment on sale could cover this SKU's usage on ``on``."""
    return bool(coverable_by(provider, sku, on))
