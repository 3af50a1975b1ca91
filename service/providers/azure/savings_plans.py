"""Azure savings plans through the SDK: what is on sale, buying under an alias, looking one up.

Our id of an offering is ``azure_sp/compute/YEARS/PAYMENT``; quantities are dollars an hour. The
alias of a purchase is made of its intent, so a purchase may be sent again: Azure keeps one order
for one alias. It is looked for before it is sent all the same, and what is found must be what was
ordered. There is no way back from a savings plan.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.mgmt.billingbenefits.models import (
    Commitment as PlanCommitment,
)
from azure.mgmt.billingbenefits.models import (
    ResourceSku,
    SavingsPlanOrderAliasModel,
    SavingsPlanOrderAliasProperties,
)

from service.domain.commitments import Kind, Offering, Payment
from service.domain.errors import InputError, ProviderError
from service.domain.hours import TERM_HOURS
from service.domain.ids import CommitmentId, OfferingId
from service.domain.purchases import (
    Absent,
    Evidence,
    Outcome,
    PurchaseOrder,
    Refused,
    Unknown,
    as_outcome,
)
from service.domain.usage import SkuKey
from service.providers.azure.access import PROVIDER
from service.providers.azure.clients import (
    NO_CODE,
    TROUBLE,
    UNREADABLE,
    Answer,
    AzureClients,
    code_of,
    failed,
    read,
    trouble,
)
from service.providers.azure.outcome import outcome_of, outcome_of_state
from service.providers.azure.prices import Retail
from service.providers.azure.words import BOUGHT_STATES, CURRENCY, TERM_WORDS, amount, name_of
from service.providers.dearer import refuse_dearer
from service.providers.port import StillWanted

SKU = "Compute_Savings_Plan"
TERMS = (12, 36)
STEP = Decimal("0.001")
_PREFIX = "azure_sp/compute"
_MONTHLY = "P1M"
_ORDERED = BOUGHT_STATES | {"Created"}
"""An alias stays ``Created`` when its plan has succeeded; the plan's own state decides."""

_ENDED = "Expired"
_PAYMENTS = (Payment.NO_UPFRONT, Payment.ALL_UPFRONT)


def plan_offering_id(months: int, payment: Payment) -> OfferingId:
    """Our id of a compute savings plan."""
    return OfferingId(f"{_PREFIX}/{months // 12}/{payment}")


def plan_payment(properties: Answer) -> Payment:
    """Monthly, or at once: Azure tells the latter by leaving the billing plan out."""
    plan = properties.get("billingPlan")
    if plan in {None, "", _MONTHLY}:
        return Payment.NO_UPFRONT if plan == _MONTHLY else Payment.ALL_UPFRONT
    raise ProviderError(
        provider=PROVIDER, operation="reading", code="unknown_word", detail=repr(plan)
    )


def offerings(keys: Sequence[SkuKey], found: Retail) -> list[Offering]:
    """Every savings plan, with its rates for those of ``keys`` that it covers."""
    return [
        offering
        for months in TERMS
        if (rates := _rates(keys, found, months))
        for payment in _PAYMENTS
        for offering in (plan_offering(months, payment, rates),)
    ]


def owned_rates(keys: Sequence[SkuKey], found: Retail, months: int) -> Mapping[str, Decimal]:
    """The rates of a plan that is owned. Azure tells none; those on sale for the term hold."""
    return _rates(keys, found, months)


def plan_offering(months: int, payment: Payment, rates: Mapping[str, Decimal]) -> Offering:
    """A compute savings plan at ``rates`` (by ``region/sku``)."""
    upfront = payment is Payment.ALL_UPFRONT
    return Offering(
        offering=plan_offering_id(months, payment),
        provider=PROVIDER,
        kind=Kind.AZURE_SAVINGS_PLAN,
        term_months=months,
        payment=payment,
        region=None,
        family=None,
        platform=None,
        tenancy=None,
        zone=None,
        size_flexible=False,
        rates_usd=rates,
        upfront_usd=Decimal(TERM_HOURS[months]) if upfront else Decimal(0),
        min_quantity=STEP,
        step=STEP,
    )


