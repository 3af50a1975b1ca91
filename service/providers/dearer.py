"""Decides whether a price that was just read is more than an order was decided on.

The same listing is read for the quote and again before the call, so what may differ by rounding is
our own: amounts of an order are whole nano-dollars. Anything beyond that is another price. An
order without upfront is as dear by the hour as any, so both amounts are held against it.
"""

from __future__ import annotations

from decimal import Decimal

from service.domain.purchases import PurchaseOrder, Refused

_ROUNDING_USD = Decimal("0.000000001")


def refuse_dearer(
    order: PurchaseOrder, *, hourly_usd: Decimal, upfront_usd: Decimal
) -> Refused | None:
    """Why the order is not bought for these amounts, which are for all of it; ``None``: it may."""
    if order.commit_usd_per_hour is None:
        return Refused("hourly", "the order does not say what was decided on by the hour")
    if upfront_usd > order.upfront_usd + _ROUNDING_USD:
        detail = f"{upfront_usd} is due, the order says {order.upfront_usd}"
        return Refused("upfront", detail)
    if hourly_usd > order.commit_usd_per_hour + _ROUNDING_USD:
        detail = f"{hourly_usd} an hour is due, the order says {order.commit_usd_per_hour}"
        return Refused("hourly", detail)
    return None
