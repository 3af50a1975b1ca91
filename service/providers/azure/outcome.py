"""What an answer of Azure says about a purchase: decides between a proven no and not knowing.

A purchase may be written off only on proof. The table:

===============================================  =================  ============================
what happened                                    outcome            why
===============================================  =================  ============================
no credential, no token, the connection was      Refused not_sent   nothing left this machine
never made
a connection that broke, TLS trouble             Unknown            the request may have been read
HTTP 429 with a code                             Refused <code>     Azure rejects before acting
HTTP 4xx with a code that says no                Refused <code>     Azure read it and said no
HTTP 401 or 403 with any code                    Refused <code>     Azure did not let us in
HTTP 4xx with another code, or none              Unknown            its body may be another's
order id or alias exists already                 Unknown            an earlier send has bought
transient billing or fulfilment errors           Unknown            Azure may go on by itself
HTTP 5xx, timeouts, lost or broken answers       Unknown            the effect may have happened
provisioning state Failed, BillingFailed         Refused <state>    it ended, and nothing is owned
provisioning state Succeeded                     Bought
any other provisioning state                     Unknown            it is still going on
===============================================  =================  ============================

Provisioning states are read from the order itself. What the SDK's poller makes of them is not asked
for: it takes ``BillingFailed`` for a success or never ends, by the style of the operation.
"""

from __future__ import annotations

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ServiceRequestError,
)
from requests.exceptions import ConnectTimeout
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from service.domain.ids import CommitmentId
from service.domain.purchases import Bought, Outcome, Refused, Unknown
from service.providers.azure.clients import NO_CODE, code_of
from service.providers.azure.words import BOUGHT_STATES, NOT_BOUGHT_STATES

NOT_SENT = "not_sent"
_THROTTLED, _CLIENT_ERRORS, _SERVER_ERRORS = 429, 400, 500
_UNAUTHENTICATED, _FORBIDDEN = 401, 403
REFUSALS = frozenset(
    {
        "AppliedScopesNotAssociatedWithCommerceAccount",
        "AuthorizationFailed",
        "BadRequest",
        "BillingCustomerInputError",
        "BillingPaymentInstrumentHardError",
        "BillingPaymentInstrumentSoftError",
        "CalculatePriceFailed",
        "CreateQuoteFailed",
        "ExchangeValueTooLow",
        "Forbidden",
        "FulfillmentConfigurationError",
        "FulfillmentOutOfStockError",
        "InvalidAccessToken",
        "InvalidAuthenticationToken",
        "InvalidFulfillmentRequestParameters",
        "InvalidLocationId",
        "InvalidRefundQuantity",
        "InvalidRequestContent",
        "InvalidReservationId",
        "InvalidReservationOrderId",
        "InvalidSingleAppliedScopesCount",
        "InvalidSubscriptionId",
        "InvalidTenantId",
        "MissingAppliedScopesForSingle",
        "MissingSubscriptionRegistration",
        "NonsupportedAccountId",
        "NotSupportedCountry",
        "OperationCannotBePerformedInCurrentState",
        "PatchValuesSameAsExisting",
        "PaymentInstrumentNotFound",
        "RefundLimitExceeded",
        "RefundPolicyViolated",
        "ReservationIdNotInReservationOrder",
        "ReservationOrderNotFound",
        "RiskCheckFailed",
        "SelfServiceRefundNotSupported",
        "SubscriptionNotFound",
        "UnsupportedReservationTerm",
    }
)
"""Codes that say no for good. A code that is not here proves nothing, whatever its status."""


def outcome_of(error: AzureError) -> Refused | Unknown:
    """The outcome that ``error``, raised by one purchase or alteration call, proves."""
    if isinstance(error, ServiceRequestError) and never_sent(error):
        return Refused(code=NOT_SENT, detail=str(error.message))
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if isinstance(error, ClientAuthenticationError) and status is None:
        return Refused(code=NOT_SENT, detail=str(error.message))  # no token was given
    code, detail = code_of(error), str(error.message)
    says_why = status is not None and code != NO_CODE.format(status)
    if status == _THROTTLED and says_why:
        return Refused(code=code, detail=detail)
    said_no = status is not None and _CLIENT_ERRORS <= status < _SERVER_ERRORS and says_why
    if said_no and (code in REFUSALS or status in {_UNAUTHENTICATED, _FORBIDDEN}):
        return Refused(code=code, detail=detail)
    where = f"HTTP {status} {code}" if says_why else code
    return Unknown(detail=f"{where}: {detail}")


def never_sent(error: BaseException) -> bool:
    """The connection was never made, so nothing left this machine.

    The SDK's own word is not enough: it says "request error" of all that goes wrong on the wire
    but a broken HTTP answer, TLS records after a whole request was read included.
    """
    seen: list[BaseException] = [error]
    for one in seen:  # grows while it is read
        if isinstance(one, ConnectTimeout | NewConnectionError | ConnectTimeoutError):
            return True
        causes = (getattr(one, "inner_exception", None), getattr(one, "reason", None), *one.args)
        seen += [
            cause
            for cause in (*causes, one.__cause__)
            if isinstance(cause, BaseException) and all(cause is not known for known in seen)
        ]
    return False


def outcome_of_state(state: str, commitment: CommitmentId | None, detail: str) -> Outcome:
    """The outcome that the provisioning state of the purchase's own order proves."""
    if state in NOT_BOUGHT_STATES:
        return Refused(code=state, detail=detail)
    if state in BOUGHT_STATES and commitment is not None:
        return Bought(commitment)
    return Unknown(detail=f"{detail} is {state or 'in no state'}")


def is_retryable(refused: Refused) -> bool:
    """The same order with the same token and reference may be tried again without looking."""
    return refused.code in {NOT_SENT, "TooManyRequests"}
