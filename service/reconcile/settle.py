"""Reads a provider's inventory and writes down what it proves: the one place where unknown ends.

The reading comes first, outside any transaction; a reading that fails changes nothing. Then one
transaction under the lease compares, settles, mirrors and tells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from sqlalchemy import Connection, Engine

from service.domain.errors import ProviderError
from service.domain.hours import Clock, Waiting
from service.domain.ids import AccountId, CommitmentId, IntentId
from service.domain.purchases import Evidence, Intent, IntentState, InventoryItem
from service.observe.events import (
    CommitmentChanged,
    ReconcileDrift,
    ReconcileMatched,
    ReconcileSettled,
)
from service.providers.port import ProviderBuyer, ProviderFinder, ProviderReader
from service.purchase.lifecycle import Word
from service.reconcile.findings import (
    AlterationFinding,
    AlterationHeld,
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
from service.reconcile.match import Match, match
from service.reconcile.settle_altered import AlterationsRead
from service.reconcile.stopping import stop
from service.store import holdings, intents, lease, ledger
from service.store.clock import steady_since
from service.store.engine import reading, writing

GRACE = timedelta(hours=2)
"""How long an unlisted purchase stays unknown. Listings are eventually consistent and providers
publish no bound; seconds are usual. Erring long only holds up further purchases in one scope."""

SHORTEST_GRACE = timedelta(minutes=5)
"""Below this no setting may go: a call that timed out here may still take effect there."""


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """What one reading of one provider proved. ``matched`` commitments are tied to intents."""

    provider: str
    read_at: datetime
    inventory: tuple[InventoryItem, ...]
    matched: int
    findings: tuple[Finding, ...]
    altered: tuple[AlterationFinding, ...] = ()

    @property
    def alarms(self) -> tuple[Finding | AlterationFinding, ...]:
        """Findings that a person should hear of, and that autopilot should not survive."""
        return tuple(one for one in (*self.findings, *self.altered) if one.alarming)

    @property
    def unknown(self) -> tuple[StillUnknown | AlterationHeld, ...]:
        """Purchases and alterations whose outcome is still not known."""
        return tuple(
            one
            for one in (*self.findings, *self.altered)
            if isinstance(one, StillUnknown | AlterationHeld)
        )


def reconcile(
    *,
    provider: str,
    engine: Engine,
    reader: ProviderReader,
    buyer: ProviderBuyer,
    clock: Clock,
    held: lease.Lease,
    grace: timedelta = GRACE,
    finder: ProviderFinder | None = None,
    autopilot: bool = True,
) -> Reconciliation:
    """Read the inventory, settle what it proves, mirror it, and say what was found.

    ``grace`` is how long an unlisted purchase stays unknown, five minutes at the least.
    ``finder`` is asked for each unknown purchase by name; when it fails, that one stays unknown.
    ``autopilot``: it acts in the provider, and an alarm ends that. What stops buying is written
    with what it follows from: see ``service.reconcile.stopping``.

    ``ProviderError`` when it cannot be read whole, ``LeaseLostError`` when this process is not
    the executor; nothing has changed then.
    """
    steady, read_at = steady_since(clock), clock.now()
    account = reader.identity().account
    inventory = tuple(reader.inventory())
    answers = {} if finder is None else ask_for_unknown(engine, finder, provider, account)
    read = _Reading(provider, account, inventory, answers)
    with writing(engine) as connection:
        lease.require(connection, held)
        ledger.lock(connection)
        mirrored = holdings.list_holdings(connection, provider=provider)
        still, now = steady_since(clock), clock.now()
        # Set during the reading, the clock says nothing of how long that was waited for.
        steady = steady if still == steady else now
        changes, result = _compare(
            connection,
            read,
            known=tuple(_known(one) for one in mirrored),
            waiting=Waiting(read_at, now, max(grace, SHORTEST_GRACE), steady),
            buyer=buyer,
            fence=held.fence,
        )
        _mirror(connection, provider, inventory, mirrored, result, now=now)
        for finding in result.findings:
            _settle(connection, provider, finding, now=now)
        altered = changes.settle(now=now)
        stop(connection, provider, result.findings, altered, autopilot=autopilot, now=now)
        event = ReconcileMatched(
            provider=provider,
            matched=len(result.owner),
            findings=len(result.findings),
            account=account,
            began_at=read_at,
            listed=len(inventory),
        )
        ledger.append(connection, event, now=now)
    return Reconciliation(provider, read_at, inventory, len(result.owner), result.findings, altered)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What was read outside any transaction."""

    provider: str
    account: AccountId
    inventory: tuple[InventoryItem, ...]
    answers: Mapping[IntentId, Evidence | None]


