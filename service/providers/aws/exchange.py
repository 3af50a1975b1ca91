"""Exchanging convertible EC2 reservations: quote, quote again, accept once.

AWS has no call that quotes and accepts in one, and takes no token. So an order names the count that
its quote gave and the most that may be paid; just before accepting it is quoted again and refused
when either has moved. Value never falls: AWS gives as many of the target as make up the sources'
remaining value, and asks for what is missing upfront. Source: EC2 user guide, "Exchange Convertible
Reserved Instances".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal, InvalidOperation

from service.domain.alterations import (
    AlterationOrder,
    AlterationOutcome,
    AlterationQuote,
    Altered,
    Target,
)
from service.domain.commitments import CommitmentState
from service.domain.errors import ProviderError
from service.domain.ids import CommitmentId
from service.domain.purchases import Refused, Unknown
from service.providers.aws import reservations
from service.providers.aws.clients import PROVIDER, Answer, AwsClients, invoke
from service.providers.aws.last_look import send_if_wanted
from service.providers.aws.outcome import WIRE_ERRORS, outcome_of
from service.providers.aws.reservation_terms import ReservationTerms
from service.providers.aws.words import INTENT_TAG, STATES, known
from service.providers.port import StillWanted

_CURRENCY = "USD"
_ACCEPT = "accept_reserved_instances_exchange_quote"
_OPERATION = "ec2.get_reserved_instances_exchange_quote"


@dataclass(frozen=True, slots=True)
class _Priced:
    """A quote, and what to send to accept it."""

    quote: AlterationQuote
    terms: ReservationTerms
    arguments: Answer


def quote(clients: AwsClients, order: AlterationOrder, now: datetime) -> AlterationQuote:
    """What the exchange comes to as AWS states it now; ``ProviderError`` when it does not."""
    return _priced(clients, order, now).quote


def _priced(clients: AwsClients, order: AlterationOrder, now: datetime) -> _Priced:
    target, terms = target_of(order)
    price = reservations.price(clients, terms)
    arguments = {
        "ReservedInstanceIds": list(order.sources),
        "TargetConfigurations": [{"OfferingId": price.provider_offering}],
    }
    answer = invoke(
        clients.reading(reservations.SERVICE, terms.region),
        "get_reserved_instances_exchange_quote",
        arguments,
        needs="IsValidExchange",
    )
    if not answer["IsValidExchange"]:
        detail = str(answer.get("ValidationFailureReason") or "AWS gives no reason")
        return _Priced(_refused_quote(detail, now), terms, arguments)
    if answer.get("CurrencyCode") != _CURRENCY:
        raise _unreadable(f"the quote is in {answer.get('CurrencyCode')}")
    count = _count(answer)
    priced = AlterationQuote(
        allowed=True,
        detail="",
        pay_usd=_money(answer, "PaymentDue"),
        refund_usd=Decimal(0),
        source_value_usd=_money(answer.get("ReservedInstanceValueRollup") or {}, _TOTAL),
        target_value_usd=_money(answer.get("TargetConfigurationValueRollup") or {}, _TOTAL),
        targets=(replace(target, quantity=Decimal(count)),),
        reference=None,
        quoted_at=now,
        # The rollup's total falls with the time that is left; the listing's price does not.
        usd_per_hour=price.amortised_usd_per_hour * count,
    )
    return _Priced(priced, terms, arguments)


_TOTAL = "RemainingTotalValue"


def target_of(order: AlterationOrder) -> tuple[Target, ReservationTerms]:
    """The one reservation that an exchange is for."""
    if len(order.targets) != 1 or order.targets[0].offering is None:
        raise ProviderError(
            provider=PROVIDER,
            operation=_OPERATION,
            code="targets",
            detail=f"AWS exchanges for one offering, {len(order.targets)} are named",
        )
    target = order.targets[0]
    return target, ReservationTerms.of_offering(order.targets[0].offering)


def _refused_quote(detail: str, now: datetime) -> AlterationQuote:
    nothing = Decimal(0)
    return AlterationQuote(False, detail, nothing, nothing, nothing, nothing, (), None, now)  # noqa: FBT003


def _count(answer: Answer) -> int:
    values = answer.get("TargetConfigurationValueSet") or ()
    counts = [one.get("TargetConfiguration", {}).get("InstanceCount") for one in values]
    if len(counts) != 1 or not isinstance(counts[0], int) or counts[0] < 1:
        raise _unreadable(f"it offers {counts} instances")
    return counts[0]


def _money(answer: Answer, name: str) -> Decimal:
    """An amount, strictly: one that cannot be read is no zero."""
    text = answer.get(name)
    try:
        amount = Decimal(str(text))
    except InvalidOperation as error:
        raise _unreadable(f"{name} is {text!r}") from error
    if not amount.is_finite() or amount < 0:
        raise _unreadable(f"{name} is {text!r}")
    return amount


def _unreadable(detail: str) -> ProviderError:
    return ProviderError(
        provider=PROVIDER, operation=_OPERATION, code="unreadable_quote", detail=detail
    )


def exchange(
    clients: AwsClients, order: AlterationOrder, now: datetime, still_wanted: StillWanted
) -> AlterationOutcome:
    """Quote again, check count and cap, accept once, then tag what it made.

    Sources that are retired already were exchanged: by this order if what took their place has
    its tag, else nobody knows.
    """
    try:
        _, terms = target_of(order)
        before = reservations.listed_reservations(clients, terms.region)
        gone = _already_gone(order, before)
        if gone is not None:
            return gone
        priced = _priced(clients, order, now)
    except ProviderError as error:
        return Refused(code=error.code, detail=str(error))
    client = clients.purchasing(reservations.SERVICE, terms.region)
    refused = why_not(order, priced.quote)
    if refused is not None:
        return refused
    try:
        answer: Answer = send_if_wanted(client, _ACCEPT, dict(priced.arguments), still_wanted)
    except WIRE_ERRORS as error:
        return outcome_of(error)
    if not answer.get("ExchangeId"):
        return Unknown(detail="the answer has no ExchangeId")
    made = _tag_made(clients, order, priced, before)
    return Altered(made=made, paid_usd=priced.quote.pay_usd, refunded_usd=Decimal(0))


def why_not(order: AlterationOrder, quoted: AlterationQuote) -> Refused | None:
    """Why the order must not be accepted at what is quoted now; ``None`` when it may."""
    if not quoted.allowed:
        return Refused(code="not_allowed", detail=quoted.detail)
    if quoted.pay_usd > order.most_to_pay_usd:
        detail = f"{quoted.pay_usd} USD are due, at most {order.most_to_pay_usd} may be paid"
        return Refused(code="price_moved", detail=detail)
    wanted, offered = order.targets[0].quantity, quoted.targets[0].quantity
    if wanted != offered:
        return Refused(
            code="count_moved", detail=f"AWS gives {offered} instances, the order says {wanted}"
        )
    if quoted.target_value_usd < quoted.source_value_usd:
        detail = f"{quoted.source_value_usd} USD would become {quoted.target_value_usd}"
        return Refused(code="value_falls", detail=detail)
    return None


def _already_gone(order: AlterationOrder, listed: Sequence[Answer]) -> AlterationOutcome | None:
    states = {one["ReservedInstancesId"]: known(STATES, one["State"]) for one in listed}
    if any(states.get(source) is not CommitmentState.RETIRED for source in order.sources):
        return None
    tagged = [one for one in listed if _tags(one).get(INTENT_TAG) == order.intent]
    if tagged:
        made = tuple(CommitmentId(one["ReservedInstancesId"]) for one in tagged)
        return Altered(made=made, paid_usd=Decimal(0), refunded_usd=Decimal(0))
    return Unknown(detail="the sources are retired already, and nothing says what for")


def _tags(listed: Answer) -> dict[str, str]:
    return {one["Key"]: one["Value"] for one in listed.get("Tags", ())}


def _tag_made(
    clients: AwsClients, order: AlterationOrder, priced: _Priced, before: Sequence[Answer]
) -> tuple[CommitmentId, ...]:
    """What took the sources' place, where exactly one new reservation fits; else nothing."""
    old = {one["ReservedInstancesId"] for one in before}
    try:
        listed = reservations.listed_reservations(clients, priced.terms.region)
    except ProviderError:
        return ()
    count = priced.quote.targets[0].quantity
    fits = [
        CommitmentId(one["ReservedInstancesId"])
        for one in listed
        if one["ReservedInstancesId"] not in old
        and one["InstanceCount"] == count
        and one["InstanceType"] == priced.terms.instance_type
        and one["OfferingClass"] == priced.terms.offering_class
    ]
    if len(fits) != 1:
        return ()
    reservations.tag(clients, priced.terms.region, fits[0], order.intent)
    return (fits[0],)
