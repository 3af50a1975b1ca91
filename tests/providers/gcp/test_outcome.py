"""What each error proves about a purchase, error by error."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.exceptions import RefreshError, TransportError
from requests import Request, Response
from requests import exceptions as http
from urllib3.exceptions import MaxRetryError, NewConnectionError, ProtocolError, ReadTimeoutError

from service.domain.purchases import Refused, Unknown
from service.providers.gcp.outcome import (
    is_retryable,
    never_sent,
    operation_outcome,
    outcome_of,
    rpc_outcome,
    status_outcome,
)
from service.providers.gcp.resource_commitments import Exists, end_of


def api(kind: Any, *texts: object, **more: object) -> Exception:  # noqa: ANN401  # the SDK is untyped
    made: Exception = kind(*texts, **more)
    return made


NO_CONNECTION = MaxRetryError(None, "/", NewConnectionError(None, "refused"))  # type: ignore[arg-type]


def answered(status: int, body: str) -> Exception:
    """What the SDK raises for an answer of ``status`` with ``body``."""
    response = Response()
    response.status_code, response._content = status, body.encode()  # noqa: SLF001
    response.request = Request("POST", "http://127.0.0.1/").prepare()
    made: Exception = exceptions.from_http_response(response)  # type: ignore[no-untyped-call]
    return made


@pytest.mark.parametrize("status", [400, 401, 403, 404, 412, 429])
@pytest.mark.parametrize("body", ["", "<html>not here</html>", "{}", '{"error": {"message": ""}}'])
def test_a_no_without_googles_reason_proves_nothing(status: int, body: str) -> None:
    assert isinstance(outcome_of(answered(status, body)), Unknown)


@pytest.mark.parametrize(
    "error",
    [
        http.ConnectTimeout("slow"),
        http.ConnectionError(NO_CONNECTION),
        api(RefreshError, "no token"),
        api(TransportError, "no token"),
    ],
)
def test_what_was_never_sent_may_be_tried_again(error: Exception) -> None:
    outcome = outcome_of(error)
    assert isinstance(outcome, Refused)
    assert outcome.code == "not_sent"
    assert is_retryable(outcome)


@pytest.mark.parametrize(
    "error",
    [
        http.ReadTimeout("slow"),
        http.ConnectionError(ProtocolError("Connection aborted.", ConnectionResetError())),
        http.ConnectionError(MaxRetryError(None, "/", ReadTimeoutError(None, "/", "slow"))),  # type: ignore[arg-type]
        http.ConnectionError("nobody knows why"),
        http.ChunkedEncodingError("cut off"),
        http.SSLError("handshake"),
        ValueError("a broken body"),
        api(exceptions.InternalServerError, "oops"),
        api(exceptions.ServiceUnavailable, "busy"),
        api(exceptions.GatewayTimeout, "slow"),
        api(exceptions.BadGateway, "oops"),
        api(exceptions.Conflict, "there already"),
        api(exceptions.Cancelled, "who knows"),
        api(exceptions.from_http_status, 408, "slow"),
        api(exceptions.BadRequest, "The request ID was used for another request"),
    ],
)
def test_what_proves_nothing_is_unknown(error: Exception) -> None:
    assert isinstance(outcome_of(error), Unknown)
    assert not never_sent(error)


@pytest.mark.parametrize(
    "error",
    [
        api(exceptions.BadRequest, "no", errors=[{"reason": "invalid"}]),
        api(exceptions.Unauthorized, "who", errors=[{"reason": "authError"}]),
        api(exceptions.Forbidden, "no", errors=[{"reason": "quotaExceeded"}]),
        api(exceptions.NotFound, "what", error_info={"reason": "RESOURCE_NOT_FOUND"}),
        answered(412, '{"error": {"code": 412, "message": "no", "status": "FAILED_PRECONDITION"}}'),
    ],
)
def test_a_clear_no_is_final(error: Exception) -> None:
    outcome = outcome_of(error)
    assert isinstance(outcome, Refused)
    assert not is_retryable(outcome)


@pytest.mark.parametrize(
    "error",
    [
        api(exceptions.TooManyRequests, "slow down", errors=[{"reason": "rateLimitExceeded"}]),
        answered(429, '{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}'),
        api(exceptions.Forbidden, "no", errors=[{"reason": "rateLimitExceeded"}]),
        api(exceptions.Forbidden, "no", errors=[{"reason": "userRateLimitExceeded"}]),
    ],
)
def test_a_throttle_may_be_tried_again(error: Exception) -> None:
    outcome = outcome_of(error)
    assert isinstance(outcome, Refused)
    assert is_retryable(outcome)


@pytest.mark.parametrize(
    "code",
    ["QUOTA_EXCEEDED", "INVALID_FIELD_VALUE", "PERMISSION_DENIED", "RESOURCE_NOT_FOUND", "invalid"],
)
def test_a_known_refusal_inside_an_operation_is_a_no(code: str) -> None:
    assert operation_outcome(code, "why", 403) == Refused(code, "why")
    # A server's status beside it leaves open what was done before it failed.
    for status in (409, 499, 500, 503):
        assert isinstance(operation_outcome(code, "why", status), Unknown)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "ABORTED",
        "BACKEND_ERROR",
        "CANCELLED",
        "DEADLINE_EXCEEDED",
        "INTERNAL_ERROR",
        "OPERATION_TIMEOUT",
        "RESOURCE_ALREADY_EXISTS",
        "SERVICE_UNAVAILABLE",
        "SOMETHING_NEW",
        "UNAVAILABLE",
        "internalError",
    ],
)
def test_any_other_error_inside_an_operation_proves_nothing(code: str) -> None:
    assert isinstance(operation_outcome(code, "why"), Unknown)
    assert isinstance(operation_outcome(code, "why", 403), Unknown)


def test_an_operations_bare_status_refuses_only_where_it_is_a_clients() -> None:
    assert status_outcome(403, "why") == Refused("HTTP_403", "why")
    for status in (0, 302, 408, 409, 429, 499, 500, 503, 504):
        assert isinstance(status_outcome(status, ""), Unknown)


def test_an_orders_status_refuses_only_by_codes_that_do() -> None:
    for code in (3, 5, 7, 8, 9, 11, 12, 16):
        assert isinstance(rpc_outcome(code, ""), Refused)
    # 6: it exists already, which a look decides; 0 and 99 say nothing at all.
    for code in (0, 1, 2, 4, 6, 10, 13, 14, 15, 99):
        assert isinstance(rpc_outcome(code, ""), Unknown)


def test_a_throttles_reason_under_a_servers_status_proves_nothing() -> None:
    body = '{"error": {"code": 503, "status": "RESOURCE_EXHAUSTED"}}'
    assert isinstance(outcome_of(answered(503, body)), Unknown)


def test_of_an_operations_errors_each_must_be_a_refusal() -> None:
    from google.cloud.compute_v1.types import Operation  # noqa: PLC0415 - takes seconds

    def done(*codes: str, status: int = 0) -> Operation:
        errors = [{"code": code, "message": "why"} for code in codes]
        made = Operation(status="DONE", error={"errors": errors}, http_error_status_code=status)
        assert isinstance(made, Operation)
        return made

    assert isinstance(end_of(done("QUOTA_EXCEEDED", "invalid", status=403)), Refused)
    assert isinstance(end_of(done("QUOTA_EXCEEDED", "INTERNAL_ERROR")), Unknown)
    assert isinstance(end_of(done("QUOTA_EXCEEDED", "RESOURCE_ALREADY_EXISTS")), Exists)
    assert isinstance(end_of(done(status=503)), Unknown)
    assert isinstance(end_of(done(status=403)), Refused)
    assert end_of(done()) is None
