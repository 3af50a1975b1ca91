"""Decides whether what is quoted for an alteration now is still what was asked for.

Whoever says yes to an exchange or a longer term says it to the cash that is due, to what would be
owned, and to what that costs by the hour: none may be more when it is done than when it was asked
for. Cash and number are bounds; the hourly price may differ as much as a purchase's may.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from service.domain.alterations import (
    Alteration,
    AlterationKind,
    AlterationOrder,
    AlterationQuote,
    Target,
)
from service.purchase.desk import Declined


def moved(
    asked: Alteration, quote: AlterationQuote, *, tolerance_ratio: Decimal
) -> Declined | None:
    """``None`` unless more is quoted than was asked for, in money or in what would be owned."""
    order = asked.order
    if quote.pay_usd > order.most_to_pay_usd:
        detail = f"{quote.pay_usd} USD is due now, at most {order.most_to_pay_usd} was meant"
        return Declined("price_moved", detail, final=True)
    if order.alteration is AlterationKind.EXCHANGE and not _as_asked(order, quote):
        wanted = ", ".join(f"{one.quantity} of {one.offering}" for one in order.targets)
        quoted = ", ".join(f"{one.quantity} of {one.offering}" for one in quote.targets)
        return Declined("count_moved", f"{quoted} is quoted, {wanted} was asked for", final=True)
    return _dearer(asked, quote, tolerance_ratio)


def _as_asked(order: AlterationOrder, quote: AlterationQuote) -> bool:
    """True when each quoted target is one that was asked for, and no more of it."""
    return not quote.targets or (
        len(quote.targets) == len(order.targets)
        and all(
            (given.offering, given.term_months, given.payment)
            == (asked.offering, asked.term_months, asked.payment)
            and given.quantity <= asked.quantity
            for given, asked in zip(quote.targets, order.targets, strict=True)
        )
    )


def _dearer(asked: Alteration, quote: AlterationQuote, tolerance_ratio: Decimal) -> Declined | None:
    """``None`` unless the targets cost more by the hour, each of them, than they were quoted at.

    A provider that gives what makes up the sources' value gives fewer where they are dearer, so
    the sum alone would not tell. What was asked for before its price was kept is held to the rest.
    """
    meant, actual = asked.quoted_usd_per_hour, quote.usd_per_hour
    if meant is None:
        return None
    if actual is None:
        return Declined("no_quote", "the provider quotes no price by the hour", final=False)
    if not actual.is_finite() or actual < 0:
        return Declined("wrong_quote", f"usd_per_hour is quoted as {actual}", final=True)
    limit = meant * _share(asked.order.targets, quote.targets) * (1 + tolerance_ratio)
    if actual <= limit:
        return None
    detail = f"{actual} USD an hour is quoted now, at most {limit} was meant"
    return Declined("price_moved", detail, final=True)


def _share(asked: Sequence[Target], quoted: Sequence[Target]) -> Decimal:
    """How much of what was asked for is quoted, by quantity, at most all of it."""
    whole = sum((one.quantity for one in asked), Decimal(0))
    given = sum((one.quantity for one in quoted), Decimal(0))
    return min(given / whole, Decimal(1)) if whole > 0 and given > 0 else Decimal(1)
