"""What a reservation that was made from others really costs by the hour.

AWS shows no upfront price on what a modification made: it was paid for the parent. Without it a
reservation paid upfront would look free. Where any such one is listed, the region's modifications
are asked for and the parents' upfront is spread as before, by normalised units.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from service.domain.commitments import Payment
from service.domain.ids import CommitmentId
from service.domain.money import CommitUsdPerHour
from service.providers.aws.clients import Answer, AwsClients, invoke_all
from service.providers.aws.reservation_terms import (
    amortised_usd_per_hour,
    recurring_usd_per_hour,
)
from service.providers.aws.words import PAYMENTS, known
from service.usage.aws_sku import size_units


class Lineage:
    """Which of a region's reservations came from which."""

    def __init__(self, clients: AwsClients, region: str, listed: Sequence[Answer]) -> None:
        self._by_id = {one["ReservedInstancesId"]: one for one in listed}
        self._parents: Mapping[str, Sequence[str]] = {}
        if any(_looks_free(one) for one in listed):
            self._parents = _parents(clients, region)

    def amortised_usd_per_hour(self, listed: Answer) -> CommitUsdPerHour:
        """Upfront spread over the term plus the hourly charge, for one instance."""
        if not _looks_free(listed):
            return amortised_usd_per_hour(listed)
        share = self._upfront_usd_per_unit_hour(listed["ReservedInstancesId"])
        return CommitUsdPerHour(recurring_usd_per_hour(listed) + share * _units(listed))

    def _upfront_usd_per_unit_hour(self, child: str) -> Decimal:
        parents = [
            self._by_id[name] for name in self._parents.get(child, ()) if name in self._by_id
        ]
        units = sum((_units(one) * one["InstanceCount"] for one in parents), Decimal(0))
        if not units:
            return Decimal(0)
        spread = Decimal(0)
        for one in parents:
            weight = _units(one) * one["InstanceCount"]
            if _looks_free(one):
                spread += self._upfront_usd_per_unit_hour(one["ReservedInstancesId"]) * weight
            else:
                upfront = amortised_usd_per_hour(one) - recurring_usd_per_hour(one)
                spread += upfront * one["InstanceCount"]
        return spread / units


def _looks_free(listed: Answer) -> bool:
    paid_upfront = known(PAYMENTS, listed["OfferingType"]) is not Payment.NO_UPFRONT
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