def _rates(keys: Sequence[SkuKey], found: Retail, months: int) -> dict[str, Decimal]:
    def rated() -> Iterator[tuple[str, Decimal]]:
        for key in keys:
            rate = found.plans.get((key.region, key.sku), {}).get(months)
            if rate is not None:
                yield f"{key.region}/{key.sku}", rate

    return dict(rated())


def terms_of(offering: OfferingId) -> tuple[int, Payment]:
    """Months and payment that one of our ids names; ``InputError`` when it is not one."""
    for months in TERMS:
        for payment in _PAYMENTS:
            if offering == plan_offering_id(months, payment):
                return months, payment
    raise InputError(
        f"{offering} does not name a savings plan",
        file="the order",
        remedy="Use an offering id from the offers table.",
    )


def check(clients: AzureClients, order: PurchaseOrder) -> None:
    """Ask Azure whether it would sell this; ``ProviderError`` when it says no."""
    operation = "Benefit.Validate"
    body = {"benefits": [{**_request(clients, order).as_dict(), "benefitType": "SavingsPlan"}]}
    try:
        answer = clients.benefits.benefit.validate(body).as_dict()
    except AzureError as error:
        raise failed(operation, error) from error
    # Azure's description has a list of verdicts, its example a list of such lists.
    verdicts = [
        verdict for one in answer.get("benefits") or [] for verdict in one.get("benefits", [one])
    ]
    against = [one for one in verdicts if one.get("valid") is not True]
    if against or not verdicts:
        reason = against[0] if against else {}
        raise ProviderError(
            provider=PROVIDER,
            operation=operation,
            code=str(reason.get("reasonCode") or "not_valid"),
            detail=str(reason.get("reason") or "Azure does not say that this can be bought"),
        )


def purchase(clients: AzureClients, order: PurchaseOrder, still_wanted: StillWanted) -> Outcome:
    """One ``PUT`` of the alias, unless it is there already; then settle."""
    refused = _unfit(order)
    if refused is not None:
        return refused
    alias, request = str(name_of(order.intent)), _request(clients, order)
    buying = clients.buying_benefits.savings_plan_order_alias
    answered = _bought_before(clients, order) or still_wanted()
    if answered is not None:
        return answered
    try:
        buying.begin_create(alias, request, polling=False)
    except AzureError as error:
        return outcome_of(error)
    except UNREADABLE as error:
        return Unknown(trouble(error))
    return settle(clients, order)


def _bought_before(clients: AzureClients, order: PurchaseOrder) -> Outcome | None:
    """What became of an earlier attempt; ``None`` when Azure shows that there was none."""
    try:
        found = _find(clients, str(name_of(order.intent)))
    except TROUBLE as error:
        # As long as it is not known whether one has bought, nothing is sent.
        return Unknown(f"the alias could not be looked for: {trouble(error)}")
    return None if found is None else settle(clients, order)


def _unfit(order: PurchaseOrder) -> Refused | None:
    if name_of(order.intent) is None:
        return Refused("intent", f"Azure would not take {order.intent} into a name")
    if order.quantity < STEP or order.quantity % STEP:
        return Refused("quantity", f"{order.quantity} is not a multiple of {STEP} dollars an hour")
    return _dearer(order)


def _dearer(order: PurchaseOrder) -> Refused | None:
    """Why it is not bought for what it commits to, which is its price."""
    hours, at_once = TERM_HOURS[order.term_months], order.payment is Payment.ALL_UPFRONT
    return refuse_dearer(
        order,
        hourly_usd=order.quantity,
        upfront_usd=order.quantity * hours if at_once else Decimal(0),
    )


