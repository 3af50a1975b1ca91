"""What AWS makes of EC2 reservations that are owned: decides exchanges and modifications.

An exchange turns convertible reservations into one other of at least their value; the value
left never falls, and what is missing in upfront is paid at once. A modification moves, resizes,
splits or merges without charge, at an equal footprint of normalised units. Both end their sources
and keep the latest end. Source: EC2 user guide, "Exchange Convertible Reserved Instances" and
"Modify Reserved Instances".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal

from service.domain.commitments import Kind, Offering, Payment
from service.domain.hours import HOUR, TERM_HOURS, floor_hour
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.domain.usage import Sku, SkuKey
from service.sandbox.catalog import Catalog, zones_of
from service.sandbox.faults import ApiError
from service.sandbox.rates import PROVIDER
from service.sandbox.reservations import ReservationLedger, ReservationRecord
from service.usage.aws_sku import aws_sku, size_units, split_sku

_MICRO = Decimal("0.000001")
_EXCHANGE_HOURS_LEFT = 24


@dataclass(frozen=True, slots=True)
class Value:
    """What is left to pay for, in dollars: hourly, of the upfront, and altogether."""

    hourly_usd: Decimal
    upfront_usd: Decimal
    hours: Decimal

    @property
    def total_usd(self) -> Decimal:
        """The hourly price to the end, and the part of the upfront that is not used up."""
        return self.hourly_usd * self.hours + self.upfront_usd

    def __add__(self, other: Value) -> Value:
        hours = max(self.hours, other.hours)
        return Value(
            self.hourly_usd + other.hourly_usd, self.upfront_usd + other.upfront_usd, hours
        )


@dataclass(frozen=True, slots=True)
class ExchangeQuote:
    """An exchange as it would be now. ``reason`` is set when it would not be accepted."""

    sources: tuple[ReservationRecord, ...]
    offering: Offering
    count: int
    ends_at: datetime
    source_values: tuple[Value, ...]
    source_total_usd: Decimal
    target: Value
    payment_due_usd: Decimal
    reason: str | None


@dataclass(frozen=True, slots=True)
class TargetPart:
    """One parcel that a modification is to make; ``zone`` is ``None`` for the region."""

    instance_type: str
    count: int
    zone: str | None


@dataclass(slots=True)
class Modification:
    """One accepted modification; ``made`` are its reservations once it is fulfilled.

    ``payment_fails`` lets it end as failed; what it makes is hidden as it is told to be.
    """

    modification_id: str
    account: AccountId
    region: str
    token: str | None
    sources: tuple[ReservationRecord, ...]
    parts: tuple[TargetPart, ...]
    asked_at: datetime
    due_at: datetime
    payment_fails: bool = False
    hidden_until: datetime | None = None
    hidden_reads: int = 0
    made: tuple[CommitmentId, ...] = ()

    def status(self, now: datetime) -> str:
        """The provider's word."""
        if self.made:
            return "fulfilled"
        return "failed" if self.payment_fails and now >= self.due_at else "processing"


