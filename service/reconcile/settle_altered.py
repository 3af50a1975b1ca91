"""Writes down what a reading of the inventory proves of alterations, in the caller's transaction.

Those that are settled free their sources; what they made is tied to them, and what they took away
and no listing shows any more is counted as owned no longer.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from service.domain.alterations import Alteration, AlterationState
from service.domain.hours import Waiting
from service.domain.ids import AccountId, IntentId
from service.domain.purchases import InventoryItem
from service.observe.events import AlterationDone, AlterationRefused, ReconcileDrift
from service.purchase.lifecycle import Word
from service.reconcile.altered import Reading, explain, is_listed, match_alterations, with_parts
from service.reconcile.findings import (
    AlterationFinding,
    AlterationHeld,
    Known,
    SettledAltered,
    SettledNotAltered,
)
from service.reconcile.match import Explained
from service.store import alterations, holdings, ledger
from service.store.unlisted import note_listed, unlisted


class AlterationsRead:
    """The alterations of one provider, held against one reading."""

    def __init__(
        self,
        connection: Connection,
        provider: str,
        *,
        inventory: Sequence[InventoryItem],
        known: Sequence[Known],
        account: AccountId,
        waiting: Waiting,
    ) -> None:
        self._connection = connection
        self._provider = provider
        self._called = alterations.list_alterations(
            connection,
            states=(*alterations.OPEN, AlterationState.ALTERED, AlterationState.REFUSED),
            provider=provider,
        )
        self._reading = Reading(
            items={item.commitment.commitment: item for item in inventory},
            known={one.item.commitment.commitment: one for one in known},
            account=account,
            waiting=waiting,
        )
        self.explained: Explained = explain(self._called, self._reading)

    def settle(self, *, now: datetime) -> tuple[AlterationFinding, ...]:
        """Move what is proven; the mirror must be that of this reading by now."""
        before = alterations.before(self._connection, provider=self._provider)
        findings = match_alterations(self._called, before, self._reading)
        for finding in findings:
            self._write(finding, now=now)
        for one in self._called:
            if one.state is AlterationState.ALTERED:
                self._tie_up(one)
        waiting = unlisted(self._connection)
        for one in self._called:
            identity = one.order.intent
            if identity in waiting and is_listed(one, before.get(identity, {}), self._reading):
                note_listed(self._connection, identity)
        return findings

    def _write(self, finding: AlterationFinding, *, now: datetime) -> None:
        one = finding.alteration
        identity = one.order.intent
        match finding:
            case SettledAltered(made=made, evidence=evidence):
                if self._move(one, AlterationState.ALTERED, evidence, now=now):
                    alterations.name_made(self._connection, identity, made)
                    event = AlterationDone(
                        intent=identity,
                        made=", ".join(made),
                        pay_usd=one.pay_usd,
                        refund_usd=one.refund_usd,
                        evidence=evidence,
                    )
                    ledger.append(self._connection, event, now=now)
                    self._tie_up(one)
            case SettledNotAltered(evidence=evidence):
                if self._move(one, AlterationState.REFUSED, evidence, now=now):
                    refused = AlterationRefused(
                        intent=identity, code="not_altered", detail=evidence
                    )
                    ledger.append(self._connection, refused, now=now)
            case AlterationHeld(detail=detail, alarming=True):
                self._tell_held(identity, detail, now=now)
            case _:
                pass  # time may still settle it

    def _move(
        self, one: Alteration, target: AlterationState, detail: str, *, now: datetime
    ) -> bool:
        return alterations.move(
            self._connection, one, target=target, word=Word.INVENTORY, now=now, detail=detail
        )

    def _tie_up(self, one: Alteration) -> None:
        holdings.tie(
            self._connection,
            self._provider,
            explain((one,), self._reading).made,
            to=one.order.intent,
        )
        for source in with_parts(one.order.sources, self._reading):
            if source in self.explained.taken and source not in self._reading.items:
                holdings.let_go(self._connection, self._provider, source)

    def _tell_held(self, identity: IntentId, detail: str, *, now: datetime) -> None:
        if not ledger.holds(self._connection, ReconcileDrift.name, intent=identity):
            event = ReconcileDrift(finding="held", commitment=None, intent=identity, detail=detail)
            ledger.append(self._connection, event, now=now)
