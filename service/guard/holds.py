"""A person's no, and how long it holds: the same is not bought, nor proposed again, until then.

What was rejected is a product for a pool: the same offering, and every other term and payment of
the same kind for the same region and family in the same account.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from service.domain.commitments import Kind, Offering
from service.domain.hours import iso
from service.domain.ids import AccountId, OfferingId
from service.domain.plans import PlanLine, RuleResult
from service.guard.results import flag


@dataclass(frozen=True, slots=True)
class Hold:
    """What ``by`` rejected, and until when (UTC) nothing like it is bought or proposed."""

    provider: str
    account: AccountId
    offering: OfferingId
    kind: Kind
    region: str | None
    family: str | None
    until: datetime
    by: str
    reason: str

    @property
    def told(self) -> str:
        """Who rejected it, until when, and why."""
        return f"rejected by {self.by} until {iso(self.until)} ({self.reason})"

    def covers(self, wanted: PlanLine | Offering, account: AccountId) -> bool:
        """True when ``wanted`` in ``account`` is what was rejected."""
        same_pool = (wanted.kind, wanted.region, wanted.family) == (
            self.kind,
            self.region,
            self.family,
        )
        return (wanted.provider, account) == (self.provider, self.account) and (
            wanted.offering == self.offering or same_pool
        )


def hold_on(
    wanted: PlanLine | Offering, account: AccountId, holds: Iterable[Hold], now: datetime
) -> Hold | None:
    """The hold that lasts longest of those on ``wanted`` in ``account``, if there is one."""
    lasting = (one for one in holds if one.until > now and one.covers(wanted, account))
    return max(lasting, key=lambda one: one.until, default=None)


def rejected(line: PlanLine, holds: Iterable[Hold], now: datetime) -> RuleResult:
    """The rule: refuses ``line`` while a person's rejection of it holds."""
    found = hold_on(line, line.account, holds, now)
    if found is None:
        return flag("rejected", wanted="not rejected", actual="not rejected", passed=True)
    actual = f"rejected by {found.by} until {iso(found.until)}"
    return flag("rejected", wanted="not rejected", actual=actual, passed=False, detail=found.reason)
