"""``ProviderAlterer`` for one AWS account: what can be undone or changed, and doing it once."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from service.domain.alterations import (
    AlterationKind,
    AlterationOrder,
    AlterationOutcome,
    AlterationQuote,
)
from service.domain.commitments import CommitmentState
from service.domain.errors import InvariantError, ProviderError
from service.domain.hours import Clock
from service.domain.purchases import Idempotency, InventoryItem, Refused
from service.providers.aws import exchange, modify, undo
from service.providers.aws.account import OwnAccount
from service.providers.aws.clients import PROVIDER, AwsClients
from service.providers.aws.reservations import KINDS as RESERVED_KINDS
from service.providers.port import StillWanted, always_wanted

EXCHANGE_LEFT_MIN = timedelta(hours=24)
_REPEATED = {
    AlterationKind.RETURN: Idempotency.NATIVE,
    AlterationKind.MODIFY: Idempotency.NATIVE,
    # A purchase that is gone cannot be deleted twice.
    AlterationKind.CANCEL_QUEUED: Idempotency.NATIVE,
    AlterationKind.EXCHANGE: Idempotency.LOOKUP,
}


class AwsAlterer:
    """Alters what one AWS account owns, and nothing of another's."""

    def __init__(self, clients: AwsClients, *, clock: Clock) -> None:
        self._clients = clients
        self._clock = clock
        self._own = OwnAccount(clients)

    def alteration_idempotency(self, alteration: AlterationKind) -> Idempotency:
        """How an alteration may be repeated: an exchange only after looking at the inventory."""
        if alteration not in _REPEATED:
            msg = f"AWS knows no {alteration}"
            raise InvariantError(msg)
        return _REPEATED[alteration]

    def ways(self, item: InventoryItem, now: datetime) -> frozenset[AlterationKind]:
        """What AWS's rules allow for ``item`` now, as far as its listing shows.

        Returns left this year, and a modification under way, are not in the listing: the quote
        tells of them.
        """
        state = item.commitment.state
        if item.kind.is_spend:
            if state is CommitmentState.QUEUED:
                return frozenset({AlterationKind.CANCEL_QUEUED})
            returnable = not undo.why_no_return(item, now)
            return frozenset({AlterationKind.RETURN} if returnable else ())
        if item.kind not in RESERVED_KINDS:
            return frozenset()
        if state is CommitmentState.QUEUED:
            return frozenset({AlterationKind.CANCEL_QUEUED})
        if state is not CommitmentState.ACTIVE:
            return frozenset()
        lasting = item.commitment.end - now >= EXCHANGE_LEFT_MIN
        exchanged = {AlterationKind.EXCHANGE} if item.exchangeable and lasting else set()
        return frozenset({AlterationKind.MODIFY} | exchanged)

    def quote_alteration(self, order: AlterationOrder) -> AlterationQuote:
        """What the order comes to now; ``ProviderError`` when AWS does not say."""
        now = self._clock.now()
        match self._known(order):
            case AlterationKind.EXCHANGE:
                return exchange.quote(self._clients, order, now)
            case AlterationKind.MODIFY:
                return modify.quote(self._clients, order, now)
            case _:
                return undo.quote(self._clients, order, now)

    def alter(
        self, order: AlterationOrder, *, still_wanted: StillWanted = always_wanted
    ) -> AlterationOutcome:
        """Do it, in exactly one attempt on the wire, in the order's own account only."""
        refused = self._own.refusal(order.account)
        if refused is not None:
            return refused
        try:
            known = self._known(order)
        except ProviderError as error:
            return Refused(code=error.code, detail=error.detail)
        now = self._clock.now()
        doing: dict[AlterationKind, Callable[[], AlterationOutcome]] = {
            AlterationKind.RETURN: lambda: undo.give_back(self._clients, order, now, still_wanted),
            AlterationKind.CANCEL_QUEUED: lambda: undo.cancel_queued(
                self._clients, order, now, still_wanted
            ),
            AlterationKind.EXCHANGE: lambda: exchange.exchange(
                self._clients, order, now, still_wanted
            ),
            AlterationKind.MODIFY: lambda: modify.modify(self._clients, order, still_wanted),
        }
        return doing[known]()

    def _known(self, order: AlterationOrder) -> AlterationKind:
        spend = order.kind.is_spend
        fits = {
            AlterationKind.RETURN: spend,
            AlterationKind.CANCEL_QUEUED: spend or order.kind in RESERVED_KINDS,
            AlterationKind.EXCHANGE: order.kind in RESERVED_KINDS,
            AlterationKind.MODIFY: order.kind in RESERVED_KINDS,
        }
        if fits.get(order.alteration, False):
            return order.alteration
        raise ProviderError(
            provider=PROVIDER,
            operation=f"{order.alteration}",
            code="no_such_way",
            detail=f"{order.kind} knows no {order.alteration}",
        )
