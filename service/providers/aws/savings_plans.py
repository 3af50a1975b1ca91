"""Savings Plans through boto3: what is on sale, buying one, giving one back.

Quantities are dollars of commitment per hour. AWS takes up to five decimals from 0.001 up; we
buy in whole thousandths, because its own recommendations are so rounded and a hundredth of a
cent an hour is not worth an approval that reads differently from the order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from service.domain.commitments import Kind, Offering
from service.domain.errors import ProviderError
from service.domain.hours import TERM_HOURS
from service.domain.ids import OfferingId
from service.domain.money import floor_to_step, text
from service.domain.purchases import InventoryItem, Outcome, PurchaseOrder, Refused
from service.domain.usage import SkuKey
from service.providers.aws.clients import PROVIDER, Answer, AwsClients, invoke_all
from service.providers.aws.last_look import send_if_wanted
from service.providers.aws.outcome import WIRE_ERRORS, bought_of, outcome_of
from service.providers.aws.words import (
    INTENT_TAG,
    PAYMENTS,
    PLAN_KINDS,
    TERM_MONTHS,
    UPFRONT_SHARE,
    known,
    term_months,
    upfront_usd,
    usage_type_spellings,
)
from service.providers.port import StillWanted
from service.usage.aws_sku import aws_sku, describe_sku, split_sku

SERVICE = "savingsplans"
STEP = Decimal("0.001")
CURRENCY = "USD"
_PAGE = 1000
_USAGE_TYPES_PER_CALL = 100
_KIND_WORDS = {kind: word for word, kind in PLAN_KINDS.items()}
_COVERED: Mapping[Kind, frozenset[str | None]] = {
    Kind.AWS_COMPUTE_SP: frozenset({"ec2", "fargate", "lambda"}),
    Kind.AWS_EC2_INSTANCE_SP: frozenset({"ec2"}),
    # Usage of a service that our tables do not tell apart may be a database's.
    Kind.AWS_DATABASE_SP: frozenset({"rds", "elasticache", "dynamodb", "opensearch", None}),
    Kind.AWS_SAGEMAKER_SP: frozenset({"sagemaker"}),
}
"""Services whose usage may be covered; which of it is, AWS's own rates say."""
SOLD_KINDS = tuple(PLAN_KINDS.values())
"""Kinds that Tenor knows how to plan and buy."""


def offerings(clients: AwsClients, keys: Sequence[SkuKey]) -> list[Offering]:
    """Every plan on sale, in dollars, that covers any of ``keys``, with its rates for them."""
    client = clients.reading(SERVICE)
    found: list[Offering] = []
    keys = [key for key in keys if key.provider == PROVIDER]
    for kind in SOLD_KINDS:
        scope = _scope_filters(kind, keys)
        if scope is None:
            continue
        listed = invoke_all(
            client,
            "describe_savings_plans_offerings",
            {
                "planTypes": [_KIND_WORDS[kind]],
                "currencies": [CURRENCY],
                "durations": list(TERM_MONTHS),
                "maxResults": _PAGE,
                **scope,
            },
            items="searchResults",
        )
        rates = _rates(clients, kind, keys, scope)
        found.extend(
            _offering(one, rates[one["offeringId"]])
            for one in listed
            if rates.get(one["offeringId"])
        )
    return found


def _scope_filters(kind: Kind, keys: Sequence[SkuKey]) -> dict[str, Any] | None:
    """Filters that leave only offers for these keys; ``None`` when there can be none."""
    facts = [describe_sku(key.sku) for key in keys]
    if not any(fact.service in _COVERED[kind] for fact in facts):
        return None
    if kind is not Kind.AWS_EC2_INSTANCE_SP:
        return {}
    instances = [fact for fact in facts if fact.service == "ec2" and fact.family is not None]
    families = sorted({str(fact.family) for fact in instances})
    regions = sorted({fact.region for fact in instances})
    if not families:
        return None
    return {
        "filters": [
            {"name": "region", "values": regions},
            {"name": "instanceFamily", "values": families},
        ]
    }


def _rates(
    clients: AwsClients, kind: Kind, keys: Sequence[SkuKey], scope: dict[str, Any]
) -> dict[str, dict[str, Decimal]]:
    """Offering id → SKU → dollars of commitment that one unit uses up."""
    wanted = {key.sku for key in keys}
    spellings = sorted({name for sku in wanted for name in usage_type_spellings(sku)})
    found: dict[str, dict[str, Decimal]] = {}
    for first in range(0, len(spellings), _USAGE_TYPES_PER_CALL):
        rows = invoke_all(
            clients.reading(SERVICE),
            "describe_savings_plans_offering_rates",
            {
                "savingsPlanTypes": [_KIND_WORDS[kind]],
                "usageTypes": spellings[first : first + _USAGE_TYPES_PER_CALL],
                "operations": sorted({split_sku(sku)[1] for sku in wanted}),
                "maxResults": _PAGE,
                **scope,
            },
            items="searchResults",
        )
        _collect(rows, wanted, found)
    return found


def _collect(
    rows: Iterable[Answer], wanted: set[str], found: dict[str, dict[str, Decimal]]
) -> None:
    for row in rows:
        sku = aws_sku(row["usageType"], row.get("operation", ""))
        offering = row["savingsPlanOffering"]
        if sku not in wanted or offering["currency"] != CURRENCY:
            continue
        of_offering = found.setdefault(offering["offeringId"], {})
        _note(of_offering, sku, Decimal(row["rate"]), offering["offeringId"])


