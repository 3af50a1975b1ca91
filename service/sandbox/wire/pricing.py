"""``pricing``: the on-demand price list, as JSON texts inside JSON. Protocol json."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import TypeVar

from service.domain.hours import iso
from service.domain.usage import Sku
from service.sandbox.faults import ApiError
from service.sandbox.wire.call import Call, Fields, Handler
from service.sandbox.wire.paging import page_of
from service.sandbox.wire.words import SERVICE_CODES, wire_sku
from service.sandbox.world import World

Item = TypeVar("Item")
_PAGE_MAX = 100
_ON_DEMAND_TERM, _ON_DEMAND_RATE = "JRTCKXETXF", "6YS6EN2CT7"
_FILTERS_MAX = 50
_ATTRIBUTES = (
    "servicecode",
    "location",
    "locationType",
    "regionCode",
    "usagetype",
    "operation",
    "instanceType",
    "operatingSystem",
    "tenancy",
    "capacitystatus",
    "preInstalledSw",
)
_SYSTEMS = {"linux": "Linux", "windows": "Windows"}


def get_products(world: World, call: Call) -> Mapping[str, object]:
    """``GetProducts``."""
    fields = call.fields
    service = fields.text("ServiceCode")
    if service not in SERVICE_CODES.values():
        raise ApiError("NotFoundException", f"There is no service {service}.")
    if len(fields.parts("Filters")) > _FILTERS_MAX:
        raise fields.invalid(f"At most {_FILTERS_MAX} filters are allowed.")
    found = [
        (sku, attributes)
        for sku in world.catalog.skus.values()
        if wire_sku(sku).service_code == service
        for attributes in [_attributes(world, sku)]
        if all(_passes(attributes, part) for part in fields.parts("Filters"))
    ]
    page, following = _paged(world, fields, found)
    answer: dict[str, object] = {
        "FormatVersion": "aws_v1",
        "PriceList": [_product(world, sku, attributes) for sku, attributes in page],
    }
    return answer | ({"NextToken": following} if following else {})


def describe_services(world: World, call: Call) -> Mapping[str, object]:
    """``DescribeServices``."""
    wanted = call.fields.text_or_none("ServiceCode")
    codes = sorted(code for code in SERVICE_CODES.values() if wanted in {None, code})
    if not codes:
        raise ApiError("NotFoundException", f"There is no service {wanted}.")
    listed = [{"ServiceCode": code, "AttributeNames": sorted(_ATTRIBUTES)} for code in codes]
    page, following = _paged(world, call.fields, listed)
    answer: dict[str, object] = {"FormatVersion": "aws_v1", "Services": list(page)}
    return answer | ({"NextToken": following} if following else {})


def _paged(
    world: World, fields: Fields, found: Sequence[Item]
) -> tuple[Sequence[Item], str | None]:
    asked = fields.integer_or_none("MaxResults")
    if asked is not None and not 1 <= asked <= _PAGE_MAX:
        raise fields.invalid(f"MaxResults must be 1 to {_PAGE_MAX}.")
    page, following = page_of(
        found,
        token=fields.text_or_none("NextToken"),
        limit=min(asked or _PAGE_MAX, world.options.page_size),
        fingerprint=fields.fingerprint(),
        invalid_code="InvalidNextTokenException",
    )
    return page, following


def _attributes(world: World, sku: Sku) -> dict[str, str]:
    wire = wire_sku(sku)
    attributes = {
        "servicecode": wire.service_code,
        "location": world.catalog.locations.get(sku.key.region, sku.key.region),
        "locationType": "AWS Region",
        "regionCode": sku.key.region,
        "usagetype": wire.usage_type,
        "operation": wire.operation,
    }
    if wire.instance_type is not None:
        attributes |= {"instanceType": wire.instance_type}
    if wire.instance_type is not None and sku.service == "ec2":
        attributes |= {
            "operatingSystem": _SYSTEMS.get(sku.platform or "", "NA"),
            "tenancy": "Dedicated" if sku.tenancy == "dedicated" else "Shared",
            "capacitystatus": "Used",
            "preInstalledSw": "NA",
        }
    return attributes


def _passes(attributes: Mapping[str, str], part: Fields) -> bool:
    kind, name, wanted = part.text("Type"), part.text("Field"), part.text("Value")
    value = attributes.get(name, attributes.get(name[:1].lower() + name[1:]))
    match kind:
        case "TERM_MATCH" | "EQUALS":
            return value == wanted
        case "CONTAINS":
            return value is not None and wanted in value
        case "ANY_OF":
            return value in wanted.split(",")
        case "NONE_OF":
            return value not in wanted.split(",")
    raise part.invalid(f"There is no filter type {kind}.")


def _product(world: World, sku: Sku, attributes: Mapping[str, str]) -> str:
    code = sha256("/".join(sku.key).encode()).hexdigest()[:16].upper()
    term, rate = f"{code}.{_ON_DEMAND_TERM}", f"{code}.{_ON_DEMAND_TERM}.{_ON_DEMAND_RATE}"
    since = iso(world.usage.hours.start)
    dimension = {
        "unit": sku.unit,
        "endRange": "Inf",
        "description": f"${sku.list_usd:f} per {sku.unit} of {attributes['usagetype']}",
        "appliesTo": [],
        "rateCode": rate,
        "beginRange": "0",
        "pricePerUnit": {"USD": f"{sku.list_usd:.10f}"},
    }
    return json.dumps(
        {
            "product": {
                "productFamily": "Compute Instance" if sku.service == "ec2" else "Serverless",
                "attributes": attributes,
                "sku": code,
            },
            "serviceCode": attributes["servicecode"],
            "terms": {
                "OnDemand": {
                    term: {
                        "priceDimensions": {rate: dimension},
                        "sku": code,
                        "effectiveDate": since,
                        "offerTermCode": _ON_DEMAND_TERM,
                        "termAttributes": {},
                    }
                }
            },
            "version": "1",
            "publicationDate": since,
        }
    )


OPERATIONS: Mapping[str, Handler] = {
    "GetProducts": get_products,
    "DescribeServices": describe_services,
}