@dataclass(slots=True)
class ReservationChanges:
    """Exchanges and modifications of a ledger's reservations. Callers hold the world's lock."""

    ledger: ReservationLedger
    delay: timedelta
    modifications: dict[str, Modification] = field(default_factory=dict)

    def quote(
        self,
        sources: Sequence[ReservationRecord],
        offering: Offering,
        *,
        convertible: frozenset[OfferingId],
        now: datetime,
    ) -> ExchangeQuote:
        """What exchanging ``sources`` for as many of ``offering`` as they are worth comes to."""
        ends_at = max(source.end for source in sources)
        hours = _hours(now, ends_at)
        values = tuple(_value_of(source, now) for source in sources)
        worth = sum((value.total_usd for value in values), Decimal(0))
        one = _value_of_offering(offering, hours)
        count = 1
        if one.total_usd > 0:
            count = max(int((worth / one.total_usd).to_integral_value(ROUND_CEILING)), 1)
        target = Value(one.hourly_usd * count, one.upfront_usd * count, hours)
        remaining = sum((value.upfront_usd for value in values), Decimal(0))
        return ExchangeQuote(
            sources=tuple(sources),
            offering=offering,
            count=count,
            ends_at=ends_at,
            source_values=values,
            source_total_usd=worth,
            target=target,
            payment_due_usd=max(target.upfront_usd - remaining, Decimal(0)).quantize(_MICRO),
            reason=self._reason(sources, offering, convertible, now),
        )

    def _reason(
        self,
        sources: Sequence[ReservationRecord],
        offering: Offering,
        convertible: frozenset[OfferingId],
        now: datetime,
    ) -> str | None:
        payments = {source.offering.payment for source in sources}
        longest = max(source.offering.term_months for source in sources)
        soon = now + timedelta(hours=_EXCHANGE_HOURS_LEFT)
        rules = (
            (not all(source.convertible for source in sources), "A source is not convertible."),
            (offering.offering not in convertible, "The target is not convertible."),
            (any(s.state(now) != "active" for s in sources), "A source is not active."),
            (any(source.end < soon for source in sources), "Less than 24 hours are left."),
            (self._is_changing(sources, now), "A source is being modified."),
            (
                offering.payment is Payment.NO_UPFRONT and payments != {Payment.NO_UPFRONT},
                "What was paid upfront cannot become No Upfront.",
            ),
            (offering.term_months != longest, "The target's term must be the sources' longest."),
        )
        return next((reason for broken, reason in rules if broken), None)

    def accept(self, quote: ExchangeQuote, now: datetime) -> ReservationRecord:
        """Exchange as quoted: the sources retire, one reservation takes their place."""
        if quote.reason is not None:
            raise ApiError("InvalidExchange", quote.reason)
        first = quote.sources[0]
        made = self._make(
            first, quote.offering, quote.count, now=now, ends_at=quote.ends_at, convertible=True
        )
        made.fixed_usd = quote.target.upfront_usd / quote.count
        made.upfront_due_usd = quote.payment_due_usd
        for source in quote.sources:
            source.replaced_at = now
        return made

    def modify(
        self,
        sources: Sequence[ReservationRecord],
        parts: Sequence[TargetPart],
        *,
        token: str | None,
        catalog: Catalog,
        now: datetime,
    ) -> Modification:
        """Accept a modification; the same token with the same request is the same one."""
        known = next((m for m in self.modifications.values() if token and m.token == token), None)
        if known is not None and known.account == sources[0].account:
            if (known.sources, known.parts) != (tuple(sources), tuple(parts)):
                raise ApiError("IdempotentParameterMismatch", "The token has other parameters.")
            return known
        self._check(sources, parts, now)
        for part in parts:
            resized(sources[0].offering, part, catalog)
        modification = Modification(
            modification_id=f"rimod-{self.ledger.new_id()}",
            account=sources[0].account,
            region=sources[0].region,
            token=token,
            sources=tuple(sources),
            parts=tuple(parts),
            asked_at=now,
            due_at=now + self.delay,
        )
        self.modifications[modification.modification_id] = modification
        return modification

    def _check(
        self, sources: Sequence[ReservationRecord], parts: Sequence[TargetPart], now: datetime
    ) -> None:
        first = sources[0]
        same = {
            (s.convertible, _family(s), s.offering.platform, s.offering.tenancy) for s in sources
        }
        changes_size = {part.instance_type for part in parts} != {_type(first)} or len(
            {_type(s) for s in sources}
        ) > 1
        ends = {floor_hour(source.end) for source in sources}
        units = sum((unit_weight(_type(s)) * s.count for s in sources), Decimal(0))
        wanted = sum((unit_weight(p.instance_type) * p.count for p in parts), Decimal(0))
        plain = (first.offering.platform, first.offering.tenancy) == ("linux", "shared")
        families = {part.instance_type.partition(".")[0] for part in parts}
        zones = {part.zone for part in parts} - {None}
        rules = (
            (any(s.state(now) != "active" for s in sources), "A reservation is not active."),
            (self._is_changing(sources, now), "A modification is pending."),
            (len(same) > 1, "The reservations differ in more than size, zone and scope."),
            (not first.convertible and len(ends) > 1, "They do not end in the same hour."),
            (not parts or any(part.count < 1 for part in parts), "A target has no instances."),
            (families != {_family(first)}, "The instance family cannot change."),
            (changes_size and not plain, "Only Linux/UNIX on default tenancy can change size."),
            (units != wanted, f"The footprint is {units}, the target's is {wanted}."),
            (not zones <= set(zones_of(first.region)), "There is no such zone."),
        )
        broken = next((reason for is_broken, reason in rules if is_broken), None)
        if broken is not None:
            raise ApiError("InvalidInput", broken)

    def _is_changing(self, sources: Sequence[ReservationRecord], now: datetime) -> bool:
        ids = {source.reservation_id for source in sources}
        return any(
            modification.status(now) == "processing"
            and ids & {source.reservation_id for source in modification.sources}
            for modification in self.modifications.values()
        )

    def settle(self, now: datetime, catalog: Catalog) -> None:
        """Fulfil the modifications that are due by ``now``."""
        for modification in self.modifications.values():
            if modification.made or modification.payment_fails or now < modification.due_at:
                continue
            at, first = modification.due_at, modification.sources[0]
            ends_at = max(source.end for source in modification.sources)
            made = []
            for part in modification.parts:
                offering = resized(first.offering, part, catalog)
                record = self._make(
                    first,
                    offering,
                    part.count,
                    now=at,
                    ends_at=ends_at,
                    convertible=first.convertible,
                )
                record.hidden_until = modification.hidden_until
                record.hidden_reads = modification.hidden_reads
                made.append(record.reservation_id)
            for source in modification.sources:
                source.replaced_at = at
            modification.made = tuple(made)

    def _make(
        self,
        parent: ReservationRecord,
        offering: Offering,
        count: int,
        *,
        now: datetime,
        ends_at: datetime,
        convertible: bool,
    ) -> ReservationRecord:
        """A reservation that was made from others: it owes nothing upfront and is paid for."""
        record = ReservationRecord(
            reservation_id=CommitmentId(str(self.ledger.new_id())),
            account=parent.account,
            region=parent.region,
            offering=offering,
            convertible=convertible,
            count=count,
            asked_at=now,
            start=now.replace(microsecond=0),
            end=ends_at,
            fixed_usd=Decimal(0),
            upfront_due_usd=Decimal(0),
            is_purchase=False,
            paid_at=now,
        )
        self.ledger.reservations[record.reservation_id] = record
        return record


