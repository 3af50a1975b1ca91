"""All commitments that Google lists, in every state, as domain values.

One resource commitment holds vCPUs and memory, which are covered and counted apart: it becomes one
item for each. A listing is complete or an error. GPUs, local SSDs and licences are not read. What
is owned of a series that Tenor does not buy counts as well, at the dearest rate of all where the
price list has none for it: nothing is decided on it, and it is never left out of what is owed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from service.billing.legacy_cud import commit_usd_per_hour
from service.domain.commitments import Commitment, CommitmentState, Kind, Payment
from service.domain.errors import ProviderError
from service.domain.hours import HOUR, floor_hour
from service.domain.ids import AccountId, CommitmentId, IntentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import InventoryItem
from service.providers.gcp.clients import GcpAccess, GcpClients, invoke_all
from service.providers.gcp.price_list import PriceList
from service.providers.gcp.words import (
    PLANS,
    PROVIDER,
    RAM,
    STATES,
    VCPU,
    Place,
    ResourceTerms,
    flexible_offering,
    gcp_tables,
    gigabytes,
    intent_of,
    known,
)

if TYPE_CHECKING:
    from google.cloud.commerce_consumer_procurement_v1.types import LineItem, LineItemInfo, Order
    from google.cloud.compute_v1.types import Commitment as Listed
    from google.cloud.compute_v1.types import CommitmentAggregatedList

_PACIFIC = ZoneInfo("America/Los_Angeles")
_PAGE = 500
_ORDERS_PAGE = 100
_WITHOUT_COMPUTE = frozenset({"accessNotConfigured", "SERVICE_DISABLED"})
_COMPUTE_OFFERS = "services/compute.googleapis.com/"
_MACHINE, _UNREACHABLE = "MACHINE", "UNREACHABLE"
_CANCEL = "LINE_ITEM_CHANGE_TYPE_CANCEL"
COMMIT_PARAMETER, REGION_PARAMETER = "hourly_commit", "region"


def resource_commitments(
    clients: GcpClients, prices: PriceList, projects: Sequence[AccountId]
) -> list[InventoryItem]:
    """The vCPUs and the memory of every resource commitment in ``projects``."""
    items: list[InventoryItem] = []
    for project in projects:
        for region, listed in _listed(clients, project):
            place = Place(project, region, listed.name)
            items += _parts(clients.access, prices, place, listed)
    return items


def _listed(clients: GcpClients, project: AccountId) -> list[tuple[str, Listed]]:
    """Region and commitment of every page; a region that did not answer is an error."""

    def pages(**options: object) -> Iterator[CommitmentAggregatedList]:
        request = {"project": project, "max_results": _PAGE}
        pager = clients.commitments().aggregated_list(request=request, **options)  # type: ignore[arg-type]
        return iter(pager.pages)

    try:
        listing = invoke_all("regionCommitments.aggregatedList", pages)
    except ProviderError as error:
        if error.code not in _WITHOUT_COMPUTE:
            raise
        return []  # Compute Engine was never switched on there, so nothing of it is owned
    found: list[tuple[str, Listed]] = []
    for page in listing:
        silent = [*page.unreachables]
        for scope, answer in page.items.items():
            if getattr(answer.warning, "code", "") == _UNREACHABLE:
                silent.append(scope)
            region = scope.removeprefix("regions/")
            found += [(region, listed) for listed in answer.commitments]
        if silent:
            raise ProviderError(
                provider=PROVIDER,
                operation="regionCommitments.aggregatedList",
                code="incomplete_answer",
                detail=f"{project} was not listed in {', '.join(silent)}",
            )
    return found


def amounts_of(listed: Listed) -> tuple[int, int]:
    """How many vCPUs and MB of memory a commitment lists."""
    amounts = {one.type_: int(one.amount) for one in listed.resources}
    return amounts.get("VCPU", 0), amounts.get("MEMORY", 0)


def span_of(listed: Listed) -> tuple[datetime, datetime]:
    """Start and end; of one that is still being created, when they will be."""
    if listed.start_timestamp and listed.end_timestamp:
        return instant(listed.start_timestamp), instant(listed.end_timestamp)
    created = instant(listed.creation_timestamp).astimezone(_PACIFIC)
    start = (created + 24 * HOUR).replace(hour=0, minute=0, second=0, microsecond=0)
    end = _years_later(start, known(PLANS, listed.plan) // 12)
    return start.astimezone(UTC), end.astimezone(UTC)


def _years_later(start: datetime, years: int) -> datetime:
    """The same day so many years later; 29 February becomes 28."""
    leap_day = (start.month, start.day) == (2, 29)
    return start.replace(year=start.year + years, day=28 if leap_day else start.day)


def _parts(
    access: GcpAccess, prices: PriceList, place: Place, listed: Listed
) -> Iterator[InventoryItem]:
    if listed.category and listed.category != _MACHINE:
        return
    vcpus, memory_mb = amounts_of(listed)
    family, months = known(gcp_tables().families, listed.type_), known(PLANS, listed.plan)
    for resource, quantity in ((VCPU, Decimal(vcpus)), (RAM, gigabytes(memory_mb))):
        if quantity > 0:
            terms = ResourceTerms(place.region, family, resource, months)
            yield _part(access, prices, (place, listed), terms, quantity)


def _part(
    access: GcpAccess,
    prices: PriceList,
    owned: tuple[Place, Listed],
    terms: ResourceTerms,
    quantity: Decimal,
) -> InventoryItem:
    place, listed = owned
    state = known(STATES, listed.status)
    rate = prices.owed_usd(terms)
    if rate is None and state.is_owned:
        raise ProviderError(
            provider=PROVIDER,
            operation="catalog.list_skus",
            code="no_price",
            detail=f"{place.path} is owned and the price list has no {terms.offering}",
        )
    project = AccountId(place.project)
    start, end = span_of(listed)
    return InventoryItem(
        commitment=Commitment(
            commitment=place.commitment(terms.resource),
            offering=terms.offering,
            account=project,
            scope=None if access.shared else frozenset({project}),
            zone=None,
            quantity=quantity,
            start=start,
            end=end,
            state=state,
        ),
        kind=Kind.GCP_RESOURCE_CUD,
        term_months=terms.term_months,
        payment=Payment.NO_UPFRONT,
        region=terms.region,
        family=terms.family,
        commit_usd_per_hour=CommitUsdPerHour((rate or Decimal(0)) * quantity),
        upfront_usd=Decimal(0),
        intent=intent_of(listed.description),
        returnable_until=None,
        reference=place.path,
        renews=bool(listed.auto_renew),
    )


def orders(clients: GcpClients, *, display_name: str | None = None) -> list[Order]:
    """The billing account's orders: all, or those of one display name."""
    request = {
        "parent": f"billingAccounts/{clients.access.billing_account}",
        "page_size": _ORDERS_PAGE,
    }
    if display_name is not None:
        request["filter"] = f'display_name="{display_name}"'
    return invoke_all("orders.list", clients.orders().list_orders, request=request)


