"""Decides how often an address, and whoever a token belongs to, may ask.

Counted by each process for itself over sliding minutes. Wrong tokens are counted apart, and far
fewer of them are let through: guessing must cost time.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

WRONG_TOKENS_PER_MINUTE = 30


@dataclass(frozen=True, slots=True)
class Rates:
    """Requests a minute. ``wrong_tokens`` are refused credentials of one address.

    ``chain_checks`` are one person's of the whole ledger, which read every event of it.
    """

    per_address: int = 3_000
    per_principal: int = 1_200
    wrong_tokens: int = WRONG_TOKENS_PER_MINUTE
    chain_checks: int = 6


class Limiter:
    """Counts requests; answers how long to wait."""

    def __init__(self, rates: Rates) -> None:
        self._strategy = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._address = RateLimitItemPerMinute(rates.per_address)
        self._principal = RateLimitItemPerMinute(rates.per_principal)
        self._wrong = RateLimitItemPerMinute(rates.wrong_tokens)
        self._chain = RateLimitItemPerMinute(rates.chain_checks)

    def address(self, address: str) -> int | None:
        """Count a request of ``address``; the seconds to wait when it is one too many."""
        return self._hit(self._address, "address", address)

    def principal(self, principal: str) -> int | None:
        """Count a request of a recognised caller."""
        return self._hit(self._principal, "principal", principal)

    def chain_check(self, principal: str) -> int | None:
        """Count a person's check of the whole ledger."""
        return self._hit(self._chain, "chain", principal)

    def wrong_token(self, address: str) -> int | None:
        """Count a credential of ``address`` that opened nothing."""
        return self._hit(self._wrong, "wrong", address)

    def may_try(self, address: str) -> int | None:
        """Seconds until ``address`` may show a credential again; ``None`` when it may now."""
        if self._strategy.test(self._wrong, "wrong", address):
            return None
        return self._wait(self._wrong, "wrong", address)

    def _hit(self, item: RateLimitItemPerMinute, kind: str, who: str) -> int | None:
        if self._strategy.hit(item, kind, who):
            return None
        return self._wait(item, kind, who)

    def _wait(self, item: RateLimitItemPerMinute, kind: str, who: str) -> int:
        stats = self._strategy.get_window_stats(item, kind, who)
        return max(1, math.ceil(stats.reset_time - time.time()))
