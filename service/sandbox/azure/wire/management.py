"""Subscriptions, the registration of providers, and what the caller is granted."""

from __future__ import annotations

from service.sandbox.azure.wire.call import Call, Reply, route
from service.sandbox.faults import ApiError


def subscriptions(call: Call) -> Reply:
    """Every subscription that the caller sees."""
    found = [_subscription(call, name, one) for name, one in call.world.subscriptions.items()]
    items, link = call.page(found)
    return Reply(200, {"value": items, **({"nextLink": link} if link else {})})


def subscription(call: Call) -> Reply:
    """One subscription."""
    for name, one in call.world.subscriptions.items():
        if one == call.names["subscription"].lower():
            return Reply(200, _subscription(call, name, one))
    message = f"The subscription '{call.names['subscription']}' could not be found."
    raise ApiError("SubscriptionNotFound", message, 404)


def _subscription(call: Call, name: str, identity: str) -> dict[str, object]:
    return {
        "id": f"/subscriptions/{identity}",
        "subscriptionId": identity,
        "tenantId": call.world.tenant,
        "displayName": name,
        "state": "Enabled",
    }


def provider(call: Call) -> Reply:
    """Whether a resource provider is registered."""
    namespace = call.names["namespace"]
    state = "Registered" if namespace in call.world.registered else "NotRegistered"
    return Reply(200, {"namespace": namespace, "registrationState": state})


def permissions(call: Call) -> Reply:
    """What the caller may do in a scope."""
    scope = f"/{call.names['scope']}".lower()
    here = call.world.granted_at.get(scope, call.world.granted)
    granted = {"actions": list(here), "notActions": [], "dataActions": []}
    return Reply(200, {"value": [granted]})


ROUTES = (
    route(
        "GET",
        "/subscriptions",
        "azure.Subscriptions.List",
        "Microsoft.Resources/subscriptions/read",
        subscriptions,
    ),
    route(
        "GET",
        "/subscriptions/{subscription}",
        "azure.Subscriptions.Get",
        "Microsoft.Resources/subscriptions/read",
        subscription,
    ),
    route(
        "GET",
        "/subscriptions/{subscription}/providers/{namespace}",
        "azure.Providers.Get",
        "Microsoft.Resources/subscriptions/providers/read",
        provider,
    ),
    route(
        "GET",
        "/{scope*}/providers/Microsoft.Authorization/permissions",
        "azure.Permissions.List",
        "",
        permissions,
    ),
)
