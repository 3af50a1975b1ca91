"""What Azure says of one purchase that it is asked for: sold, refused, absent, or none of these."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress

import pytest

from service.domain.commitments import Kind
from service.domain.errors import ProviderError
from service.domain.purchases import Absent, PurchaseOrder, Unknown
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.wire.benefits import ALIASES
from service.sandbox.azure.wire.call import Call, Reply, route
from service.sandbox.azure.wire.reservations import ORDERS
from service.sandbox.faults import Fault, FaultKind
from tests.sandbox.azure.clouds import (
    CREATE_PLAN,
    PURCHASE,
    buyer,
    order,
    plan_order,
    quoted,
    small_cloud,
    strike,
)

SEND = {Kind.AZURE_RESERVATION: PURCHASE, Kind.AZURE_SAVINGS_PLAN: CREATE_PLAN}
LOST_AFTER = (FaultKind.TIMEOUT_AFTER, FaultKind.ERROR_AFTER)
LOST_BEFORE = (FaultKind.TIMEOUT_BEFORE, FaultKind.ERROR_BEFORE)


ODD_ANSWERS = (
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b'{"properties": "text"}',
    b'{"properties": {"provisioningState": {"a": 1}}}',
    b'{"properties": {"provisioningState": "Succeeded", "term": 7}}',
    b"<html></html>",
)


@pytest.fixture
def cloud() -> Iterator[AzureSandbox]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture(params=[Kind.AZURE_RESERVATION, Kind.AZURE_SAVINGS_PLAN])
def ordered(request: pytest.FixtureRequest, cloud: AzureSandbox) -> PurchaseOrder:
    """An order of each kind that is sold, ready to be bought."""
    if request.param is Kind.AZURE_RESERVATION:
        return quoted(cloud, order(cloud))
    return plan_order(cloud)


@pytest.mark.parametrize("answer", ODD_ANSWERS)
def test_answers_that_make_no_sense_are_no_absence_and_nothing_is_sent(
    cloud: AzureSandbox, ordered: PurchaseOrder, answer: bytes
) -> None:
    def odd(_: Call) -> Reply:
        return Reply(200, answer)

    cloud.server.answer_first(
        (
            route("GET", ORDERS + "/{order}", "azure.ReservationOrder.Get", "", odd),
            route("GET", ALIASES + "/{alias}", "azure.SavingsPlanOrderAlias.Get", "", odd),
        )
    )
    with suppress(ProviderError):
        assert isinstance(buyer(cloud).look_up(ordered), Unknown)
    assert isinstance(buyer(cloud).buy(ordered), Unknown)
    assert cloud.server.calls[SEND[ordered.kind]] == 0


LOOKING = {
    Kind.AZURE_RESERVATION: "azure.ReservationOrder.Get",
    Kind.AZURE_SAVINGS_PLAN: "azure.SavingsPlanOrderAlias.Get",
}


def test_a_look_that_is_not_allowed_is_no_absence(
    cloud: AzureSandbox, ordered: PurchaseOrder
) -> None:
    refuse = Fault(LOOKING[ordered.kind], FaultKind.REFUSE, code="AuthorizationFailed", status=403)
    strike(cloud, refuse)
    with pytest.raises(ProviderError, match="AuthorizationFailed"):
        buyer(cloud).look_up(ordered)
    assert isinstance(buyer(cloud).look_up(ordered), Absent)


def test_a_not_found_that_is_not_azures_is_no_absence(
    cloud: AzureSandbox, ordered: PurchaseOrder
) -> None:
    def elsewhere(_: Call) -> Reply:
        return Reply(404, b"{}")

    cloud.server.answer_first(
        (
            route("GET", ORDERS + "/{order}", "azure.ReservationOrder.Get", "", elsewhere),
            route("GET", ALIASES + "/{alias}", "azure.SavingsPlanOrderAlias.Get", "", elsewhere),
        )
    )
    with pytest.raises(ProviderError, match="404"):
        buyer(cloud).look_up(ordered)
    assert isinstance(buyer(cloud).buy(ordered), Unknown)
    assert cloud.server.calls[SEND[ordered.kind]] == 0


@pytest.mark.parametrize("state", ["PendingBilling", "Creating", "ConfirmedBilling"])
def test_what_is_going_on_is_there_and_neither_sold_nor_absent(
    cloud: AzureSandbox, state: str
) -> None:
    ordered = quoted(cloud, order(cloud))

    def pending(_: Call) -> Reply:
        return Reply(200, json.dumps({"properties": {"provisioningState": state}}).encode())

    cloud.server.answer_first(
        (route("GET", ORDERS + "/{order}", "azure.ReservationOrder.Get", "", pending),)
    )
    looked = buyer(cloud).look_up(ordered)
    assert isinstance(looked, Unknown)
    assert state in looked.detail
