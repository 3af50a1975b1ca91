"""What each error of Azure's SDK proves about a purchase."""

from __future__ import annotations

import pytest
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.identity import CredentialUnavailableError
from azure.mgmt.reservations.models import ErrorResponseCode, ProvisioningState

from service.domain.commitments import CommitmentState
from service.domain.ids import CommitmentId
from service.domain.purchases import Bought, Refused, Unknown
from service.providers.azure.outcome import (
    NOT_SENT,
    REFUSALS,
    is_retryable,
    outcome_of,
    outcome_of_state,
)
from service.providers.azure.words import STATES

OWNED = CommitmentId("/providers/Microsoft.Capacity/reservationOrders/a/reservations/b")


@pytest.mark.parametrize(
    "error",
    [
        ServiceRequestError("no connection"),
        ServiceRequestTimeoutError("no connection"),
        ClientAuthenticationError("no token"),
        CredentialUnavailableError("no token"),
    ],
)
def test_what_never_left_this_machine_was_not_sent(error: AzureError) -> None:
    outcome = outcome_of(error)
    assert isinstance(outcome, Refused)
    assert outcome.code == NOT_SENT
    assert is_retryable(outcome)


@pytest.mark.parametrize(
    "error",
    [
        ServiceResponseError("connection reset"),
        ServiceResponseTimeoutError("read timed out"),
        AzureError("anything else"),
    ],
)
def test_a_lost_answer_proves_nothing(error: AzureError) -> None:
    assert isinstance(outcome_of(error), Unknown)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("Succeeded", Bought),
        ("Failed", Refused),
        ("BillingFailed", Refused),
        ("Cancelled", Refused),
        ("Creating", Unknown),
        ("PendingResourceHold", Unknown),
        ("ConfirmedResourceHold", Unknown),
        ("PendingBilling", Unknown),
        ("ConfirmedBilling", Unknown),
        ("Created", Unknown),
        ("Expired", Unknown),
        ("SomethingNew", Unknown),
        ("", Unknown),
    ],
)
def test_only_the_orders_own_state_says_yes_or_no(state: str, outcome: type) -> None:
    assert isinstance(outcome_of_state(state, OWNED, "order a"), outcome)


def test_a_yes_without_the_commitments_id_is_none() -> None:
    assert isinstance(outcome_of_state("Succeeded", None, "order a"), Unknown)


def test_every_state_that_the_sdk_knows_means_something_here() -> None:
    assert {one.value for one in ProvisioningState} == set(STATES)
    going_on = {"Creating", "PendingBilling", "ConfirmedBilling", "Created"}
    assert {STATES[one] for one in going_on} == {CommitmentState.PAYMENT_PENDING}


def test_no_transient_error_is_among_the_refusals() -> None:
    transient = {one.value for one in ErrorResponseCode if "Transient" in one.value}
    ambiguous = {"ServerTimeout", "InternalServerError", "ReservationOrderIdAlreadyExists"}
    assert transient
    assert not REFUSALS & (transient | ambiguous | {"OperationFailed", "NotSpecified"})
