"""The wire of each AWS service: how requests are read and how answers and errors are written.

The service is the one that the request was signed for; the signature itself is not checked,
since the keys open nothing but the sandbox.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree as ET  # only written here, never read

from service.domain.hours import iso
from service.sandbox.faults import ApiError
from service.sandbox.loopback import Answer
from service.sandbox.wire.call import Fields, Form

_CREDENTIAL = re.compile(
    r"AWS4-HMAC-SHA256 .*Credential=([^/,\s]+)/\d{8}/([a-z0-9-]+)/([a-z0-9-]+)/aws4_request"
)


class Protocol(Enum):
    """How a service's requests and answers look."""

    REST_JSON = "rest-json"
    JSON = "json"
    QUERY = "query"
    EC2 = "ec2"
    REST_ROUTED = "rest-json by path and method"
    S3 = "s3"


_JSON = frozenset({Protocol.JSON, Protocol.REST_JSON, Protocol.REST_ROUTED})


@dataclass(frozen=True, slots=True)
class Wire:
    """One service's protocol, and the codes of the errors that are not any operation's own."""

    protocol: Protocol
    invalid_code: str
    throttle_code: str
    throttle_status: int
    internal_code: str
    stranger_code: str
    target_prefix: str = ""
    namespace: str = ""

    @property
    def denied_code(self) -> str:
        """The code for a caller that lacks a permission."""
        if self.protocol is Protocol.EC2:
            return "UnauthorizedOperation"
        return "AccessDeniedException" if self.protocol in _JSON else "AccessDenied"


def _query_wire(namespace: str) -> Wire:
    return Wire(
        Protocol.QUERY,
        "InvalidParameterValue",
        "Throttling",
        400,
        "InternalFailure",
        "InvalidClientTokenId",
        namespace=namespace,
    )


WIRES: Mapping[str, Wire] = {
    "savingsplans": Wire(
        Protocol.REST_JSON,
        "ValidationException",
        "ThrottlingException",
        429,
        "InternalServerException",
        "UnrecognizedClientException",
    ),
    "pricing": Wire(
        Protocol.JSON,
        "InvalidParameterException",
        "ThrottlingException",
        400,
        "InternalErrorException",
        "UnrecognizedClientException",
        "AWSPriceListService",
    ),
    "ce": Wire(
        Protocol.JSON,
        "ValidationException",
        "LimitExceededException",
        400,
        "InternalServerException",
        "UnrecognizedClientException",
        "AWSInsightsIndexService",
    ),
    "organizations": Wire(
        Protocol.JSON,
        "InvalidInputException",
        "TooManyRequestsException",
        400,
        "ServiceException",
        "UnrecognizedClientException",
        "AWSOrganizationsV20161128",
    ),
    "sts": Wire(
        Protocol.QUERY,
        "ValidationError",
        "Throttling",
        400,
        "InternalFailure",
        "InvalidClientTokenId",
        namespace="https://sts.amazonaws.com/doc/2011-06-15/",
    ),
    "ec2": Wire(
        Protocol.EC2,
        "InvalidParameterValue",
        "RequestLimitExceeded",
        503,
        "InternalError",
        "AuthFailure",
        namespace="http://ec2.amazonaws.com/doc/2016-11-15/",
    ),
    "rds": _query_wire("http://rds.amazonaws.com/doc/2014-10-31/"),
    "elasticache": _query_wire("http://elasticache.amazonaws.com/doc/2015-02-02/"),
    "redshift": _query_wire("http://redshift.amazonaws.com/doc/2012-12-01/"),
    "iam": _query_wire("https://iam.amazonaws.com/doc/2010-05-08/"),
    "es": Wire(
        Protocol.REST_ROUTED,
        "ValidationException",
        "ThrottlingException",
        429,
        "InternalException",
        "UnrecognizedClientException",
    ),
    "memorydb": Wire(
        Protocol.JSON,
        "InvalidParameterValueException",
        "ThrottlingException",
        400,
        "InternalFailure",
        "UnrecognizedClientException",
        "AmazonMemoryDB",
    ),
    "s3": Wire(
        Protocol.S3, "InvalidArgument", "SlowDown", 503, "InternalError", "InvalidAccessKeyId"
    ),
}
_ES = "/2021-01-01/opensearch"
ROUTES: Mapping[tuple[str, str], str] = {
    ("GET", f"{_ES}/reservedInstanceOfferings"): "DescribeReservedInstanceOfferings",
    ("GET", f"{_ES}/reservedInstances"): "DescribeReservedInstances",
    ("POST", f"{_ES}/purchaseReservedInstanceOffering"): "PurchaseReservedInstanceOffering",
}
"""The operations of ``es``, by method and path."""


