"""Who in an organisation gets a commitment's discount, and who gets it first (AWS).

Source: AWS Billing user guide, "Reserved Instances and Savings Plans discount sharing": sharing
over the whole organisation, prioritised groups (the owner's group before the others), restricted
groups (the owner's group only), or off (the owner only). The owner's account always comes first.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from service.domain.errors import InvariantError
from service.domain.ids import AccountId


class SharingMode(StrEnum):
    """How far a commitment's discount reaches beyond its owner."""

    ORGANISATION = "organisation"
    PRIORITISED = "prioritised"
    RESTRICTED = "restricted"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Sharing:
    """A sharing preference. ``groups`` are disjoint; an account in none is a group of itself."""

    mode: SharingMode = SharingMode.ORGANISATION
    groups: tuple[frozenset[AccountId], ...] = ()

    def __post_init__(self) -> None:
        members = [account for group in self.groups for account in group]
        if len(set(members)) != len(members):
            msg = "an account is in two sharing groups"
            raise InvariantError(msg)

    def turn(self, owner: AccountId, user: AccountId) -> int | None:
        """When usage of ``user`` has its turn at a commitment of ``owner``: 0 first, or never."""
        if owner == user:
            return 0
        if self.mode is SharingMode.OFF:
            return None
        if self.mode is SharingMode.ORGANISATION:
            return 1
        if any(owner in group and user in group for group in self.groups):
            return 1
        return 2 if self.mode is SharingMode.PRIORITISED else None


ORGANISATION = Sharing()
