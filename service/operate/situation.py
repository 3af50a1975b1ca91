"""Decides what one decision may see: usage, prices, what is owned, the policy, and how old each is.

Everything is read here, once, before anything is decided; what follows is a function of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal

import numpy as np
from sqlalchemy import Connection

from service.domain.commitments import OWNED_STATES, Commitment, CommitmentState, Offering
from service.domain.errors import RefusedError
from service.domain.hours import HOUR, HourRange, iso
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.domain.purchases import InventoryItem, owned_until
from service.domain.usage import Dataset, Sku, SkuKey, Usage
from service.guard.policy import Policy
from service.observe.events import PolicyChanged, PricesRecorded
from service.observe.tracing import traced
from service.operate.unlisted import refuse_unlisted
from service.store import holdings, ledger, price_snapshots, readings, records
from service.store.engine import reading, writing
from service.store.price_snapshots import PriceSnapshot
from service.usage.days import ObservedPrice
from service.usage.quality import decision_window
from service.wiring import Parts

LEAST_HISTORY_HOURS = 28 * 24
OBSERVED_HOURS = 30 * 24
"""How far back the exports are asked for what this customer pays on demand."""


@dataclass(frozen=True, slots=True)
class Situation:
    """The facts behind one decision.

    ``on_sale`` names the offerings that can be bought now; ``prices`` also holds what is owned.
    ``owned`` gives each listed commitment's own offering, at the rates it was bought at.
    ``usage`` is eligible usage up to ``usage_through``, the first hour not seen. ``commitments``
    are the provider's listing plus purchases that no listing shows yet and what a listing no
    longer shows before its term is over; ``inventory`` the listing alone, read at
    ``inventory_read_at``. ``set_aside``: owned commitments that are left out of everything, as if
    they had never been bought. ``estimated_days``: how many days' hours were estimated.
    ``elsewhere_read_at``: when each other cloud of this deployment was read last, ``None`` where
    it never was; caps count every cloud's. ``assumed``: what is counted on after the end of its
    term, given here, because it renews, while no listing shows its next one yet.
    """

    now: datetime
    account: AccountId
    policy: Policy
    usage: Usage
    usage_digest: str
    prices: PriceSnapshot
    on_sale: frozenset[OfferingId]
    owned: Mapping[CommitmentId, Offering]
    commitments: tuple[Commitment, ...]
    inventory: tuple[InventoryItem, ...]
    inventory_read_at: datetime
    set_aside: frozenset[CommitmentId] = frozenset()
    estimated_days: int = 0
    elsewhere_read_at: Mapping[str, datetime | None] = field(default_factory=dict)
    assumed: Mapping[CommitmentId, datetime] = field(default_factory=dict)

    @property
    def usage_through(self) -> datetime:
        """The first hour that the decision does not see."""
        return self.usage.hours.end

    def dataset(self, hours: int | None = None) -> Dataset:
        """Usage, prices and commitments as the pure stages want them; the last ``hours`` only."""
        usage = self.usage if hours is None else last_hours(self.usage, hours)
        return Dataset(
            usage=usage,
            skus=self.prices.skus,
            offerings=self.prices.offerings,
            commitments=self.commitments,
        )


def age_hours(now: datetime, then: datetime) -> Decimal:
    """Hours from ``then`` to ``now``, rounded to the second."""
    return Decimal(round((now - then).total_seconds())) / 3600


def last_hours(usage: Usage, hours: int) -> Usage:
    """The newest ``hours`` hours of ``usage``, or all when there are fewer."""
    count = min(hours, usage.hours.count)
    start = usage.hours.start + (usage.hours.count - count) * HOUR
    return Usage(HourRange(start, count), usage.lines, usage.quantity[usage.hours.count - count :])


@traced("usage")
def read_situation(
    parts: Parts, *, inventory_read_at: datetime, prices_reused_for: timedelta = timedelta(0)
) -> Situation:
    """Everything a decision needs, as it stands now.

    Prices that were read no longer than ``prices_reused_for`` ago are taken from the store with
    their date; left out, they are read anew, as an execution must.

    Raises ``RefusedError`` when usage is too old, too short, incomplete or implausible, the
    credentials are for another account than the policy's, or another account owns plans too;
    ``PolicyError`` and ``ProviderError`` when policy or prices cannot be read.
    """
    policy = read_policy(parts)
    account = purchase_account(parts, policy)
    refuse_unlisted(parts)
    usage = read_usage(parts, policy, resource_groups=_names_groups(parts))
    prices = _kept_prices(parts, usage, prices_reused_for) or read_prices(parts, usage)
    with reading(parts.engine) as connection:
        listed = holdings.inventory(connection, provider=parts.cloud.provider)
        owed = holdings.owed(connection, now=parts.clock.now(), provider=parts.cloud.provider)
        unlisted = holdings.in_flight(connection, provider=parts.cloud.provider)
        elsewhere = readings.read_at(connection, others(parts), now=parts.clock.now())
    owned = read_owned(parts, usage, owed)
    now = parts.clock.now()  # after everything was read, or ages would come out negative
    offerings = {**prices.offerings, **{one.offering: one for one in owned.values()}}
    _refuse_unpriced(unlisted, offerings, now)
    return Situation(
        now=now,
        account=account,
        policy=policy,
        usage=usage,
        usage_digest=usage_digest(usage),
        prices=replace(prices, offerings=offerings),
        on_sale=frozenset(prices.offerings),
        owned=owned,
        commitments=(*billed(owed, owned), *unlisted),
        inventory=listed,
        inventory_read_at=inventory_read_at,
        estimated_days=_estimated_days(parts, usage.hours),
        elsewhere_read_at=elsewhere,
        assumed=_assumed(owed, now),
    )


def _assumed(owed: Iterable[InventoryItem], now: datetime) -> dict[CommitmentId, datetime]:
    return {
        item.commitment.commitment: item.commitment.end
        for item in owed
        if item.commitment.end <= now < owned_until(item)
    }


def others(parts: Parts) -> frozenset[str]:
    """The other clouds that this deployment speaks to, whose purchases count against its caps."""
    return frozenset(cloud.provider for cloud in parts.clouds) - {parts.cloud.provider}


def _estimated_days(parts: Parts, hours: HourRange) -> int:
    """How many of the provider's days in ``hours`` had their hours estimated."""
    return sum(
        entry.provider == parts.cloud.provider
        and entry.shape != ""
        and entry.first_hour < hours.end
        and entry.last_hour >= hours.start
        for entry in parts.usage.manifest()
    )


