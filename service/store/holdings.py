"""Decides how the providers' inventories are mirrored: one row per commitment, never deleted.

The mirror holds what a provider listed last, who bought it, and since when it is no longer
listed. Together with the intents that no listing shows yet it says what is owned.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, RowMapping, and_, insert, select, update

from service.domain.commitments import (
    OWNED_STATES,
    Commitment,
    CommitmentState,
    Kind,
    Payment,
)
from service.domain.hours import TERM_HOURS, floor_hour
from service.domain.ids import AccountId, CommitmentId, IntentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import (
    RENEWAL_SHOWN_WITHIN,
    Intent,
    InventoryItem,
    owned_until,
)
from service.store import intents as intent_rows
from service.store import readings
from service.store.schema import commitments
from service.store.states import Origin

_IDS_AT_ONCE = 500  # databases limit the parameters of a statement

_RENEWED_WITHIN = timedelta(days=1)
"""How far from the end of a term its next one begins, at the most."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One commitment as mirrored. ``vanished_at`` is set while its provider does not list it."""

    provider: str
    item: InventoryItem
    origin: Origin
    first_seen_at: datetime
    last_seen_at: datetime
    vanished_at: datetime | None


def keep(connection: Connection, provider: str, item: InventoryItem, *, now: datetime) -> bool:
    """Mirror one listed commitment; ``True`` when it was not known before.

    ``item.intent`` says whose it is. One that was ours stays ours, whatever a listing leaves out.
    """
    owned = item.commitment
    row = {
        "offering": owned.offering,
        "account": owned.account,
        "scope": {"accounts": None if owned.scope is None else sorted(owned.scope)},
        "region": item.region,
        "zone": owned.zone,
        "family": item.family,
        "kind": item.kind.value,
        "term_months": item.term_months,
        "payment": item.payment.value,
        "quantity": owned.quantity,
        "commit_usd_per_hour": item.commit_usd_per_hour,
        "upfront_usd": item.upfront_usd,
        "start_at": owned.start,
        "end_at": owned.end,
        "state": owned.state.value,
        "returnable_until": item.returnable_until,
        "reference": item.reference,
        "exchangeable": item.exchangeable,
        "renews": item.renews,
        "last_seen_at": now,
        "vanished_at": None,
    }
    if item.intent is not None:
        row |= {"intent_id": item.intent, "origin": Origin.TENOR.value}
    key = and_(commitments.c.provider == provider, commitments.c.commitment_id == owned.commitment)
    if connection.execute(update(commitments).where(key).values(**row)).rowcount:
        return False
    row = {"origin": Origin.EXTERNAL.value, "intent_id": None, "first_seen_at": now} | row
    connection.execute(
        insert(commitments).values(provider=provider, commitment_id=owned.commitment, **row)
    )
    return True


def seen_again(
    connection: Connection, provider: str, unchanged: Sequence[CommitmentId], *, now: datetime
) -> None:
    """Note that commitments are listed just as they are mirrored: most are, at every reading."""
    for first in range(0, len(unchanged), _IDS_AT_ONCE):
        connection.execute(
            update(commitments)
            .where(
                commitments.c.provider == provider,
                commitments.c.commitment_id.in_(unchanged[first : first + _IDS_AT_ONCE]),
            )
            .values(last_seen_at=now)
        )


def bought_elsewhere(
    connection: Connection,
    provider: str,
    account: AccountId,
    offering: OfferingId,
    *,
    since: datetime,
) -> CommitmentId | None:
    """An owned commitment of ``offering`` that we did not buy, first seen after ``since``.

    ``None`` when there is none; of several the one that was seen first.
    """
    found = connection.execute(
        select(commitments.c.commitment_id)
        .where(
            commitments.c.provider == provider,
            commitments.c.account == account,
            commitments.c.offering == offering,
            commitments.c.origin == Origin.EXTERNAL.value,
            commitments.c.first_seen_at > since,
            commitments.c.state.in_([state.value for state in OWNED_STATES]),
        )
        .order_by(commitments.c.first_seen_at, commitments.c.commitment_id)
        .limit(1)
    ).scalar()
    return None if found is None else CommitmentId(found)


def mark_vanished(
    connection: Connection, provider: str, commitment: CommitmentId, *, now: datetime
) -> bool:
    """Note since when a provider no longer lists a commitment; ``False`` when it was noted."""
    changed = connection.execute(
        update(commitments)
        .where(
            commitments.c.provider == provider,
            commitments.c.commitment_id == commitment,
            commitments.c.vanished_at.is_(None),
        )
        .values(vanished_at=now)
    ).rowcount
    return changed == 1