def _compare(
    connection: Connection,
    read: _Reading,
    *,
    known: tuple[Known, ...],
    waiting: Waiting,
    buyer: ProviderBuyer,
    fence: int,
) -> tuple[AlterationsRead, Match]:
    """What the reading says of alterations, and of purchases beside what those explain."""
    changes = AlterationsRead(
        connection,
        read.provider,
        inventory=read.inventory,
        known=known,
        account=read.account,
        waiting=waiting,
    )
    result = match(
        intents=intents.list_intents(connection, provider=read.provider),
        inventory=read.inventory,
        known=known,
        account=read.account,
        waiting=waiting,
        idempotency=buyer.idempotency,
        answers=read.answers,
        explained=changes.explained,
        fence=fence,
    )
    return changes, result


def ask_for_unknown(
    engine: Engine, finder: ProviderFinder, provider: str, account: AccountId
) -> dict[IntentId, Evidence | None]:
    """What the provider says of each unknown purchase of ``account``; ``None``: it did not say."""
    with reading(engine) as connection:
        unknown = intents.list_intents(connection, states=(IntentState.UNKNOWN,), provider=provider)
    answers: dict[IntentId, Evidence | None] = {}
    for intent in unknown:
        if intent.order.account == account:
            try:
                answers[intent.order.intent] = finder.look_up(intent.order)
            except ProviderError:
                answers[intent.order.intent] = None
    return answers


def _known(mirrored: holdings.Holding) -> Known:
    return Known(mirrored.item, mirrored.vanished_at is not None, mirrored.first_seen_at)


def _mirror(
    connection: Connection,
    provider: str,
    inventory: tuple[InventoryItem, ...],
    mirrored: Sequence[holdings.Holding],
    result: Match,
    *,
    now: datetime,
) -> None:
    as_known = {one.item.commitment.commitment: one for one in mirrored}
    unchanged = []
    for item in inventory:
        identity = item.commitment.commitment
        known = as_known.get(identity)
        # A tag that names no intent of this ledger is somebody else's, however it looks.
        owner = result.owner.get(identity)
        ours = owner if owner is not None or known is None else known.item.intent
        listed = known is not None and known.vanished_at is None
        if known is not None and listed and replace(item, intent=ours) == known.item:
            unchanged.append(identity)
            continue
        holdings.keep(connection, provider, replace(item, intent=owner), now=now)
    holdings.seen_again(connection, provider, unchanged, now=now)


def _settle(connection: Connection, provider: str, finding: Finding, *, now: datetime) -> None:
    match finding:
        case SettledBought(intent=intent, item=item, evidence=evidence):
            moved = intents.move(
                connection,
                intent.order.intent,
                source=intent.state,
                target=IntentState.BOUGHT,
                word=Word.INVENTORY,
                now=now,
                detail=evidence,
                commitment=item.commitment.commitment,
            )
            if moved:
                _tell_settled(connection, intent.order.intent, "bought", evidence, now=now)
            if moved and finding.alarming:
                ledger.append(connection, _undecided(finding), now=now)
        case ProvenBought(intent=intent, commitment=commitment, evidence=evidence):
            _settle_proven(connection, intent, commitment, evidence, now=now)
        case SettledNotBought(intent=intent, evidence=evidence):
            moved = intents.move(
                connection,
                intent.order.intent,
                source=IntentState.UNKNOWN,
                target=IntentState.REFUSED,
                word=Word.INVENTORY,
                now=now,
                detail=f"not_bought: {evidence}",
            )
            if moved:
                _tell_settled(connection, intent.order.intent, "not_bought", evidence, now=now)
        case Changed(item=item, was=was, alarming=False):
            event = CommitmentChanged(
                commitment=item.commitment.commitment,
                state=item.commitment.state.value,
                was=was.value,
            )
            ledger.append(connection, event, now=now)
        case Confirmed(intent=intent, item=item):
            evidence = f"{item.commitment.commitment} is listed"
            _tell_settled(connection, intent.order.intent, "confirmed", evidence, now=now)
        case NeverListed():
            _tell_never_listed(connection, finding, now=now)
        case _:
            _tell_drift(connection, provider, finding, now=now)