def purchase_account(parts: Parts, policy: Policy) -> AccountId:
    """The account that purchases are made in; empty where the policy names none.

    Raises ``RefusedError`` when the settings name another one, or the credentials are for another
    one: what that one owns says nothing about what is owned here.
    """
    named: str | None = getattr(policy.purchase_accounts, parts.cloud.provider)
    bound = parts.cloud.bound_account
    if named is not None and bound not in {None, named}:
        detail = f"the policy buys in {named}, the settings allow {bound} alone"
        raise RefusedError(rule="purchase_account", detail=detail)
    if named is None:
        return AccountId("")
    who = parts.cloud.reader.identity()
    if who.account != named:
        detail = f"the policy buys in {named}, the credentials are for {who.account}"
        raise RefusedError(rule="identity", detail=detail)
    return AccountId(named)


def billed(
    listed: Iterable[InventoryItem], owned: Mapping[CommitmentId, Offering]
) -> tuple[Commitment, ...]:
    """The listed commitments that ``owned`` knows, each pointing at its own rates.

    What renews lasts for the next term too, at the same rates: nothing is bought on top of it.
    """
    return tuple(
        replace(
            item.commitment,
            offering=owned[item.commitment.commitment].offering,
            end=owned_until(item),
        )
        for item in listed
        if item.commitment.commitment in owned
    )


def read_owned(
    parts: Parts, usage: Usage, listed: Iterable[InventoryItem]
) -> Mapping[CommitmentId, Offering]:
    """What each commitment that matters to ``usage`` covers, at the rates it was bought at.

    A provider's prices for new commitments change; those of an owned one do not, so what was read
    once is not read again. Left out is what ended before the usage began, or never was.
    """
    keys = tuple(sorted({line.key for line in usage.lines}))
    live = [
        item
        for item in listed
        if item.commitment.end > usage.hours.start
        and item.commitment.state in (*OWNED_STATES, CommitmentState.RETIRED)
    ]
    missing = [item for item in live if (item.commitment.commitment, keys) not in parts.rates]
    for item, offering in zip(
        missing, parts.cloud.reader.owned_offerings(missing, keys), strict=True
    ):
        identity = item.commitment.commitment
        own = replace(offering, offering=OfferingId(f"owned:{identity}"))
        parts.rates[identity, keys] = own
    return {
        item.commitment.commitment: parts.rates[item.commitment.commitment, keys] for item in live
    }


def with_fresh_prices(parts: Parts, situation: Situation, *, reused_for: timedelta) -> Situation:
    """The same facts at the prices of now, read anew unless they are younger than ``reused_for``.

    Raises what reading prices raises: nothing is bought at prices that are not known.
    """
    if parts.clock.now() - situation.prices.taken_at < reused_for:
        return situation
    prices = read_prices(parts, situation.usage)
    offerings = {**prices.offerings, **{one.offering: one for one in situation.owned.values()}}
    return replace(
        situation,
        prices=replace(prices, offerings=offerings),
        on_sale=frozenset(prices.offerings),
    )


def with_inventory(
    parts: Parts, situation: Situation, inventory: tuple[InventoryItem, ...], read_at: datetime
) -> Situation:
    """The same facts beside a later reading of the inventory."""
    owned = read_owned(parts, situation.usage, inventory)
    offerings = {one.offering: one for one in owned.values()}
    return replace(
        situation,
        inventory=inventory,
        inventory_read_at=read_at,
        owned=owned,
        commitments=billed(inventory, owned),
        assumed=_assumed(inventory, situation.now),
        prices=replace(situation.prices, offerings={**situation.prices.offerings, **offerings}),
    )


