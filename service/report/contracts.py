"""Commitments and proposals as FOCUS ContractCommitment records, one shape for both.

Columns are those of FOCUS 1.4's ContractCommitment dataset as recorded in docs/glossary.md: the 13
of version 1.3, and of 1.4 those that can be stated truly here. A proposal is ``Proposed`` until it
is executed; what is on its way is ``Pending``. A column without a value is ``None``, never a guess.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from service.domain.commitments import Commitment, CommitmentState, Kind, Offering, Payment
from service.domain.hours import HOUR, TERM_HOURS, require_utc
from service.domain.ids import AccountId, OfferingId, ProposalId
from service.domain.purchases import InventoryItem, Proposal, ProposalState
from service.report.savings import hourly_usd, offering_of, prepaid_usd_per_hour

Record = dict[str, object]

COLUMNS = (
    "BillingCurrency",
    "ContractCommitmentCategory",
    "ContractCommitmentCost",
    "ContractCommitmentDescription",
    "ContractCommitmentId",
    "ContractCommitmentPeriodStart",
    "ContractCommitmentPeriodEnd",
    "ContractCommitmentQuantity",
    "ContractCommitmentType",
    "ContractCommitmentUnit",
    "ContractId",
    "ContractPeriodStart",
    "ContractPeriodEnd",
    "ContractCommitmentLifecycleStatus",
    "ContractCommitmentModel",
    "ContractCommitmentBenefitCategory",
    "ContractCommitmentPaymentModel",
    "ContractCommitmentPaymentUpfrontPercentage",
    "ContractCommitmentFulfillmentInterval",
    "ContractCommitmentDurationType",
    "ContractCommitmentApplicability",
)
PAYMENT_MODELS = {
    Payment.NO_UPFRONT: "No Upfront",
    Payment.PARTIAL_UPFRONT: "Partial Upfront",
    Payment.ALL_UPFRONT: "All Upfront",
}
TYPES = {
    Kind.AWS_COMPUTE_SP: "Compute Savings Plan",
    Kind.AWS_EC2_INSTANCE_SP: "EC2 Instance Savings Plan",
    Kind.AWS_DATABASE_SP: "Database Savings Plan",
    Kind.AWS_SAGEMAKER_SP: "SageMaker Savings Plan",
    Kind.AWS_RI_REGIONAL: "Regional Reserved Instance",
    Kind.AWS_RI_ZONAL: "Zonal Reserved Instance",
    Kind.AWS_RDS_RI: "RDS Reserved DB Instance",
    Kind.AWS_ELASTICACHE_RI: "ElastiCache Reserved Node",
    Kind.AWS_OPENSEARCH_RI: "OpenSearch Reserved Instance",
    Kind.AWS_REDSHIFT_RI: "Redshift Reserved Node",
    Kind.AWS_MEMORYDB_RI: "MemoryDB Reserved Node",
    Kind.AZURE_RESERVATION: "Azure Reservation",
    Kind.AZURE_SAVINGS_PLAN: "Azure Savings Plan",
    Kind.GCP_RESOURCE_CUD: "Resource-based CUD",
    Kind.GCP_FLEXIBLE_CUD: "Flexible CUD",
}
PROPOSED = frozenset({ProposalState.WAITING, ProposalState.APPROVED})
CENT_OF_RATIO = Decimal("0.0001")


def commitment_records(
    commitments: Sequence[Commitment],
    *,
    offerings: Mapping[OfferingId, Offering],
    as_of: datetime,
) -> tuple[Record, ...]:
    """One record per commitment, with its status as of ``as_of`` (UTC).

    A commitment that failed was never one and has no record. ``InvariantError`` for an offering
    that is not known.
    """
    require_utc(as_of)
    return tuple(
        _of_commitment(one, offering_of(one, offerings), as_of)
        for one in commitments
        if one.state is not CommitmentState.FAILED
    )


def inventory_records(items: Sequence[InventoryItem], *, as_of: datetime) -> tuple[Record, ...]:
    """One record per commitment as its provider listed it, with its status as of ``as_of``.

    Like ``commitment_records``, at the cost that the provider states; no offering is needed.
    """
    require_utc(as_of)
    return tuple(
        _of_item(item, as_of)
        for item in items
        if item.commitment.state is not CommitmentState.FAILED
    )


def proposal_records(
    proposals: Sequence[Proposal], *, offerings: Mapping[OfferingId, Offering]
) -> tuple[Record, ...]:
    """A ``Proposed`` record for each proposal that waits or is approved and not yet executed.

    The term is as if it began when the proposal was made; its cost is the line's obligation. What
    comes beside it in the same purchase has a record of its own, as it will once it is bought.
    """
    return tuple(
        record
        for one in proposals
        if one.state in PROPOSED
        for record in _of_proposal(one, offerings)
    )


def status_of(one: Commitment, as_of: datetime) -> str:
    """FOCUS's word for where a commitment stands at ``as_of``."""
    if one.state is CommitmentState.RETURNED:
        return "Canceled"
    if one.state is CommitmentState.RETIRED or one.end <= as_of:
        return "Expired"
    if one.state is not CommitmentState.ACTIVE or one.start > as_of:
        return "Pending"
    return "Active"


