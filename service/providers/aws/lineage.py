"""What a reservation that was made from others really costs by the hour.

AWS shows no upfront price on what a modification made: it was paid for the parent. Without it a
reservation paid upfront would look free. Where any such one is listed, the region's modifications
are asked for and the parents' upfront is spread as before, by normalised units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from service.domain.commitments import Payment
from service.domain.errors import ProviderError
from service.domain.ids import CommitmentId
from service.domain.money import CommitUsdPerHour
from service.providers.aws.clients import PROVIDER, Answer, AwsClients, invoke_all
from service.providers.aws.reservation_terms import (
    amortised_usd_per_hour,
    recurring_usd_per_hour,
)
from service.providers.aws.words import STATES, known, payment_of
from service.usage.aws_sku import size_units


class Lineage:
    """Which of a region's reservations came from which."""

    def __init__(self, clients: AwsClients, region: str, listed: Sequence[Answer]) -> None:
        self._by_id = {one["ReservedInstancesId"]: one for one in listed}
        self._parents: Mapping[str, Sequence[str]] = {}
        if any(_looks_free(one) for one in listed):
            self._parents = _parents(clients, region)

    def amortised_usd_per_hour(self, listed: Answer) -> CommitUsdPerHour:
        """Upfront spread over the term plus the hourly charge, for one instance.

        ``ProviderError`` while it is owned and what was paid for it is not listed any more: taken
        as free it would count as no obligation, and as the best bargain there is.
        """
        if not _looks_free(listed):
            return amortised_usd_per_hour(listed)
        name = listed["ReservedInstancesId"]
        share = self._upfront_usd_per_unit_hour(name)
        if share is None:
            if known(STATES, listed["State"]).is_owned:
                raise ProviderError(
                    provider=PROVIDER,
                    operation="ec2.describe_reserved_instances",
                    code="no_price",
                    detail=f"{name} was paid upfront, and neither it nor what it was made from "
                    "shows how much; ask AWS support what was paid, and buy by hand until it ends",
                )
            share = Decimal(0)
        return CommitUsdPerHour(recurring_usd_per_hour(listed) + share * _units(listed))

    def _upfront_usd_per_unit_hour(self, child: str) -> Decimal | None:
        """``None`` when a reservation that it came from is not listed."""
        names = self._parents.get(child, ())
        parents = [self._by_id[name] for name in names if name in self._by_id]
        units = sum((_units(one) * one["InstanceCount"] for one in parents), Decimal(0))
        if not units or len(parents) < len(names):
            return None
        spread = Decimal(0)
        for one in parents:
            weight = _units(one) * one["InstanceCount"]
            if _looks_free(one):
                share = self._upfront_usd_per_unit_hour(one["ReservedInstancesId"])
                if share is None:
                    return None
                spread += share * weight
            else:
                upfront = amortised_usd_per_hour(one) - recurring_usd_per_hour(one)
                spread += upfront * one["InstanceCount"]
        return spread / units


def _looks_free(listed: Answer) -> bool:
    paid_upfront = payment_of(listed["OfferingType"]) is not Payment.NO_UPFRONT
    return paid_upfront and not listed["FixedPrice"]


def _units(listed: Answer) -> Decimal:
    # A size without a weight can only have been moved, never resized: any weight will do.
    return size_units(listed["InstanceType"]) or Decimal(1)


def _parents(clients: AwsClients, region: str) -> dict[str, list[str]]:
    """By reservation that a modification made: those it was made from."""
    found: dict[str, list[str]] = {}
    for one in invoke_all(
        clients.reading("ec2", region),
        "describe_reserved_instances_modifications",
        {},
        items="ReservedInstancesModifications",
        token="NextToken",  # noqa: S106  # the name of a field
    ):
        sources = [source["ReservedInstancesId"] for source in one["ReservedInstancesIds"]]
        for result in one.get("ModificationResults", ()):
            if result.get("ReservedInstancesId"):
                found[CommitmentId(result["ReservedInstancesId"])] = sources
    return found
