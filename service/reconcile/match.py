"""Decides what a provider's inventory proves about the ledger. Pure: values in, findings out.

An intent finds its commitment by the intent's tag; else by the commitment's id, or by the token
where that became the id; else, only where a purchase cannot carry a tag, by what was bought and
when, and then only if there is one candidate on either side. Absence proves something only when
a complete reading, begun after the grace period, does not list it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from service.domain.commitments import CommitmentState, Kind
from service.domain.hours import Waiting
from service.domain.ids import AccountId, CommitmentId, IntentId
from service.domain.purchases import (
    Absent,
    Bought,
    Evidence,
    Idempotency,
    Intent,
    IntentState,
    InventoryItem,
    Refused,
    Unknown,
    is_part_of,
)
from service.reconcile.findings import (
    Changed,
    Confirmed,
    Duplicate,
    External,
    Finding,
    Known,
    NeverListed,
    ProvenBought,
    SettledBought,
    SettledNotBought,
    StillUnknown,
    Vanished,
)

CLOCK_SLACK = timedelta(minutes=10)
"""How far a provider's clock may lie behind ours when a start date is compared with a call."""


@dataclass(frozen=True, slots=True)
class Explained:
    """Commitments that alterations of ours account for: those they made, those they took away."""

    made: frozenset[CommitmentId] = frozenset()
    taken: frozenset[CommitmentId] = frozenset()


NOTHING_EXPLAINED = Explained()

Answers = Mapping[IntentId, Evidence | None]
"""What the provider said of purchases without a known outcome, each asked for by what only it can
be known by. ``None``: it could not be asked, which is not the same as not found."""

_UNDER_WAY = (IntentState.RECORDED, IntentState.CALLING)

NO_ANSWERS: Answers = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Match:
    """``owner`` maps each listed commitment to its intent, where it has one."""

    findings: tuple[Finding, ...]
    owner: Mapping[CommitmentId, IntentId]


def match(
    *,
    intents: Sequence[Intent],
    inventory: Sequence[InventoryItem],
    known: Sequence[Known],
    account: AccountId,
    waiting: Waiting,
    idempotency: Callable[[Kind], Idempotency],
    answers: Answers = NO_ANSWERS,
    explained: Explained = NOTHING_EXPLAINED,
    fence: int = 0,
) -> Match:
    """Compare one provider's intents and mirror with a complete reading.

    ``account`` is the one whose credentials read: what another account owns may be missing from
    this reading and be owned all the same.
    ``waiting`` says when it began; its grace is the longest that the provider may take to list a
    purchase, the call included.
    ``explained`` is what alterations of ours made, and what they took away.
    ``fence`` is the reader's: what an older one left ``recorded`` or ``calling`` has nobody at
    work on it, and may have been bought all the same where the log's tail was lost.
    """
    items = {item.commitment.commitment: item for item in inventory}
    before = {one.item.commitment.commitment: one for one in known}
    left = frozenset(
        one.order.intent for one in intents if one.state in _UNDER_WAY and one.fence < fence
    )
    claims, likely = _claims(intents, items, before, idempotency, left)
    owner = {identity: intent for intent, found in claims.items() for identity in found}
    findings: list[Finding] = []
    for intent in intents:
        waited = waiting.is_over_for(intent.updated_at)
        listed = tuple(items[one] for one in claims.get(intent.order.intent, ()))
        maybe = likely.get(intent.order.intent, ())
        said = _of_answer(intent, listed, answers, waited=waited)
        if said is not None:
            findings.append(said)
            continue
        if not listed and intent.order.account != account:
            findings += _of_elsewhere(intent, account, waited=waited)
            continue
        if intent.state in _UNDER_WAY:
            findings += _of_left(intent, listed, maybe, is_left=intent.order.intent in left)
            continue
        findings += _of_intent(intent, listed, maybe, before, waited=waited)
    first = not known and not intents
    findings += _of_inventory(items, before, owner, explained, first_reading=first)
    mine = {
        name: one
        for name, one in before.items()
        if one.item.commitment.account == account and name not in explained.taken
    }
    findings += _of_mirror(items, mine, owner, waiting.read_at)
    return Match(findings=tuple(findings), owner=owner)


Claims = dict[IntentId, tuple[CommitmentId, ...]]


