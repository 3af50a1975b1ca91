"""``savingsplans``: offerings, rates, purchase, inventory, return. Protocol rest-json."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from service.domain.commitments import Offering
from service.domain.hours import TERM_HOURS
from service.domain.ids import OfferingId
from service.domain.money import text
from service.domain.usage import Sku
from service.sandbox.faults import ApiError
from service.sandbox.savings_plans import PlanRecord, PlanRequest
from service.sandbox.wire.call import Call, Fields, Handler
from service.sandbox.wire.paging import page_of
from service.sandbox.wire.words import (
    PAYMENT_WORDS,
    PLAN_PRODUCTS,
    PLAN_SERVICE_CODES,
    PLAN_WORDS,
    TERM_SECONDS,
    instant_text,
    offering_description,
    wire_sku,
)
from service.sandbox.world import World

_INVALID = "ValidationException"
_PAGE_MAX = 1000
_CURRENCY = "USD"
_RATE_UNITS = frozenset({"Lambda-GB-Second", "WriteRequestUnits", "ReadRequestUnits"})


def describe_offerings(world: World, call: Call) -> Mapping[str, object]:
    """``DescribeSavingsPlansOfferings``."""
    fields = call.fields
    wanted: Mapping[str, set[str] | set[int]] = {
        "offeringId": set(fields.texts("offeringIds")),
        "paymentOption": set(fields.texts("paymentOptions")),
        "planType": set(fields.texts("planTypes")),
        "currency": set(fields.texts("currencies")),
        "description": set(fields.texts("descriptions")),
        "serviceCode": set(fields.texts("serviceCodes")),
        "usageType": set(fields.texts("usageTypes")),
        "operation": set(fields.texts("operations")),
        "durationSeconds": set(fields.integers("durations")),
    }
    properties = _filters(fields, {"region", "instanceFamily"})
    product = fields.text_or_none("productType")
    found = [
        shown
        for offering in world.catalog.offerings.values()
        if offering.kind.is_spend
        for shown in [_offering(offering)]
        if all(not values or shown[name] in values for name, values in wanted.items())
        and _has(properties, {"region": offering.region, "instanceFamily": offering.family})
        and (product is None or product in _product_types(offering))
    ]
    return _paged(world, fields, "searchResults", found)


def _offering(offering: Offering) -> dict[str, object]:
    years = offering.term_months // 12
    payment = PAYMENT_WORDS[offering.payment]
    head = f"{offering.family}." if offering.family else ""
    plan = "EC2SP" if offering.family else f"{PLAN_WORDS[offering.kind]}SP"
    properties = {"region": offering.region, "instanceFamily": offering.family}
    return {
        "offeringId": offering.offering,
        "productTypes": _product_types(offering),
        "planType": PLAN_WORDS[offering.kind],
        "description": offering_description(offering),
        "paymentOption": payment,
        "durationSeconds": TERM_SECONDS[offering.term_months],
        "currency": _CURRENCY,
        "serviceCode": PLAN_SERVICE_CODES[offering.kind],
        "usageType": f"{plan}:{head}{years}yr{payment.replace(' ', '')}",
        "operation": "",
        "properties": [
            {"name": name, "value": value} for name, value in properties.items() if value
        ],
    }


def _product_types(offering: Offering) -> list[str]:
    return list(PLAN_PRODUCTS[offering.kind])


def describe_offering_rates(world: World, call: Call) -> Mapping[str, object]:
    """``DescribeSavingsPlansOfferingRates``."""
    fields = call.fields
    ids = set(fields.texts("savingsPlanOfferingIds"))
    payments = set(fields.texts("savingsPlanPaymentOptions"))
    plan_types = set(fields.texts("savingsPlanTypes"))
    call.offerings.extend(OfferingId(name) for name in ids)
    keep = _RateFilter(
        fields,
        ("region", "instanceFamily", "instanceType", "productDescription", "tenancy", "productId"),
    )
    found: list[dict[str, object]] = []
    for offering in world.catalog.offerings.values():
        if (
            not offering.kind.is_spend
            or (ids and offering.offering not in ids)
            or (payments and PAYMENT_WORDS[offering.payment] not in payments)
            or (plan_types and PLAN_WORDS[offering.kind] not in plan_types)
        ):
            continue
        parent = {
            "offeringId": offering.offering,
            "paymentOption": PAYMENT_WORDS[offering.payment],
            "planType": PLAN_WORDS[offering.kind],
            "durationSeconds": TERM_SECONDS[offering.term_months],
            "currency": _CURRENCY,
            "planDescription": offering_description(offering),
        }
        found.extend(
            {"savingsPlanOffering": parent, **rate} for rate in keep.rates(world, offering)
        )
    return _paged(world, fields, "searchResults", found)


def describe_plan_rates(world: World, call: Call) -> Mapping[str, object]:
    """``DescribeSavingsPlanRates``: the rates that an owned plan was bought at."""
    record = world.savings_plans.find(call.principal.account, call.fields.text("savingsPlanId"))
    keep = _RateFilter(call.fields, ("region", "instanceType", "productDescription", "tenancy"))
    found = [{"currency": _CURRENCY, **rate} for rate in keep.rates(world, record.offering)]
    answer = _paged(world, call.fields, "searchResults", found)
    return {"savingsPlanId": record.plan_id, **answer}


class _RateFilter:
    """Which rates a request asks for."""

    def __init__(self, fields: Fields, names: tuple[str, ...]) -> None:
        self._usage_types = set(fields.texts("usageTypes"))
        self._operations = set(fields.texts("operations"))
        self._products = set(fields.texts("products"))
        self._services = set(fields.texts("serviceCodes"))
        self._filters = _filters(
            fields, {*names, "productType", "serviceCode", "usageType", "operation"}
        )

    def rates(self, world: World, offering: Offering) -> Iterator[dict[str, object]]:
        skus = {key.sku: sku for key, sku in world.catalog.skus.items()}
        for name, rate in offering.rates_usd.items():
            # A dataset may sell plans for more than it has prices for.
            shown = self._shown(skus[name], rate) if name in skus else None
            if shown is not None:
                yield shown

    def _shown(self, sku: Sku, rate: Decimal) -> dict[str, object] | None:
        wire = wire_sku(sku)
        properties = {
            "region": sku.key.region,
            "instanceType": wire.instance_type,
            "instanceFamily": sku.family,
            "productDescription": wire.product_description,
            "tenancy": sku.tenancy,
        }
        direct = (
            (self._usage_types, wire.usage_type),
            (self._operations, wire.operation),
            (self._products, wire.product_type),
            (self._services, wire.service_code),
        )
        known = {
            **properties,
            "productType": wire.product_type,
            "serviceCode": wire.service_code,
            "usageType": wire.usage_type,
            "operation": wire.operation,
            "productId": wire.product_type,
        }
        if any(values and value not in values for values, value in direct):
            return None
        if not _has(self._filters, known):
            return None
        return {
            "rate": text(rate),
            "unit": sku.unit if sku.unit in _RATE_UNITS else "Hrs",
            "productType": wire.product_type,
            "serviceCode": wire.service_code,
            "usageType": wire.usage_type,
            "operation": wire.operation,
            "properties": [
                {"name": name, "value": value} for name, value in properties.items() if value
            ],
        }


def create(world: World, call: Call) -> Mapping[str, object]:
    """``CreateSavingsPlan``."""
    fields = call.fields
    offering = OfferingId(fields.text("savingsPlanOfferingId"))
    call.offerings.append(offering)
    token = fields.text_or_none("clientToken")
    request = PlanRequest(
        account=call.principal.account,
        offering=offering,
        commitment=fields.text("commitment"),
        upfront=fields.text_or_none("upfrontPaymentAmount"),
        purchase_time=fields.instant_or_none("purchaseTime"),
        tags=tuple(sorted(fields.text_map("tags").items())),
    )
    record, new = world.savings_plans.create(
        request,
        token=token or str(world.new_id()),
        offerings=world.catalog.offerings,
        now=world.now(),
    )
    if new:
        call.bought.append(record)
    return {"savingsPlanId": record.plan_id}


def describe_plans(world: World, call: Call) -> Mapping[str, object]:
    """``DescribeSavingsPlans``: the caller's account's plans, newest last."""
    fields = call.fields
    now = world.now()
    ids, arns = set(fields.texts("savingsPlanIds")), set(fields.texts("savingsPlanArns"))
    states = set(fields.texts("states"))
    filters = _filters(fields, _PLAN_FILTERS)
    first_page = fields.text_or_none("nextToken") is None
    found = [
        shown
        for record in world.savings_plans.listed(now, fresh=first_page)
        if record.request.account == call.principal.account
        and (not ids or record.plan_id in ids)
        and (not arns or record.arn in arns)
        for shown in [_plan(record, now)]
        if (not states or shown["state"] in states) and _has(filters, _plan_filterable(shown))
    ]
    return _paged(world, fields, "savingsPlans", found)


_PLAN_FILTERS = {
    "region",
    "ec2-instance-family",
    "instance-family",
    "commitment",
    "upfront",
    "term",
    "savings-plan-type",
    "payment-option",
    "start",
    "end",
}


def _plan_filterable(shown: Mapping[str, object]) -> dict[str, object]:
    family = shown.get("ec2InstanceFamily")
    return {
        "region": shown.get("region"),
        "ec2-instance-family": family,
        "instance-family": family,
        "commitment": shown["commitment"],
        "upfront": shown["upfrontPaymentAmount"],
        "term": str(shown["termDurationInSeconds"]),
        "savings-plan-type": shown["savingsPlanType"],
        "payment-option": shown["paymentOption"],
        "start": shown["start"],
        "end": shown["end"],
    }


def _plan(record: PlanRecord, now: datetime) -> dict[str, object]:
    offering = record.offering
    term_hours = TERM_HOURS[offering.term_months]
    recurring = record.commitment_usd_per_hour - record.upfront_usd / term_hours
    shown: dict[str, object] = {
        "offeringId": offering.offering,
        "savingsPlanId": record.plan_id,
        "savingsPlanArn": record.arn,
        "description": offering_description(offering),
        "start": instant_text(record.start),
        "end": instant_text(record.end),
        "state": record.state(now),
        "savingsPlanType": PLAN_WORDS[offering.kind],
        "paymentOption": PAYMENT_WORDS[offering.payment],
        "productTypes": _product_types(offering),
        "currency": _CURRENCY,
        "commitment": text(record.commitment_usd_per_hour),
        "upfrontPaymentAmount": text(record.upfront_usd),
        "recurringPaymentAmount": text(recurring.quantize(Decimal("0.0000000001"))),
        "termDurationInSeconds": TERM_SECONDS[offering.term_months],
        "tags": dict(record.tags),
    }
    if offering.family is not None:
        shown |= {"region": offering.region, "ec2InstanceFamily": offering.family}
    until = record.returnable_until(now)
    if until is not None:
        shown["returnableUntil"] = instant_text(until)
    return shown


def give_back(world: World, call: Call) -> Mapping[str, object]:
    """``ReturnSavingsPlan``."""
    plan_id = call.fields.text("savingsPlanId")
    token = call.fields.text_or_none("clientToken") or str(world.new_id())
    world.savings_plans.give_back(call.principal.account, plan_id, token, world.now())
    return {"savingsPlanId": plan_id}


def delete_queued(world: World, call: Call) -> Mapping[str, object]:
    """``DeleteQueuedSavingsPlan``."""
    plan_id = call.fields.text("savingsPlanId")
    world.savings_plans.delete_queued(call.principal.account, plan_id, world.now())
    return {}


def tag(world: World, call: Call) -> Mapping[str, object]:
    """``TagResource``."""
    record = _by_arn(world, call)
    record.tags.update(call.fields.text_map("tags"))
    return {}


def list_tags(world: World, call: Call) -> Mapping[str, object]:
    """``ListTagsForResource``."""
    return {"tags": dict(_by_arn(world, call).tags)}


def _by_arn(world: World, call: Call) -> PlanRecord:
    arn = call.fields.text("resourceArn")
    return world.savings_plans.find(call.principal.account, arn.rpartition("/")[2])


def _filters(fields: Fields, allowed: set[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for part in fields.parts("filters"):
        name = part.text("name")
        if name not in allowed:
            raise ApiError(_INVALID, f"There is no filter {name}.")
        found[name] = set(part.texts("values"))
    return found


def _has(filters: Mapping[str, set[str]], values: Mapping[str, object]) -> bool:
    return all(values.get(name) in wanted for name, wanted in filters.items())


def _paged(
    world: World, fields: Fields, name: str, found: list[dict[str, object]]
) -> dict[str, object]:
    asked = fields.integer_or_none("maxResults")
    if asked is not None and not 0 <= asked <= _PAGE_MAX:
        raise ApiError(_INVALID, f"maxResults must be at most {_PAGE_MAX}.")
    page, following = page_of(
        found,
        token=fields.text_or_none("nextToken"),
        limit=min(asked or _PAGE_MAX, world.options.page_size),
        fingerprint=fields.fingerprint(),
        invalid_code=_INVALID,
    )
    answer: dict[str, object] = {name: list(page)}
    if following is not None:
        answer["nextToken"] = following
    return answer


OPERATIONS: Mapping[str, Handler] = {
    "DescribeSavingsPlansOfferings": describe_offerings,
    "DescribeSavingsPlansOfferingRates": describe_offering_rates,
    "DescribeSavingsPlanRates": describe_plan_rates,
    "CreateSavingsPlan": create,
    "DescribeSavingsPlans": describe_plans,
    "ReturnSavingsPlan": give_back,
    "DeleteQueuedSavingsPlan": delete_queued,
    "TagResource": tag,
    "ListTagsForResource": list_tags,
}
