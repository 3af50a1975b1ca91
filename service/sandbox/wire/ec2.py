"""``ec2``: Reserved Instances, their tags, and regions. Protocol ec2 (query in, XML out)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from service.domain.commitments import Offering, Payment
from service.domain.hours import TERM_HOURS
from service.domain.ids import CommitmentId, OfferingId
from service.domain.usage import Sku, SkuKey
from service.sandbox.faults import ApiError
from service.sandbox.rates import PROVIDER
from service.sandbox.reservations import RESERVED_KINDS, ReservationRecord
from service.sandbox.wire import ec2_changes
from service.sandbox.wire.call import Call, Form, Handler, refuse_dry_run
from service.sandbox.wire.paging import page_of
from service.sandbox.wire.words import PAYMENT_WORDS, TERM_SECONDS, wire_sku
from service.sandbox.world import World

_PAGE_MAX = 100
_DELETE_MAX = 100
_TAG_ATTEMPTS_MAX = 50


def describe_offerings(world: World, call: Call) -> Mapping[str, object]:
    """``DescribeReservedInstancesOfferings``: the region's own, never the marketplace."""
    form = call.form
    refuse_dry_run(form)
    ids = set(form.texts("ReservedInstancesOfferingId"))
    conditions = {
        "instance-type": _one(form.text_or_none("InstanceType")),
        "product-description": _one(form.text_or_none("ProductDescription")),
        "offering-class": _one(form.text_or_none("OfferingClass")),
        "offering-type": _one(form.text_or_none("OfferingType")),
        "instance-tenancy": _one(form.text_or_none("InstanceTenancy")),
        "availability-zone": _one(form.text_or_none("AvailabilityZone")),
    }
    filters = _filters(form, {*_OFFERING_FILTERS})
    shortest = form.integer_or_none("MinDuration") or 0
    longest = form.integer_or_none("MaxDuration") or max(TERM_SECONDS.values())
    found = [
        shown
        for offering in world.catalog.offerings.values()
        if offering.kind in RESERVED_KINDS
        and offering.region == call.region
        and (not ids or offering.offering in ids)
        and shortest <= TERM_SECONDS[offering.term_months] <= longest
        for shown in [_offering(world, offering)]
        if _fits(conditions, shown) and _fits(filters, shown)
    ]
    asked = form.integer_or_none("MaxResults")
    page, following = page_of(
        found,
        token=form.text_or_none("NextToken"),
        limit=min(asked or _PAGE_MAX, _PAGE_MAX, world.options.page_size),
        fingerprint=form.fingerprint(),
        invalid_code="InvalidNextToken",
    )
    answer: dict[str, object] = {"reservedInstancesOfferingsSet": list(page)}
    return answer | ({"nextToken": following} if following else {})


_OFFERING_FILTERS = {
    "availability-zone": "availabilityZone",
    "duration": "duration",
    "instance-type": "instanceType",
    "product-description": "productDescription",
    "offering-class": "offeringClass",
    "offering-type": "offeringType",
    "instance-tenancy": "instanceTenancy",
    "scope": "scope",
    "marketplace": "marketplace",
    "reserved-instances-offering-id": "reservedInstancesOfferingId",
    "reserved-instances-id": "reservedInstancesId",
    "state": "state",
}


def _one(value: str | None) -> set[str]:
    return set() if value is None else {value}


def _fits(conditions: Mapping[str, set[str]], shown: Mapping[str, object]) -> bool:
    for name, wanted in conditions.items():
        value = shown.get(_OFFERING_FILTERS[name])
        plain = str(value).lower() if isinstance(value, bool) else str(value)
        if wanted and plain not in wanted:
            return False
    return True