def _hours(now: datetime, end: datetime) -> Decimal:
    return Decimal(max((end - now) // HOUR, 0))


def _value_of(record: ReservationRecord, now: datetime) -> Value:
    one = _value_of_offering(record.offering, _hours(now, record.end))
    return Value(one.hourly_usd * record.count, one.upfront_usd * record.count, one.hours)


def _value_of_offering(offering: Offering, hours: Decimal) -> Value:
    """One instance over the last ``hours`` of its term."""
    (rate,) = offering.rates_usd.values()
    share = offering.upfront_usd / TERM_HOURS[offering.term_months]
    return Value(rate - share, share * hours, hours)


def _unit(offering: Offering) -> str:
    (sku,) = offering.rates_usd
    return split_sku(sku)[0].partition(":")[2]


def _type(record: ReservationRecord) -> str:
    return _unit(record.offering)


def _family(record: ReservationRecord) -> str:
    return _type(record).partition(".")[0]


def unit_weight(instance_type: str) -> Decimal:
    """Normalised units of one instance; ``ApiError`` for a size without a weight."""
    units = size_units(instance_type)
    if units is None:
        raise ApiError("InvalidInput", f"{instance_type} has no normalisation factor.")
    return units


def resized(parent: Offering, part: TargetPart, catalog: Catalog) -> Offering:
    """The parent's offering at the part's size and place, at the parent's price for a unit.

    ``ApiError`` for a size that is not sold there.
    """
    (old,) = parent.rates_usd
    usage_type, operation = split_sku(old)
    head = usage_type.partition(":")[0]
    name = aws_sku(f"{head}:{part.instance_type}", operation)
    ratio = unit_weight(part.instance_type) / unit_weight(_unit(parent))
    sku: Sku | None = catalog.skus.get(SkuKey(PROVIDER, str(parent.region), name))
    if sku is None:
        raise ApiError("InvalidInput", f"{part.instance_type} is not sold in {parent.region}.")
    return replace(
        parent,
        kind=Kind.AWS_RI_REGIONAL if part.zone is None else Kind.AWS_RI_ZONAL,
        zone=part.zone,
        size_flexible=part.zone is None and sku.size_units is not None,
        rates_usd={name: parent.rates_usd[old] * ratio},
        upfront_usd=parent.upfront_usd * ratio,
    )


def sources_of(
    ledger: ReservationLedger, account: AccountId, region: str, ids: Sequence[str]
) -> list[ReservationRecord]:
    """The account's reservations of these ids; ``ApiError`` when one is not there."""
    if not ids or len(set(ids)) < len(ids):
        raise ApiError("InvalidParameterValue", "Give different reservations, at least one.")
    return [ledger.find(account, region, name) for name in ids]
