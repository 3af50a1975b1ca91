"""What an error says about a purchase: decides between a proven no and not knowing.

===============================================  =================  ===========================
what happened                                    outcome            why
===============================================  =================  ===========================
no token, no connection, bad parameters          Refused not_sent   nothing left this machine
throttled (429, or 403 rateLimitExceeded)        Refused <reason>   Google rejects before acting
HTTP 4xx with Google's reason                    Refused <reason>   Google read it and said no
HTTP 4xx without one                             Unknown            its body may be another's
an error in an operation that is done            Refused <code>     nothing was made
HTTP 408, 409, 499, a request id used before     Unknown            an earlier send may have bought
HTTP 5xx, an internal error in an operation      Unknown            the effect may have happened
read timeout, connection closed, broken answer   Unknown            the answer was lost
===============================================  =================  ===========================

HTTP 409 on an insert is looked into by whoever called: the name is the intent's own. Timeouts come
as the HTTP library's exceptions, not as Google's.
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
_INTERNAL_CODES = frozenset({"INTERNAL_ERROR", "INTERNAL", "BACKEND_ERROR", "UNKNOWN", "TIMEOUT"})
# google.rpc codes that prove nothing: cancelled, unknown, deadline, aborted, internal, unavailable,
# data loss.
_UNPROVEN_RPC = frozenset({1, 2, 4, 10, 13, 14, 15})


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
    if status == _TOO_MANY or reason in THROTTLES:
        return Refused(code=reason, detail=str(error))
    proven = _CLIENT_ERRORS <= status < _SERVER_ERRORS and status not in _UNPROVEN
    if proven and "request id" not in str(error).lower():
        return Refused(code=reason, detail=str(error))
    return Unknown(detail=f"HTTP {status} {reason}: {error}")


def operation_outcome(code: str, message: str) -> Refused | Unknown:
    """What an error inside a finished Compute Engine operation proves."""
    if code in _INTERNAL_CODES or code in ALREADY_EXISTS_CODES:
        return Unknown(detail=f"the operation ended with {code}: {message}")
    return Refused(code=code, detail=message)


def rpc_outcome(code: int, message: str) -> Refused | Unknown:
    """What the ``google.rpc.Status`` of a finished procurement operation proves."""
    if code in _UNPROVEN_RPC:
        return Unknown(detail=f"the order ended with status {code}: {message}")
    return Refused(code=f"status_{code}", detail=message)


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
