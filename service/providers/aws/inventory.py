"""All commitments that AWS lists, in every state, as domain values.

A listing is complete or an error: a page missed is a commitment bought twice. ``queued`` and
``payment-pending`` are there, since both are owned when sizing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from service.domain.commitments import Commitment, CommitmentState
from service.domain.ids import AccountId, CommitmentId, IntentId, OfferingId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import InventoryItem
from service.providers.aws.clients import Answer, AwsClients, invoke, invoke_all
from service.providers.aws.lineage import Lineage
from service.providers.aws.reservation_terms import CONVERTIBLE, ReservationTerms
from service.providers.aws.reservations import listed_reservations
from service.providers.aws.words import (
    INTENT_TAG,
    PAYMENTS,
    PLAN_KINDS,
    STATES,
    known,
    require_usd,
    term_months,
)

_PAGE = 1000


def savings_plans(clients: AwsClients, account: AccountId) -> list[InventoryItem]:
    """Every Savings Plan that ``account`` owns. Its id is read from each plan's ARN."""
    listed = invoke_all(
        clients.reading("savingsplans"),
        "describe_savings_plans",
        {"states": list(STATES), "maxResults": _PAGE},
        items="savingsPlans",
    )
    return [_plan(one, account) for one in listed]


def _plan(listed: Answer, account: AccountId) -> InventoryItem:
    owner = listed["savingsPlanArn"].split(":")[4] or account
    commitment = Decimal(listed["commitment"])
    require_usd(listed.get("currency"), f"Savings Plan {listed['savingsPlanId']}")
    return InventoryItem(
        commitment=Commitment(
            commitment=CommitmentId(listed["savingsPlanId"]),
            offering=OfferingId(listed["offeringId"]),
            account=AccountId(owner),
            scope=None,
            zone=None,
            quantity=commitment,
            start=_instant(listed["start"]),
            end=_instant(listed["end"]),
            state=known(STATES, listed["state"]),
        ),
        kind=known(PLAN_KINDS, listed["savingsPlanType"]),
        term_months=term_months(listed["termDurationInSeconds"]),
        payment=known(PAYMENTS, listed["paymentOption"]),
        region=listed.get("region"),
        family=listed.get("ec2InstanceFamily"),
        commit_usd_per_hour=CommitUsdPerHour(commitment),
        upfront_usd=Decimal(listed.get("upfrontPaymentAmount") or 0),
        intent=_intent(listed.get("tags", {}).get(INTENT_TAG)),
        returnable_until=_instant(listed["returnableUntil"])
        if listed.get("returnableUntil")
        else None,
    )


def reservations(
    clients: AwsClients, account: AccountId, regions: Sequence[str]
) -> list[InventoryItem]:
    """Every EC2 reservation of ``account`` in ``regions``; AWS lists each region in one answer."""
    found: list[InventoryItem] = []
    for region in regions:
        listed = listed_reservations(clients, region)
        lineage = Lineage(clients, region, listed)
        found.extend(_reservation(one, region, account, lineage) for one in listed)
    return found


def regions(clients: AwsClients) -> list[str]:
    """The regions that the account may use."""
    listed = invoke(clients.reading("ec2"), "describe_regions", {}, needs="Regions")
    return [one["RegionName"] for one in listed["Regions"]]


def _reservation(
    listed: Answer, region: str, account: AccountId, lineage: Lineage
) -> InventoryItem:
    terms = ReservationTerms.of_listed(listed, region)
    count = Decimal(listed["InstanceCount"])
    tags = {one["Key"]: one["Value"] for one in listed.get("Tags", ())}
    state = known(STATES, listed["State"])
    return InventoryItem(
        commitment=Commitment(
            commitment=CommitmentId(listed["ReservedInstancesId"]),
            offering=terms.offering,
            account=account,
            scope=None,
            zone=terms.zone,
            quantity=count,
            start=listed["Start"].astimezone(UTC),
            end=listed["End"].astimezone(UTC),
            state=state,
        ),
        kind=terms.kind,
        term_months=terms.term_months,
        payment=terms.payment,
        region=region,
        family=terms.instance_type.partition(".")[0],
        commit_usd_per_hour=CommitUsdPerHour(lineage.amortised_usd_per_hour(listed) * count),
        upfront_usd=Decimal(str(listed["FixedPrice"])) * count,
        intent=_intent(tags.get(INTENT_TAG)),
        returnable_until=None,
        exchangeable=terms.offering_class == CONVERTIBLE and state is CommitmentState.ACTIVE,
    )


def _intent(tag: str | None) -> IntentId | None:
    return IntentId(tag) if tag else None


def _instant(text: str) -> datetime:
    parsed = datetime.fromisoformat(text)
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