def _settle_proven(
    connection: Connection,
    intent: Intent,
    commitment: CommitmentId,
    evidence: str,
    *,
    now: datetime,
) -> None:
    """Settle on the provider's word, unless it names another intent's commitment."""
    claimant = intents.claimant(connection, intent.line.provider, commitment)
    if claimant not in {None, intent.order.intent}:
        return
    moved = intents.move(
        connection,
        intent.order.intent,
        source=IntentState.UNKNOWN,
        target=IntentState.BOUGHT,
        word=Word.INVENTORY,
        now=now,
        detail=evidence,
        commitment=commitment,
    )
    if moved:
        _tell_settled(connection, intent.order.intent, "bought", evidence, now=now)


def _tell_settled(
    connection: Connection, intent: IntentId, outcome: str, evidence: str, *, now: datetime
) -> None:
    event = ReconcileSettled(intent=intent, outcome=outcome, evidence=evidence)
    ledger.append(connection, event, now=now)


def _tell_drift(
    connection: Connection,
    provider: str,
    finding: StillUnknown | Changed | External | Vanished | Duplicate,
    *,
    now: datetime,
) -> None:
    """Write each difference down once, not at every reading that shows it again."""
    match finding:
        case Changed(item=item, was=was):
            state = item.commitment.state.value
            event = _drift(state, item.commitment.commitment, None, f"it was {was.value}")
        case External(item=item, alarming=alarming):
            kind = "external" if alarming else "adopted"
            event = _drift(kind, item.commitment.commitment, None, "no intent of ours bought it")
        case Vanished(commitment=commitment, intent=intent, detail=detail):
            event = _drift(ReconcileDrift.VANISHED, commitment, intent, detail)
            if not holdings.mark_vanished(connection, provider, commitment, now=now) and (
                ledger.holds(connection, ReconcileDrift.name, commitment=commitment)
            ):
                return
        case Duplicate(intent=intent, items=items, is_new=is_new):
            listed = ", ".join(item.commitment.commitment for item in items)
            event = _drift("duplicate", None, intent.order.intent, f"bought as {listed}")
            if not is_new:
                return
        case StillUnknown(intent=intent, detail=detail, alarming=alarming):
            event = _drift("held", None, intent.order.intent, detail)
            if not alarming or ledger.holds(
                connection, ReconcileDrift.name, intent=intent.order.intent
            ):
                return
        case _:
            assert_never(finding)
    ledger.append(connection, event, now=now)


def _tell_never_listed(connection: Connection, finding: NeverListed, *, now: datetime) -> None:
    """Write it down once, with all that a person needs to look for it and to settle it."""
    commitment, order = finding.commitment, finding.intent.order
    if ledger.holds(connection, ReconcileDrift.name, commitment=commitment):
        return
    detail = (
        f"{finding.detail}: {order.quantity} of {order.offering} in account {order.account}. It "
        f"counts as owned until it is listed, or a person settles intent {order.intent}"
    )
    event = _drift(ReconcileDrift.NEVER_LISTED, commitment, order.intent, detail)
    ledger.append(connection, event, now=now)


def _undecided(finding: SettledBought) -> ReconcileDrift:
    intent, commitment = finding.intent, finding.item.commitment.commitment
    kind = "written_off" if intent.state is IntentState.REFUSED else "never_called"
    return _drift(kind, commitment, intent.order.intent, f"{finding.evidence} all the same")


def _drift(
    finding: str, commitment: CommitmentId | None, intent: IntentId | None, detail: str
) -> ReconcileDrift:
    return ReconcileDrift(finding=finding, commitment=commitment, intent=intent, detail=detail)