def read_policy(parts: Parts) -> Policy:
    """The policy in force, kept under its digest; a change is an event."""
    in_force = parts.policy()
    digest, now = in_force.policy.digest, parts.clock.now()
    with writing(parts.engine) as connection:
        previous = records.see_policy(connection, digest=digest, body=in_force.text, now=now)
        if previous is not None or not _is_known(connection):
            event = PolicyChanged(digest=digest, previous=previous)
            ledger.append(connection, event, now=now)
    return in_force.policy


def names_groups(commitments: Iterable[Commitment], at: datetime) -> bool:
    """Whether what is owned ``at`` is limited to resource groups: usage must tell them apart then.

    A commitment of one group discounts nothing else; spread over the subscription it would seem
    to cover what it does not.
    """
    return any(
        "/" in account
        for one in commitments
        if one.state.is_owned and one.end > at
        for account in one.scope or ()
    )


def _names_groups(parts: Parts) -> bool:
    now = parts.clock.now()
    with reading(parts.engine) as connection:
        owed = holdings.owed(connection, now=now, provider=parts.cloud.provider)
    return names_groups([item.commitment for item in owed], now)


def read_usage(parts: Parts, policy: Policy, *, resource_groups: bool = False) -> Usage:
    """The newest usage fit for a decision, level apart; ``resource_groups``: Azure's too."""
    window = decision_window(
        parts.usage.manifest(),
        now=parts.clock.now(),
        lag_hours=parts.settings.lag_hours,
        want_hours=parts.settings.history_hours,
        least_hours=LEAST_HISTORY_HOURS,
        age_hours_max=int(policy.freshness.max_data_age_hours),
        provider=parts.cloud.provider,
    )
    provider = parts.cloud.provider
    return parts.usage.load(window, provider=provider, resource_groups=resource_groups, level=True)


def read_prices(parts: Parts, usage: Usage) -> PriceSnapshot:
    """Today's public prices and offerings, with what this customer really pays on demand.

    The exports show negotiated rates; they replace a higher public on-demand price, so that a
    saving is judged on what the customer would pay. Offerings stay as the provider quotes them.
    """
    keys = sorted({line.key for line in usage.lines})
    observed = parts.usage.prices(last_hours(usage, OBSERVED_HOURS).hours)
    shown = {
        SkuKey(one.provider, one.region, one.sku): (one.unit, one.list_usd)
        for one in observed
        if one.list_usd is not None and one.list_usd > 0
    }
    skus = {sku.key: sku for sku in parts.cloud.reader.prices(keys, shown)}
    snapshot = price_snapshots.snapshot_of(
        parts.cloud.provider,
        parts.clock.now(),
        negotiated(skus, observed).values(),
        parts.cloud.reader.offerings(keys),
    )
    with writing(parts.engine) as connection:
        if price_snapshots.keep(connection, snapshot):
            event = PricesRecorded(
                provider=snapshot.provider,
                digest=snapshot.digest,
                skus=len(snapshot.skus),
                offerings=len(snapshot.offerings),
            )
            ledger.append(connection, event, now=snapshot.taken_at)
    return snapshot


def _kept_prices(parts: Parts, usage: Usage, reused_for: timedelta) -> PriceSnapshot | None:
    """The snapshot taken last, if it is young enough and prices everything that was used."""
    with reading(parts.engine) as connection:
        kept = price_snapshots.newest(connection, parts.cloud.provider)
    if kept is None or not timedelta(0) <= parts.clock.now() - kept.taken_at < reused_for:
        return None
    return kept if all(line.key in kept.skus for line in usage.lines) else None


def negotiated(
    skus: Mapping[SkuKey, Sku], observed: Iterable[ObservedPrice]
) -> Mapping[SkuKey, Sku]:
    """``skus`` at what the customer really pays on demand, never above the public price.

    An observed price above the public one is from before a public cut, or in another unit; either
    way nobody would pay it now, and a saving against it would not be one.
    """
    paid = {
        SkuKey(one.provider, one.region, one.sku): one.contracted_usd
        for one in observed
        if one.contracted_usd is not None and one.contracted_usd > 0
    }
    return {
        key: replace(sku, on_demand_usd=min(paid.get(key, sku.on_demand_usd), sku.on_demand_usd))
        for key, sku in skus.items()
    }


def _refuse_unpriced(
    commitments: Iterable[Commitment], offerings: Mapping[OfferingId, Offering], now: datetime
) -> None:
    """Refuse to decide beside a live commitment that cannot be billed: it would be bought again."""
    for one in commitments:
        if one.offering not in offerings and one.state.is_owned and one.end > now:
            raise RefusedError(
                rule="unpriced_commitment",
                detail=f"{one.commitment} is owned until {iso(one.end)} and its offering "
                f"{one.offering} cannot be priced",
            )


def _is_known(connection: Connection) -> bool:
    return ledger.holds(connection, PolicyChanged.name)


def usage_digest(usage: Usage) -> str:
    """A digest of hours, lines and every quantity."""
    content = hashlib.sha256(f"{iso(usage.hours.start)} {usage.hours.count}".encode())
    content.update(repr(usage.lines).encode())
    content.update(np.ascontiguousarray(usage.quantity).tobytes())
    return content.hexdigest()