def tie(
    connection: Connection, provider: str, commitments_made: Iterable[CommitmentId], *, to: IntentId
) -> None:
    """Note that commitments were made by an alteration of ours."""
    connection.execute(
        update(commitments)
        .where(
            commitments.c.provider == provider,
            commitments.c.commitment_id.in_(sorted(commitments_made)),
        )
        .values(alteration_id=to, origin=Origin.TENOR.value)
    )


def let_go(connection: Connection, provider: str, commitment: CommitmentId) -> bool:
    """Count a commitment as returned that its provider stopped listing when we gave it up."""
    changed = connection.execute(
        update(commitments)
        .where(
            commitments.c.provider == provider,
            commitments.c.commitment_id == commitment,
            commitments.c.state.in_([state.value for state in OWNED_STATES]),
        )
        .values(state=CommitmentState.RETURNED.value)
    ).rowcount
    return changed == 1


def list_holdings(connection: Connection, *, provider: str | None = None) -> tuple[Holding, ...]:
    """Every mirrored commitment, in every state, oldest first."""
    query = select(commitments).order_by(commitments.c.first_seen_at, commitments.c.commitment_id)
    if provider is not None:
        query = query.where(commitments.c.provider == provider)
    return tuple(_holding(row) for row in connection.execute(query).mappings())


def inventory(connection: Connection, *, provider: str | None = None) -> tuple[InventoryItem, ...]:
    """What the providers listed last, vanished ones left out."""
    return tuple(
        holding.item
        for holding in list_holdings(connection, provider=provider)
        if holding.vanished_at is None
    )


def owed(
    connection: Connection, *, now: datetime, provider: str | None = None
) -> tuple[InventoryItem, ...]:
    """What sizing and caps count: the inventory, and what is no longer listed but not over.

    A listing that leaves out something owned would otherwise have it bought again. What truly
    went away before its term was over is listed as returned or retired. What renews is owned on
    after its term, until the next one is listed, or a reading some days later, which must list it,
    has been made.
    """
    found = list_holdings(connection, provider=provider)
    ended = [one for one in found if one.item.renews and one.item.commitment.end <= now]
    read_at = _read_at(connection, found, {one.provider for one in ended}, now)
    followed = _next_terms(ended, found, now)
    kept = (
        _renewing(one, read_at[one.provider], followed=_key(one) in followed)
        if one.item.renews and one.item.commitment.end <= now
        else one
        for one in found
    )
    return tuple(
        one.item
        for one in kept
        if one.vanished_at is None
        or (one.item.commitment.state.is_owned and owned_until(one.item) > now)
    )


def _read_at(
    connection: Connection, found: Sequence[Holding], providers: Collection[str], now: datetime
) -> dict[str, datetime]:
    """When each of ``providers`` was read last, empty or not; dates after ``now`` say nothing."""
    seen = dict.fromkeys((one.provider for one in found), datetime.min.replace(tzinfo=UTC))
    for one in found:
        if one.last_seen_at <= now:
            seen[one.provider] = max(one.last_seen_at, seen[one.provider])
    if not providers:
        return seen
    told = readings.read_at(connection, providers, now=now)
    read = {provider: at for provider, at in told.items() if at is not None and at <= now}
    return {
        provider: max(at, read.get(provider, at))  # its events may have been cut off
        for provider, at in seen.items()
    }


def next_terms(
    connection: Connection, *, provider: str, now: datetime
) -> dict[CommitmentId, CommitmentId]:
    """What renewed, and the term that followed it, the one that ended first before the others."""
    found = list_holdings(connection, provider=provider)
    ended = [one for one in found if one.item.renews and one.item.commitment.end <= now]
    return {old: new for (_, old), (_, new) in _next_terms(ended, found, now).items()}


def made_by_alterations(
    connection: Connection, *, provider: str
) -> dict[IntentId, tuple[CommitmentId, ...]]:
    """By alteration, the commitments that readings tied to it, as what it made."""
    query = select(commitments.c.alteration_id, commitments.c.commitment_id).where(
        commitments.c.provider == provider, commitments.c.alteration_id.is_not(None)
    )
    found: dict[IntentId, tuple[CommitmentId, ...]] = {}
    for alteration, made in connection.execute(query.order_by(commitments.c.commitment_id)):
        name = IntentId(alteration)
        found[name] = (*found.get(name, ()), CommitmentId(made))
    return found


