"""What a reservation costs for its whole term, from what Azure tells of totals and payments.

A total of a monthly plan is shown by Azure's own examples to be one month's payment, and by its
words to be that of the order. So it is never believed by itself: the schedule of payments decides,
and where the two fit together in neither way, the price is not known.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from service.domain.commitments import Payment
from service.domain.errors import ProviderError
from service.providers.azure.access import PROVIDER
from service.providers.azure.clients import Answer
from service.providers.azure.words import amount

_CENT = Decimal("0.01")
_FAILED = "Failed"
_NOT_PAID = frozenset({_FAILED, "Cancelled"})


def whole_term_usd(
    operation: str, total: Decimal, scheduled: Iterable[Answer], months: int, payment: Payment
) -> Decimal:
    """Dollars for the whole term; ``scheduled`` are Azure's payments, those made and those to come.

    ``ProviderError`` when total and payments tell no one price.
    """
    if payment is Payment.ALL_UPFRONT:
        return total
    payments = [
        amount(one.get("pricingCurrencyTotal"))
        for one in scheduled
        if one.get("status") not in _NOT_PAID
    ]
    added = sum(payments, Decimal(0))
    if len(payments) > 1 and abs(total - added) <= _CENT * len(payments):
        return total
    if len(payments) > 1 and abs(total - max(payments)) <= _CENT:
        return added if len(payments) == months else total * months
    raise ProviderError(
        provider=PROVIDER,
        operation=operation,
        code="unclear_price",
        detail=f"a total of {total} USD and {len(payments)} payments of {added} USD in all tell no "
        f"price of {months} months",
    )


def bought_term_usd(
    total: Decimal, scheduled: Iterable[Answer], months: int, payment: Payment, *, owned: bool
) -> Decimal | None:
    """Dollars for the whole term of an order as it was bought, whatever was given back since.

    What is given back cuts the payments to come, or cancels them: the largest tells what a month
    cost at first. ``None`` when total and payments tell no one price and some is still ``owned``;
    of what is all over the dearer of the two readings does.
    """
    if payment is Payment.ALL_UPFRONT:
        return total
    payments = [
        amount(one.get("pricingCurrencyTotal")) for one in scheduled if one.get("status") != _FAILED
    ]
    monthly = max(payments, default=Decimal(0))
    if payments and abs(total - monthly * months) <= _CENT * months:
        return total
    if payments and abs(total - monthly) <= _CENT:
        return monthly * months
    return None if owned else max(total, monthly * months)
