"""``Microsoft.BillingBenefits`` on the wire: savings plans by alias."""

from __future__ import annotations

from service.domain.hours import iso
from service.sandbox.azure.savings_plans import Plan, PlanTerms, check_terms
from service.sandbox.azure.wire.call import INVALID, Body, Call, Reply, route
from service.sandbox.azure.wire.reservations import CURRENCY, MONTHS, TERMS, scopes_of
from service.sandbox.faults import ApiError

SKU = "Compute_Savings_Plan"
ALIASES = "/providers/Microsoft.BillingBenefits/savingsPlanOrderAliases"
ORDERS = "/providers/Microsoft.BillingBenefits/savingsPlanOrders"
_MONTHLY = "P1M"


def terms_of(body: Body) -> PlanTerms:
    """A purchase request; ``ApiError`` for what is missing or unknown in it."""
    if body.part("sku").text("name") != SKU:
        raise ApiError(INVALID, "There is no such savings plan.")
    properties = body.part("properties")
    months = MONTHS.get(properties.text("term"))
    commitment = properties.part("commitment")
    plan = properties.text_or_none("billingPlan")
    if months is None or plan not in {None, _MONTHLY}:
        raise ApiError(INVALID, "The term or the billing plan is not sold.")
    if (commitment.text("grain"), commitment.text("currencyCode")) != ("Hourly", CURRENCY):
        raise ApiError(INVALID, "The commitment must be hourly, in US dollars.")
    return PlanTerms(
        display_name=properties.text_or_none("displayName") or "",
        billing_scope=properties.text("billingScopeId"),
        months=months,
        monthly=plan == _MONTHLY,
        usd_per_hour=commitment.decimal("amount"),
        scopes=scopes_of(properties),
        renew=properties.flag("renew"),
    )


def validate(call: Call) -> Reply:
    """Whether purchases like these would be taken; nothing is bought."""
    asked = call.body.parts("benefits")
    if not asked:
        raise ApiError(INVALID, "benefits is required.")
    verdicts = []
    for one in asked:
        try:
            check_terms(terms_of(one))
        except ApiError as error:
            verdicts.append({"valid": False, "reasonCode": error.code, "reason": error.message})
        else:
            verdicts.append({"valid": True})
    return Reply(200, {"benefits": verdicts})


def create(call: Call) -> Reply:
    """Buy under an alias; the same again is the same."""
    world = call.world
    plan, new = world.plans.purchase(call.names["alias"], terms_of(call.body), world.now())
    if not new:
        return Reply(200, _alias_json(plan))
    call.sold.append(plan)
    headers = {}
    if world.options.poll_style == "location":
        link = f"{call.endpoint}{ALIASES}/{call.names['alias']}/operation?api-version=2022-11-01"
        headers = {"Azure-AsyncOperation": link, "Retry-After": "0"}
    return Reply(201, _alias_json(plan), headers)


def get_alias(call: Call) -> Reply:
    """What an alias bought."""
    plan = _bought(call)
    call.world.plans.read(plan, call.world.now())
    return Reply(200, _alias_json(plan))


def get_operation(call: Call) -> Reply:
    """How far the purchase of an alias is."""
    plan = _bought(call)
    call.world.plans.read(plan, call.world.now())
    return Reply(200, {"status": plan.outcome or "InProgress"})


def _bought(call: Call) -> Plan:
    plan = call.world.plans.by_alias(call.names["alias"])
    if plan is None or plan.is_hidden(call.world.now()):
        message = f"The alias {call.names['alias']} was not found."
        raise ApiError("NotFound", message, 404)
    return plan


def list_all(call: Call) -> Reply:
    """Every savings plan of the tenant, in every state."""
    now = call.world.now()
    found = [_plan_json(one) for one in call.world.plans.plans if not one.is_hidden(now)]
    items, link = call.page(found)
    return Reply(200, {"value": items, **({"nextLink": link} if link else {})})


def list_in_order(call: Call) -> Reply:
    """The plans of one order."""
    return Reply(200, {"value": [_plan_json(_in_order(call))]})


def get_plan(call: Call) -> Reply:
    """One plan."""
    return Reply(200, _plan_json(_in_order(call)))


