"""What a provider's inventory can prove about the ledger, one frozen value per kind of finding.

``alarming`` is true where a person should hear of it, and autopilot should not go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service.domain.alterations import Alteration
from service.domain.commitments import CommitmentState
from service.domain.ids import CommitmentId, IntentId
from service.domain.purchases import Intent, IntentState, InventoryItem


@dataclass(frozen=True, slots=True)
class Known:
    """What the mirror holds of one commitment before this reading. ``vanished``: not listed."""

    item: InventoryItem
    vanished: bool
    first_seen_at: datetime


@dataclass(frozen=True, slots=True)
class SettledBought:
    """A purchase without a known outcome is listed, or one that was taken for refused is."""

    intent: Intent
    item: InventoryItem
    evidence: str

    @property
    def alarming(self) -> bool:
        """True when money moved without a call that this ledger knows of, or against its no."""
        return self.intent.state in {IntentState.REFUSED, IntentState.RECORDED}


@dataclass(frozen=True, slots=True)
class ProvenBought:
    """The provider, asked for it by its own reference or name, says that it is sold."""

    intent: Intent
    commitment: CommitmentId
    evidence: str
    alarming = False


@dataclass(frozen=True, slots=True)
class SettledNotBought:
    """A purchase without a known outcome did not happen."""

    intent: Intent
    evidence: str
    alarming = False


@dataclass(frozen=True, slots=True)
class StillUnknown:
    """Nothing is proven yet. ``alarming``: time alone will not settle it, a person must."""

    intent: Intent
    detail: str
    alarming: bool


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A purchase that was answered with a yes is listed for the first time."""

    intent: Intent
    item: InventoryItem
    alarming = False


@dataclass(frozen=True, slots=True)
class Changed:
    """A commitment is listed in another state than before: active, failed, returned, retired.

    ``by_us``: an alteration of ours took it away.
    """

    item: InventoryItem
    was: CommitmentState
    by_us: bool = False

    @property
    def alarming(self) -> bool:
        """True when what was owned failed, and not because we took it back."""
        failed = self.item.commitment.state is CommitmentState.FAILED and self.was.is_owned
        return failed and not self.by_us


@dataclass(frozen=True, slots=True)
class External:
    """A commitment that no intent of ours bought. Expected when a provider is first read."""

    item: InventoryItem
    alarming: bool


@dataclass(frozen=True, slots=True)
class Vanished:
    """Something owned is no longer listed."""

    commitment: CommitmentId
    intent: IntentId | None
    detail: str
    alarming = True


@dataclass(frozen=True, slots=True)
class NeverListed:
    """A yes was never followed by a listing. It counts until it is listed, or a person settles."""

    intent: Intent
    commitment: CommitmentId
    detail: str
    alarming = True


@dataclass(frozen=True, slots=True)
class Duplicate:
    """One intent has more than one commitment. ``is_new``: not told of before."""

    intent: Intent
    items: tuple[InventoryItem, ...]
    is_new: bool
    alarming = True


@dataclass(frozen=True, slots=True)
class SettledAltered:
    """An alteration without a known outcome has happened, or one that was taken for refused has.

    ``made``: new commitments that it accounts for.
    """

    alteration: Alteration
    made: tuple[CommitmentId, ...]
    evidence: str
    alarming: bool = False


@dataclass(frozen=True, slots=True)
class SettledNotAltered:
    """An alteration without a known outcome did not happen: its sources are as they were."""

    alteration: Alteration
    evidence: str
    alarming = False


@dataclass(frozen=True, slots=True)
class AlterationHeld:
    """Nothing is proven yet. ``alarming``: time alone will not settle it, a person must."""

    alteration: Alteration
    detail: str
    alarming: bool


AlterationFinding = SettledAltered | SettledNotAltered | AlterationHeld

Finding = (
    SettledBought
    | ProvenBought
    | SettledNotBought
    | StillUnknown
    | Confirmed
    | Changed
    | External
    | Vanished
    | NeverListed
    | Duplicate
)
