"""``ProviderAlterer`` for one project: renewal, a longer term, merging and splitting, once each.

Google gives nothing back: there is no way to cancel or return a commitment, and flexible ones
cannot be altered at all. Nothing here costs cash at once, but renewing and upgrading oblige for
longer, which the quote's target value tells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from typing import TYPE_CHECKING, Any

from service.domain.alterations import (
    AlterationKind,
    AlterationOrder,
    AlterationOutcome,
    AlterationQuote,
    Altered,
    Target,
)
from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.errors import InvariantError, ProviderError
from service.domain.hours import HOUR, TERM_HOURS, Clock
from service.domain.ids import CommitmentId
from service.domain.purchases import Idempotency, InventoryItem, Refused, Unknown
from service.providers.gcp.clients import GcpClients, invoke, wire_errors
from service.providers.gcp.inventory import amounts_of, span_of
from service.providers.gcp.outcome import NOT_SENT, outcome_of
from service.providers.gcp.price_list import PriceList, Prices
from service.providers.gcp.resource_commitments import Exists, insert, watch
from service.providers.gcp.words import (
    PLAN_WORDS,
    PLANS,
    PROVIDER,
    RAM,
    STATES,
    VCPU,
    Place,
    ResourceTerms,
    commitment_name,
    gcp_tables,
    gigabytes,
    intent_of,
    known,
    place_of,
    request_id,
    tag,
)
from service.providers.port import StillWanted, always_wanted

if TYPE_CHECKING:
    from google.cloud.compute_v1.types import Commitment as Listed

RENEWAL_CLOSES = timedelta(hours=24)
"""Renewal can be changed until the day before the end; a day is left as a margin."""
_WAYS = frozenset(
    {
        AlterationKind.SET_RENEWAL,
        AlterationKind.UPGRADE_TERM,
        AlterationKind.MERGE,
        AlterationKind.SPLIT,
    }
)
_LONGEST = max(PLAN_WORDS)
_TWO = 2


@dataclass(frozen=True, slots=True)
class Source:
    """A commitment as Google lists it now."""

    place: Place
    listed: Listed

    @property
    def months(self) -> int:
        """Its term."""
        return known(PLANS, self.listed.plan)

    @property
    def vcpus(self) -> int:
        """Its vCPUs."""
        return amounts_of(self.listed)[0]

    @property
    def memory_mb(self) -> int:
        """Its memory."""
        return amounts_of(self.listed)[1]

    def usd_per_hour(self, prices: PriceList, months: int) -> Decimal:
        """What it costs an hour at the rates of a term of ``months``."""
        family = known(gcp_tables().families, self.listed.type_)
        gb = gigabytes(self.memory_mb)
        total = Decimal(0)
        for resource, quantity in ((VCPU, Decimal(self.vcpus)), (RAM, gb)):
            rate = prices.owed_usd(ResourceTerms(self.place.region, family, resource, months))
            if quantity and rate is None:
                raise _cannot("no_price", f"{self.place.path} is of a series without a price")
            total += quantity * (rate or Decimal(0))
        return total


class GcpAlterer:
    """Alters what one project owns, and nothing of another's."""

    def __init__(self, clients: GcpClients, prices: Prices, *, clock: Clock) -> None:
        self._clients = clients
        self._prices = prices
        self._clock = clock

    def alteration_idempotency(self, alteration: AlterationKind) -> Idempotency:
        """``NATIVE``: each carries a request id, and what is made has the intent's own name."""
        if alteration not in _WAYS:
            msg = f"Google Cloud knows no {alteration}"
            raise InvariantError(msg)
        return Idempotency.NATIVE

    def ways(self, item: InventoryItem, now: datetime) -> frozenset[AlterationKind]:
        """What Google's rules allow for ``item`` now; its memory goes where its vCPUs go."""
        owned = item.commitment
        if item.kind is not Kind.GCP_RESOURCE_CUD or place_of(owned.commitment) is None:
            return frozenset()
        if owned.state not in {CommitmentState.ACTIVE, CommitmentState.QUEUED}:
            return frozenset()
        renewal = {AlterationKind.SET_RENEWAL} if owned.end - now > RENEWAL_CLOSES else set()
        if owned.state is CommitmentState.QUEUED:
            return frozenset(renewal)
        longer = {AlterationKind.UPGRADE_TERM} if item.term_months < _LONGEST else set()
        parts = {AlterationKind.SPLIT} if owned.quantity > 1 else set()
        return frozenset({AlterationKind.MERGE} | renewal | longer | parts)

    def quote_alteration(self, order: AlterationOrder) -> AlterationQuote:
        """What the order obliges to, from the listing and the price list as they are now."""
        sources = self._sources(order)
        detail = why_not(order, sources, self._clock.now())
        prices = self._prices.fresh()
        before = sum((self._left_usd(prices, one) for one in sources), Decimal(0))
        after, hourly = before, None
        if not detail and order.alteration is AlterationKind.UPGRADE_TERM:
            (one,) = sources
            hourly = one.usd_per_hour(prices, _LONGEST)
            after = hourly * TERM_HOURS[_LONGEST]
        if not detail and order.alteration is AlterationKind.SET_RENEWAL and order.renew:
            again = [(s.usd_per_hour(prices, s.months), TERM_HOURS[s.months]) for s in sources]
            hourly = sum((usd for usd, _ in again), Decimal(0))
            after += sum((usd * hours for usd, hours in again), Decimal(0))
        return AlterationQuote(
            allowed=not detail,
            detail=detail,
            pay_usd=Decimal(0),
            refund_usd=Decimal(0),
            source_value_usd=before,
            target_value_usd=after,
            targets=_targets(order, sources),
            reference=None,
            quoted_at=self._clock.now(),
            usd_per_hour=hourly,
        )

    def alter(
        self, order: AlterationOrder, *, still_wanted: StillWanted = always_wanted
    ) -> AlterationOutcome:
        """Do it, in one attempt on the wire; what was done before under the intent is a yes."""
        if order.account != self._clients.access.project:
            detail = f"the settings are for {self._clients.access.project}, not {order.account}"
            return Refused("wrong_account", detail)
        try:
            done = self._done_before(order)
            if done is not None:
                return done
            sources = self._sources(order)
        except ProviderError as error:
            return Refused(NOT_SENT, str(error))
        if _is_so_already(order, sources):
            return Altered((), Decimal(0), Decimal(0))
        detail = why_not(order, sources, self._clock.now())
        if detail:
            return Refused("not_allowed", detail)
        act: Mapping[AlterationKind, Callable[..., AlterationOutcome]] = {
            AlterationKind.SET_RENEWAL: self._update,
            AlterationKind.UPGRADE_TERM: self._update,
            AlterationKind.MERGE: self._make,
            AlterationKind.SPLIT: self._make,
        }
        return act[order.alteration](order, sources, still_wanted)

    def _update(
        self, order: AlterationOrder, sources: Sequence[Source], still_wanted: StillWanted
    ) -> AlterationOutcome:
        (source,) = sources
        renewal = order.alteration is AlterationKind.SET_RENEWAL
        change: dict[str, Any] = (
            {"auto_renew": bool(order.renew)} if renewal else {"plan": PLAN_WORDS[_LONGEST]}
        )
        client = self._clients.commitments()
        stopped = still_wanted()
        if stopped is not None:
            return stopped
        try:
            begun = client.update_unary(
                request={
                    "project": source.place.project,
                    "region": source.place.region,
                    "commitment": source.place.name,
                    "request_id": request_id(order.token),
                    "update_mask": "auto_renew" if renewal else "plan",
                    "commitment_resource": change,
                },
                retry=None,
                timeout=self._clients.access.purchase_timeout_seconds,
            )
        except wire_errors() as error:
            return outcome_of(error)
        return _outcome(watch(self._clients, source.place, begun), ())

    def _make(
        self, order: AlterationOrder, sources: Sequence[Source], still_wanted: StillWanted
    ) -> AlterationOutcome:
        """One commitment out of others; its name is the intent's own."""
        first = sources[0]
        place = Place(first.place.project, first.place.region, commitment_name(order.intent))
        vcpus, memory_mb = contents_of(order, sources)
        amounts = (("VCPU", vcpus), ("MEMORY", memory_mb))
        links = [_link(one.place) for one in sources]
        merging = order.alteration is AlterationKind.MERGE
        body: dict[str, Any] = {
            "description": tag(order.intent),
            "plan": first.listed.plan,
            "type_": first.listed.type_,
            "category": "MACHINE",
            "auto_renew": False,
            "resources": [{"type_": kind, "amount": one} for kind, one in amounts if one],
            **({"merge_source_commitments": links} if merging else {}),
            **({} if merging else {"split_source_commitment": links[0]}),
        }
        made = (place.commitment(),)
        ended = insert(self._clients, place, body, request_id(order.token), still_wanted)
        return _outcome(ended, made)

    def _done_before(self, order: AlterationOrder) -> AlterationOutcome | None:
        """What the intent did before, where that shows; ``None`` when it did nothing yet."""
        places = [place_of(one) for one in order.sources]
        if order.alteration in {AlterationKind.MERGE, AlterationKind.SPLIT} and places[0]:
            place = Place(places[0].project, places[0].region, commitment_name(order.intent))
            listed = self._listed(place)
            if listed is None:
                return None
            if intent_of(listed.description) == order.intent and listed.status != "CREATING":
                return Altered((place.commitment(),), Decimal(0), Decimal(0))
            return Unknown(f"{place.path} is there, {listed.status}: {listed.description}")
        return None

    def _sources(self, order: AlterationOrder) -> list[Source]:
        found: list[Source] = []
        for one in order.sources:
            place = place_of(one)
            if place is None or place.project != order.account:
                raise _cannot("source", f"{one} is no resource commitment of {order.account}")
            listed = self._listed(place)
            if listed is None:
                raise _cannot("source", f"{place.path} is not there")
            found.append(Source(place, listed))
        return found

    def _listed(self, place: Place) -> Listed | None:
        try:
            return invoke(
                "regionCommitments.get",
                self._clients.commitments().get,
                project=place.project,
                region=place.region,
                commitment=place.name,
            )
        except ProviderError as error:
            if error.code == "notFound":
                return None
            raise

    def _left_usd(self, prices: PriceList, source: Source) -> Decimal:
        start, end = span_of(source.listed)
        hours = max((end - max(start, self._clock.now())) // HOUR, 0)
        return source.usd_per_hour(prices, source.months) * hours


def _is_so_already(order: AlterationOrder, sources: Sequence[Source]) -> bool:
    """What the order asks for is so: it was done, and its answer was lost."""
    if len(sources) != 1:
        return False
    if order.alteration is AlterationKind.SET_RENEWAL:
        return order.renew is not None and bool(sources[0].listed.auto_renew) is order.renew
    return order.alteration is AlterationKind.UPGRADE_TERM and sources[0].months >= _LONGEST


def why_not(order: AlterationOrder, sources: Sequence[Source], now: datetime) -> str:
    """Why the order cannot be done by Google's rules; empty when it can."""
    if order.alteration not in _WAYS or not sources:
        return f"Google Cloud knows no {order.alteration} of {len(sources)} commitments"
    if order.alteration is AlterationKind.SET_RENEWAL:
        return _why_no_renewal(order, sources, now)
    if {known(STATES, one.listed.status) for one in sources} != {CommitmentState.ACTIVE}:
        return "only active commitments can be upgraded, merged or split"
    rules = {
        AlterationKind.UPGRADE_TERM: _why_no_upgrade,
        AlterationKind.MERGE: _why_no_merge,
        AlterationKind.SPLIT: _why_no_split,
    }
    return rules[order.alteration](order, sources)


def _why_no_upgrade(order: AlterationOrder, sources: Sequence[Source]) -> str:
    if len(sources) != 1 or [one.term_months for one in order.targets] not in ([], [_LONGEST]):
        return f"one commitment at a time is upgraded, to {_LONGEST} months"
    if sources[0].months >= _LONGEST:
        return f"its term is {sources[0].months} months already"
    return ""


def _why_no_renewal(order: AlterationOrder, sources: Sequence[Source], now: datetime) -> str:
    if order.renew is None or len(sources) != 1:
        return "renewal is set for one commitment, to yes or no"
    if not known(STATES, sources[0].listed.status).is_owned:
        return "its term is over"
    if span_of(sources[0].listed)[1] - now <= RENEWAL_CLOSES:
        return "renewal can be changed until the day before the end"
    return ""


def _why_no_merge(order: AlterationOrder, sources: Sequence[Source]) -> str:
    kinds = {(one.place.region, one.listed.type_, one.listed.plan) for one in sources}
    if len({one.place for one in sources}) < _TWO or len(kinds) != 1:
        return "two or more commitments of one region, series and term are merged"
    wanted = [one.quantity for one in order.targets]
    held = sum(one.vcpus for one in sources)
    return "" if wanted == [Decimal(held)] else f"merging makes one commitment of {held} vCPUs"


def _why_no_split(order: AlterationOrder, sources: Sequence[Source]) -> str:
    if len(sources) != 1 or not order.targets:
        return "one commitment is split at a time"
    held, wanted = sources[0].vcpus, [one.quantity for one in order.targets]
    if any(one != int(one) or not 0 < one < held for one in wanted):
        return f"each part is a whole number of vCPUs below {held}"
    if len(wanted) > _TWO or (len(wanted) == _TWO and sum(wanted) != held):
        return f"a commitment of {held} vCPUs is split in two that add up to it"
    return ""


def contents_of(order: AlterationOrder, sources: Sequence[Source]) -> tuple[int, int]:
    """How many vCPUs and MB of memory the new commitment gets: all, or a part's share."""
    vcpus = sum(one.vcpus for one in sources)
    memory_mb = sum(one.memory_mb for one in sources)
    if order.alteration is AlterationKind.MERGE:
        return vcpus, memory_mb
    taken, sold = int(order.targets[0].quantity), gcp_tables().memory
    share = Decimal(memory_mb) * taken / vcpus / sold.step_mb
    memory = int(share.to_integral_value(ROUND_DOWN)) * sold.step_mb
    # What stays must be within Google's limit too: memory that it may not keep goes along.
    most_left = (vcpus - taken) * sold.most_mb_per_vcpu
    return taken, max(memory, memory_mb - most_left)


def _targets(order: AlterationOrder, sources: Sequence[Source]) -> tuple[Target, ...]:
    if order.alteration is AlterationKind.UPGRADE_TERM:
        held = Decimal(sources[0].vcpus)
        return (Target(None, held, None, _LONGEST, Payment.NO_UPFRONT),)
    return order.targets


def _outcome(
    ended: Exists | Refused | Unknown | None, made: tuple[CommitmentId, ...]
) -> AlterationOutcome:
    if isinstance(ended, Exists):
        return Unknown(f"a commitment of the intent's name is there already: {ended.detail}")
    return Altered(made, Decimal(0), Decimal(0)) if ended is None else ended


def _link(place: Place) -> str:
    return f"https://www.googleapis.com/compute/v1/{place.path}"


def _cannot(code: str, detail: str) -> ProviderError:
    return ProviderError(provider=PROVIDER, operation="alter", code=code, detail=detail)
