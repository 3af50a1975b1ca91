"""Whatever arrives is answered properly: an error of the caller's is never an internal one."""

from __future__ import annotations

import json
from functools import cache
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.sandbox.identity import ROOT_ACCESS_KEY
from service.sandbox.loopback import Answer
from service.sandbox.server import SandboxServer
from service.sandbox.wire.operations import OPERATIONS
from service.sandbox.wire.protocol import ROUTES, WIRES, Protocol, Request
from tests.sandbox.clouds import small_world
from tests.sandbox.model_check import service_model

EVERY = [(service, name) for service, names in OPERATIONS.items() for name in names]
SETTINGS = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False),
    st.text(max_size=12),
    st.sampled_from(["DAILY", "2026-03-02", "2026-03-05", "SERVICE", "AmazonEC2", "1", "0.5"]),
)
values = st.recursive(
    plain,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@cache
def server() -> SandboxServer:
    """One world that is asked directly, without a connection."""
    world = small_world()
    world.advance(24 * 8)
    return SandboxServer(world)


def ask(
    service: str,
    path: str,
    target: str | None,
    body: bytes,
    *,
    method: str = "POST",
    query: str = "",
) -> Answer:
    scope = f"{ROOT_ACCESS_KEY}/20260302/us-east-1/{service}/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    answer = server().answer(Request(path, signed, target, body, method, query))
    assert isinstance(answer, Answer)
    return answer


def ask_json(service: str, operation: str, body: bytes) -> Answer:
    target = f"{WIRES[service].target_prefix}.{operation}"
    return ask(service, f"/{operation}", target, body)


MODELS = {"es": "opensearch"}


def member_names(service: str, operation: str) -> list[str]:
    model = service_model(MODELS.get(service, service))
    shape = model.operation_model(operation).input_shape
    return list(shape.members) if shape is not None else ["Nothing"]


FORMS = {Protocol.QUERY, Protocol.EC2}
BODIES = {Protocol.JSON, Protocol.REST_JSON}
JSON = [pair for pair in EVERY if WIRES[pair[0]].protocol in BODIES]
QUERY = [pair for pair in EVERY if WIRES[pair[0]].protocol in FORMS]


@pytest.mark.parametrize(("service", "operation"), JSON, ids=str)
@SETTINGS
@given(data=st.data())
def test_a_json_body_of_any_shape_is_answered_or_refused(
    service: str, operation: str, data: st.DataObject
) -> None:
    names = st.sampled_from(member_names(service, operation))
    members = data.draw(st.dictionaries(names, values, max_size=5))
    answer = ask_json(service, operation, json.dumps(members).encode())
    assert answer.status == 200 or 400 <= answer.status < 500
    shown = json.loads(answer.body)
    if answer.status != 200:
        assert "__type" in shown or "x-amzn-ErrorType" in answer.headers
        assert shown["message"]


@pytest.mark.parametrize(("service", "operation"), QUERY, ids=str)
@SETTINGS
@given(data=st.data())
def test_a_form_of_any_shape_is_answered_or_refused(
    service: str, operation: str, data: st.DataObject
) -> None:
    names = [
        f"{name}{ending}"
        for name in [*member_names(service, operation), "Filter", "Tag", "Tags.Tag"]
        for ending in ("", ".1", ".1.Name", ".1.Value.1", ".1.Key")
    ]
    words = st.sampled_from(["1", "true", "-1", "x" * 30, "m5.large", "tag:a", "2026-03-20"])
    fields = data.draw(
        st.dictionaries(st.sampled_from(names), words | st.text(max_size=9), max_size=5)
    )
    body = urlencode({"Action": operation, **fields}, errors="replace").encode()
    answer = ask(service, "/", None, body)
    assert answer.status == 200 or 400 <= answer.status < 500
    assert answer.body.startswith(b"<")


@pytest.mark.parametrize("route", ROUTES, ids=str)
@SETTINGS
@given(data=st.data())
def test_a_routed_request_of_any_shape_is_answered_or_refused(
    route: tuple[str, str], data: st.DataObject
) -> None:
    method, path = route
    names = st.sampled_from(["offeringId", "reservationId", "maxResults", "nextToken", "x"])
    words = st.sampled_from(["1", "-1", "zero"]) | st.text(max_size=9)
    query = urlencode(data.draw(st.dictionaries(names, words, max_size=3)), errors="replace")
    members = st.sampled_from(member_names("es", ROUTES[route]))
    body = json.dumps(data.draw(st.dictionaries(members, values, max_size=4))).encode()
    answer = ask("es", path, None, b"" if method == "GET" else body, method=method, query=query)
    assert answer.status == 200 or 400 <= answer.status < 500
    assert answer.status == 200 or json.loads(answer.body)["message"]


@SETTINGS
@given(
    path=st.sampled_from(["/", "/sandbox-exports", "/sandbox-exports/"]) | st.text(max_size=20),
    query=st.dictionaries(
        st.sampled_from(["prefix", "max-keys", "continuation-token", "encoding-type", "x"]),
        st.sampled_from(["1", "-1", "zero", "url"]) | st.text(max_size=9),
        max_size=4,
    ),
)
def test_a_bucket_is_read_or_refused(path: str, query: dict[str, str]) -> None:
    words = urlencode(query, errors="replace")
    answer = ask("s3", path, None, b"", method="GET", query=words)
    assert 400 <= answer.status < 500  # this world has no exports
    assert answer.body.startswith(b"<Error>")


@SETTINGS
@given(service=st.sampled_from(sorted(OPERATIONS)), body=st.binary(max_size=60))
def test_bytes_that_are_no_body_are_refused(service: str, body: bytes) -> None:
    operation = next(iter(OPERATIONS[service]))
    answer = ask_json(service, operation, body)
    assert answer.status < 500


@SETTINGS
@given(
    path=st.text(max_size=20),
    target=st.none() | st.text(max_size=20),
    service=st.sampled_from([*OPERATIONS, "s3", "nothing"]),
)
def test_an_operation_that_does_not_exist_is_refused(
    path: str, target: str | None, service: str
) -> None:
    answer = ask(service, f"/{path}x", target, b"{}")
    assert 400 <= answer.status < 500


@given(authorization=st.none() | st.text(max_size=80))
@SETTINGS
def test_any_signature_that_is_none_is_refused(authorization: str | None) -> None:
    answer = server().answer(Request("/DescribeSavingsPlans", authorization, None, b"{}"))
    assert isinstance(answer, Answer)
    assert answer.status == 403