def flexible_commitments(
    clients: GcpClients, placed: Sequence[Order], now: datetime
) -> list[InventoryItem]:
    """The flexible commitments among ``placed``; orders of anything else are passed over.

    They belong to the billing account; the project that buys stands for it.
    """
    return [item for order in placed for item in _flexible(clients.access, order, now)]


@dataclass(frozen=True, slots=True)
class OrderLine:
    """One line of an order. ``settled``: it is not still being made.

    ``cancelled``: it is not in force any more; ``cancelled_at`` since when, where that is told.
    """

    number: str
    info: LineItemInfo
    settled: bool
    cancelled: bool
    cancelled_at: datetime | None


def lines_of(order: Order) -> list[OrderLine]:
    """Every line of an order that is of an offer, the oldest first, cancelled ones too."""
    found = [
        *(_line(item, cancelled=False) for item in order.line_items),
        *(_line(item, cancelled=True) for item in order.cancelled_line_items),
    ]
    # Lines are numbered as they are made; one that is cancelled keeps its number.
    lines = [line for line in found if line is not None]
    return sorted(lines, key=lambda line: (len(line.number), line.number))


def _line(item: LineItem, *, cancelled: bool) -> OrderLine | None:
    effective, pending = item.line_item_info, item.pending_change.new_line_item_info
    info = effective if effective.offer else pending
    if not info.offer:
        return None
    told = [
        _plain(one.change_effective_time or one.update_time)
        for one in item.change_history
        if one.change_type.name == _CANCEL and (one.change_effective_time or one.update_time)
    ]
    cancelled_at = max(told, default=None) if cancelled else None
    return OrderLine(item.line_item_id, info, bool(effective.offer), cancelled, cancelled_at)