def _claims(
    intents: Sequence[Intent],
    items: Mapping[CommitmentId, InventoryItem],
    before: Mapping[CommitmentId, Known],
    idempotency: Callable[[Kind], Idempotency],
    left: frozenset[IntentId],
) -> tuple[Claims, Claims]:
    """What each intent has for certain, and what it may have where likeness fits several."""
    ours = {intent.order.intent: intent for intent in intents}
    by_id = {
        CommitmentId(name): intent.order.intent
        for intent in intents
        for name in (intent.order.token, intent.commitment)
        if name is not None
    }
    claims: Claims = {}
    for identity in sorted(items):
        tag = _tag(items[identity], before.get(identity))
        owner = tag if tag in ours else by_id.get(identity)
        if owner is not None:
            claims[owner] = (*claims.get(owner, ()), identity)
    claims |= _by_reference(intents, items, claims)
    taken = {identity for found in claims.values() for identity in found}
    candidates = {
        intent.order.intent: tuple(
            identity
            for identity in sorted(set(items) - taken)
            if is_alike(intent, items[identity], before.get(identity))
        )
        for intent in intents
        if (intent.state is IntentState.UNKNOWN or intent.order.intent in left)
        and intent.order.intent not in claims
        and idempotency(intent.order.kind) is Idempotency.LOOKUP
    }
    wanted = Counter(identity for found in candidates.values() for identity in found)
    for owner, found in candidates.items():
        # What was never called, as far as the ledger knows, is likely nobody's: a person decides.
        if len(found) == 1 and wanted[found[0]] == 1 and owner not in left:
            claims[owner] = found
    return claims, {owner: found for owner, found in candidates.items() if owner not in claims}


def _by_reference(
    intents: Sequence[Intent], items: Mapping[CommitmentId, InventoryItem], claims: Claims
) -> Claims:
    """By the id that the intent's quote minted, where nothing carries its tag: the oldest."""
    found: Claims = {}
    for intent in intents:
        reference = intent.order.reference
        if reference is None or intent.order.intent in claims:
            continue
        made = tuple(
            one for one in items.values() if one.reference == reference and one.intent is None
        )
        if made:
            found[intent.order.intent] = (_first(intent, made).commitment.commitment,)
    return found


def _tag(item: InventoryItem, known: Known | None) -> IntentId | None:
    """Whose the item is by its tag; one that was tied to an intent before stays tied."""
    if item.intent is not None:
        return item.intent
    return None if known is None else known.item.intent


def is_alike(intent: Intent, item: InventoryItem, known: Known | None) -> bool:
    """True when ``item`` could be the effect of ``intent``'s call, by everything but a tag."""
    order, owned = intent.order, item.commitment
    return (
        item.intent is None
        and (known is None or known.first_seen_at >= intent.recorded_at)
        and (order.account, order.offering, order.quantity)
        == (owned.account, owned.offering, owned.quantity)
        and (order.kind, order.term_months, order.payment)
        == (item.kind, item.term_months, item.payment)
        and owned.start >= intent.recorded_at - CLOCK_SLACK
    )


def _of_intent(
    intent: Intent,
    listed: tuple[InventoryItem, ...],
    maybe: tuple[CommitmentId, ...],
    before: Mapping[CommitmentId, Known],
    *,
    waited: bool,
) -> list[Finding]:
    findings: list[Finding] = []
    sound = _sound(listed)
    wholes = _wholes(sound)
    if len(wholes) > 1:
        is_new = any(one.commitment.commitment not in before for one in wholes)
        findings.append(Duplicate(intent, wholes, is_new))
    match intent.state:
        case IntentState.UNKNOWN:
            findings.append(_of_unknown(intent, listed, maybe, waited=waited))
        case IntentState.REFUSED if sound:
            evidence = f"{_first(intent, sound).commitment.commitment} is listed"
            findings.append(SettledBought(intent, _first(intent, sound), evidence))
        case IntentState.BOUGHT:
            findings += _of_bought(intent, listed, before, waited=waited)
        case _:
            pass
    return findings


def _of_left(
    intent: Intent,
    listed: tuple[InventoryItem, ...],
    maybe: tuple[CommitmentId, ...],
    *,
    is_left: bool,
) -> list[Finding]:
    """What is listed of a purchase that is recorded or being called.

    Recorded, it has never been called, as far as this ledger knows: that it is listed says that
    the log's tail was lost. Being called, whoever is at work on it will say, if anybody is.
    """
    sound = _sound(listed)
    if sound and (is_left or intent.state is IntentState.RECORDED):
        item = _first(intent, sound)
        return [SettledBought(intent, item, f"{item.commitment.commitment} is listed")]
    if maybe and intent.state is IntentState.RECORDED:
        detail = f"never called, and {', '.join(maybe)} may be it all the same"
        return [StillUnknown(intent, detail, alarming=True)]
    return []


