"""The table of what each error proves about a purchase."""

from __future__ import annotations

import botocore.session
import pytest
from botocore import xform_name
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ParamValidationError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError

from service.domain.errors import ProviderError
from service.domain.ids import CommitmentId
from service.domain.purchases import Bought, Refused, Unknown
from service.providers.aws.node_services import SERVICES
from service.providers.aws.outcome import (
    REFUSALS,
    THROTTLES,
    bought_of,
    is_retryable,
    outcome_of,
)

URL = "http://127.0.0.1:1"


def answered(status: int, code: str) -> ClientError:
    return ClientError(
        {
            "Error": {"Code": code, "Message": "said so"},
            "ResponseMetadata": {
                "HTTPStatusCode": status,
                "RequestId": "r",
                "HostId": "h",
                "HTTPHeaders": {},
                "RetryAttempts": 0,
            },
        },
        "CreateSavingsPlan",
    )


@pytest.mark.parametrize(
    "error",
    [
        ConnectTimeoutError(endpoint_url=URL),
        EndpointConnectionError(endpoint_url=URL),
        NoCredentialsError(),
        ParamValidationError(report="bad"),
        ProviderError(provider="aws", operation="sts.assume_role", code="AccessDenied", detail=""),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_never_left_is_refused_and_may_be_tried_again(
    error: BotoCoreError | ProviderError,
) -> None:
    outcome = outcome_of(error)
    assert isinstance(outcome, Refused)
    assert outcome.code == "not_sent"
    assert is_retryable(outcome)


@pytest.mark.parametrize(
    "error",
    [
        ReadTimeoutError(endpoint_url=URL),
        ConnectionClosedError(endpoint_url=URL),
        HTTPClientError(error=OSError("reset")),
        SSLError(endpoint_url=URL, error=OSError("eof")),
        ProxyConnectionError(proxy_url=URL, error=OSError("gone")),
        BotoCoreError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_lost_answer_is_unknown(error: BotoCoreError) -> None:
    assert isinstance(outcome_of(error), Unknown)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "InternalServerException"),
        (503, "ServiceUnavailable"),
        (502, ""),
        (504, "GatewayTimeout"),
        (408, "RequestTimeout"),
        (400, "IdempotentParameterMismatch"),
        (409, "RequestInProgress"),
        (404, "ReservedDBInstanceAlreadyExists"),
        (400, "RequestTimeout"),
        (400, "RequestTimeoutException"),
        (400, "InternalFailure"),
        (400, "InternalError"),
        (409, "ConflictException"),
        (409, "OperationAbortedException"),
        (424, "DependencyFailure"),
        (400, "SomethingThatCameLater"),
        (408, "ValidationException"),
        (500, "ValidationException"),
        (400, ""),
        (403, "403"),
        (404, "404"),
        (200, "Unparsable"),
    ],
)
def test_an_answer_that_proves_nothing_is_unknown(status: int, code: str) -> None:
    assert isinstance(outcome_of(answered(status, code)), Unknown)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "ValidationException"),
        (402, "ServiceQuotaExceededException"),
        (403, "AccessDeniedException"),
        (404, "ResourceNotFoundException"),
        (400, "ReservedInstancesLimitExceeded"),
        (403, "UnauthorizedOperation"),
        (404, "ReservedDBInstancesOfferingNotFound"),
        (400, "ReservedNodeQuotaExceededFault"),
        (409, "ResourceNotFoundException"),
    ],
)
def test_a_no_with_its_reason_is_final(status: int, code: str) -> None:
    outcome = outcome_of(answered(status, code))
    assert outcome == Refused(code=code, detail="said so")
    assert not is_retryable(outcome)


def test_every_refusal_that_an_operation_declares_is_known_as_one() -> None:
    session = botocore.session.get_session()
    calls = [(one.client, one.buy) for one in SERVICES] + [("savingsplans", "create_savings_plan")]
    for service, method in calls:
        model = session.get_service_model(service)
        name = {xform_name(one): one for one in model.operation_names}[method]
        declared = {
            str(shape.metadata.get("error", {}).get("code", shape.name))
            for shape in model.operation_model(name).error_shapes
        }
        assert declared
        unproven = {code for code in declared if "AlreadyExists" in code or "Internal" in code}
        assert declared - unproven <= REFUSALS | THROTTLES, (service, method)
        assert not unproven & REFUSALS


@pytest.mark.parametrize("status", [400, 429, 503])
@pytest.mark.parametrize("code", sorted(THROTTLES))
def test_a_throttle_is_a_no_whatever_its_status(status: int, code: str) -> None:
    outcome = outcome_of(answered(status, code))
    assert isinstance(outcome, Refused)
    assert is_retryable(outcome)


def test_an_answer_that_cannot_be_parsed_is_unknown() -> None:
    # It is raised from outside the SDK's own tree of errors, where a wide catch misses it.
    assert not issubclass(ResponseParserError, BotoCoreError | ClientError)
    assert isinstance(outcome_of(ResponseParserError("cut off")), Unknown)


def test_an_answer_without_an_id_is_unknown() -> None:
    assert isinstance(bought_of({}, "savingsPlanId"), Unknown)
    assert isinstance(bought_of({"savingsPlanId": ""}, "savingsPlanId"), Unknown)
    assert bought_of({"savingsPlanId": "p-1"}, "savingsPlanId") == Bought(CommitmentId("p-1"))
