"""What an error says about a purchase: decides between a proven no and not knowing.

A purchase may be written off only on proof. The table:

===============================================  =================  ===========================
what happened                                    outcome            why
===============================================  =================  ===========================
the request was never sent (no credentials,      Refused not_sent   nothing left this machine;
bad parameters, name or connection failed)                          the same token may try again
throttled, whatever the HTTP status              Refused <code>     AWS rejects before acting
HTTP 4xx with an error code                      Refused <code>     AWS read it and said no
HTTP 4xx without one                             Unknown            its body may be another's
HTTP 408, idempotency mismatch                   Unknown            an earlier send may have bought
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

NOT_SENT = "not_sent"
WIRE_ERRORS = (BotoCoreError, ClientError, ResponseParserError, ProviderError)
"""Everything that a purchase call can raise. An answer that cannot be parsed raises an error
outside the SDK's own tree; ``ProviderError`` is what fetching a role's keys raises."""
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
_REQUEST_TIMEOUT, _CLIENT_ERRORS, _SERVER_ERRORS = 408, 400, 500
# The token was seen with other parameters, or is being worked on: something was bought, or is.
_TOKEN_SEEN = ("Idempot", "InProgress", "AlreadyExists")


def outcome_of(
    error: BotoCoreError | ClientError | ResponseParserError | ProviderError,
) -> Refused | Unknown:
    """The outcome that ``error``, raised by one purchase call, proves."""
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
    # The SDK puts the bare status where an answer has no code of AWS's.
    says_why = bool(code) and not code.isdigit()
    if refused and says_why and not any(part in code for part in _TOKEN_SEEN):
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