def update(call: Call) -> Reply:
    """Change the renewal or the name of a plan; nothing else of it can be changed."""
    plan = _in_order(call)
    properties = call.body.part("properties")
    if plan.state != "Succeeded":
        raise ApiError("OperationCannotBePerformedInCurrentState", f"The plan is {plan.state}.")
    if properties.has("renew"):
        if properties.flag("renew") == plan.renew:
            raise ApiError("PatchValuesSameAsExisting", "Nothing would change.")
        plan.renew = properties.flag("renew")
    return Reply(200, _plan_json(plan))


def _in_order(call: Call) -> Plan:
    for plan in call.world.plans.plans:
        if plan.order_id == call.names["order"].lower() and not plan.is_hidden(call.world.now()):
            return plan
    raise ApiError("NotFound", "There is no such savings plan order.", 404)


def _alias_json(plan: Plan) -> dict[str, object]:
    return {
        "id": f"{ALIASES}/{plan.alias}",
        "name": plan.alias,
        "type": "Microsoft.BillingBenefits/savingsPlanOrderAliases",
        "sku": {"name": SKU},
        "properties": {
            **_terms_json(plan),
            "savingsPlanOrderId": f"{ORDERS}/{plan.order_id}",
            # An alias is done when it has made its order; what became of that, the plan tells.
            "provisioningState": "Created" if plan.paid_at else plan.state,
        },
    }


def _plan_json(plan: Plan) -> dict[str, object]:
    return {
        "id": plan.resource_id,
        "name": plan.plan_id,
        "type": "Microsoft.BillingBenefits/savingsPlanOrders/savingsPlans",
        "sku": {"name": SKU},
        "properties": {
            **_terms_json(plan),
            "provisioningState": plan.state,
            "renew": plan.renew,
            "purchaseDateTime": iso(plan.asked_at),
            "effectiveDateTime": iso(plan.start),
            "benefitStartTime": iso(plan.start),
            "expiryDateTime": iso(plan.end),
            **({"renewSource": plan.renew_source} if plan.renew_source else {}),
        },
    }


def _terms_json(plan: Plan) -> dict[str, object]:
    terms = plan.terms
    scope: dict[str, object] = {"appliedScopeType": "Single" if terms.scopes else "Shared"}
    if terms.scopes:
        scope["appliedScopeProperties"] = {"subscriptionId": terms.scopes[0]}
    return {
        "displayName": terms.display_name,
        "billingScopeId": terms.billing_scope,
        "term": TERMS[terms.months],
        **({"billingPlan": _MONTHLY} if terms.monthly else {}),
        **scope,
        "commitment": {
            "grain": "Hourly",
            "currencyCode": CURRENCY,
            "amount": terms.usd_per_hour,
        },
        "renew": terms.renew,
    }


_READ = "Microsoft.BillingBenefits/savingsPlanOrders/savingsPlans/read"
ROUTES = (
    route(
        "POST",
        "/providers/Microsoft.BillingBenefits/validate",
        "azure.Benefit.Validate",
        "Microsoft.BillingBenefits/validate/action",
        validate,
    ),
    route(
        "PUT",
        ALIASES + "/{alias}",
        "azure.SavingsPlanOrderAlias.Create",
        "Microsoft.BillingBenefits/savingsPlanOrderAliases/write",
        create,
    ),
    route(
        "GET",
        ALIASES + "/{alias}",
        "azure.SavingsPlanOrderAlias.Get",
        "Microsoft.BillingBenefits/savingsPlanOrderAliases/read",
        get_alias,
    ),
    route(
        "GET",
        ALIASES + "/{alias}/operation",
        "azure.SavingsPlanOrderAlias.Poll",
        "",
        get_operation,
    ),
    route(
        "GET",
        "/providers/Microsoft.BillingBenefits/savingsPlans",
        "azure.SavingsPlan.ListAll",
        _READ,
        list_all,
    ),
    route("GET", ORDERS + "/{order}/savingsPlans", "azure.SavingsPlan.List", _READ, list_in_order),
    route("GET", ORDERS + "/{order}/savingsPlans/{plan}", "azure.SavingsPlan.Get", _READ, get_plan),
    route(
        "PATCH",
        ORDERS + "/{order}/savingsPlans/{plan}",
        "azure.SavingsPlan.Update",
        "Microsoft.BillingBenefits/savingsPlanOrders/savingsPlans/write",
        update,
    ),
)