def _note(rates: dict[str, Decimal], sku: str, rate: Decimal, of: str) -> None:
    """Keep a rate; ``ProviderError`` for a second one that differs: neither is to be guessed."""
    known = rates.setdefault(sku, rate)
    if known != rate:
        raise ProviderError(
            provider=PROVIDER,
            operation="savingsplans.rates",
            code="ambiguous_rate",
            detail=f"{of} has rates {known} and {rate} for {sku}",
        )


def _offering(listed: Answer, rates: dict[str, Decimal]) -> Offering:
    properties = {one["name"]: one["value"] for one in listed.get("properties", ())}
    months = term_months(listed["durationSeconds"])
    payment = known(PAYMENTS, listed["paymentOption"])
    return Offering(
        offering=OfferingId(listed["offeringId"]),
        provider=PROVIDER,
        kind=known(PLAN_KINDS, listed["planType"]),
        term_months=months,
        payment=payment,
        region=properties.get("region"),
        family=properties.get("instanceFamily"),
        platform=None,
        tenancy=None,
        zone=None,
        size_flexible=False,
        rates_usd=rates,
        upfront_usd=TERM_HOURS[months] * UPFRONT_SHARE[payment],
        min_quantity=STEP,
        step=STEP,
    )


def owned_offering(clients: AwsClients, item: InventoryItem, keys: Sequence[SkuKey]) -> Offering:
    """The offering of an owned plan at the rates that it was bought at, for ``keys``.

    AWS keeps a plan's rates for its term, whatever it asks for new plans; it also answers for
    plans that are no longer on sale.
    """
    wanted = {key.sku for key in keys if key.provider == PROVIDER}
    spellings = sorted({name for sku in wanted for name in usage_type_spellings(sku)})
    rates: dict[str, Decimal] = {}
    for first in range(0, len(spellings), _USAGE_TYPES_PER_CALL):
        part = spellings[first : first + _USAGE_TYPES_PER_CALL]
        rows = invoke_all(
            clients.reading(SERVICE),
            "describe_savings_plan_rates",
            {
                "savingsPlanId": item.commitment.commitment,
                "filters": [{"name": "usageType", "values": part}],
                "maxResults": _PAGE,
            },
            items="searchResults",
        )
        for row in rows:
            sku = aws_sku(row["usageType"], row.get("operation", ""))
            if sku in wanted and row["currency"] == CURRENCY:
                _note(rates, sku, Decimal(row["rate"]), str(item.commitment.commitment))
    return Offering(
        offering=item.commitment.offering,
        provider=PROVIDER,
        kind=item.kind,
        term_months=item.term_months,
        payment=item.payment,
        region=item.region,
        family=item.family,
        platform=None,
        tenancy=None,
        zone=None,
        size_flexible=False,
        rates_usd=rates,
        upfront_usd=TERM_HOURS[item.term_months] * UPFRONT_SHARE[item.payment],
        min_quantity=STEP,
        step=STEP,
    )


def on_sale(clients: AwsClients, order: PurchaseOrder) -> Offering:
    """The order's offering as it is sold now, without rates.

    ``ProviderError`` when it is no longer sold, or is not what the order says it is.
    """
    listed = invoke_all(
        clients.reading(SERVICE),
        "describe_savings_plans_offerings",
        {"offeringIds": [order.offering]},
        items="searchResults",
    )
    same = [_offering(one, {}) for one in listed if one["currency"] == CURRENCY]
    fits = [
        one
        for one in same
        if (one.kind, one.term_months, one.payment)
        == (order.kind, order.term_months, order.payment)
    ]
    if len(fits) != 1:
        raise ProviderError(
            provider=PROVIDER,
            operation="savingsplans.describe_savings_plans_offerings",
            code="not_on_sale",
            detail=f"{order.offering} as {order.term_months} months {order.payment} "
            f"is sold {len(fits)} times",
        )
    return fits[0]


def purchase(clients: AwsClients, order: PurchaseOrder, still_wanted: StillWanted) -> Outcome:
    """One ``CreateSavingsPlan``, tagged with its intent, repeatable by its token.

    The same token must always come with the same parameters: a purchase time is the order's own,
    never this moment.
    """
    if order.quantity != floor_to_step(order.quantity, STEP) or order.quantity < STEP:
        return Refused(code="quantity", detail=f"{order.quantity} is not a multiple of {STEP}")
    upfront = upfront_usd(order.quantity, order.term_months, order.payment)
    if abs(upfront - order.upfront_usd) > 1:
        return Refused(
            code="upfront", detail=f"{upfront} is due, the order says {order.upfront_usd}"
        )
    arguments: dict[str, Any] = {
        "savingsPlanOfferingId": order.offering,
        "commitment": text(order.quantity),
        "clientToken": order.token,
        "tags": {INTENT_TAG: order.intent},
    }
    if UPFRONT_SHARE[order.payment] not in {Decimal(0), Decimal(1)}:
        arguments["upfrontPaymentAmount"] = text(upfront)
    if order.start_at is not None:
        arguments["purchaseTime"] = order.start_at
    client = clients.purchasing(SERVICE)
    try:
        answer: Answer = send_if_wanted(client, "create_savings_plan", arguments, still_wanted)
    except WIRE_ERRORS as error:
        return outcome_of(error)
    return bought_of(answer, "savingsPlanId")
