"""Decides what a provider's inventory proves about alterations. Pure: values in, findings out.

Each source was fingerprinted when the alteration was written down. Each kind has its own effect:
what is returned is gone, no longer owned, or fewer; a renewal is switched as asked. That no source
shows it, in a complete reading begun after the grace period, is that there was none. Anything
between is held.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from service.domain.alterations import (
    IN_PLACE,
    MAKING,
    Alteration,
    AlterationKind,
    AlterationState,
)
from service.domain.hours import Waiting, iso
from service.domain.ids import AccountId, CommitmentId
from service.domain.money import text
from service.domain.purchases import InventoryItem, is_part_of
from service.reconcile.findings import (
    AlterationFinding,
    AlterationHeld,
    Known,
    SettledAltered,
    SettledNotAltered,
)
from service.reconcile.match import CLOCK_SLACK, Explained

GONE = "gone"
"""The fingerprint of what is not owned, or not listed at all."""

EXPLAINS_FOR = timedelta(days=3)
"""How long after an alteration what it made may first be listed."""

_TAKING = MAKING | {AlterationKind.CANCEL_QUEUED, AlterationKind.RETURN}
_HAPPENED = (AlterationState.ALTERED, AlterationState.CALLING, AlterationState.UNKNOWN)


def fingerprint(item: InventoryItem | None) -> str:
    """All of one commitment that an alteration could change, as a text to compare."""
    if item is None or not item.commitment.state.is_owned:
        return GONE
    one = item.commitment
    parts = (text(one.quantity), iso(one.end), str(item.term_months), str(item.renews), one.zone)
    return "|".join(part or "" for part in parts)


@dataclass(frozen=True, slots=True)
class Reading:
    """One complete reading of ``account``, what was waited for it, and the mirror before it."""

    items: Mapping[CommitmentId, InventoryItem]
    known: Mapping[CommitmentId, Known]
    account: AccountId
    waiting: Waiting

    @property
    def read_at(self) -> datetime:
        """When the reading began."""
        return self.waiting.read_at

    def waited_for(self, one: Alteration) -> bool:
        """Whether the grace period passed since ``one`` moved, on a clock not set since."""
        return self.waiting.is_over_for(one.updated_at)


def explain(alterations: Sequence[Alteration], reading: Reading) -> Explained:
    """What alterations that happened, or may have, account for in ``reading``."""
    made: set[CommitmentId] = set()
    taken: set[CommitmentId] = set()
    for one in alterations:
        if one.state in _HAPPENED:
            made.update(one.made, _made_by(one, reading))
            if one.order.alteration in _TAKING:
                taken.update(with_parts(one.order.sources, reading))
    return Explained(frozenset(made), frozenset(taken))


def with_parts(names: Sequence[CommitmentId], reading: Reading) -> tuple[CommitmentId, ...]:
    """Commitments, and what was bought with each and is listed apart: it goes where they go."""
    listed = (_seen(name, reading) for name in names)
    wholes = [one for one in listed if one is not None and one.reference is not None]
    if not wholes:
        return tuple(names)
    parts = [
        name
        for name in {*reading.items, *reading.known}
        if (item := _seen(name, reading)) and any(is_part_of(item, whole) for whole in wholes)
    ]
    return (*names, *sorted(parts))


def _seen(name: CommitmentId, reading: Reading) -> InventoryItem | None:
    """As it is listed, else as the mirror has it."""
    known = reading.known.get(name)
    return reading.items.get(name) or (None if known is None else known.item)


def match_alterations(
    alterations: Sequence[Alteration],
    before: Mapping[str, Mapping[CommitmentId, str]],
    reading: Reading,
) -> tuple[AlterationFinding, ...]:
    """What ``reading`` proves of each alteration of its account.

    ``before``: by alteration, each source's fingerprint when it was written down.
    """
    found: list[AlterationFinding] = []
    for one in alterations:
        if one.order.account != reading.account or one.order.intent not in before:
            continue
        if one.state is AlterationState.UNKNOWN:
            found.append(_of_unknown(one, before[one.order.intent], reading))
        elif one.state is AlterationState.REFUSED and _is_late(one, alterations, reading):
            changed = _changed(one, before[one.order.intent], reading)
            if changed and len(changed) == len(one.order.sources):
                evidence = f"{', '.join(changed)}: altered after all"
                made = _made_by(one, reading)
                found.append(SettledAltered(one, made, evidence, alarming=True))
    return tuple(found)


def is_listed(one: Alteration, before: Mapping[CommitmentId, str], reading: Reading) -> bool:
    """True when ``reading`` shows all that ``one`` did, or comes so late that it must.

    What was given is no longer as it was, and what was made instead is there.
    """
    if reading.read_at < one.updated_at:
        return False
    if reading.waited_for(one):
        return True
    made = _made_by(one, reading)
    # Where the provider's answer named nothing, an exchange made as many as it asked for.
    exchanged = one.order.alteration is AlterationKind.EXCHANGE
    least = len(one.order.targets) if exchanged and not one.made else 1
    whole = len(made) >= least or one.order.alteration in IN_PLACE
    all_made = all(name in reading.items for name in made)
    return whole and all_made and len(_changed(one, before, reading)) == len(before)


def _of_unknown(
    one: Alteration, before: Mapping[CommitmentId, str], reading: Reading
) -> AlterationFinding:
    changed = _changed(one, before, reading)
    made = _made_by(one, reading)
    waited = reading.waited_for(one)
    if len(changed) == len(before):
        missing = [name for name in changed if name not in reading.items]
        if missing and not made and not waited:
            detail = f"{', '.join(missing)}: not listed; the grace period is not over"
            return AlterationHeld(one, detail, alarming=False)
        return SettledAltered(one, made, f"{', '.join(changed)}: listed as altered, or gone")
    if changed or made:
        detail = f"{', '.join((*changed, *made))}: altered, and other sources are not"
        return AlterationHeld(one, detail, alarming=waited)
    if not waited:
        return AlterationHeld(one, "as it was; the grace period is not over", alarming=False)
    evidence = "a complete reading after the grace period shows its sources as they were"
    return SettledNotAltered(one, evidence)


def _changed(
    one: Alteration, before: Mapping[CommitmentId, str], reading: Reading
) -> tuple[CommitmentId, ...]:
    """The sources that show the effect of ``one``. Any other change is somebody else's doing."""
    return tuple(
        name
        for name, was in before.items()
        if _shows(one, was, fingerprint(reading.items.get(name)))
    )