def look_up(clients: AzureClients, order: PurchaseOrder) -> Evidence:
    """What became of the purchase under the intent's alias; asked once.

    ``ProviderError`` when Azure does not say.
    """
    alias = name_of(order.intent)
    if alias is None:
        return Absent(f"{order.intent} makes no alias: only the inventory can tell")
    found = read("SavingsPlanOrderAlias.Get", lambda: _find(clients, alias))
    if found is None:
        return Absent(f"Azure knows no savings plan order alias {alias}")
    return read("SavingsPlan.List", lambda: _judged(clients, order, found))


def settle(clients: AzureClients, order: PurchaseOrder) -> Outcome:
    """Watch the order, for a while, until its own provisioning state says how it ended."""
    outcome: Outcome = Unknown("Azure did not yet show the alias")
    for number in range(clients.access.settle_reads):
        if number:
            clients.sleep(clients.access.settle_every_seconds)
        try:
            outcome = as_outcome(look_up(clients, order))
        except ProviderError as error:
            outcome = Unknown(str(error))
        if not isinstance(outcome, Unknown):
            return outcome
    return outcome


def _find(clients: AzureClients, alias: str) -> Answer | None:
    try:
        found: Answer = clients.benefits.savings_plan_order_alias.get(alias).as_dict()
    except ResourceNotFoundError as error:
        if code_of(error) == NO_CODE.format(error.status_code):
            raise  # whoever answered is not Azure
        return None
    return found


def _judged(clients: AzureClients, order: PurchaseOrder, found: Answer) -> Outcome:
    properties = found.get("properties") or {}
    state = str(properties.get("provisioningState") or "")
    name = f"savings plan order alias {name_of(order.intent)}"
    wrong = _differences(order, properties)
    if wrong:
        return Unknown(f"{name} is not what was ordered: {wrong}")
    if state not in _ORDERED:
        return outcome_of_state(state, None, name)
    order_id = str(properties.get("savingsPlanOrderId") or "").rstrip("/").rpartition("/")[2]
    if not order_id:
        return Unknown(f"{name} names no order")
    listed = [one.as_dict() for one in clients.benefits.savings_plan.list(order_id)]
    if len(listed) != 1:
        return Unknown(f"{name} has {len(listed)} savings plans")
    plan = str((listed[0].get("properties") or {}).get("provisioningState") or "")
    bought = CommitmentId(str(listed[0].get("id")))
    return outcome_of_state("Succeeded" if plan == _ENDED else plan, bought, f"the plan of {name}")


def _differences(order: PurchaseOrder, properties: Answer) -> str:
    """Where an alias is not what we ordered, in words; empty when it is."""
    months, payment = terms_of(order.offering)
    wrong = []
    if properties.get("term") != TERM_WORDS[months]:
        wrong.append(f"term {properties.get('term')!r}, not {TERM_WORDS[months]!r}")
    try:
        committed, paid = amount(properties.get("commitment")), plan_payment(properties)
    except ProviderError as error:
        return str(error)
    if committed != order.quantity:
        wrong.append(f"commitment {committed}, not {order.quantity}")
    if paid is not payment:
        wrong.append(f"billingPlan {properties.get('billingPlan')!r}")
    return "; ".join(wrong)


def _request(clients: AzureClients, order: PurchaseOrder) -> SavingsPlanOrderAliasModel:
    months, payment = terms_of(order.offering)
    properties = SavingsPlanOrderAliasProperties(
        display_name=name_of(order.intent),
        billing_scope_id=clients.access.charged_to,
        term=TERM_WORDS[months],
        applied_scope_type="Shared",
        commitment=PlanCommitment(
            grain="Hourly", currency_code=CURRENCY, amount=float(order.quantity)
        ),
        renew=False,
    )
    if payment is Payment.NO_UPFRONT:  # all upfront is said by saying nothing
        properties.billing_plan = _MONTHLY
    return SavingsPlanOrderAliasModel(sku=ResourceSku(name=SKU), properties=properties)
