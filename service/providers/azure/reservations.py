"""Azure reservations through the SDK: what is on sale, the two steps of buying, looking one up.

Our id of an offering says what it is: ``azure_ri/REGION/SIZE/YEARS/PAYMENT``. Quantities are
machines of that size, never normalised units.

Buying has two steps. The quote (``calculatePrice``) mints the order's id, which the caller stores.
The purchase names that id and no other: asking for a new price after an answer was lost would be a
new id, and a second purchase. Before it is sent the order is looked for, so that the same call may
be made again; an order that is there already is never bought once more. One that is not there is
priced again, and not sent when it has become dearer than was decided on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from azure.core.exceptions import AzureError, ResourceNotFoundError
from azure.mgmt.reservations.models import (
    PurchaseRequest,
    PurchaseRequestProperties,
    PurchaseRequestPropertiesReservedResourceProperties,
    SkuName,
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
from service.providers.azure.catalog import Catalog, Size
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
from service.providers.azure.term_price import whole_term_usd
from service.providers.azure.words import (
    BOUGHT_STATES,
    RESERVATION_PLAN_WORDS,
    RESERVATION_PLANS,
    TERM_WORDS,
    VIRTUAL_MACHINES,
    amount,
    name_of,
)
from service.providers.dearer import refuse_dearer
from service.providers.port import StillWanted
from service.usage.azure_sku import describe_sku

_PREFIX = "azure_ri"
_PARTS = 5
_FIXED = "fixed"
_EXISTS = "ReservationOrderIdAlreadyExists"


@dataclass(frozen=True, slots=True)
class ReservationTerms:
    """What a reservation is. ``flexible``: it covers other sizes of its group too."""

    region: str
    arm_sku_name: str
    term_months: int
    payment: Payment
    flexible: bool = True

    @property
    def offering(self) -> OfferingId:
        """Our id of the offering."""
        words = (_PREFIX, self.region, self.arm_sku_name, str(self.term_months // 12), self.payment)
        return OfferingId("/".join(words if self.flexible else (*words, _FIXED)))

    @classmethod
    def of_offering(cls, offering: OfferingId) -> Self:
        """The terms that one of our ids names; ``InputError`` when it is not one."""
        prefix, *parts = offering.split("/")
        flexible = parts[-1:] != [_FIXED]
        if not flexible:
            parts.pop()
        if prefix != _PREFIX or len(parts) != _PARTS - 1 or not parts[2].isdigit():
            raise InputError(
                f"{offering} does not name a reservation",
                file="the order",
                remedy="Use an offering id from the offers table.",
            )
        return cls(parts[0], parts[1], 12 * int(parts[2]), Payment(parts[3]), flexible)


def offerings(keys: Sequence[SkuKey], found: Retail, catalog: Catalog) -> list[Offering]:
    """Every reservation on sale that covers any of ``keys``.

    Sizes that float into each other are one pool: of those in ``keys`` the smallest is offered,
    because it can be bought in the smallest steps.
    """
    smallest: dict[tuple[str, str], tuple[Decimal, str, Size]] = {}
    for region, name in sorted({(k.region, s) for k in keys if (s := _machine(k.sku)) is not None}):
        size = catalog.size(region, name)
        if not size.terms or (region, name) not in found.reservations:
            continue
        pool = (region, size.family if size.family and size.units else name)
        one = (size.units or Decimal(0), name, size)
        if pool not in smallest or one[:2] < smallest[pool][:2]:
            smallest[pool] = one
    return [
        offering
        for (region, _), (_, name, size) in smallest.items()
        for offering in _offerings_of(region, name, size, found)
    ]


def _machine(sku: str) -> str | None:
    facts = describe_sku(sku)
    return facts.arm_sku_name if facts.capacity == "on_demand" else None


def _offerings_of(region: str, name: str, size: Size, found: Retail) -> Iterable[Offering]:
    for months, whole_usd in sorted(found.reservations[region, name].items()):
        for payment in sorted(size.terms.get(months, frozenset())):
            terms = ReservationTerms(region, name, months, payment)
            yield offering_of(terms, size, whole_usd)


def offering_of(terms: ReservationTerms, size: Size, whole_term_usd: Decimal) -> Offering:
    """The offering of one machine at ``whole_term_usd`` for the term.

    It covers the machine of a Linux price: a Windows licence is billed beside a reservation.
    """
    upfront = terms.payment is Payment.ALL_UPFRONT
    return Offering(
        offering=terms.offering,
        provider=PROVIDER,
        kind=Kind.AZURE_RESERVATION,
        term_months=terms.term_months,
        payment=terms.payment,
        region=terms.region,
        family=size.family,
        platform="linux",
        tenancy=None,
        zone=None,
        size_flexible=terms.flexible and size.units is not None,
        rates_usd={terms.arm_sku_name: whole_term_usd / TERM_HOURS[terms.term_months]},
        upfront_usd=whole_term_usd if upfront else Decimal(0),
        min_quantity=Decimal(1),
        step=Decimal(1),
    )


def calculate(clients: AzureClients, order: PurchaseOrder) -> tuple[str, Decimal]:
    """What the order costs for its whole term now, and the id of the order that it would become.

    ``ProviderError`` when Azure names no price or no id for exactly this order.
    """
    operation = "ReservationOrder.Calculate"
    request = _request(clients, order)
    try:
        answer = clients.reservations.reservation_order.calculate(request)
    except AzureError as error:
        raise failed(operation, error) from error
    properties = answer.as_dict().get("properties") or {}
    reference = read(operation, lambda: str(properties["reservationOrderId"]))
    whole_usd = whole_term_usd(
        operation,
        amount(properties.get("pricingCurrencyTotal")),
        properties.get("paymentSchedule") or (),
        order.term_months,
        order.payment,
    )
    return reference, whole_usd


def purchase(clients: AzureClients, order: PurchaseOrder, still_wanted: StillWanted) -> Outcome:
    """One ``PUT`` under the stored order id, unless the order is there already; then settle."""
    refused = _unfit(order)
    if refused is not None:
        return refused
    request = _request(clients, order)
    buying = clients.buying_reservations.reservation_order
    answered = _bought_before(clients, order) or _dearer(clients, order) or still_wanted()
    if answered is not None:
        return answered
    try:
        buying.begin_purchase(str(order.reference), request, polling=False)
    except AzureError as error:
        if code_of(error) != _EXISTS:
            return outcome_of(error)
    except UNREADABLE as error:
        return Unknown(trouble(error))
    return settle(clients, order)


def _bought_before(clients: AzureClients, order: PurchaseOrder) -> Outcome | None:
    """What became of an earlier attempt; ``None`` when Azure shows that there was none."""
    try:
        found = _find(clients, str(order.reference))
    except TROUBLE as error:
        # As long as it is not known whether one has bought, nothing is sent.
        return Unknown(f"the order could not be looked for: {trouble(error)}")
    return None if found is None else settle(clients, order)


def _dearer(clients: AzureClients, order: PurchaseOrder) -> Refused | None:
    """Why it is not bought at the price of now; the order id that asking for it mints is let go."""
    try:
        _, whole_usd = calculate(clients, order)
    except ProviderError as error:
        return Refused(error.code, f"the price of now is not told: {error}")
    hours, at_once = TERM_HOURS[order.term_months], order.payment is Payment.ALL_UPFRONT
    return refuse_dearer(
        order,
        hourly_usd=whole_usd / hours,
        upfront_usd=whole_usd if at_once else Decimal(0),
    )


def _unfit(order: PurchaseOrder) -> Refused | None:
    if order.reference is None:
        return Refused("no_reference", "the order id of a calculated price is needed to buy")
    if order.quantity != int(order.quantity) or order.quantity < 1:
        return Refused("quantity", f"{order.quantity} is not a number of machines")
    if name_of(order.intent) is None:
        return Refused("intent", f"Azure would not take {order.intent} into a name")
    return None


def look_up(clients: AzureClients, order: PurchaseOrder) -> Evidence:
    """What became of the order that was bought, or was to be, under the stored id; asked once.

    ``ProviderError`` when Azure does not say.
    """
    if order.reference is None:
        return Absent("no order id is stored: only the inventory can tell")
    reference = order.reference
    found = read("ReservationOrder.Get", lambda: _find(clients, reference))
    if found is None:
        return Absent(f"Azure knows no reservation order {reference}")
    return read("Reservation.List", lambda: _judged(clients, order, found))


def settle(clients: AzureClients, order: PurchaseOrder) -> Outcome:
    """Watch the order, for a while, until its own provisioning state says how it ended."""
    outcome: Outcome = Unknown(f"Azure did not yet show order {order.reference}")
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


def _find(clients: AzureClients, reference: str) -> Answer | None:
    try:
        found: Answer = clients.reservations.reservation_order.get(reference).as_dict()
    except ResourceNotFoundError as error:
        if code_of(error) == NO_CODE.format(error.status_code):
            raise  # whoever answered is not Azure
        return None
    return found


def _judged(clients: AzureClients, order: PurchaseOrder, found: Answer) -> Outcome:
    properties = found.get("properties") or {}
    state = str(properties.get("provisioningState") or "")
    name = f"reservation order {order.reference}"
    wrong = _differences(order, properties)
    if wrong:
        return Unknown(f"{name} is not what was ordered: {wrong}")
    if state not in BOUGHT_STATES:
        return outcome_of_state(state, None, name)
    listed = [one.as_dict() for one in clients.reservations.reservation.list(str(order.reference))]
    terms = ReservationTerms.of_offering(order.offering)
    first = [one for one in listed if _is_first(one)]
    if len(first) != 1:
        return Unknown(f"{name} has {len(first)} reservations of its own")
    if not _fits(first[0], terms):
        return Unknown(f"{name} is of {first[0].get('sku')} in {first[0].get('location')}")
    return outcome_of_state(state, CommitmentId(str(first[0].get("id"))), name)


def _differences(order: PurchaseOrder, properties: Answer) -> str:
    """Where an order is not the one that we placed, in words; empty when it is."""
    terms = ReservationTerms.of_offering(order.offering)
    wanted = {
        "displayName": name_of(order.intent),
        "originalQuantity": int(order.quantity),
        "term": TERM_WORDS[terms.term_months],
    }
    wrong = [
        f"{name} {properties.get(name)!r}, not {value!r}"
        for name, value in wanted.items()
        if properties.get(name) is not None and properties.get(name) != value
    ]
    plan = properties.get("billingPlan")
    if plan is not None and RESERVATION_PLANS.get(str(plan)) is not terms.payment:
        wrong.append(f"billingPlan {plan!r}, not {RESERVATION_PLAN_WORDS[terms.payment]!r}")
    return "; ".join(wrong)


def _is_first(one: Answer) -> bool:
    """Made by the purchase itself, not by a split or a merge afterwards."""
    properties = one.get("properties") or {}
    split, merge = properties.get("splitProperties"), properties.get("mergeProperties")
    return not ((split or {}).get("splitSource") or (merge or {}).get("mergeSources"))


def _fits(one: Answer, terms: ReservationTerms) -> bool:
    sku = str((one.get("sku") or {}).get("name") or "")
    place = str(one.get("location") or "")
    return (sku.lower(), place.lower()) == (terms.arm_sku_name.lower(), terms.region.lower())


def _request(clients: AzureClients, order: PurchaseOrder) -> PurchaseRequest:
    return purchase_request(
        ReservationTerms.of_offering(order.offering),
        quantity=int(order.quantity),
        display_name=name_of(order.intent) or "",
        charged_to=clients.access.charged_to,
    )


def purchase_request(
    terms: ReservationTerms, *, quantity: int, display_name: str, charged_to: str
) -> PurchaseRequest:
    """What is asked for, in full: left out, Azure takes the billing plan to be all upfront."""
    return PurchaseRequest(
        sku=SkuName(name=terms.arm_sku_name),
        location=terms.region,
        properties=PurchaseRequestProperties(
            reserved_resource_type=VIRTUAL_MACHINES,
            billing_scope_id=charged_to,
            term=TERM_WORDS[terms.term_months],
            billing_plan=RESERVATION_PLAN_WORDS[terms.payment],
            quantity=quantity,
            display_name=display_name,
            applied_scope_type="Shared",
            renew=False,
            reserved_resource_properties=PurchaseRequestPropertiesReservedResourceProperties(
                instance_flexibility="On" if terms.flexible else "Off"
            ),
        ),
    )
