"""Altering Azure reservations: what each call sends, and what Azure's own records say came of it.

Returns and exchanges are quoted first; the quote's session is what the call names. No call is ever
judged by its own answer: afterwards the sources are read until they show the effect, or the outcome
stays unknown. Nothing here is sent a second time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from azure.core.exceptions import AzureError
from azure.mgmt.reservations.models import (
    CalculateExchangeRequest,
    CalculateExchangeRequestProperties,
    CalculateRefundRequest,
    CalculateRefundRequestProperties,
    ExchangeRequest,
    ExchangeRequestProperties,
    MergeProperties,
    MergeRequest,
    Patch,
    PatchProperties,
    RefundRequest,
    RefundRequestProperties,
    ReservationToReturn,
    SplitProperties,
    SplitRequest,
)

from service.domain.alterations import AlterationOutcome, Altered
from service.domain.errors import ProviderError
from service.domain.ids import CommitmentId
from service.domain.purchases import Unknown
from service.providers.azure.access import PROVIDER
from service.providers.azure.clients import UNREADABLE, Answer, AzureClients, failed, read, trouble
from service.providers.azure.outcome import outcome_of
from service.providers.azure.reservations import ReservationTerms, purchase_request
from service.providers.azure.words import amount
from service.providers.port import StillWanted

_SCOPE = "Reservation"
_REASON = "Other"
_PATH_PARTS = 7
_NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Place:
    """A reservation by the two ids in its path."""

    order: str
    reservation: str

    @classmethod
    def of(cls, commitment: CommitmentId) -> Place:
        """The ids in a reservation's path; ``ProviderError`` when it is none."""
        parts = commitment.split("/")
        if len(parts) != _PATH_PARTS or parts[3].lower() != "reservationorders":
            raise _refused("Reservation.Get", "not_a_reservation", str(commitment))
        return cls(parts[4], parts[6])


@dataclass(frozen=True, slots=True)
class Giving:
    """So many machines of a reservation to give back."""

    commitment: CommitmentId
    quantity: int

    @property
    def wire(self) -> ReservationToReturn:
        """As Azure takes it."""
        return ReservationToReturn(reservation_id=self.commitment, quantity=self.quantity)


@dataclass(frozen=True, slots=True)
class Taking:
    """So many machines to buy in an exchange, under a display name that carries the intent."""

    terms: ReservationTerms
    quantity: int
    name: str


@dataclass(frozen=True, slots=True)
class Session:
    """A quoted return or exchange. ``refusals`` are the policies that stand against it."""

    session: str
    pay_usd: Decimal
    refund_usd: Decimal
    left_usd: Decimal
    bought_usd: Decimal
    refusals: tuple[str, ...]


def reservation(clients: AzureClients, commitment: CommitmentId) -> Answer:
    """One reservation as Azure shows it now."""
    place = Place.of(commitment)
    return read(
        "Reservation.Get",
        lambda: clients.reservations.reservation.get(place.order, place.reservation).as_dict(),
    )


def machines(found: Answer) -> int:
    """How many machines a reservation has, if it is active; none otherwise."""
    properties = found.get("properties") or {}
    active = properties.get("provisioningState") == "Succeeded"
    return int(properties.get("quantity") or 0) if active else 0


def quote_return(clients: AzureClients, giving: Giving) -> Session:
    """What giving back would bring, and what of the refund limit is used up."""
    operation = "CalculateRefund.Post"
    order = Place.of(giving.commitment).order
    request = CalculateRefundRequest(
        id=f"/providers/Microsoft.Capacity/reservationOrders/{order}",
        properties=CalculateRefundRequestProperties(
            scope=_SCOPE, reservation_to_return=giving.wire
        ),
    )
    answer = read(
        operation, lambda: clients.reservations.calculate_refund.post(order, request).as_dict()
    )
    properties = answer.get("properties") or {}
    policy = (properties.get("policyResult") or {}).get("properties") or {}
    left = _left(properties)
    refusals = _refusals(policy)
    used, most = policy.get("consumedRefundsTotal"), policy.get("maxRefundLimit")
    if used is not None and most is not None and amount(used) + left > amount(most):
        limit = f"{amount(used)} of {amount(most)} USD is refunded in twelve months"
        refusals = (*refusals, f"{limit}, {left} more is too much")
    return Session(
        session=_session(operation, properties),
        pay_usd=_NOTHING,
        refund_usd=amount(properties.get("billingRefundAmount")),
        left_usd=left,
        bought_usd=_NOTHING,
        refusals=refusals,
    )