def _of_commitment(one: Commitment, offering: Offering, as_of: datetime) -> Record:
    hourly = hourly_usd(one, offering)
    return _record(
        offering,
        identity=one.commitment,
        account=one.account,
        quantity=one.quantity,
        cost_usd=hourly * ((one.end - one.start) // HOUR),
        upfront_ratio=prepaid_usd_per_hour(one, offering) / hourly if hourly else None,
        start=one.start,
        end=one.end,
        status=status_of(one, as_of),
        scope=one.scope,
    )


def _of_item(item: InventoryItem, as_of: datetime) -> Record:
    one = item.commitment
    cost_usd = item.commit_usd_per_hour * ((one.end - one.start) // HOUR)
    sold_as = Offering(
        offering=one.offering,
        provider=item.kind.value.split("_", 1)[0],
        kind=item.kind,
        term_months=item.term_months,
        payment=item.payment,
        region=item.region,
        family=item.family,
        platform=None,
        tenancy=None,
        zone=one.zone,
        size_flexible=False,
        rates_usd={},
        upfront_usd=Decimal(0),
        min_quantity=Decimal(0),
        step=Decimal(0),
    )
    return _record(
        sold_as,
        identity=one.commitment,
        account=one.account,
        quantity=one.quantity,
        cost_usd=cost_usd,
        upfront_ratio=item.upfront_usd / cost_usd if cost_usd else None,
        start=one.start,
        end=one.end,
        status=status_of(one, as_of),
        scope=one.scope,
    )


def _of_proposal(one: Proposal, offerings: Mapping[OfferingId, Offering]) -> Iterator[Record]:
    line, beside = one.line, one.line.companion
    hours = TERM_HOURS[line.term_months]
    part_usd = Decimal(0) if beside is None else beside.commit_usd_per_hour * hours
    parts = [(one.proposal, line.offering, line.quantity, line.total_usd - part_usd)]
    if beside is not None:
        part = f"{one.proposal}/{beside.unit}"
        parts.append((ProposalId(part), beside.offering, beside.quantity, part_usd))
    for identity, offering, quantity, cost_usd in parts:
        yield _record(
            offerings[offering],
            identity=identity,
            account=line.account,
            quantity=quantity,
            cost_usd=cost_usd,
            upfront_ratio=line.upfront_usd / line.total_usd if line.total_usd else None,
            start=one.created_at,
            end=one.created_at + timedelta(hours=hours),
            status="Proposed",
            scope=None,
        )


def _record(
    offering: Offering,
    *,
    identity: str,
    account: AccountId,
    quantity: Decimal,
    cost_usd: Decimal,
    upfront_ratio: Decimal | None,
    start: datetime,
    end: datetime,
    status: str,
    scope: frozenset[AccountId] | None,
) -> Record:
    spend = offering.kind.is_spend
    years = offering.term_months // 12
    duration = f"{years} Year{'s' * (years > 1)}"
    values = (
        "USD",
        "Spend" if spend else "Usage",
        cost_usd,
        ", ".join((TYPES[offering.kind], duration, PAYMENT_MODELS[offering.payment])),
        identity,
        start,
        end,
        quantity,
        TYPES[offering.kind],
        "USD/Hour" if spend else "Units",
        identity,
        start,
        end,
        status,
        "Continuous",
        "Availability" if offering.kind is Kind.AWS_RI_ZONAL else "Discount",
        PAYMENT_MODELS[offering.payment],
        None if upfront_ratio is None else upfront_ratio.quantize(CENT_OF_RATIO),
        "Hourly",
        duration,
        _applicability(offering, account, scope),
    )
    return dict(zip(COLUMNS, values, strict=True))


def _applicability(
    offering: Offering, account: AccountId, scope: frozenset[AccountId] | None
) -> str:
    """What the commitment covers, as JSON text; fields left out mean any."""
    where: dict[str, object] = {
        "Provider": offering.provider,
        "PurchaseAccount": account,
        "Accounts": "shared" if scope is None else sorted(scope),
        "Region": offering.region,
        "Family": offering.family,
        "Zone": offering.zone,
    }
    told = {key: value for key, value in where.items() if value is not None}
    return json.dumps(told, sort_keys=True)
