"""Azure's words and ours: terms, billing plans, states, scopes, ids, amounts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar

from service.domain.commitments import CommitmentState, Payment
from service.domain.errors import ProviderError
from service.domain.ids import AccountId, IntentId
from service.providers.azure.access import PROVIDER
from service.providers.azure.clients import Answer

TERM_MONTHS = {"P1Y": 12, "P3Y": 36, "P5Y": 60}
TERM_WORDS = {months: word for word, months in TERM_MONTHS.items()}
RETAIL_TERMS = {"1 Year": 12, "3 Years": 36, "5 Years": 60}
RESERVATION_PLANS = {"Monthly": Payment.NO_UPFRONT, "Upfront": Payment.ALL_UPFRONT}
RESERVATION_PLAN_WORDS = {payment: word for word, payment in RESERVATION_PLANS.items()}
VIRTUAL_MACHINES = "VirtualMachines"
"""The only reserved resource type that is bought here; a word of the SDK's own enumeration."""
CURRENCY = "USD"

STATES: Mapping[str, CommitmentState] = {
    # Money may move without a further decision: owned when sizing.
    "Creating": CommitmentState.PAYMENT_PENDING,
    "PendingResourceHold": CommitmentState.PAYMENT_PENDING,
    "ConfirmedResourceHold": CommitmentState.PAYMENT_PENDING,
    "PendingBilling": CommitmentState.PAYMENT_PENDING,
    "ConfirmedBilling": CommitmentState.PAYMENT_PENDING,
    "Created": CommitmentState.PAYMENT_PENDING,
    "Succeeded": CommitmentState.ACTIVE,
    "Cancelled": CommitmentState.RETURNED,
    "Expired": CommitmentState.RETIRED,
    "BillingFailed": CommitmentState.FAILED,
    "Failed": CommitmentState.FAILED,
    # Their capacity lives on in others, which are listed too.
    "Split": CommitmentState.RETIRED,
    "Merged": CommitmentState.RETIRED,
}
BOUGHT_STATES = frozenset({"Succeeded", "Split", "Merged"})
NOT_BOUGHT_STATES = frozenset({"Failed", "BillingFailed", "Cancelled"})

_NAME_PREFIX = "tenor-"
_NAME = re.compile(r"tenor-([A-Za-z0-9_.-]{1,57})\Z")
_SCOPE = re.compile(
    r"/?subscriptions/(?P<subscription>[^/]+)(?:/resourcegroups/(?P<group>[^/]+))?\Z", re.IGNORECASE
)
Word = TypeVar("Word")


def known(table: Mapping[str, Word], word: object) -> Word:
    """What one of Azure's words means here; ``ProviderError`` for one that we do not know.

    A state or term that appeared after this was written must stop a reading, not be guessed.
    """
    meaning = table.get(str(word))
    if meaning is None:
        raise ProviderError(
            provider=PROVIDER, operation="reading", code="unknown_word", detail=repr(word)
        )
    return meaning


def name_of(intent: IntentId) -> str | None:
    """The display name that carries an intent; ``None`` when Azure would not take it."""
    name = _NAME_PREFIX + intent
    return name if _NAME.match(name) else None


def intent_of(display_name: object) -> IntentId | None:
    """The intent that a display name carries, if it is one of ours."""
    found = _NAME.match(str(display_name or ""))
    return IntentId(found[1]) if found else None


def account_of(subscription: str) -> AccountId:
    """A subscription as an account: its id in lower case, without the path before it."""
    return AccountId(subscription.strip("/").removeprefix("subscriptions/").lower())


def scope_of(properties: Answer) -> frozenset[AccountId] | None:
    """What a commitment is limited to; ``None`` when it is shared.

    A management group is named as Azure names it, since which subscriptions lie in it is not told.
    """
    if properties.get("appliedScopeType") == "Shared":
        return None
    applied = properties.get("appliedScopeProperties") or {}
    paths = [
        applied.get("resourceGroupId")
        or applied.get("subscriptionId")
        or applied.get("managementGroupId"),
        *(properties.get("appliedScopes") or ()),
    ]
    found = frozenset(_account_in(str(path)) for path in paths if path)
    if not found:
        raise ProviderError(
            provider=PROVIDER,
            operation="reading",
            code="unknown_scope",
            detail=f"{properties.get('appliedScopeType')!r} without a scope",
        )
    return found


def _account_in(path: str) -> AccountId:
    found = _SCOPE.match(path)
    if found is None:
        return AccountId(path)
    account = account_of(found["subscription"])
    return AccountId(f"{account}/{found['group'].lower()}") if found["group"] else account


def amount(price: object) -> Decimal:
    """Dollars of one of Azure's prices; ``ProviderError`` in another currency, or for none."""
    if isinstance(price, Mapping):
        value, currency = price.get("amount"), price.get("currencyCode")
        if isinstance(value, int | float | Decimal) and currency == CURRENCY:
            return Decimal(str(value))
    raise ProviderError(
        provider=PROVIDER,
        operation="reading",
        code="unusable_price",
        detail=f"{price!r} is not an amount of {CURRENCY}",
    )


def instant(word: object) -> datetime | None:
    """An instant as Azure writes it, in UTC; ``None`` for none."""
    if word is None or word == "":
        return None
    parsed = (
        word if isinstance(word, datetime) else datetime.fromisoformat(_seven_digits(str(word)))
    )
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)


def _seven_digits(word: str) -> str:
    """Azure writes tenths of microseconds, which are one digit too many."""
    return re.sub(r"(\.\d{6})\d+", r"\1", word)


def required_instant(word: object, name: str) -> datetime:
    """An instant that must be there; ``ProviderError`` when it is not."""
    found = instant(word)
    if found is None:
        raise ProviderError(
            provider=PROVIDER,
            operation="reading",
            code="incomplete_answer",
            detail=f"the answer has no {name}",
        )
    return found


_UNIT = re.compile(r"\s*([\d,]*\.?\d+)\s*([KM](?![A-Za-z]))?")
_THOUSANDS = {None: 1, "K": 1_000, "M": 1_000_000}


def block_of(unit_of_measure: str) -> Decimal | None:
    """How many units a price is for: 100 of ``100 Hours``, 10,000 of ``10K``; else ``None``."""
    found = _UNIT.match(unit_of_measure)
    if found is None:
        return None
    block = Decimal(found[1].replace(",", "")) * _THOUSANDS[found[2]]
    return block if block > 0 else None