def quote_exchange(
    clients: AzureClients, giving: Sequence[Giving], taking: Sequence[Taking]
) -> Session:
    """What an exchange would come to. What is bought must be worth what is left, at least."""
    operation = "CalculateExchange.Post"
    request = CalculateExchangeRequest(
        properties=CalculateExchangeRequestProperties(
            reservations_to_exchange=[one.wire for one in giving],
            reservations_to_purchase=[
                purchase_request(
                    one.terms,
                    quantity=one.quantity,
                    display_name=one.name,
                    charged_to=clients.access.charged_to,
                )
                for one in taking
            ],
        )
    )
    properties = _calculated(clients, operation, request).get("properties") or {}
    gives = properties.get("reservationsToExchange") or []
    left = sum((_left(one) for one in gives), _NOTHING)
    bought, net = amount(properties.get("purchasesTotal")), amount(properties.get("netPayable"))
    refusals = _refusals(properties.get("policyResult") or {})
    if bought < left:
        refusals = (*refusals, f"{bought} USD would be bought for {left} USD that is left")
    return Session(
        session=_session(operation, properties),
        pay_usd=max(net, _NOTHING),
        refund_usd=max(-net, _NOTHING),
        left_usd=left,
        bought_usd=bought,
        refusals=refusals,
    )


def _calculated(clients: AzureClients, operation: str, request: CalculateExchangeRequest) -> Answer:
    """The result of the calculation, which goes on for a while and changes nothing."""
    access = clients.access
    wait = access.settle_reads * max(access.settle_every_seconds, 1.0)
    try:
        poller = clients.reservations.calculate_exchange.begin_post(
            request, polling_interval=access.settle_every_seconds
        )
        answer: Answer = poller.result(wait).as_dict()
        done = poller.done()
    except AzureError as error:
        raise failed(operation, error) from error
    if not done or answer.get("status") != "Succeeded":
        fault = answer.get("error") or {}
        raise _refused(
            operation,
            str(fault.get("code") or "not_calculated"),
            str(fault.get("message") or f"it is {answer.get('status')}"),
        )
    return answer


def give_back(
    clients: AzureClients, session: Session, giving: Giving, still_wanted: StillWanted
) -> AlterationOutcome:
    """Return what the session quoted; done when the reservation has so many machines less."""
    before = machines(reservation(clients, giving.commitment))
    request = RefundRequest(
        properties=RefundRequestProperties(
            session_id=session.session,
            scope=_SCOPE,
            reservation_to_return=giving.wire,
            return_reason=_REASON,
        )
    )
    order = Place.of(giving.commitment).order
    returning = clients.buying_reservations.return_operations
    return _sent(
        clients,
        still_wanted,
        lambda: returning.begin_post(order, request, polling=False),
        lambda: _shrunk(clients, giving, before, session.refund_usd),
    )


def _shrunk(
    clients: AzureClients, giving: Giving, before: int, refund_usd: Decimal
) -> Altered | None:
    now = machines(reservation(clients, giving.commitment))
    return Altered((), _NOTHING, refund_usd) if now == before - giving.quantity else None


def exchange(
    clients: AzureClients,
    session: Session,
    giving: Sequence[Giving],
    names: Sequence[str],
    still_wanted: StillWanted,
) -> AlterationOutcome:
    """Exchange what the session quoted; done when all sources shrank and all targets are paid."""
    before = [machines(reservation(clients, one.commitment)) for one in giving]
    request = ExchangeRequest(properties=ExchangeRequestProperties(session_id=session.session))
    exchanging = clients.buying_reservations.exchange
    return _sent(
        clients,
        still_wanted,
        lambda: exchanging.begin_post(request, polling=False),
        lambda: _exchanged(clients, session, list(zip(giving, before, strict=True)), names),
    )


def _exchanged(
    clients: AzureClients,
    session: Session,
    giving: Sequence[tuple[Giving, int]],
    names: Sequence[str],
) -> Altered | None:
    for one, before in giving:
        if machines(reservation(clients, one.commitment)) != before - one.quantity:
            return None
    listed = read(
        "Reservation.ListAll",
        lambda: [one.as_dict() for one in clients.reservations.reservation.list_all()],
    )
    made = [one for one in listed if (one.get("properties") or {}).get("displayName") in names]
    for found in made:  # asking for its order lets an operation get on
        order = str(found.get("name")).partition("/")[0]
        read("ReservationOrder.Get", partial(clients.reservations.reservation_order.get, order))
    if len(made) != len(names) or not all(machines(one) for one in made):
        return None
    paid = tuple(CommitmentId(str(one["id"])) for one in made)
    return Altered(paid, session.pay_usd, session.refund_usd)


