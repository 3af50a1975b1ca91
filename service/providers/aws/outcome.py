"""What an error says about a purchase: decides between a proven no and not knowing.

A purchase may be written off only on proof. The table:

===============================================  =================  ===========================
what happened                                    outcome            why
===============================================  =================  ===========================
the request was never sent (no credentials,      Refused not_sent   nothing left this machine;
bad parameters, name or connection failed)                          the same token may try again
not wanted any more when it was signed           Refused, as said   nothing left this machine
throttled, whatever the HTTP status              Refused <code>     AWS rejects before acting
HTTP 4xx with a code of ``REFUSALS``             Refused <code>     AWS read it and said no
HTTP 4xx with any other code                     Unknown            it may have begun to act
HTTP 4xx without one                             Unknown            its body may be another's
HTTP 408, idempotency mismatch, "exists already" Unknown            an earlier send may have bought
HTTP 5xx                                         Unknown            the effect may have happened
read timeout, connection closed, broken answer   Unknown            the answer was lost
===============================================  =================  ===========================

``not_sent`` and throttling codes (``is_retryable``) may be tried again with the same token
without reconciling first; everything else that is Refused is final for that intent.
"""

from __future__ import annotations

from collections.abc import Mapping

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    EndpointProviderError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    TokenRetrievalError,
    UnknownServiceError,
)
from botocore.parsers import ResponseParserError

from service.domain.errors import ProviderError
from service.domain.ids import CommitmentId
from service.domain.purchases import Bought, Refused, Unknown
from service.providers.aws.last_look import NotWantedError

NOT_SENT = "not_sent"
WIRE_ERRORS = (BotoCoreError, ClientError, ResponseParserError, ProviderError, NotWantedError)
"""Everything that a purchase call can raise. An answer that cannot be parsed raises an error
outside the SDK's own tree; ``ProviderError`` is what fetching a role's keys raises, and
``NotWantedError`` that the call was not wanted any more when it was signed."""
_NEVER_SENT = (
    ConnectTimeoutError,
    EndpointConnectionError,
    EndpointProviderError,
    InvalidRegionError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    TokenRetrievalError,
    UnknownServiceError,
)
THROTTLES = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "TooManyRequestsException",
        "LimitExceededException",
        "SlowDown",
    }
)
REFUSALS = frozenset(
    {
        # Who asks, and how: checked before anything else.
        *("AccessDenied", "AccessDeniedException", "AuthFailure", "AuthorizationError"),
        *("Blocked", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature"),
        *("InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSignatureException"),
        *("MissingAuthenticationToken", "MissingAuthenticationTokenException"),
        *("NotAuthorized", "OptInRequired", "PendingVerification", "RequestExpired"),
        *("SignatureDoesNotMatch", "UnauthorizedOperation", "UnrecognizedClientException"),
        # What is asked: it cannot be read, or is not allowed to be.
        *("InvalidAction", "InvalidInput", "InvalidParameter", "InvalidParameterCombination"),
        *("InvalidParameterCombinationException", "InvalidParameterValue"),
        *("InvalidParameterValueException", "InvalidQueryParameter", "MalformedQueryString"),
        *("MissingAction", "MissingParameter", "SerializationException", "UnknownParameter"),
        *("UnknownOperationException", "UnsupportedOperation", "ValidationError"),
        *("ValidationException", "DisabledOperationException"),
        # What it is asked of: not sold, not owned, not in a state for it.
        *("InvalidReservedInstancesId", "InvalidReservedInstancesOfferingId"),
        *("InvalidExchange", "ReservedCacheNodesOfferingNotFound"),
        *("ReservedDBInstancesOfferingNotFound", "ReservedNodeOfferingNotFound"),
        *("ReservedNodesOfferingNotFoundFault", "ResourceNotFoundException"),
        "ServiceLinkedRoleNotFoundFault",
        # How much: more than the account may have, or than there is.
        *("InsufficientReservedInstancesCapacity", "ReservedCacheNodeQuotaExceeded"),
        *("ReservedDBInstanceQuotaExceeded", "ReservedInstancesLimitExceeded"),
        *("ReservedNodeQuotaExceeded", "ReservedNodeQuotaExceededFault"),
        *("ServiceQuotaExceededException", "TagQuotaPerResourceExceeded"),
    }
)
"""Codes that AWS answers with instead of acting: the common client errors and those that the
operations called here declare. Nothing else is a proven no, whatever its status says."""
_REQUEST_TIMEOUT, _CLIENT_ERRORS, _SERVER_ERRORS = 408, 400, 500


def outcome_of(
    error: BotoCoreError | ClientError | ResponseParserError | ProviderError | NotWantedError,
) -> Refused | Unknown:
    """The outcome that ``error``, raised by one purchase call, proves."""
    if isinstance(error, NotWantedError):
        return error.refused
    if isinstance(error, (ProviderError, *_NEVER_SENT)):
        return Refused(code=NOT_SENT, detail=str(error))
    if not isinstance(error, ClientError):
        return Unknown(detail=f"{type(error).__name__}: {error}")
    fault = error.response.get("Error", {})
    code, message = str(fault.get("Code", "")), str(fault.get("Message", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in THROTTLES:
        return Refused(code=code, detail=message)
    refused = _CLIENT_ERRORS <= status < _SERVER_ERRORS and status != _REQUEST_TIMEOUT
    if refused and code in REFUSALS:
        return Refused(code=code, detail=message)
    return Unknown(detail=f"HTTP {status} {code}: {message}")


def bought_of(answer: Mapping[str, object], member: str) -> Bought | Unknown:
    """The outcome of a call that raised nothing; without an id in the answer it proves nothing."""
    name = answer.get(member)
    if isinstance(name, str) and name:
        return Bought(CommitmentId(name))
    return Unknown(detail=f"the answer has no {member}")


def is_retryable(refused: Refused) -> bool:
    """The same order with the same token may be tried again without reconciling first."""
    return refused.code == NOT_SENT or refused.code in THROTTLES
