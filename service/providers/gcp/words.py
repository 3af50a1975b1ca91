"""Google's words and ours: series and types, plans, states, ids, and the intent in a name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import TypeVar
from uuid import UUID, uuid5

import yaml

from service.domain.commitments import CommitmentState
from service.domain.errors import InputError, ProviderError
from service.domain.ids import ClientToken, CommitmentId, IntentId, OfferingId
from service.usage.gcp_sku import GB_HOURS, VCPU_HOURS, machine_sku

PROVIDER = "gcp"
VCPU, RAM = "vcpu", "ram"
MB_PER_GB = 1_024
MEMORY_UNIT = "GB of memory"
PLANS: Mapping[str, int] = {"TWELVE_MONTH": 12, "THIRTY_SIX_MONTH": 36}
PLAN_WORDS = {months: word for word, months in PLANS.items()}
STATES: Mapping[str, CommitmentState] = {
    "CREATING": CommitmentState.PAYMENT_PENDING,
    # Sold and paid for from the next midnight Pacific time on: owned, not yet discounting.
    "NOT_YET_ACTIVE": CommitmentState.QUEUED,
    "ACTIVE": CommitmentState.ACTIVE,
    "EXPIRED": CommitmentState.RETIRED,
    # What was merged into another is cancelled; the other holds it.
    "CANCELLED": CommitmentState.RETIRED,
}
FLEXIBLE_STEP_USD = Decimal("0.01")
_SKU_WORDS = {VCPU: "vCPU", RAM: "RAM"}
_UNITS = {VCPU: VCPU_HOURS, RAM: GB_HOURS}
_RESOURCE_PREFIX, _FLEXIBLE_PREFIX = "gcp_cud", "gcp_flexible"
_NAMES = UUID("6f1c1c34-40cf-5f3c-9f0c-3a1f3c1d8f55")
_INTENT = re.compile(r"tenor:intent=(\S+)")
_MEMORY_PART = "/memory"

Word = TypeVar("Word")


def gigabytes(amount_mb: int) -> Decimal:
    """Google's MB as the GB that prices and usage are counted in: exact, both are powers of 2."""
    return Decimal(amount_mb) / MB_PER_GB


@dataclass(frozen=True, slots=True)
class Memory:
    """How memory is sold beside vCPUs, in MB of 2^20 bytes."""

    step_mb: int
    least_mb: int
    most_mb_per_vcpu: int


@dataclass(frozen=True, slots=True)
class Tables:
    """The contents of ``tables.yaml``; discounts are ratios 0-1 by the term's months."""

    families: Mapping[str, str]
    sold_types: Mapping[str, str]
    commitment_names: Mapping[str, str]
    flexible_discounts: Mapping[int, Decimal]
    flexible_families: frozenset[str]
    past_flexible_offers: Mapping[str, int]
    memory: Memory


@cache
def gcp_tables() -> Tables:
    """The tables as shipped, read once."""
    raw = yaml.safe_load(files(__package__).joinpath("tables.yaml").read_text("utf-8"))
    flexible = raw["flexible"]
    return Tables(
        families={word: row["family"] for word, row in raw["types"].items()},
        sold_types={row["family"]: word for word, row in raw["types"].items() if row["sold"]},
        commitment_names=raw["commitment_names"],
        flexible_discounts={m: Decimal(one) for m, one in flexible["discounts"].items()},
        flexible_families=frozenset(flexible["families"]),
        past_flexible_offers=raw["past_flexible_offers"],
        memory=Memory(**{name: one for name, one in raw["memory"].items() if name != "as_of"}),
    )


@dataclass(frozen=True, slots=True)
class ResourceTerms:
    """What one part of a resource commitment is; ``resource`` is ``vcpu`` or ``ram`` (GB)."""

    region: str
    family: str
    resource: str
    term_months: int

    @property
    def offering(self) -> OfferingId:
        """Our id of the offering: Google has none."""
        years = str(self.term_months // 12)
        parts = (_RESOURCE_PREFIX, self.region, self.family, self.resource, years)
        return OfferingId("/".join(parts))

    @property
    def sku(self) -> str:
        """The SKU that one unit of it is defined in."""
        return machine_sku(self.family, _SKU_WORDS[self.resource])

    @property
    def unit(self) -> str:
        """What the SKU is counted in."""
        return _UNITS[self.resource]


_RESOURCE_PARTS = 5


def resource_terms(offering: OfferingId) -> ResourceTerms:
    """The terms that one of our ids names; ``InputError`` when it names no resource commitment."""
    parts = offering.split("/")
    if (
        len(parts) != _RESOURCE_PARTS
        or parts[0] != _RESOURCE_PREFIX
        or parts[3] not in _SKU_WORDS
        or parts[4] not in {"1", "3"}
    ):
        raise InputError(
            f"{offering} does not name a resource commitment",
            file="the order",
            remedy="Use an offering id from the offers table.",
        )
    return ResourceTerms(parts[1], parts[2], parts[3], 12 * int(parts[4]))


def flexible_offering(months: int) -> OfferingId:
    """Our id of the flexible commitment of so many months, whatever Google's offer is called."""
    return OfferingId(f"{_FLEXIBLE_PREFIX}/{months // 12}")


def request_id(token: ClientToken) -> str:
    """The request id that an intent's token stands for: always a UUID, always the same one."""
    try:
        return str(UUID(token))
    except ValueError:
        return str(uuid5(_NAMES, token))


def commitment_name(intent: IntentId) -> str:
    """The one name that an intent's commitment may have: a second lock beside the request id."""
    return f"tenor-{uuid5(_NAMES, intent).hex}"


def tag(intent: IntentId) -> str:
    """What a description or display name says of its intent; commitments take no labels."""
    return f"tenor:intent={intent}"


def intent_of(*texts: str) -> IntentId | None:
    """The intent that one of ``texts`` names."""
    for text in texts:
        found = _INTENT.search(text)
        if found is not None:
            return IntentId(found[1])
    return None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a resource commitment is."""

    project: str
    region: str
    name: str

    def commitment(self, resource: str = VCPU) -> CommitmentId:
        """Our id of its vCPUs, or of its memory."""
        whole = f"{self.project}/{self.region}/{self.name}"
        return CommitmentId(whole if resource == VCPU else whole + _MEMORY_PART)

    @property
    def path(self) -> str:
        """Google's relative name."""
        return f"projects/{self.project}/regions/{self.region}/commitments/{self.name}"


_PLACE_PARTS = 3


def place_of(commitment: CommitmentId) -> Place | None:
    """Where the commitment is that the id names as a whole; ``None`` for its memory or an order."""
    parts = commitment.split("/")
    return Place(*parts) if len(parts) == _PLACE_PARTS and "" not in parts else None


def known(table: Mapping[str, Word], word: str) -> Word:
    """What one of Google's words means here; ``ProviderError`` for one that we do not know.

    A state or series that appeared after this was written must stop a reading, not be guessed.
    """
    meaning = table.get(word)
    if meaning is None:
        raise ProviderError(
            provider=PROVIDER, operation="reading", code="unknown_word", detail=repr(word)
        )
    return meaning