@dataclass(frozen=True, slots=True)
class Scope:
    """What a request was signed with and for."""

    access_key: str
    region: str
    service: str


def scope_of(authorization: str | None) -> Scope:
    """Access key, region and service of a signed request; unsigned ones are refused."""
    match = _CREDENTIAL.match(authorization or "")
    if match is None:
        raise ApiError("MissingAuthenticationToken", "Request is missing a signature.", 403)
    return Scope(access_key=match.group(1), region=match.group(2), service=match.group(3))


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of an HTTP request that decide its meaning."""

    path: str
    authorization: str | None
    target: str | None
    body: bytes
    method: str = "POST"
    query: str = ""


def read_request(wire: Wire, request: Request) -> tuple[str, Fields]:
    """The operation asked for and its fields; a body that cannot be read is the caller's error."""
    if wire.protocol in {Protocol.QUERY, Protocol.EC2}:
        return _read_query(wire, request.body)
    if wire.protocol is Protocol.S3:
        return _read_s3(wire, request)
    if wire.protocol is Protocol.REST_ROUTED:
        operation = ROUTES.get((request.method, request.path), request.path)
        if request.method == "GET":
            return operation, Form(_pairs(request.query.encode()), wire.invalid_code)
    elif wire.protocol is Protocol.REST_JSON:
        operation = request.path.strip("/")
    else:
        prefix, _, operation = (request.target or "").partition(".")
        if prefix != wire.target_prefix:
            raise ApiError("UnknownOperationException", "The target is not known.")
    return operation, Fields(_json_members(request.body), wire.invalid_code)


def _json_members(body: bytes) -> dict[str, object]:
    try:
        members = json.loads(body or b"{}")
    except (ValueError, RecursionError) as error:
        raise ApiError("SerializationException", "The body is not JSON.") from error
    if not isinstance(members, dict):
        raise ApiError("SerializationException", "The body is not a JSON object.")
    return members


def _read_s3(wire: Wire, request: Request) -> tuple[str, Fields]:
    """A bucket's listing or an object, by path: ``/bucket`` or ``/bucket/key``."""
    bucket, _, key = unquote(request.path.lstrip("/")).partition("/")
    members: dict[str, object] = {**_pairs(request.query.encode()), "Bucket": bucket, "Key": key}
    if request.method != "GET":
        return f"{request.method} of an object", Form(members, wire.invalid_code)
    return "GetObject" if key else "ListObjectsV2", Form(members, wire.invalid_code)


def _pairs(text: bytes) -> dict[str, object]:
    try:
        return dict(parse_qsl(text.decode(), keep_blank_values=True, max_num_fields=1000))
    except ValueError as error:
        raise ApiError("MalformedQueryString", "The body is not a form.") from error


def _read_query(wire: Wire, body: bytes) -> tuple[str, Fields]:
    members = _pairs(body)
    operation = str(members.pop("Action", ""))
    members.pop("Version", None)
    return operation, Form(members, wire.invalid_code)


class ListOf(list[object]):
    """A list whose items have a name of their own in XML."""

    def __init__(self, item: str, values: Iterable[object]) -> None:
        self.item = item
        super().__init__(values)


