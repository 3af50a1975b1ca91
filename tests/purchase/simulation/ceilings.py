"""The one ceiling that binds in a year of several clouds; whether the clouds' own books keep it.

What was sold, when, for how much and in which run is told by the clouds as they sell it; what is
owned is read from their worlds. The service's ledger is never asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from service.domain.ids import CommitmentId
from service.guard.policy import Policy
from tests.purchase.simulation.clouds import Owned, SimCloud
from tests.purchase.simulation.guarding import amounts, policy_of

DAY: Final = timedelta(hours=24)
ALL: Final = frozenset({"aws", "azure", "gcp"})


class Span(StrEnum):
    """What a ceiling adds up."""

    RUN = "run"
    DAY = "day"
    TOTAL = "total"


@dataclass(frozen=True)
class Sale:
    """One purchase of Tenor's, as the cloud sold it. ``at``: when."""

    provider: str
    at: datetime
    run: datetime
    owned: Owned


@dataclass(frozen=True)
class Ceiling:
    """At most so much over a span, in cash or in USD per hour; it rises each month.

    ``providers``: for which clouds together; all of them, or a scope of the policy.
    """

    name: str
    span: Span
    most: Decimal
    rises: Decimal = Decimal(0)
    cash: bool = False
    providers: frozenset[str] = ALL

    def limit(self, month: int) -> Decimal:
        return self.most + self.rises * month

    def policy(self, clouds: Iterable[SimCloud], month: int, delays: str) -> Policy:
        """A policy in which nothing else binds; ``delays`` is a scope more, or nothing."""
        limit = self.limit(month)
        tight = amounts(upfront_usd=limit) if self.cash else amounts(limit)
        spans = {span.value: amounts() for span in Span} | {self.span.value: tight}
        if self.providers == ALL:
            return policy_of(*clouds, **spans, scopes=[delays] * bool(delays))
        match = ", ".join(sorted(self.providers))
        caps = ", ".join(f"per_{span}: {spans[span]}" for span in ("run", "day"))
        caps = f"per_line: {amounts()}, {caps}, in_total: {spans['total']}"
        scope = (
            f"{{name: some, match: {{providers: [{match}]}}, mode: autopilot, caps: {{{caps}}}}}"
        )
        return policy_of(*clouds, scopes=[scope, *[delays] * bool(delays)])

    def problem(
        self,
        month: int,
        sale: Sale,
        sales: Iterable[Sale],
        owned: Mapping[str, Mapping[CommitmentId, Owned]],
    ) -> str | None:
        """What is wrong once ``sale``, the last of ``sales``, was made; ``None`` nothing."""
        if sale.provider not in self.providers:
            return None
        here = [one for one in sales if one.provider in self.providers]
        counted: list[Owned]
        match self.span:
            case Span.RUN:
                counted = [one.owned for one in here if one.run == sale.run]
            case Span.DAY:
                counted = [one.owned for one in here if one.at > sale.at - DAY]
            case Span.TOTAL:
                counted = self.all_of(owned)
        return self.exceeded(month, counted)

    def all_of(self, owned: Mapping[str, Mapping[CommitmentId, Owned]]) -> list[Owned]:
        """What is owned in the clouds that this ceiling is for."""
        return [one for cloud in self.providers for one in owned[cloud].values()]

    def exceeded(self, month: int, counted: Iterable[Owned]) -> str | None:
        """``None`` when ``counted`` together is at or below the ceiling of that month."""
        found = sum(
            (one.upfront_usd if self.cash else one.commit_usd_per_hour for one in counted),
            Decimal(0),
        )
        limit = self.limit(month)
        if round(found, 6) <= limit:
            return None
        return f"{self.name}: {found:.6f} above the ceiling of {limit}"


CEILINGS: Final = (
    Ceiling("owed by the hour", Span.TOTAL, Decimal(2), Decimal("0.75")),
    Ceiling("bought in a day", Span.DAY, Decimal("2.5")),
    Ceiling("cash of all that is owned", Span.TOTAL, Decimal(9_000), Decimal(3_000), cash=True),
    Ceiling("bought in a run", Span.RUN, Decimal(2)),
    Ceiling(
        "owed by the hour in a scope",
        Span.TOTAL,
        Decimal("1.5"),
        Decimal("0.75"),
        providers=frozenset({"aws", "gcp"}),
    ),
    Ceiling("cash of a day", Span.DAY, Decimal(9_000), cash=True),
    Ceiling("cash of a run", Span.RUN, Decimal(9_000), cash=True),
    Ceiling(
        "bought in a day in a scope",
        Span.DAY,
        Decimal("1.5"),
        providers=frozenset({"aws", "azure"}),
    ),
)
"""One for each year in turn. Each binds: a run asks for more, and so does every month."""
