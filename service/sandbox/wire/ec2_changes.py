"""``ec2``: exchanges and modifications of Reserved Instances. Protocol ec2."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from service.sandbox.faults import ApiError
from service.sandbox.reservation_changes import (
    ExchangeQuote,
    Modification,
    TargetPart,
    Value,
    sources_of,
)
from service.sandbox.reservations import ReservationRecord, find_offering
from service.sandbox.wire.call import Call, Form, Handler, refuse_dry_run
from service.sandbox.wire.paging import page_of
from service.sandbox.world import World
from service.usage.aws_sku import split_sku

_PAGE_MAX = 100
_MODIFICATION_FILTERS = {
    "client-token": "clientToken",
    "status": "status",
    "reserved-instances-modification-id": "reservedInstancesModificationId",
}


def get_quote(world: World, call: Call) -> Mapping[str, object]:
    """``GetReservedInstancesExchangeQuote``: changes nothing."""
    refuse_dry_run(call.form)
    quote = _quote(world, call)
    call.offerings.append(quote.offering.offering)
    shown: dict[str, object] = {
        "currencyCode": "USD",
        "isValidExchange": quote.reason is None,
        "outputReservedInstancesWillExpireAt": quote.ends_at,
        "paymentDue": str(quote.payment_due_usd),
        "reservedInstanceValueRollup": _values(
            sum((one.hourly_usd for one in quote.source_values), Decimal(0)),
            sum((one.upfront_usd for one in quote.source_values), Decimal(0)),
            quote.source_total_usd,
        ),
        "reservedInstanceValueSet": [
            {"reservationValue": _value(value), "reservedInstanceId": source.reservation_id}
            for source, value in zip(quote.sources, quote.source_values, strict=True)
        ],
        "targetConfigurationValueRollup": _value(quote.target),
        "targetConfigurationValueSet": [
            {
                "reservationValue": _value(quote.target),
                "targetConfiguration": {
                    "instanceCount": quote.count,
                    "offeringId": quote.offering.offering,
                },
            }
        ],
    }
    if quote.reason is not None:
        shown["validationFailureReason"] = quote.reason
    return shown


def accept_quote(world: World, call: Call) -> Mapping[str, object]:
    """``AcceptReservedInstancesExchangeQuote``: exchanges at what it comes to at this moment."""
    refuse_dry_run(call.form)
    quote = _quote(world, call)
    made = world.reservation_changes.accept(quote, world.now())
    call.bought.append(made)
    return {"exchangeId": f"riex-{world.new_id()}"}


def _quote(world: World, call: Call) -> ExchangeQuote:
    form = call.form
    sources = sources_of(
        world.reservations, call.principal.account, call.region, form.texts("ReservedInstanceId")
    )
    targets = form.numbered("TargetConfiguration")
    if len(targets) != 1:
        raise ApiError("InvalidParameterValue", "Give exactly one target configuration.")
    offering = find_offering(world.catalog.offerings, targets[0].text("OfferingId"), call.region)
    return world.reservation_changes.quote(
        sources, offering, convertible=world.catalog.convertible, now=world.now()
    )


def _value(value: Value) -> dict[str, object]:
    return _values(value.hourly_usd, value.upfront_usd, value.total_usd)


def _values(hourly: Decimal, upfront: Decimal, total: Decimal) -> dict[str, object]:
    return {
        "hourlyPrice": f"{hourly:.6f}",
        "remainingTotalValue": f"{total:.6f}",
        "remainingUpfrontValue": f"{upfront:.6f}",
    }


def modify(world: World, call: Call) -> Mapping[str, object]:
    """``ModifyReservedInstances``: accepted at once, fulfilled some minutes later."""
    form = call.form
    sources = sources_of(
        world.reservations, call.principal.account, call.region, form.texts("ReservedInstancesId")
    )
    parts = tuple(
        _part(part, sources[0])
        for part in form.numbered("ReservedInstancesConfigurationSetItemType")
    )
    modification = world.reservation_changes.modify(
        sources,
        parts,
        token=form.text_or_none("ClientToken") or form.text_or_none("clientToken"),
        catalog=world.catalog,
        now=world.now(),
    )
    call.bought.append(modification)
    return {"reservedInstancesModificationId": modification.modification_id}


def _part(part: Form, source: ReservationRecord) -> TargetPart:
    (sku,) = source.offering.rates_usd
    scope, zone = part.text_or_none("Scope"), part.text_or_none("AvailabilityZone")
    if scope == "Region":
        zone = None
    return TargetPart(
        instance_type=part.text_or_none("InstanceType") or split_sku(sku)[0].partition(":")[2],
        count=part.integer_or_none("InstanceCount") or 0,
        zone=zone if zone or scope else source.offering.zone,
    )


def describe_modifications(world: World, call: Call) -> Mapping[str, object]:
    """``DescribeReservedInstancesModifications``."""
    form = call.form
    now = world.now()
    ids = set(form.texts("ReservedInstancesModificationId"))
    filters: dict[str, set[str]] = {}
    for part in form.numbered("Filter"):
        name = part.text("Name")
        if name not in _MODIFICATION_FILTERS:
            raise form.invalid(f"The filter '{name}' is invalid")
        filters[_MODIFICATION_FILTERS[name]] = set(part.texts("Value"))
    found = [
        shown
        for one in world.reservation_changes.modifications.values()
        if (one.account, one.region) == (call.principal.account, call.region)
        and (not ids or one.modification_id in ids)
        for shown in [_modification(one, now)]
        if all(str(shown.get(name)) in values for name, values in filters.items())
    ]
    page, following = page_of(
        found,
        token=form.text_or_none("NextToken"),
        limit=min(_PAGE_MAX, world.options.page_size),
        fingerprint=form.fingerprint(),
        invalid_code="InvalidNextToken",
    )
    answer: dict[str, object] = {"reservedInstancesModificationsSet": list(page)}
    return answer | ({"nextToken": following} if following else {})


def _modification(one: Modification, now: datetime) -> dict[str, object]:
    shown: dict[str, object] = {
        "createDate": one.asked_at,
        "reservedInstancesModificationId": one.modification_id,
        "reservedInstancesSet": [{"reservedInstancesId": s.reservation_id} for s in one.sources],
        "status": one.status(now),
        "updateDate": min(one.due_at, now),
        "modificationResultSet": [
            {
                **({"reservedInstancesId": one.made[index]} if one.made else {}),
                "targetConfiguration": {
                    "instanceCount": part.count,
                    "instanceType": part.instance_type,
                    "scope": "Region" if part.zone is None else "Availability Zone",
                    **({} if part.zone is None else {"availabilityZone": part.zone}),
                },
            }
            for index, part in enumerate(one.parts)
        ],
    }
    if one.token:
        shown["clientToken"] = one.token
    if one.made:
        shown["effectiveDate"] = one.due_at
    if shown["status"] == "failed":
        shown["statusMessage"] = "The modification could not be made."
    return shown


OPERATIONS: Mapping[str, Handler] = {
    "GetReservedInstancesExchangeQuote": get_quote,
    "AcceptReservedInstancesExchangeQuote": accept_quote,
    "ModifyReservedInstances": modify,
    "DescribeReservedInstancesModifications": describe_modifications,
}
