"""AWS's words and ours: plan types, payments, states, terms, usage types."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import TypeVar

from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.errors import ProviderError
from service.domain.hours import TERM_HOURS
from service.usage.aws_sku import aws_tables, split_sku

PLAN_KINDS: Mapping[str, Kind] = {
    "Compute": Kind.AWS_COMPUTE_SP,
    "EC2Instance": Kind.AWS_EC2_INSTANCE_SP,
    "Database": Kind.AWS_DATABASE_SP,
    "SageMaker": Kind.AWS_SAGEMAKER_SP,
}
PAYMENTS: Mapping[str, Payment] = {
    "No Upfront": Payment.NO_UPFRONT,
    "Partial Upfront": Payment.PARTIAL_UPFRONT,
    "All Upfront": Payment.ALL_UPFRONT,
}
PAYMENT_WORDS = {payment: word for word, payment in PAYMENTS.items()}
TERM_MONTHS = {31_536_000: 12, 94_608_000: 36}
STATES: Mapping[str, CommitmentState] = {
    "queued": CommitmentState.QUEUED,
    "queued-deleted": CommitmentState.FAILED,
    "payment-pending": CommitmentState.PAYMENT_PENDING,
    "payment-failed": CommitmentState.FAILED,
    "active": CommitmentState.ACTIVE,
    # On its way out and no longer discounting: it must not count as owned.
    "pending-return": CommitmentState.RETURNED,
    "returned": CommitmentState.RETURNED,
    "retired": CommitmentState.RETIRED,
}
RESERVED_OPERATIONS = {
    "Linux/UNIX": "RunInstances",
    "Linux with SQL Server Enterprise": "RunInstances:0100",
    "Linux with SQL Server Standard": "RunInstances:0004",
    "Linux with SQL Server Web": "RunInstances:0200",
    "Red Hat Enterprise Linux": "RunInstances:0010",
    "Red Hat Enterprise Linux with HA": "RunInstances:1010",
    "SUSE Linux": "RunInstances:000g",
    "Ubuntu Pro Linux": "RunInstances:0g00",
    "Windows": "RunInstances:0002",
    "Windows with SQL Server Enterprise": "RunInstances:0102",
    "Windows with SQL Server Standard": "RunInstances:0006",
    "Windows with SQL Server Web": "RunInstances:0202",
}
"""The operation that usage under a reservation's product description is billed as."""
UPFRONT_SHARE = {
    Payment.NO_UPFRONT: Decimal(0),
    Payment.PARTIAL_UPFRONT: Decimal("0.5"),
    Payment.ALL_UPFRONT: Decimal(1),
}
"""The part of the term's price that is due at purchase. AWS takes 50–99% for Partial Upfront;
we always ask for the least."""
INTENT_TAG = "tenor:intent"
_HEAVY = "Heavy Utilization"
_HOME_CODE = "USE1"
_YEAR_SECONDS = 366 * 86_400


Word = TypeVar("Word")


def known(table: Mapping[str, Word], word: str) -> Word:
    """What one of AWS's words means here; ``ProviderError`` for one that we do not know.

    A state or kind that appeared after this was written must stop a reading, not be guessed.
    """
    meaning = table.get(word)
    if meaning is None:
        raise ProviderError(
            provider="aws", operation="reading", code="unknown_word", detail=repr(word)
        )
    return meaning


def payment_of(word: str) -> Payment:
    """What a reservation's payment is called here; ``ProviderError`` where it cannot be counted.

    Heavy Utilization, no longer sold, is paid in part upfront and for every hour, used or not:
    that is what Partial Upfront is. The price of Medium and Light depends on the use.
    """
    if word == _HEAVY:
        return Payment.PARTIAL_UPFRONT
    if is_legacy(word):
        raise ProviderError(
            provider="aws",
            operation="reading",
            code="legacy_reservation",
            detail=f"an active reservation is of {word}, whose price depends on its use and "
            "cannot be counted: buy by hand, or leave its region out, until its term is over",
        )
    return known(PAYMENTS, word)


def is_legacy(word: str) -> bool:
    """A payment of the sorts (Heavy, Medium, Light Utilization) that are no longer sold."""
    return word.endswith("Utilization")


def is_over(payment: str, state: str) -> bool:
    """A reservation of a sort no longer sold that is not owned any more: nothing counts it."""
    return is_legacy(payment) and not known(STATES, state).is_owned


def require_usd(currency: object, what: str) -> None:
    """``ProviderError`` for a price in another currency; services that sell in one tell none."""
    if currency not in {None, "USD"}:
        raise ProviderError(
            provider="aws",
            operation="reading",
            code="currency",
            detail=f"{what} is priced in {currency}; Tenor computes in US dollars",
        )


def term_months(seconds: int) -> int:
    """Months of the term that a duration belongs to.

    Reservations from the marketplace or from an exchange have what was left of a term.
    """
    return 12 if seconds <= _YEAR_SECONDS else 36


def upfront_usd(quantity: Decimal, term_months: int, payment: Payment) -> Decimal:
    """Cash due at purchase for ``quantity`` dollars an hour.

    Partial Upfront takes whole dollars and at least half, so the half is rounded up.
    """
    amount = quantity * TERM_HOURS[term_months] * UPFRONT_SHARE[payment]
    if payment is Payment.PARTIAL_UPFRONT:
        return amount.to_integral_value(ROUND_CEILING)
    return amount


def usage_type_spellings(sku: str) -> tuple[str, ...]:
    """Every way AWS may write the SKU's usage type: with each code of its region, or without."""
    usage_type, _ = split_sku(sku)
    code, _, rest = usage_type.partition("-")
    aliases = [alias for alias, known in aws_tables().region_aliases.items() if known == code]
    bare = (rest,) if code == _HOME_CODE else ()
    return (*bare, usage_type, *(f"{alias}-{rest}" for alias in aliases))
