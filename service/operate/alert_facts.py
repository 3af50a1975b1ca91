"""Finds what the ids in an event stand for, so that an alert can say it in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from service.domain.alterations import Alteration
from service.domain.ids import CommitmentId, IntentId, ProposalId
from service.domain.purchases import InventoryItem
from service.notify.about import About, about_item, about_line
from service.store import alterations, holdings, intents, proposals

_OWNED = "/commitments"


class Facts:
    """What the ledger and the inventory know, read over ``connection``.

    The inventory is read once, when it is first needed.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._items: Mapping[CommitmentId, InventoryItem] | None = None

    def of(self, payload: Mapping[str, Any]) -> About | None:
        """What an event with this ``payload`` is about; ``None`` where nothing is known of it."""
        if payload.get("proposal"):
            return self._proposal(ProposalId(payload["proposal"]))
        if payload.get("intent"):
            return self._intent(IntentId(payload["intent"]))
        if payload.get("commitment"):
            return self._owned(CommitmentId(payload["commitment"]), _OWNED)
        return None

    def altered(self, found: Alteration) -> About | None:
        """The first of what an alteration alters, or is to alter."""
        path = f"/alterations/{found.order.intent}"
        return self._owned(found.order.sources[0], path) if found.order.sources else None

    def _proposal(self, name: ProposalId) -> About | None:
        found = proposals.find(self._connection, name)
        return None if found is None else about_line(found.line, f"/proposals/{name}")

    def _intent(self, name: IntentId) -> About | None:
        bought = intents.find(self._connection, name)
        if bought is not None:
            return about_line(bought.line, _OWNED if bought.commitment else "/")
        altered = alterations.find(self._connection, name)
        return None if altered is None else self.altered(altered)

    def _owned(self, name: CommitmentId, path: str) -> About | None:
        if self._items is None:
            listed = holdings.inventory(self._connection)
            self._items = {one.commitment.commitment: one for one in listed}
        item = self._items.get(name)
        return None if item is None else about_item(item, path)
