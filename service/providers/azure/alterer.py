"""``ProviderAlterer`` for one Azure subscription.

Reservations can be exchanged, returned within the refund limit, split, merged, and set to renew or
not; savings plans only the last. A return's target, if there is one, is what remains: without a
target all is given back. Quantities are machines.

Just before a return or an exchange is sent it is quoted again, with a session of its own. It is
refused when the quote says no, when less would be bought than is left (the value ratchet), or when
what is to be paid, less what comes back, is above ``most_to_pay_usd``: a negative one asks for at
least so much back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from azure.core.exceptions import AzureError
from azure.mgmt.billingbenefits.models import (
    SavingsPlanUpdateRequest,
    SavingsPlanUpdateRequestProperties,
)

from service.domain.alterations import (
    AlterationKind,
    AlterationOrder,
    AlterationOutcome,
    AlterationQuote,
    Altered,
    Target,
)
from service.domain.commitments import CommitmentState, Kind
from service.domain.errors import InputError, ProviderError
from service.domain.hours import HOUR, TERM_HOURS, Clock
from service.domain.ids import CommitmentId, IntentId
from service.domain.purchases import InventoryItem, Refused, Unknown
from service.providers.azure import changes, inventory
from service.providers.azure.changes import Giving, Session, Taking
from service.providers.azure.clients import UNREADABLE, AzureClients, read
from service.providers.azure.outcome import outcome_of
from service.providers.azure.reservations import ReservationTerms
from service.providers.azure.retirements import is_retired
from service.providers.azure.words import account_of, name_of
from service.providers.port import StillWanted, always_wanted

_NOTHING = Decimal(0)
_FREE = frozenset({AlterationKind.SPLIT, AlterationKind.MERGE, AlterationKind.SET_RENEWAL})
_PARTS = 2
_PLAN_PARTS = 7


class AzureAlterer:
    """Alters what one paying subscription owns; orders for others are refused."""

    def __init__(self, clients: AzureClients, *, clock: Clock) -> None:
        self._clients = clients
        self._clock = clock

    def ways(self, item: InventoryItem, now: datetime) -> frozenset[AlterationKind]:
        """What Azure's rules allow, as far as the listing shows; the refund limit it does not."""
        owned = item.commitment
        if owned.state is not CommitmentState.ACTIVE or now >= owned.end:
            return frozenset()
        if item.kind is Kind.AZURE_SAVINGS_PLAN:
            return frozenset({AlterationKind.SET_RENEWAL})
        if item.kind is not Kind.AZURE_RESERVATION:
            return frozenset()
        found = {AlterationKind.MERGE}
        if item.returnable_until is not None and now < item.returnable_until:
            found.add(AlterationKind.RETURN)
        if item.exchangeable:
            found.add(AlterationKind.EXCHANGE)
        if owned.quantity >= _PARTS:
            found.add(AlterationKind.SPLIT)
        terms = ReservationTerms.of_offering(owned.offering)
        if item.renews or not is_retired(terms.arm_sku_name, terms.term_months, owned.end.date()):
            found.add(AlterationKind.SET_RENEWAL)
        return frozenset(found)

    def quote_alteration(self, order: AlterationOrder) -> AlterationQuote:
        """What the order would come to now. ``ProviderError`` when Azure does not tell."""
        if order.alteration is AlterationKind.SET_RENEWAL:
            return self._renewal_quote(order)
        if order.alteration in _FREE:
            return self._quote(order, None)
        if order.alteration is AlterationKind.RETURN:
            return self._quote(order, changes.quote_return(self._clients, self._returned(order)))
        if order.alteration is AlterationKind.EXCHANGE:
            return self._quote(
                order,
                changes.quote_exchange(self._clients, self._given(order), self._taken(order)),
            )
        raise InputError(
            f"Azure knows no {order.alteration}",
            file="the order",
            remedy="Ask for exchange, return, split, merge or set_renewal.",
        )

    def alter(
        self, order: AlterationOrder, *, still_wanted: StillWanted = always_wanted
    ) -> AlterationOutcome:
        """Do it, in exactly one attempt on the wire; refuses when the price rose above the cap."""
        own = account_of(self._clients.access.subscription_id)
        if order.account != own:
            return Refused("wrong_account", f"the credentials pay by {own}, not {order.account}")
        try:
            return self._altered(order, still_wanted)
        except (ProviderError, InputError, *UNREADABLE) as error:
            # Everything that raises is asked before anything is sent.
            return Refused("not_sent", str(error))

    def _altered(self, order: AlterationOrder, still_wanted: StillWanted) -> AlterationOutcome:
        match order.alteration:
            case AlterationKind.RETURN:
                giving = self._returned(order)
                session = changes.quote_return(self._clients, giving)
                return _stops(order, session) or changes.give_back(
                    self._clients, session, giving, still_wanted
                )
            case AlterationKind.EXCHANGE:
                gives, takes = self._given(order), self._taken(order)
                session = changes.quote_exchange(self._clients, gives, takes)
                names = [one.name for one in takes]
                return _stops(order, session) or changes.exchange(
                    self._clients, session, gives, names, still_wanted
                )
            case AlterationKind.SPLIT:
                (source,) = order.sources
                quantities = [_whole(target.quantity) for target in order.targets]
                return changes.split(self._clients, source, quantities, still_wanted)
            case AlterationKind.MERGE:
                return changes.merge(self._clients, order.sources, still_wanted)
            case AlterationKind.SET_RENEWAL:
                return self._renewal(order, still_wanted)
            case _:
                return Refused("kind", f"Azure knows no {order.alteration}")

    def _renewal(self, order: AlterationOrder, still_wanted: StillWanted) -> AlterationOutcome:
        if order.renew is None or len(order.sources) != 1:
            return Refused("order", "one commitment is set to renew, or not to")
        (source,) = order.sources
        if order.kind is Kind.AZURE_SAVINGS_PLAN:
            return self._plan_renewal(source, still_wanted, renew=order.renew)
        return changes.set_renewal(self._clients, source, still_wanted, renew=order.renew)

    def _plan_renewal(
        self, source: CommitmentId, still_wanted: StillWanted, *, renew: bool
    ) -> AlterationOutcome:
        parts = source.split("/")
        if len(parts) != _PLAN_PARTS:
            return Refused("not_a_plan", str(source))
        order, plan = parts[4], parts[6]

        def shown() -> bool:
            found = read(
                "SavingsPlan.Get",
                lambda: self._clients.benefits.savings_plan.get(order, plan).as_dict(),
            )
            return bool((found.get("properties") or {}).get("renew")) is renew

        if shown():
            return Altered((), _NOTHING, _NOTHING)
        request = SavingsPlanUpdateRequest(
            properties=SavingsPlanUpdateRequestProperties(renew=renew)
        )
        updating = self._clients.buying_benefits.savings_plan
        stopped = still_wanted()
        if stopped is not None:
            return stopped
        try:
            updating.begin_update(order, plan, request, polling=False)
        except AzureError as error:
            return outcome_of(error)
        try:
            done = shown()
        except (ProviderError, *UNREADABLE) as error:
            return Unknown(f"it was sent, and {error}")
        return Altered((), _NOTHING, _NOTHING) if done else Unknown("Azure does not show it yet")

    def _renewal_quote(self, order: AlterationOrder) -> AlterationQuote:
        """Nothing is due now; renewing obliges to another whole term at what is paid now."""
        plans = order.kind is Kind.AZURE_SAVINGS_PLAN
        listed = (inventory.savings_plans if plans else inventory.reservations)(self._clients)
        owned = [item for item in listed if item.commitment.commitment in order.sources]
        if len(owned) != len(order.sources) or not owned:
            raise _unfit(f"{', '.join(order.sources)}: {len(owned)} of them are listed")
        now = self._clock.now()
        left = again = hourly = _NOTHING
        for item in owned:
            one, usd_per_hour = item.commitment, Decimal(item.commit_usd_per_hour)
            left += usd_per_hour * max((one.end - max(now, one.start)) // HOUR, 0)
            again += usd_per_hour * TERM_HOURS[item.term_months]
            hourly += usd_per_hour
        return replace(
            self._quote(order, None),
            source_value_usd=left,
            target_value_usd=left + again if order.renew else left,
            usd_per_hour=hourly if order.renew else None,
        )

    def _quote(self, order: AlterationOrder, session: Session | None) -> AlterationQuote:
        refusals = () if session is None else session.refusals
        targets = order.targets
        if order.alteration is AlterationKind.SET_RENEWAL:
            targets = ()
        return AlterationQuote(
            allowed=not refusals,
            detail="; ".join(refusals),
            pay_usd=_NOTHING if session is None else session.pay_usd,
            refund_usd=_NOTHING if session is None else session.refund_usd,
            source_value_usd=_NOTHING if session is None else session.left_usd,
            target_value_usd=_NOTHING if session is None else session.bought_usd,
            targets=targets,
            reference=None if session is None else session.session,
            quoted_at=self._clock.now(),
            usd_per_hour=_usd_per_hour(order, session),
        )

    def _returned(self, order: AlterationOrder) -> Giving:
        """What is given back: all, less what is to remain."""
        if len(order.sources) != 1 or len(order.targets) > 1:
            raise _unfit("one reservation is returned at a time, in whole or in part")
        (source,) = order.sources
        owned = changes.machines(changes.reservation(self._clients, source))
        rest = _whole(order.targets[0].quantity) if order.targets else 0
        if not 0 <= rest < owned:
            raise _unfit(f"{source} has {owned} machines, {rest} of them cannot remain")
        return Giving(source, owned - rest)

    def _given(self, order: AlterationOrder) -> list[Giving]:
        """The sources, whole. Part of a reservation is exchanged by splitting it first."""
        found = [
            Giving(source, changes.machines(changes.reservation(self._clients, source)))
            for source in order.sources
        ]
        gone = [one.commitment for one in found if not one.quantity]
        if gone or not found:
            raise _unfit(f"not active: {', '.join(gone) or 'nothing'}")
        return found

    def _taken(self, order: AlterationOrder) -> list[Taking]:
        return [
            _taking(target, order.intent, number, len(order.targets))
            for number, target in enumerate(order.targets)
        ]


def _usd_per_hour(order: AlterationOrder, session: Session | None) -> Decimal | None:
    """What an exchange buys, by the hour: as dear as if all of it were for the shortest term."""
    if session is None or order.alteration is not AlterationKind.EXCHANGE or not order.targets:
        return None
    return session.bought_usd / min(TERM_HOURS[one.term_months] for one in order.targets)


def _taking(target: Target, intent: IntentId, number: int, of: int) -> Taking:
    if target.offering is None:
        raise _unfit("an exchange names what it takes")
    terms = ReservationTerms.of_offering(target.offering)
    if (terms.term_months, terms.payment) != (target.term_months, target.payment):
        raise _unfit(f"{target.offering} is not for {target.term_months} months {target.payment}")
    name = name_of(IntentId(intent if of == 1 else f"{intent}.{number + 1}"))
    if name is None:
        raise _unfit(f"Azure would not take {intent} into a name")
    return Taking(terms, _whole(target.quantity), name)


def _stops(order: AlterationOrder, session: Session) -> Refused | None:
    """Why what was quoted just now is not sent; ``None`` when it may be."""
    if session.refusals:
        return Refused("policy", "; ".join(session.refusals))
    if order.alteration is AlterationKind.EXCHANGE and session.bought_usd < session.left_usd:
        detail = f"{session.bought_usd} USD would be bought for {session.left_usd} USD"
        return Refused("value_ratchet", detail)
    net = session.pay_usd - session.refund_usd
    if net > order.most_to_pay_usd:
        detail = f"{net} USD is to be paid now, at most {order.most_to_pay_usd} was allowed"
        return Refused("price_moved", detail)
    return None


def _whole(quantity: Decimal) -> int:
    if quantity != int(quantity) or quantity < 0:
        raise _unfit(f"{quantity} is not a number of machines")
    return int(quantity)


def _unfit(problem: str) -> InputError:
    return InputError(problem, file="the order", remedy="Ask for something that Azure knows.")