def commit_usd(line: LineItemInfo) -> Decimal:
    """The dollars an hour that a line item states; ``ProviderError`` when it states none."""
    for one in line.parameters:
        if one.name == COMMIT_PARAMETER:
            value = one.value
            if value.string_value:
                return Decimal(value.string_value)
            return (
                Decimal(str(value.double_value))
                if value.double_value
                else Decimal(value.int64_value)
            )
    raise ProviderError(
        provider=PROVIDER,
        operation="orders.list",
        code="incomplete_answer",
        detail=f"an order of {line.offer} has no {COMMIT_PARAMETER}",
    )


def known_offers(access: GcpAccess) -> dict[str, int]:
    """The months of every offer that the settings name: those of now, and those of before."""
    return {
        **access.flexible_past_offers,
        **{offer: months for months, offer in access.flexible_offers.items()},
    }


def _flexible(access: GcpAccess, order: Order, now: datetime) -> Iterator[InventoryItem]:
    """An item for each line; the first is the order's own, and carries its intent."""
    for index, line in enumerate(lines_of(order)):
        if line.info.offer.startswith(_COMPUTE_OFFERS):
            name = order.name if index == 0 else f"{order.name}:{line.number}"
            intent = intent_of(order.display_name) if index == 0 else None
            yield _flexible_line(access, order, line, now, (name, intent))


def _flexible_line(
    access: GcpAccess,
    order: Order,
    line: OrderLine,
    now: datetime,
    named: tuple[str, IntentId | None],
) -> InventoryItem:
    info, (name, intent) = line.info, named
    past = gcp_tables().past_flexible_offers
    months = {**past, **known_offers(access)}.get(info.offer)
    if months is None:
        raise ProviderError(
            provider=PROVIDER,
            operation="orders.list",
            code="unknown_offer",
            detail=f"{order.name} is of {info.offer}, which no setting names: set "
            "TENOR_GCP_FLEXIBLE_OFFER_12 or _36, or, if it is not sold any more, "
            "TENOR_GCP_FLEXIBLE_PAST_OFFERS_12 or _36",
        )
    created = _plain(order.create_time)
    stated = commit_usd(info)
    quantity = (
        commit_usd_per_hour(stated, gcp_tables().flexible_discounts[months], created)
        if info.offer in past
        else CommitUsdPerHour(stated)
    )
    start, end = _subscription(info, created, months)
    if line.cancelled:
        changed = _plain(order.update_time) if order.update_time else created
        until = line.cancelled_at or (end if end <= now else changed)
        end = max(start, min(end, until))
    return InventoryItem(
        commitment=Commitment(
            commitment=CommitmentId(name),
            offering=OfferingId(flexible_offering(months)),
            account=AccountId(access.project),
            scope=None,
            zone=None,
            quantity=Decimal(quantity),
            start=start,
            end=end,
            state=_state(start, end, now, line),
        ),
        kind=Kind.GCP_FLEXIBLE_CUD,
        term_months=months,
        payment=Payment.NO_UPFRONT,
        region=None,
        family=None,
        commit_usd_per_hour=CommitUsdPerHour(Decimal(quantity)),
        upfront_usd=Decimal(0),
        intent=intent,
        returnable_until=None,
        reference=name,
        renews=bool(info.subscription.auto_renewal_enabled) and not line.cancelled,
    )


def _subscription(info: LineItemInfo, created: datetime, months: int) -> tuple[datetime, datetime]:
    """The subscription's term; until Google states one, from the next hour on."""
    start, end = info.subscription.start_time, info.subscription.end_time
    first = _plain(start) if start else floor_hour(created) + HOUR
    return first, _plain(end) if end else _years_later(first, months // 12)


def _state(start: datetime, end: datetime, now: datetime, line: OrderLine) -> CommitmentState:
    if line.cancelled:
        return CommitmentState.RETIRED
    if not line.settled:
        return CommitmentState.PAYMENT_PENDING
    if now < start:
        return CommitmentState.QUEUED
    return CommitmentState.ACTIVE if now < end else CommitmentState.RETIRED


def _plain(moment: datetime) -> datetime:
    """The instant without Google's own subclass, in UTC."""
    return datetime.fromtimestamp(moment.timestamp(), UTC)


def instant(text: str) -> datetime:
    """One of Google's RFC 3339 instants, in UTC."""
    return datetime.fromisoformat(text).astimezone(UTC)
