"""Proof of what the credential may do, and the documents that grant it."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from service.domain.errors import InputError
from service.domain.ids import IntentId
from service.domain.purchases import Bought
from service.providers.azure.clients import AzureClients
from service.providers.azure.permissions import AzurePermissions, Needed, needed_for
from service.providers.port import PermissionProof, ProviderPermissions
from service.sandbox.azure.access import BILLING_ACCOUNT
from service.sandbox.azure.cloud import AzureSandbox
from service.sandbox.azure.server import shipped_routes
from service.sandbox.faults import Fault, FaultKind
from tests.sandbox.azure.clouds import (
    SMALL,
    buyer,
    order,
    plan_order,
    quoted,
    small_cloud,
    strike,
)

DOCUMENTS = Path(__file__).resolve().parents[3] / "docs" / "permissions"
MODES = ("observe", "copilot", "autopilot")
OTHER_INTENT = IntentId("0b5e6f1c-1111-4000-8000-000000000002")


def proofs(
    cloud: AzureSandbox, mode: str, exports: str | None = None
) -> dict[str, PermissionProof]:
    access = replace(cloud.access(), exports_url=exports, charges_scope=BILLING_ACCOUNT)
    with closing(AzureClients(access)) as clients:
        there: ProviderPermissions = AzurePermissions(clients)
        return {one.action: one for one in there.permissions(mode)}


def granted(mode: str) -> tuple[str, ...]:
    return tuple(one.action for one in needed_for(mode))


def documented(mode: str) -> tuple[str, ...]:
    told = json.loads((DOCUMENTS / f"azure-{mode}.json").read_text("utf-8"))
    assert told["properties"]["assignableScopes"] == [
        "/subscriptions/00000000-0000-0000-0000-000000000000"
    ]
    return tuple(told["properties"]["permissions"][0]["actions"])


# The built-in roles' own actions, as Azure publishes them.
BUILT_IN = {
    "Reader": ("*/read",),
    "Cost Management Reader": ("Microsoft.CostManagement/*/read",),
    "Reservations Reader": ("Microsoft.Capacity/*/read",),
    "Reservations Contributor": (
        "Microsoft.Capacity/*/read",
        "Microsoft.Capacity/*/action",
        "Microsoft.Capacity/*/write",
    ),
    "Savings plan Reader": (
        "Microsoft.BillingBenefits/savingsPlanOrders/read",
        "Microsoft.BillingBenefits/savingsPlanOrders/savingsPlans/read",
    ),
    "Savings plan Contributor": (
        "Microsoft.BillingBenefits/savingsPlanOrders/read",
        "Microsoft.BillingBenefits/savingsPlanOrders/action",
        "Microsoft.BillingBenefits/savingsPlanOrders/write",
        "Microsoft.BillingBenefits/savingsPlanOrders/savingsPlans/read",
        "Microsoft.BillingBenefits/savingsPlanOrders/savingsPlans/write",
        "Microsoft.BillingBenefits/savingsPlanOrders/*/action",
    ),
}
TENANT = {
    "observe": ("Reservations Reader", "Savings plan Reader"),
    "copilot": ("Reservations Contributor", "Savings plan Contributor"),
    "autopilot": ("Reservations Contributor", "Savings plan Contributor"),
}


def as_documented(cloud: AzureSandbox, mode: str) -> None:
    """Grant what ``docs/permissions/README.md`` says, each role where it says."""
    reservations, plans = TENANT[mode]
    payer = f"/subscriptions/{cloud.access().subscription_id}"
    cloud.world.granted_at = {
        payer: documented(mode),
        "/providers/microsoft.capacity": BUILT_IN[reservations],
        "/providers/microsoft.billingbenefits": BUILT_IN[plans],
    }
    cloud.world.granted = (
        *documented(mode),
        *BUILT_IN[reservations],
        *BUILT_IN[plans],
        *BUILT_IN["Cost Management Reader"],
    )


@pytest.mark.parametrize("mode", MODES)
def test_the_documented_grants_are_all_that_a_mode_needs(mode: str) -> None:
    with small_cloud() as cloud:
        as_documented(cloud, mode)
        assert not [one for one in proofs(cloud, mode).values() if not one.allowed]


@pytest.mark.parametrize("mode", MODES)
def test_the_documented_role_has_the_paying_subscriptions_part_and_no_more(mode: str) -> None:
    theirs = [one for one in needed_for(mode) if "subscription" in {one.scope, one.also}]
    assert documented(mode) == tuple(one.action for one in theirs)
    readme = (DOCUMENTS / "README.md").read_text("utf-8")
    assert all(f"| {role}" in readme for role in TENANT[mode])


@pytest.mark.parametrize("needed", needed_for("autopilot"), ids=lambda one: one.action)
def test_a_built_in_role_that_is_named_has_the_action(needed: Needed) -> None:
    assert needed.role or needed.scope == "subscription"
    action = needed.action.lower()
    patterns = BUILT_IN.get(needed.role, (needed.action,))
    assert any(fnmatchcase(action, pattern.lower()) for pattern in patterns)


@pytest.mark.parametrize(
    ("scope", "action"),
    [
        ("/providers/microsoft.capacity", "Microsoft.Capacity/reservationorders/read"),
        ("/providers/microsoft.capacity", "Microsoft.Capacity/reservationorders/reservations/read"),
        (
            "/providers/microsoft.billingbenefits",
            "Microsoft.BillingBenefits/savingsPlanOrders/savingsPlans/read",
        ),
    ],
)
def test_a_listing_that_answers_proves_nothing_of_what_it_leaves_out(
    scope: str, action: str
) -> None:
    """Azure lists what the caller may see, and says nothing of the rest."""
    with small_cloud() as cloud:
        cloud.world.granted_at = {scope: ("Microsoft.Capacity/catalogs/read",)}
        proof = proofs(cloud, "observe")[action]
        assert proof.allowed is False
        assert "Reader on /providers/" in proof.mend
        strike(cloud, Fault("azure.Permissions.List", FaultKind.REFUSE, times=99, status=404))
        assert proofs(cloud, "observe")[action].allowed is None


def test_a_purchase_that_only_the_subscription_grants_is_not_proven() -> None:
    with small_cloud() as cloud:
        as_documented(cloud, "autopilot")
        reader = BUILT_IN["Reservations Reader"]
        cloud.world.granted_at["/providers/microsoft.capacity"] = reader
        found = proofs(cloud, "autopilot")
        for name in ("calculateprice/action", "reservationorders/write"):
            proof = found[f"Microsoft.Capacity/{name}"]
            assert proof.allowed is None
            assert "Reservations Contributor" in proof.mend
        assert found["Microsoft.Capacity/exchange/action"].allowed is False


@pytest.mark.parametrize("more", ["copilot", "autopilot"])
def test_the_role_that_observes_does_not_do_for_one_that_buys(more: str) -> None:
    with small_cloud(options=replace(SMALL, granted=granted("observe"))) as cloud:
        lacking = {name for name, one in proofs(cloud, more).items() if one.allowed is False}
        assert lacking == set(granted(more)) - set(granted("observe"))


def test_copilot_carries_out_what_was_signed_off_and_needs_all_that_autopilot_does() -> None:
    assert granted("copilot") == granted("autopilot")
    assert documented("copilot") == documented("autopilot")


@pytest.mark.parametrize(("mode", "buys"), [("observe", False), ("copilot", True)])
def test_the_role_of_a_mode_buys_exactly_when_the_mode_executes(mode: str, *, buys: bool) -> None:
    with small_cloud(options=replace(SMALL, granted=granted("autopilot"))) as cloud:
        reserved, planned = quoted(cloud, order(cloud)), plan_order(cloud)
        cloud.world.granted = granted(mode)
        for ordered in (reserved, replace(planned, intent=OTHER_INTENT)):
            assert isinstance(buyer(cloud).buy(ordered), Bought) is buys
        assert cloud.snapshot().commitments_active == (2 if buys else 0)


@pytest.mark.parametrize("action", granted("autopilot") if DOCUMENTS.is_dir() else ())
def test_each_action_that_is_missing_is_told_with_its_mend(action: str) -> None:
    rest = tuple(one for one in granted("autopilot") if one != action)
    with small_cloud(options=replace(SMALL, granted=rest)) as cloud:
        proof = proofs(cloud, "autopilot")[action]
    assert proof.allowed is False
    assert action in proof.mend


def test_every_action_that_the_sandbox_asks_for_is_one_that_a_mode_needs() -> None:
    asked = {route.action.lower() for route in shipped_routes() if route.action}
    needed = {one.action.lower() for one in needed_for("autopilot")}
    assert asked <= needed


def test_a_scope_that_does_not_tell_leaves_its_actions_unproven() -> None:
    with small_cloud() as cloud:
        fault = Fault("azure.Permissions.List", FaultKind.REFUSE, times=99, status=404)
        strike(cloud, fault)
        found = proofs(cloud, "copilot")
        assert found["Microsoft.Capacity/calculateprice/action"].allowed is None
        assert found["Microsoft.Capacity/catalogs/read"].allowed is True


def test_a_read_that_fails_for_another_reason_is_unproven() -> None:
    with small_cloud() as cloud:
        strike(cloud, Fault("azure.Catalog.List", FaultKind.ERROR_BEFORE, times=99))
        proof = proofs(cloud, "observe")["Microsoft.Capacity/catalogs/read"]
        assert proof.allowed is None
        assert "InternalServerError" in proof.detail


def test_an_unregistered_provider_is_told() -> None:
    with small_cloud() as cloud:
        cloud.world.registered.discard("Microsoft.Capacity")
        proof = proofs(cloud, "observe")["Microsoft.Capacity is registered"]
        assert proof.allowed is False
        assert "az provider register" in proof.mend


def test_a_container_that_cannot_be_listed_is_told(tmp_path: Path) -> None:
    reading = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"
    with small_cloud(tmp_path) as cloud:
        url = str(cloud.access().exports_url)
        assert proofs(cloud, "observe", url)[reading].allowed is True
        assert proofs(cloud, "observe", f"{url}-nowhere")[reading].allowed is False


def test_a_mode_that_is_none_is_an_error() -> None:
    with small_cloud() as cloud, pytest.raises(InputError, match="observe"):
        proofs(cloud, "everything")


def test_hourly_charges_need_no_permission_where_days_are_refused() -> None:
    action = "Microsoft.CostManagement/benefitRecommendations/read"
    with small_cloud() as cloud:
        assert proofs(cloud, "observe")[action].allowed is True
        assert cloud.access().charges_scope is None
        found = AzurePermissions(cloud.clients()).permissions("autopilot")
        assert action not in {one.action for one in found}