def _filters(form: Form, allowed: set[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for part in form.numbered("Filter"):
        name = part.text("Name")
        if name not in allowed:
            raise form.invalid(f"The filter '{name}' is invalid")
        found[name] = set(part.texts("Value"))
    return found


def _unit_sku(world: World, offering: Offering) -> Sku:
    return world.catalog.skus[
        SkuKey(PROVIDER, str(offering.region), next(iter(offering.rates_usd)))
    ]


def _terms(world: World, offering: Offering, *, convertible: bool) -> dict[str, object]:
    """What offerings and reservations show alike."""
    sku = _unit_sku(world, offering)
    wire = wire_sku(sku)
    rate = next(iter(offering.rates_usd.values()))
    hourly = rate - offering.upfront_usd / TERM_HOURS[offering.term_months]
    charges = (
        []
        if offering.payment is Payment.ALL_UPFRONT
        else [{"amount": hourly.quantize(Decimal("0.00000001")), "frequency": "Hourly"}]
    )
    return {
        "currencyCode": "USD",
        "instanceTenancy": "default" if sku.tenancy == "shared" else sku.tenancy,
        "offeringClass": "convertible" if convertible else "standard",
        "offeringType": PAYMENT_WORDS[offering.payment],
        "recurringCharges": charges,
        "scope": "Region" if offering.zone is None else "Availability Zone",
        **({} if offering.zone is None else {"availabilityZone": offering.zone}),
        "instanceType": wire.instance_type,
        "duration": TERM_SECONDS[offering.term_months],
        "usagePrice": 0.0,
        "fixedPrice": offering.upfront_usd,
        "productDescription": wire.product_description,
    }


def _offering(world: World, offering: Offering) -> dict[str, object]:
    return {
        **_terms(world, offering, convertible=offering.offering in world.catalog.convertible),
        "marketplace": False,
        "pricingDetailsSet": [],
        "reservedInstancesOfferingId": offering.offering,
    }


def purchase(world: World, call: Call) -> Mapping[str, object]:
    """``PurchaseReservedInstancesOffering``: no token, so every call buys."""
    form = call.form
    refuse_dry_run(form)
    offering_id = form.text("ReservedInstancesOfferingId")
    count = form.integer_or_none("InstanceCount")
    if count is None:
        raise ApiError("MissingParameter", "InstanceCount is required.")
    call.offerings.append(OfferingId(offering_id))
    when = form.instant_or_none("PurchaseTime")
    record = world.reservations.purchase(
        account=call.principal.account,
        region=call.region,
        offering_id=offering_id,
        count=count,
        purchase_time=when,
        offerings=world.catalog.offerings,
        convertible=world.catalog.convertible,
        now=world.now(),
    )
    call.bought.append(record)
    return {"reservedInstancesId": record.reservation_id}


def describe(world: World, call: Call) -> Mapping[str, object]:
    """``DescribeReservedInstances``: all of the account's in this region, in one answer."""
    form = call.form
    refuse_dry_run(form)
    now = world.now()
    ids = set(form.texts("ReservedInstancesId"))
    tags, plain = _tag_filters(form)
    conditions = {
        "offering-class": _one(form.text_or_none("OfferingClass")),
        "offering-type": _one(form.text_or_none("OfferingType")),
    }
    found = [
        shown
        for record in world.reservations.listed(call.principal.account, call.region, now)
        if (not ids or record.reservation_id in ids)
        and all(record.tags.get(name) in values for name, values in tags.items())
        for shown in [_reservation(world, record, now)]
        if _fits(plain, shown) and _fits(conditions, shown)
    ]
    unknown = ids - {str(shown["reservedInstancesId"]) for shown in found}
    if unknown and not plain and not tags:
        raise ApiError("InvalidReservedInstancesId", f"The ids {sorted(unknown)} do not exist.")
    return {"reservedInstancesSet": found}


def _tag_filters(form: Form) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    tags: dict[str, set[str]] = {}
    plain: dict[str, set[str]] = {}
    for part in form.numbered("Filter"):
        name, values = part.text("Name"), set(part.texts("Value"))
        if name.startswith("tag:"):
            tags[name.removeprefix("tag:")] = values
        elif name in _OFFERING_FILTERS:
            plain[name] = values
        else:
            raise form.invalid(f"The filter '{name}' is invalid")
    return tags, plain


def _reservation(world: World, record: ReservationRecord, now: datetime) -> dict[str, object]:
    return {
        **_terms(world, record.offering, convertible=record.convertible),
        "fixedPrice": record.fixed_usd,
        # What was made from others has what was left of their term.
        "duration": int((record.end - record.start).total_seconds()),
        "reservedInstancesId": record.reservation_id,
        "start": record.start,
        "end": record.end,
        "instanceCount": record.count,
        "state": record.state(now),
        "tagSet": [{"key": name, "value": value} for name, value in record.tags.items()],
    }


def delete_queued(world: World, call: Call) -> Mapping[str, object]:
    """``DeleteQueuedReservedInstances``: each id fails or succeeds by itself."""
    ids = call.form.texts("ReservedInstancesId")
    refuse_dry_run(call.form)
    if not 1 <= len(ids) <= _DELETE_MAX:
        raise call.form.invalid(f"Give 1 to {_DELETE_MAX} ids.")
    done: list[object] = []
    failed: list[object] = []
    for name in ids:
        code = world.reservations.delete_queued(
            call.principal.account, call.region, name, world.now()
        )
        if code is None:
            done.append({"reservedInstancesId": name})
        else:
            failed.append({"error": {"code": code, "message": code}, "reservedInstancesId": name})
    return {
        "successfulQueuedPurchaseDeletionSet": done,
        "failedQueuedPurchaseDeletionSet": failed,
    }


def create_tags(world: World, call: Call) -> Mapping[str, object]:
    """``CreateTags`` on reservations; all ids must exist and be listed already."""
    form = call.form
    refuse_dry_run(form)
    ids = form.texts("ResourceId")
    tags = {part.text("Key"): part.text_or_none("Value") or "" for part in form.numbered("Tag")}
    if not ids or not tags or len(tags) > _TAG_ATTEMPTS_MAX:
        raise ApiError("MissingParameter", "Give resources and at most 50 tags.")
    owned = {
        record.reservation_id: record
        for record in world.reservations.owned_by(call.principal.account, call.region)
    }
    for name in ids:
        record = owned.get(CommitmentId(name))
        hidden = record is not None and (
            record.hidden_reads > 0
            or (record.hidden_until is not None and world.now() < record.hidden_until)
        )
        if record is None or hidden:
            raise ApiError("InvalidReservationID.NotFound", f"The id '{name}' does not exist")
    for name in ids:
        owned[CommitmentId(name)].tags.update(tags)
    return {"return": True}


def describe_regions(world: World, call: Call) -> Mapping[str, object]:
    """``DescribeRegions``: those that the price list knows."""
    form = call.form
    refuse_dry_run(form)
    names = set(form.texts("RegionName"))
    regions = sorted({key.region for key in world.catalog.skus})
    unknown = names - set(regions)
    if unknown:
        raise form.invalid(f"Invalid region names {sorted(unknown)}")
    return {
        "regionInfo": [
            {
                "optInStatus": "opt-in-not-required",
                "regionName": region,
                "regionEndpoint": f"ec2.{region}.sandbox.invalid",
            }
            for region in regions
            if not names or region in names
        ]
    }


OPERATIONS: Mapping[str, Handler] = {
    "DescribeReservedInstancesOfferings": describe_offerings,
    "PurchaseReservedInstancesOffering": purchase,
    "DescribeReservedInstances": describe,
    "DeleteQueuedReservedInstances": delete_queued,
    "CreateTags": create_tags,
    "DescribeRegions": describe_regions,
    **ec2_changes.OPERATIONS,
}