def write_answer(
    wire: Wire, operation: str, members: Mapping[str, object], request_id: str
) -> Answer:
    """A successful answer."""
    if wire.protocol is Protocol.S3:
        return _write_s3(members, request_id)
    if wire.protocol in _JSON:
        body = json.dumps(members, default=_json_plain).encode()
        return Answer(200, _headers(wire, request_id), body)
    root = ET.Element(f"{operation}Response", xmlns=wire.namespace)
    if wire.protocol is Protocol.EC2:
        ET.SubElement(root, "requestId").text = request_id
        _write_members(root, members)
    else:
        _write_members(ET.SubElement(root, f"{operation}Result"), members)
        _write_members(ET.SubElement(root, "ResponseMetadata"), {"RequestId": request_id})
    return Answer(200, _headers(wire, request_id), ET.tostring(root, encoding="utf-8"))


def _write_s3(members: Mapping[str, object], request_id: str) -> Answer:
    body, headers = members["Body"], members["Headers"]
    if not isinstance(body, bytes) or not isinstance(headers, dict):
        msg = "an S3 answer is bytes with headers"
        raise TypeError(msg)
    return Answer(200, {**headers, "x-amz-request-id": request_id}, body)


def write_error(wire: Wire, error: ApiError, request_id: str) -> Answer:
    """An error in the service's own shape."""
    headers = _headers(wire, request_id)
    if wire.protocol in {Protocol.REST_JSON, Protocol.REST_ROUTED}:
        headers["x-amzn-ErrorType"] = error.code
        return Answer(error.status, headers, json.dumps({"message": error.message}).encode())
    if wire.protocol is Protocol.JSON:
        shown = {"__type": error.code, "message": error.message, "Message": error.message}
        return Answer(error.status, headers, json.dumps(shown).encode())
    fault = {"Code": error.code, "Message": error.message}
    if wire.protocol is Protocol.S3:
        root = ET.Element("Error")
        _write_members(root, {**fault, "RequestId": request_id})
        return Answer(error.status, headers, ET.tostring(root, encoding="utf-8"))
    if wire.protocol is Protocol.EC2:
        root = ET.Element("Response")
        _write_members(root, {"Errors": {"Error": fault}, "RequestID": request_id})
    else:
        root = ET.Element("ErrorResponse", xmlns=wire.namespace)
        kind = "Sender" if error.status < 500 else "Receiver"  # noqa: PLR2004  # HTTP's own line
        _write_members(root, {"Error": {"Type": kind, **fault}, "RequestId": request_id})
    return Answer(error.status, headers, ET.tostring(root, encoding="utf-8"))


def _headers(wire: Wire, request_id: str) -> dict[str, str]:
    kinds = {
        Protocol.REST_JSON: "application/json",
        Protocol.JSON: "application/x-amz-json-1.1",
        Protocol.QUERY: "text/xml",
        Protocol.EC2: "text/xml;charset=UTF-8",
        Protocol.REST_ROUTED: "application/json",
        Protocol.S3: "application/xml",
    }
    return {"Content-Type": kinds[wire.protocol], "x-amzn-RequestId": request_id}


def _json_plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, Decimal):
        return float(value)
    msg = f"{type(value).__name__} does not go on the wire"
    raise TypeError(msg)


def _write_members(parent: ET.Element, members: Mapping[str, object]) -> None:
    for name, value in members.items():
        if value is not None:
            _write(ET.SubElement(parent, name), value)


def _write(element: ET.Element, value: object) -> None:
    if isinstance(value, Mapping):
        _write_members(element, value)
    elif isinstance(value, list):
        name = value.item if isinstance(value, ListOf) else "item"
        for item in value:
            _write(ET.SubElement(element, name), item)
    elif isinstance(value, bool):
        element.text = "true" if value else "false"
    elif isinstance(value, datetime):
        element.text = iso(value)
    else:
        element.text = str(value)