def split(
    clients: AzureClients,
    commitment: CommitmentId,
    quantities: Sequence[int],
    still_wanted: StillWanted,
) -> AlterationOutcome:
    """Two reservations out of one; done when the source says that it was split."""
    request = SplitRequest(
        properties=SplitProperties(quantities=list(quantities), reservation_id=commitment)
    )
    place = Place.of(commitment)
    splitting = clients.buying_reservations.reservation
    return _sent(
        clients,
        still_wanted,
        lambda: splitting.begin_split(place.order, request, polling=False),
        lambda: _became(clients, commitment, "Split", "splitProperties", "splitDestinations"),
    )


def merge(
    clients: AzureClients, commitments: Sequence[CommitmentId], still_wanted: StillWanted
) -> AlterationOutcome:
    """One reservation out of several of one order; done when the sources say so."""
    request = MergeRequest(properties=MergeProperties(sources=list(commitments)))
    place = Place.of(commitments[0])
    merging = clients.buying_reservations.reservation
    return _sent(
        clients,
        still_wanted,
        lambda: merging.begin_merge(place.order, request, polling=False),
        lambda: _became(clients, commitments[0], "Merged", "mergeProperties", "mergeDestination"),
    )


def _became(
    clients: AzureClients, commitment: CommitmentId, state: str, links: str, link: str
) -> Altered | None:
    properties = reservation(clients, commitment).get("properties") or {}
    made = (properties.get(links) or {}).get(link)
    if properties.get("provisioningState") != state or not made:
        return None
    names = [made] if isinstance(made, str) else made
    return Altered(tuple(CommitmentId(str(one)) for one in names), _NOTHING, _NOTHING)


def set_renewal(
    clients: AzureClients, commitment: CommitmentId, still_wanted: StillWanted, *, renew: bool
) -> AlterationOutcome:
    """Renew at the end of the term, or not; done when the reservation says so."""
    place = Place.of(commitment)

    def done() -> Altered | None:
        properties = reservation(clients, commitment).get("properties") or {}
        wanted = bool(properties.get("renew")) is renew
        return Altered((), _NOTHING, _NOTHING) if wanted else None

    settled = done()
    if settled is not None:
        return settled
    request = Patch(properties=PatchProperties(renew=renew))
    updating = clients.buying_reservations.reservation
    return _sent(
        clients,
        still_wanted,
        lambda: updating.begin_update(place.order, place.reservation, request, polling=False),
        done,
    )


def _sent(
    clients: AzureClients,
    still_wanted: StillWanted,
    send: Callable[[], object],
    done: Callable[[], Altered | None],
) -> AlterationOutcome:
    """Send once, if it is wanted still, then watch for the effect for a while."""
    stopped = still_wanted()
    if stopped is not None:
        return stopped
    try:
        send()
    except AzureError as error:
        return outcome_of(error)
    except UNREADABLE as error:
        return Unknown(trouble(error))
    shown = "Azure does not show the effect yet"
    for number in range(clients.access.settle_reads):
        if number:
            clients.sleep(clients.access.settle_every_seconds)
        try:
            settled = done()
        except (ProviderError, *UNREADABLE) as error:
            shown = str(error)
            continue
        if settled is not None:
            return settled
    return Unknown(f"it was sent, and {shown}")


def _left(one: Answer) -> Decimal:
    """What is left of a source: payments to come, or what was paid in advance."""
    billing = one.get("billingInformation") or {}
    told = (billing.get("billingCurrencyRemainingCommitmentAmount"), one.get("billingRefundAmount"))
    return max(map(amount, told))


def _refusals(policy: Answer) -> tuple[str, ...]:
    return tuple(
        f"{one.get('code')}: {one.get('message')}" for one in policy.get("policyErrors") or ()
    )


def _session(operation: str, properties: Answer) -> str:
    session = properties.get("sessionId")
    if not session:
        raise _refused(operation, "incomplete_answer", "the answer has no sessionId")
    return str(session)


def _refused(operation: str, code: str, detail: str) -> ProviderError:
    return ProviderError(provider=PROVIDER, operation=operation, code=code, detail=detail)