def _shows(one: Alteration, was: str, now: str) -> bool:
    if now == was or GONE in {was, now}:
        return now != was
    quantity, end, term, renews, zone = zip(was.split("|"), now.split("|"), strict=True)
    fewer = Decimal(quantity[1]) < Decimal(quantity[0])
    match one.order.alteration:
        case AlterationKind.RETURN | AlterationKind.CANCEL_QUEUED | AlterationKind.EXCHANGE:
            return fewer
        case AlterationKind.SET_RENEWAL:
            return renews[0] != renews[1] == str(one.order.renew is not False)
        case AlterationKind.UPGRADE_TERM:
            return end[1] > end[0] or int(term[1]) > int(term[0])
        case AlterationKind.MODIFY | AlterationKind.SPLIT | AlterationKind.MERGE:
            return quantity[0] != quantity[1] or zone[0] != zone[1]


def _made_by(one: Alteration, reading: Reading) -> tuple[CommitmentId, ...]:
    """Listed commitments that ``one`` made: by its tag or name, else new and as it asked for."""
    if one.order.alteration not in MAKING or one.recorded_at is None:
        return one.made
    tagged = {
        name for name, item in reading.items.items() if item.intent == one.order.intent
    } | set(one.made)
    if tagged:
        return tuple(sorted(tagged))
    if reading.read_at - one.updated_at > EXPLAINS_FOR:
        return ()
    return tuple(
        sorted(name for name, item in reading.items.items() if _may_be(one, item, reading))
    )


def _may_be(one: Alteration, item: InventoryItem, reading: Reading) -> bool:
    """True for a commitment that was not there before and is what the order was to make."""
    known = reading.known.get(item.commitment.commitment)
    recorded_at = one.recorded_at
    wanted = {target.offering for target in one.order.targets}
    return (
        recorded_at is not None
        and item.commitment.commitment not in one.order.sources
        and (known is None or known.first_seen_at > recorded_at)
        and item.intent is None
        and item.commitment.account == one.order.account
        and item.kind is one.order.kind
        and (item.commitment.offering in wanted or None in wanted or not wanted)
        and (item.commitment.start >= recorded_at - CLOCK_SLACK or _inherits(one, item))
    )


def _inherits(one: Alteration, item: InventoryItem) -> bool:
    """Modified and split parcels keep their parent's start."""
    kept = {AlterationKind.MODIFY, AlterationKind.SPLIT, AlterationKind.MERGE}
    return one.order.alteration in kept and item.commitment.state.is_owned


def _is_late(one: Alteration, alterations: Sequence[Alteration], reading: Reading) -> bool:
    """A refusal that may still be proven wrong: called, recent, its sources' last alteration."""
    recent = one.called_at is not None and reading.read_at - one.updated_at < EXPLAINS_FOR
    later = (
        set(other.order.sources) & set(one.order.sources)
        for other in alterations
        if other is not one and other.updated_at >= one.updated_at
    )
    return recent and not any(later)
