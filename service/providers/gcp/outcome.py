"""What an error says about a purchase: decides between a proven no and not knowing.

===============================================  =================  ===========================
what happened                                    outcome            why
===============================================  =================  ===========================
no token, no connection, bad parameters          Refused not_sent   nothing left this machine
throttled (429, or 403 rateLimitExceeded)        Refused <reason>   Google rejects before acting
HTTP 4xx with Google's reason                    Refused <reason>   Google read it and said no
HTTP 4xx without one                             Unknown            its body may be another's
a known refusal in an operation that is done     Refused <code>     Google checked it and said no
any other error in an operation that is done     Unknown            a part may have happened
HTTP 408, 409, 499, a request id used before     Unknown            an earlier send may have bought
HTTP 5xx                                         Unknown            the effect may have happened
read timeout, connection closed, broken answer   Unknown            the answer was lost
===============================================  =================  ===========================

HTTP 409 on an insert is looked into by whoever called: the name is the intent's own. Timeouts come
as the HTTP library's exceptions, not as Google's.

What refuses inside an operation is a list of what does, because money is let go by it: a code that
is not on the list, an empty one, and any that comes with a server's status prove nothing. Sources:
``google.rpc.Code`` and ``google.api.ErrorReason`` of the API design guide; the codes and reasons of
Compute Engine's own errors.
"""

from __future__ import annotations

from service.domain.purchases import Refused, Unknown
from service.providers.gcp.clients import given_reason

NOT_SENT = "not_sent"
ALREADY_EXISTS_CODES = frozenset({"RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS", "alreadyExists"})
THROTTLES = frozenset(
    {
        "RATE_LIMIT_EXCEEDED",
        "RESOURCE_EXHAUSTED",
        "rateLimitExceeded",
        "userRateLimitExceeded",
    }
)
_CLIENT_ERRORS, _SERVER_ERRORS = 400, 500
_TOO_MANY = 429
_UNPROVEN = frozenset({408, 409, 499})
_REFUSING_STATUSES = frozenset({400, 401, 403, 404, 412})
_REFUSING_CODES = frozenset(
    {
        # Too much of it.
        "QUOTA_EXCEEDED",
        "quotaExceeded",
        "LIMIT_EXCEEDED",
        "limitExceeded",
        "RESOURCE_QUOTA_EXCEEDED",
        # Not as it has to be.
        "INVALID_ARGUMENT",
        "INVALID_FIELD_VALUE",
        "INVALID_PARAMETER",
        "INVALID_USAGE",
        "REQUIRED",
        "UNSUPPORTED_OPERATION",
        "badRequest",
        "invalid",
        "invalidParameter",
        "required",
        # Not in the state that it needs, or not there.
        "CONDITION_NOT_MET",
        "conditionNotMet",
        "FAILED_PRECONDITION",
        "failedPrecondition",
        "NOT_FOUND",
        "RESOURCE_NOT_FOUND",
        "notFound",
        # Not for whoever asked.
        "PERMISSION_DENIED",
        "PERMISSIONS_ERROR",
        "UNAUTHENTICATED",
        "FORBIDDEN",
        "forbidden",
        "accessNotConfigured",
        "BILLING_DISABLED",
        "CONSUMER_INVALID",
        "CONSUMER_SUSPENDED",
        "IAM_PERMISSION_DENIED",
        "LOCATION_ORG_POLICY_VIOLATED",
        "SERVICE_DISABLED",
        "USER_PROJECT_DENIED",
    }
)
# Invalid argument, not found, permission denied, resource exhausted, failed precondition, out of
# range, unimplemented, unauthenticated. That it exists already (6) is for a look at it to say.
_REFUSING_RPC = frozenset({3, 5, 7, 8, 9, 11, 12, 16})


def outcome_of(error: Exception) -> Refused | Unknown:
    """The outcome that ``error``, raised by one purchase call, proves."""
    from google.api_core.exceptions import GoogleAPICallError  # noqa: PLC0415 - takes long
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415

    if isinstance(error, GoogleAuthError) or never_sent(error):
        return Refused(code=NOT_SENT, detail=str(error))
    if not isinstance(error, GoogleAPICallError):
        return Unknown(detail=f"{type(error).__name__}: {error}")
    status, reason = int(error.code or 0), given_reason(error)
    if reason is None:
        return Unknown(detail=f"HTTP {status}, and Google gives no reason: {error}")
    proven = _CLIENT_ERRORS <= status < _SERVER_ERRORS and status not in _UNPROVEN
    if proven and (status == _TOO_MANY or reason in THROTTLES):
        return Refused(code=reason, detail=str(error))
    if proven and "request id" not in str(error).lower():
        return Refused(code=reason, detail=str(error))
    return Unknown(detail=f"HTTP {status} {reason}: {error}")


def operation_outcome(code: str, message: str, status: int = 0) -> Refused | Unknown:
    """What an error inside a finished Compute Engine operation proves.

    ``status`` is the operation's own HTTP status, 0 where it states none.
    """
    sound = status == 0 or (_CLIENT_ERRORS <= status < _SERVER_ERRORS and status not in _UNPROVEN)
    if code in _REFUSING_CODES and sound:
        return Refused(code=code, detail=message)
    said = f"{code or 'an error without a code'}{f' and HTTP {status}' if status else ''}"
    return Unknown(detail=f"the operation ended with {said}: {message}")


def status_outcome(status: int, message: str) -> Refused | Unknown:
    """What a finished Compute Engine operation proves that tells an HTTP status and no error."""
    if status in _REFUSING_STATUSES:
        return Refused(code=f"HTTP_{status}", detail=message)
    return Unknown(detail=f"the operation ended with HTTP {status}: {message}")


def rpc_outcome(code: int, message: str) -> Refused | Unknown:
    """What the ``google.rpc.Status`` of a finished procurement operation proves."""
    if code in _REFUSING_RPC:
        return Refused(code=f"status_{code}", detail=message)
    return Unknown(detail=f"the order ended with status {code}: {message}")


def never_sent(error: BaseException) -> bool:
    """The connection was never made, so nothing left this machine."""
    from requests.exceptions import ConnectTimeout  # noqa: PLC0415
    from urllib3.exceptions import NewConnectionError  # noqa: PLC0415

    if isinstance(error, ConnectTimeout):
        return True
    seen: BaseException | None = error
    for _ in range(6):
        if seen is None:
            return False
        reason = getattr(seen, "reason", None)
        if isinstance(seen, NewConnectionError) or isinstance(reason, NewConnectionError):
            return True
        inner = seen.args[0] if seen.args and isinstance(seen.args[0], BaseException) else None
        seen = inner
    return False


def is_retryable(refused: Refused) -> bool:
    """The same order with the same token may be tried again without reconciling first."""
    return refused.code == NOT_SENT or refused.code in THROTTLES
