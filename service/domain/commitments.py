"""Offerings that can be bought, commitments that are owned. Shapes follow docs/tables.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from service.domain.ids import AccountId, CommitmentId, OfferingId

LEFT_OUT = {"left_out_when_none": True}
"""Marks a field that is not written down while it is ``None``: a replica of the version before,
which does not know it, can go on reading what makes no use of it."""


class Kind(StrEnum):
    """What is bought: dollars an hour (spend) or units of capacity."""

    AWS_COMPUTE_SP = "aws_compute_sp"
    AWS_EC2_INSTANCE_SP = "aws_ec2_instance_sp"
    AWS_DATABASE_SP = "aws_database_sp"
    AWS_SAGEMAKER_SP = "aws_sagemaker_sp"
    AWS_RI_REGIONAL = "aws_ri_regional"
    AWS_RI_ZONAL = "aws_ri_zonal"
    AWS_RDS_RI = "aws_rds_ri"
    AWS_ELASTICACHE_RI = "aws_elasticache_ri"
    AWS_OPENSEARCH_RI = "aws_opensearch_ri"
    AWS_REDSHIFT_RI = "aws_redshift_ri"
    AWS_MEMORYDB_RI = "aws_memorydb_ri"
    AZURE_RESERVATION = "azure_reservation"
    AZURE_SAVINGS_PLAN = "azure_savings_plan"
    GCP_RESOURCE_CUD = "gcp_resource_cud"
    GCP_FLEXIBLE_CUD = "gcp_flexible_cud"

    @property
    def is_spend(self) -> bool:
        """True when quantities are dollars of commitment per hour, false for capacity."""
        return self in SPEND_KINDS


SPEND_KINDS = frozenset(
    {
        Kind.AWS_COMPUTE_SP,
        Kind.AWS_EC2_INSTANCE_SP,
        Kind.AWS_DATABASE_SP,
        Kind.AWS_SAGEMAKER_SP,
        Kind.AZURE_SAVINGS_PLAN,
        Kind.GCP_FLEXIBLE_CUD,
    }
)


QUEUEABLE_KINDS = frozenset(
    {
        Kind.AWS_COMPUTE_SP,
        Kind.AWS_EC2_INSTANCE_SP,
        Kind.AWS_DATABASE_SP,
        Kind.AWS_SAGEMAKER_SP,
        Kind.AWS_RI_REGIONAL,
    }
)
"""What can be bought now to start later, and taken back for nothing until then.

Sources: ``purchaseTime`` of ``CreateSavingsPlan``; ``PurchaseTime`` of
``PurchaseReservedInstancesOffering``, which takes regional reservations only."""


class Payment(StrEnum):
    """When the term is paid for."""

    NO_UPFRONT = "no_upfront"
    PARTIAL_UPFRONT = "partial_upfront"
    ALL_UPFRONT = "all_upfront"


class CommitmentState(StrEnum):
    """Where a commitment stands with its provider."""

    QUEUED = "queued"
    PAYMENT_PENDING = "payment-pending"
    ACTIVE = "active"
    RETURNED = "returned"
    RETIRED = "retired"
    FAILED = "failed"

    @property
    def is_owned(self) -> bool:
        """Counts when sizing: what is paid for, or will be without a further decision."""
        return self in OWNED_STATES


OWNED_STATES = frozenset(
    {CommitmentState.QUEUED, CommitmentState.PAYMENT_PENDING, CommitmentState.ACTIVE}
)


@dataclass(frozen=True, slots=True)
class Beside:
    """How an offering is sold that is not sold alone: in one purchase with ``offering``.

    Each purchase of that one brings at least ``least`` units of it, and at most ``most_per_unit``
    for each of its own. ``unit``: what people call one of them.
    """

    offering: OfferingId
    least: Decimal
    most_per_unit: Decimal
    unit: str


@dataclass(frozen=True, slots=True)
class Offering:
    """One product × term × payment × scope that can be, or has been, bought.

    ``rates_usd`` — spend kinds: for each covered SKU the dollars of hourly commitment that one
    unit uses up; where the rate differs by region and the offering is for any, the key is
    ``region/sku``. Capacity kinds: exactly one entry, the SKU that a unit of capacity is defined
    in, with its amortised dollars per hour. ``upfront_usd`` is due at purchase per $1/h
    committed or per unit. ``None`` in a scope field means any. Terms are months, quantities in
    $/h (spend) or units of capacity. ``beside``: it is sold in another's purchase only.
    ``level_only``: it is judged by what it would cover of level usage (``UsageLine.level``) alone,
    after all that is owned; the provider knows no such thing, and it is never written down.
    """

    offering: OfferingId
    provider: str
    kind: Kind
    term_months: int
    payment: Payment
    region: str | None
    family: str | None
    platform: str | None
    tenancy: str | None
    zone: str | None
    size_flexible: bool
    rates_usd: Mapping[str, Decimal]
    upfront_usd: Decimal
    min_quantity: Decimal
    step: Decimal
    beside: Beside | None = field(default=None, metadata=LEFT_OUT)
    level_only: bool | None = field(default=None, metadata=LEFT_OUT)

    def rate_usd(self, region: str, sku: str) -> Decimal | None:
        """The rate of ``sku`` in ``region``; ``None`` where it is not covered."""
        regional = self.rates_usd.get(f"{region}/{sku}")
        return self.rates_usd.get(sku) if regional is None else regional


@dataclass(frozen=True, slots=True)
class Commitment:
    """One commitment owned or on its way; a row of ``holdings``.

    ``scope`` is ``None`` when shared with the whole organisation, else the accounts that it is
    limited to; ``account/group`` is one resource group of an Azure subscription. ``quantity`` is
    $/h (spend) or units of capacity. ``[start, end)`` is the term.
    """

    commitment: CommitmentId
    offering: OfferingId
    account: AccountId
    scope: frozenset[AccountId] | None
    zone: str | None
    quantity: Decimal
    start: datetime
    end: datetime
    state: CommitmentState