def _of_answer(
    intent: Intent, listed: tuple[InventoryItem, ...], answers: Answers, *, waited: bool
) -> Finding | None:
    """What the provider's own word on one purchase settles, where no listing shows it.

    ``None`` where it was not asked, or shows nothing of it: then the listing decides.
    """
    asked = intent.order.intent in answers
    if intent.state is not IntentState.UNKNOWN or _sound(listed) or not asked:
        return None
    answer = answers[intent.order.intent]
    match answer:
        case Bought(commitment=commitment):
            return ProvenBought(intent, commitment, f"the provider answers with {commitment}")
        case Refused(code=code, detail=detail):
            return SettledNotBought(intent, f"the provider answers {code}: {detail}")
        case Unknown(detail=detail):
            # It is there, whatever a listing leaves out: time alone proves no absence.
            return StillUnknown(intent, f"the provider answers: {detail}", alarming=waited)
        case None:
            detail = "the provider could not be asked for it"
            return StillUnknown(intent, detail, alarming=waited)
        case Absent():
            return None


def _of_elsewhere(intent: Intent, account: AccountId, *, waited: bool) -> list[Finding]:
    """What a reading with another account's credentials leaves open: everything."""
    if intent.state is not IntentState.UNKNOWN:
        return []
    detail = f"it was asked for in {intent.order.account}, and {account} was read"
    return [StillUnknown(intent, detail, alarming=waited)]


def _of_unknown(
    intent: Intent,
    listed: tuple[InventoryItem, ...],
    maybe: tuple[CommitmentId, ...],
    *,
    waited: bool,
) -> Finding:
    sound = _sound(listed)
    if sound:
        item = _first(intent, sound)
        return SettledBought(intent, item, f"{item.commitment.commitment} is listed")
    if listed:
        failed = listed[0].commitment.commitment
        return SettledNotBought(intent, f"{failed} is listed as failed")
    if intent.commitment is not None:
        detail = f"the provider named {intent.commitment} and does not list it"
        return StillUnknown(intent, detail, alarming=waited)
    if maybe:
        detail = f"{', '.join(maybe)} may be it, and nothing says which is"
        return StillUnknown(intent, detail, alarming=waited)
    if not waited:
        return StillUnknown(intent, "not listed; the grace period is not over", alarming=False)
    return SettledNotBought(intent, "a complete reading after the grace period does not list it")


def _of_bought(
    intent: Intent,
    listed: tuple[InventoryItem, ...],
    before: Mapping[CommitmentId, Known],
    *,
    waited: bool,
) -> list[Finding]:
    if listed:
        is_new = all(one.commitment.commitment not in before for one in listed)
        return [Confirmed(intent, _first(intent, listed))] if is_new else []
    never_listed = intent.commitment is not None and intent.commitment not in before
    if waited and never_listed and intent.commitment is not None:
        detail = f"the provider answered with {intent.commitment} and never listed it"
        return [NeverListed(intent, intent.commitment, detail)]
    return []


def _sound(listed: tuple[InventoryItem, ...]) -> tuple[InventoryItem, ...]:
    return tuple(one for one in listed if one.commitment.state is not CommitmentState.FAILED)


def _wholes(listed: tuple[InventoryItem, ...]) -> tuple[InventoryItem, ...]:
    """One for each purchase: what is listed apart of the same one is no second."""
    return tuple(one for one in listed if not any(is_part_of(one, other) for other in listed))


def _first(intent: Intent, listed: tuple[InventoryItem, ...]) -> InventoryItem:
    """The one that the provider's answer named, else the oldest."""
    return min(
        listed,
        key=lambda item: (
            item.commitment.commitment != intent.commitment,
            item.commitment.start,
            item.commitment.commitment,
        ),
    )


def _of_inventory(
    items: Mapping[CommitmentId, InventoryItem],
    before: Mapping[CommitmentId, Known],
    owner: Mapping[CommitmentId, IntentId],
    explained: Explained,
    *,
    first_reading: bool,
) -> list[Finding]:
    findings: list[Finding] = []
    for identity in sorted(items):
        item, known = items[identity], before.get(identity)
        if known is None and identity not in owner and identity not in explained.made:
            findings.append(External(item, alarming=not first_reading))
        if known is not None and known.item.commitment.state is not item.commitment.state:
            ours = identity in explained.taken
            findings.append(Changed(item, known.item.commitment.state, by_us=ours))
    return findings


def _of_mirror(
    items: Mapping[CommitmentId, InventoryItem],
    before: Mapping[CommitmentId, Known],
    owner: Mapping[CommitmentId, IntentId],
    read_at: datetime,
) -> list[Finding]:
    findings: list[Finding] = []
    for identity in sorted(before):
        known = before[identity]
        owned = known.item.commitment
        expected = owned.state.is_owned and owned.end > read_at
        if identity not in items and expected and not known.vanished:
            detail = "it was owned, its term is not over, and it is no longer listed"
            findings.append(Vanished(identity, owner.get(identity) or known.item.intent, detail))
    return findings