def _next_terms(
    ended: Iterable[Holding], found: Iterable[Holding], now: datetime
) -> dict[tuple[str, CommitmentId], tuple[str, CommitmentId]]:
    """Those of ``ended`` whose next term is among ``found``, with that one.

    The next term is of the same offering, account, scope and quantity, begins where the term ends,
    and is nothing else of ours, bought or made by an alteration. One stands for one.
    """
    lasted = [one for one in ended if _lasted(one)]
    following: dict[object, list[Holding]] = {_likeness(one): [] for one in lasted}
    for one in sorted(found, key=lambda one: (one.item.commitment.start, _key(one))):
        alike = following.get(_likeness(one))
        if alike is not None and one.item.commitment.state.is_owned:
            alike.append(one)
    followed = {}
    for old in sorted(lasted, key=lambda one: (one.item.commitment.end, _key(one))):
        alike = following[_likeness(old)]
        after = next((one for one in alike if _is_next(one, old, now)), None)
        if after is not None:
            alike.remove(after)
            followed[_key(old)] = _key(after)
    return followed


def _likeness(holding: Holding) -> object:
    """What a term and its next one have in common."""
    owned = holding.item.commitment
    return (holding.provider, owned.account, owned.offering, owned.scope, owned.quantity)


def _key(holding: Holding) -> tuple[str, CommitmentId]:
    return holding.provider, holding.item.commitment.commitment


def _is_next(one: Holding, old: Holding, now: datetime) -> bool:
    """True when ``one``, which is alike, may be the term that ``old`` renewed to."""
    after, before = one.item.commitment, old.item.commitment
    return (
        after.end > now
        and abs(after.start - before.end) <= _RENEWED_WITHIN
        and (one.origin is Origin.EXTERNAL or one.item.intent == (old.item.intent or ""))
    )


def _lasted(holding: Holding) -> bool:
    """True unless it was given up before its term was over."""
    state = holding.item.commitment.state
    return state.is_owned or state is CommitmentState.RETIRED


def _renewing(holding: Holding, read_at: datetime, *, followed: bool) -> Holding:
    """``holding``, whose term is over, as it is owned while the next one may not be listed yet."""
    item, owned = holding.item, holding.item.commitment
    if followed or read_at >= owned.end + RENEWAL_SHOWN_WITHIN:
        return replace(holding, item=replace(item, renews=False))
    state = CommitmentState.ACTIVE if _lasted(holding) else owned.state
    return replace(holding, item=replace(item, commitment=replace(owned, state=state)))


def in_flight(connection: Connection, *, provider: str | None = None) -> tuple[Commitment, ...]:
    """Purchases that may exist and that no listing shows yet, as payment-pending commitments.

    Sizing must add these to the inventory, or the next plan buys them again. Their ids are the
    intents', marked ``intent:``.
    """
    counted = intent_rows.list_intents(connection, states=intent_rows.COUNTED, provider=provider)
    return tuple(one for intent in counted if not intent.ever_listed for one in expected(intent))


def expected(intent: Intent) -> tuple[Commitment, ...]:
    """What a purchase will be once it is listed: payment-pending, or queued for its start."""
    order = intent.order
    start = order.start_at or floor_hour(intent.recorded_at)
    whole = Commitment(
        commitment=CommitmentId(f"intent:{order.intent}"),
        offering=order.offering,
        account=order.account,
        scope=None,
        zone=None,
        quantity=order.quantity,
        start=start,
        end=start + timedelta(hours=TERM_HOURS[order.term_months]),
        state=CommitmentState.PAYMENT_PENDING if order.start_at is None else CommitmentState.QUEUED,
    )
    beside = order.companion
    if beside is None:
        return (whole,)
    part = replace(
        whole,
        commitment=CommitmentId(f"{whole.commitment}/companion"),
        offering=beside.offering,
        quantity=beside.quantity,
    )
    return (whole, part)


def _holding(row: RowMapping) -> Holding:
    accounts = row["scope"]["accounts"]
    owned = Commitment(
        commitment=CommitmentId(row["commitment_id"]),
        offering=OfferingId(row["offering"]),
        account=AccountId(row["account"]),
        scope=None if accounts is None else frozenset(AccountId(one) for one in accounts),
        zone=row["zone"],
        quantity=row["quantity"],
        start=row["start_at"],
        end=row["end_at"],
        state=CommitmentState(row["state"]),
    )
    item = InventoryItem(
        commitment=owned,
        kind=Kind(row["kind"]),
        term_months=row["term_months"],
        payment=Payment(row["payment"]),
        region=row["region"],
        family=row["family"],
        commit_usd_per_hour=CommitUsdPerHour(row["commit_usd_per_hour"]),
        upfront_usd=row["upfront_usd"],
        intent=None if row["intent_id"] is None else IntentId(row["intent_id"]),
        returnable_until=row["returnable_until"],
        reference=row["reference"],
        exchangeable=row["exchangeable"],
        renews=row["renews"],
    )
    return Holding(
        provider=row["provider"],
        item=item,
        origin=Origin(row["origin"]),
        first_seen_at=row["first_seen_at"],
        last_seen_at=row["last_seen_at"],
        vanished_at=row["vanished_at"],
    )
