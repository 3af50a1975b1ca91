"""Modifying EC2 reservations: other zone, scope or sizes of an equal footprint, free of charge.

AWS takes a token and fulfils what it accepted some minutes later, so the first answer is mostly
that nothing is known yet; asked again with the same token, it says what became of it. Source: EC2
user guide, "Modify Reserved Instances".
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from service.domain.alterations import (
    AlterationOrder,
    AlterationOutcome,
    AlterationQuote,
    Altered,
    Target,
)
from service.domain.commitments import CommitmentState
from service.domain.errors import ProviderError
from service.domain.hours import HOUR
from service.domain.ids import CommitmentId
from service.domain.purchases import InventoryItem, Refused, Unknown
from service.providers.aws import inventory, reservations
from service.providers.aws.clients import PROVIDER, Answer, AwsClients, invoke_all
from service.providers.aws.last_look import send_if_wanted
from service.providers.aws.outcome import WIRE_ERRORS, outcome_of
from service.providers.aws.reservation_terms import ReservationTerms
from service.providers.port import StillWanted
from service.usage.aws_sku import size_units

_PLAIN = ("Linux/UNIX", "default")


def quote(clients: AwsClients, order: AlterationOrder, now: datetime) -> AlterationQuote:
    """What AWS's rules say of the modification; AWS itself quotes none. Changes nothing."""
    items = sources_of(clients, order)
    detail = why_not(items, order.targets)
    value = sum(
        (
            Decimal(item.commit_usd_per_hour) * max((item.commitment.end - now) // HOUR, 0)
            for item in items
        ),
        Decimal(0),
    )
    return AlterationQuote(
        allowed=not detail,
        detail=detail,
        pay_usd=Decimal(0),
        refund_usd=Decimal(0),
        source_value_usd=value,
        target_value_usd=Decimal(0) if detail else value,
        targets=() if detail else order.targets,
        reference=None,
        quoted_at=now,
    )


def sources_of(clients: AwsClients, order: AlterationOrder) -> list[InventoryItem]:
    """The order's sources as they are listed; ``ProviderError`` unless all lie in one region."""
    listed = inventory.reservations(clients, order.account, inventory.regions(clients))
    items = [item for item in listed if item.commitment.commitment in order.sources]
    if len(items) != len(set(order.sources)) or len({item.region for item in items}) != 1:
        raise ProviderError(
            provider=PROVIDER,
            operation="ec2.modify_reserved_instances",
            code="not_listed",
            detail=f"{len(items)} of {', '.join(order.sources)} are listed, in one region or more",
        )
    return items


def why_not(items: Sequence[InventoryItem], targets: Sequence[Target]) -> str:
    """Why AWS's rules forbid the modification; empty when they do not."""
    terms = [ReservationTerms.of_offering(item.commitment.offering) for item in items]
    parts = [_terms_of(target, terms[0]) for target in targets]
    footprint = _footprint(terms, [item.commitment.quantity for item in items])
    wanted = _footprint(parts, [target.quantity for target in targets])
    sizes = {one.instance_type for one in terms} | {one.instance_type for one in parts}
    families = {size.partition(".")[0] for size in sizes}
    alike = {(one.product_description, one.tenancy, one.offering_class) for one in (*terms, *parts)}
    plain = (terms[0].product_description, terms[0].tenancy) == _PLAIN
    whole = all(target.quantity == int(target.quantity) >= 1 for target in targets)
    active = all(item.commitment.state is CommitmentState.ACTIVE for item in items)
    rules = (
        (active, "a source is not active"),
        (bool(targets) and whole, "targets must be whole numbers of instances"),
        (len(families) == 1, "the instance family cannot change"),
        (len(alike) == 1, "platform, tenancy and class cannot change"),
        (len(sizes) == 1 or plain, "only Linux/UNIX on default tenancy can change size"),
        (
            footprint is not None and footprint == wanted,
            f"the footprint is {footprint}, the targets' is {wanted}",
        ),
    )
    return next((reason for kept, reason in rules if not kept), "")


def _terms_of(target: Target, source: ReservationTerms) -> ReservationTerms:
    return source if target.offering is None else ReservationTerms.of_offering(target.offering)


def _footprint(terms: Sequence[ReservationTerms], counts: Sequence[Decimal]) -> Decimal | None:
    """Normalised units altogether; instances where only one size is involved."""
    units = [size_units(one.instance_type) for one in terms]
    if len({one.instance_type for one in terms}) == 1 and units[0] is None:
        units = [Decimal(1)] * len(terms)
    if any(unit is None for unit in units):
        return None
    pairs = zip(units, counts, strict=True)
    return sum((unit * count for unit, count in pairs if unit is not None), Decimal(0))


def modify(
    clients: AwsClients, order: AlterationOrder, still_wanted: StillWanted
) -> AlterationOutcome:
    """One ``ModifyReservedInstances``, unless its token was accepted before."""
    try:
        regions = inventory.regions(clients)
        known = _known(clients, regions, order)
        if known is not None:
            return known
        items = sources_of(clients, order)
    except ProviderError as error:
        return Refused(code=error.code, detail=str(error))
    detail = why_not(items, order.targets)
    region = str(items[0].region)
    source = ReservationTerms.of_offering(items[0].commitment.offering)
    client = clients.purchasing(reservations.SERVICE, region)
    if detail:
        return Refused(code="not_allowed", detail=detail)
    arguments = {
        "ReservedInstancesIds": list(order.sources),
        "ClientToken": order.token,
        "TargetConfigurations": [_configuration(one, source) for one in order.targets],
    }
    try:
        send_if_wanted(client, "modify_reserved_instances", arguments, still_wanted)
    except WIRE_ERRORS as error:
        return outcome_of(error)
    try:
        return _known(clients, [region], order) or _PROCESSING
    except ProviderError:
        return _PROCESSING


_PROCESSING = Unknown(detail="accepted, and not fulfilled yet; the same token asks again")


def _configuration(target: Target, source: ReservationTerms) -> dict[str, Any]:
    terms = _terms_of(target, source)
    configuration: dict[str, Any] = {
        "InstanceCount": int(target.quantity),
        "InstanceType": terms.instance_type,
        "Scope": "Region" if target.zone is None else "Availability Zone",
    }
    if target.zone is not None:
        configuration["AvailabilityZone"] = target.zone
    return configuration


def _known(
    clients: AwsClients, regions: Sequence[str], order: AlterationOrder
) -> AlterationOutcome | None:
    """What became of a modification with the order's token; ``None`` when there is none."""
    for region in regions:
        listed = invoke_all(
            clients.reading(reservations.SERVICE, region),
            "describe_reserved_instances_modifications",
            {"Filters": [{"Name": "client-token", "Values": [order.token]}]},
            items="ReservedInstancesModifications",
            token="NextToken",  # noqa: S106  # the name of a field
        )
        mine = [one for one in listed if one.get("ClientToken") == order.token]
        if mine:
            return _outcome(clients, region, order, mine[0])
    return None


def _outcome(
    clients: AwsClients, region: str, order: AlterationOrder, listed: Answer
) -> AlterationOutcome:
    if listed["Status"] == "fulfilled":
        made = tuple(
            CommitmentId(one["ReservedInstancesId"])
            for one in listed.get("ModificationResults", ())
            if one.get("ReservedInstancesId")
        )
        for name in made:
            reservations.tag(clients, region, name, order.intent)
        return Altered(made=made, paid_usd=Decimal(0), refunded_usd=Decimal(0))
    if listed["Status"] == "failed":
        return Refused(code="failed", detail=str(listed.get("StatusMessage", "it failed")))
    return _PROCESSING
