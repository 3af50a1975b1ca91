"""Buying resource commitments: one insert, watched to its end, verified where it was there before.

Three things make a repeat safe: the request id (Google's own memory of a request), the name (only
one commitment may have it, for as long as it exists) and the description, which names the intent.
The operation's error is looked at even when the operation is done.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from service.domain.errors import ProviderError
from service.domain.purchases import (
    Absent,
    Bought,
    Evidence,
    Outcome,
    PurchaseOrder,
    Refused,
    Unknown,
    as_outcome,
)
from service.providers.gcp.clients import GcpClients, invoke, invoke_all, reason_of, wire_errors
from service.providers.gcp.inventory import amounts_of
from service.providers.gcp.outcome import (
    ALREADY_EXISTS_CODES,
    operation_outcome,
    outcome_of,
    status_outcome,
)
from service.providers.gcp.words import (
    MB_PER_GB,
    PLAN_WORDS,
    RAM,
    VCPU,
    Place,
    ResourceTerms,
    commitment_name,
    gcp_tables,
    intent_of,
    request_id,
    resource_terms,
    tag,
)
from service.providers.port import StillWanted

if TYPE_CHECKING:
    from google.cloud.compute_v1.types import Commitment as Listed
    from google.cloud.compute_v1.types import Operation

_CONFLICT, _NOT_FOUND = 409, "notFound"
_INSERT, _DONE, _CREATING = "insert", "DONE", "CREATING"
_MACHINE, _RESOURCES = "MACHINE", ("VCPU", "MEMORY")
_POLL_TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Exists:
    """A commitment of that name is there already: bought before, or being bought."""

    detail: str


def place_of_order(order: PurchaseOrder, terms: ResourceTerms) -> Place:
    """Where the order's commitment is, or will be."""
    return Place(order.account, terms.region, commitment_name(order.intent))


def refusal(order: PurchaseOrder, terms: ResourceTerms) -> Refused | None:
    """Why the order cannot be sent at all; nothing is guessed or rounded."""
    if terms.family not in gcp_tables().sold_types:
        return Refused("series", f"commitments of the series {terms.family} are not bought")
    if terms.resource != VCPU:
        return Refused("memory_alone", "Google sells memory beside vCPUs only")
    if order.quantity != int(order.quantity) or order.quantity < 1:
        return Refused("quantity", f"{order.quantity} is not a number of vCPUs")
    if order.upfront_usd != Decimal(0):
        return Refused("upfront", "resource commitments have no upfront payment")
    if order.term_months != terms.term_months:
        return Refused("term", f"{order.offering} is not of {order.term_months} months")
    beside = _refused_beside(order, terms)
    return Refused("memory", beside) if beside else None


def _refused_beside(order: PurchaseOrder, terms: ResourceTerms) -> str:
    """Why the order's memory cannot be sent; empty where it can, or there is none."""
    if order.companion is None:
        return ""
    sold, amount_mb = gcp_tables().memory, order.companion.quantity * MB_PER_GB
    if order.companion.offering != replace(terms, resource=RAM).offering:
        return f"{order.companion.offering} is not the memory of {order.offering}"
    if amount_mb < sold.least_mb or amount_mb % sold.step_mb:
        return f"{amount_mb} MB is no multiple of {sold.step_mb} MB"
    if amount_mb > order.quantity * sold.most_mb_per_vcpu:
        return f"{amount_mb} MB is more than {sold.most_mb_per_vcpu} MB for each vCPU"
    return ""


def contents_of(order: PurchaseOrder) -> tuple[int, int]:
    """How many vCPUs and MB of memory the order is of."""
    beside = order.companion
    return int(order.quantity), 0 if beside is None else int(beside.quantity * MB_PER_GB)


def purchase(
    clients: GcpClients,
    order: PurchaseOrder,
    still_wanted: StillWanted,
    *,
    too_dear: Callable[[PurchaseOrder], Refused | None],
) -> Outcome:
    """One ``regionCommitments.insert`` with the intent's request id and name.

    ``too_dear`` says what speaks against the price of now, if anything.
    """
    terms = resource_terms(order.offering)
    refused = refusal(order, terms)
    if refused is not None:
        return refused
    refused = too_dear(order)
    if refused is not None:
        return _unless_bought(clients, order, refused)
    body: dict[str, Any] = {
        "description": tag(order.intent),
        "plan": PLAN_WORDS[terms.term_months],
        "type_": gcp_tables().sold_types[terms.family],
        "category": _MACHINE,
        "auto_renew": False,
        "resources": [
            {"type_": kind, "amount": amount}
            for kind, amount in zip(_RESOURCES, contents_of(order), strict=True)
            if amount
        ],
    }
    place = place_of_order(order, terms)
    ended = insert(clients, place, body, request_id(order.token), still_wanted)
    if isinstance(ended, Exists):
        return _there(clients, order)
    return Bought(place.commitment()) if ended is None else ended


def insert(
    clients: GcpClients,
    place: Place,
    body: dict[str, Any],
    request: str,
    still_wanted: StillWanted,
) -> Exists | Refused | Unknown | None:
    """One insert, in one attempt, watched until its operation is done; ``None``: it was made."""
    client = clients.commitments()
    stopped = still_wanted()
    if stopped is not None:
        return stopped
    try:
        begun = client.insert_unary(
            request={
                "project": place.project,
                "region": place.region,
                "request_id": request,
                "commitment_resource": {"name": place.name, **body},
            },
            retry=None,
            timeout=clients.access.purchase_timeout_seconds,
        )
    except wire_errors() as error:
        if getattr(error, "code", None) == _CONFLICT or reason_of(error) in ALREADY_EXISTS_CODES:
            return Exists(str(error))
        return outcome_of(error)
    return watch(clients, place, begun)


def watch(clients: GcpClients, place: Place, begun: Operation) -> Exists | Refused | Unknown | None:
    """Ask about the operation until it is done, a bounded number of times; ``None``: no error."""
    operation, trouble = begun, ""
    for _ in range(clients.access.polls):
        if _is_done(operation):
            return end_of(operation)
        time.sleep(clients.access.poll_seconds)
        try:
            operation = clients.operations().get(
                project=place.project,
                region=place.region,
                operation=begun.name,
                retry=None,
                timeout=_POLL_TIMEOUT_SECONDS,
            )
        except wire_errors() as error:
            trouble = f"; {type(error).__name__}: {error}"
    if _is_done(operation):
        return end_of(operation)
    return Unknown(f"operation {begun.name or 'without a name'} is not known to be done{trouble}")


def _unless_bought(clients: GcpClients, order: PurchaseOrder, refused: Refused) -> Outcome:
    """``refused``, unless an earlier attempt has bought: what is there already is no refusal."""
    try:
        found = verified(clients, order)
    except ProviderError as error:
        return Unknown(str(error))
    return refused if isinstance(found, Absent) else as_outcome(found)


def _there(clients: GcpClients, order: PurchaseOrder) -> Outcome:
    """What has the order's name already, as the answer to its purchase."""
    try:
        return as_outcome(verified(clients, order))
    except ProviderError as error:
        return Unknown(str(error))


def verified(clients: GcpClients, order: PurchaseOrder) -> Evidence:
    """What became of the order, by its commitment's name; only an equal commitment is a yes.

    ``ProviderError`` when Google does not say.
    """
    terms = resource_terms(order.offering)
    place = place_of_order(order, terms)
    try:
        listed = invoke(
            "regionCommitments.get",
            clients.commitments().get,
            project=place.project,
            region=place.region,
            commitment=place.name,
        )
    except ProviderError as error:
        if error.code != _NOT_FOUND:
            raise
        return _by_operations(clients, place)
    if not listed.name or listed.status == _CREATING:
        return Unknown(f"{place.path} is still being created")
    difference = _difference(listed, order, terms)
    if difference:
        return Unknown(f"{place.path} is there and is not what was ordered: {difference}")
    return Bought(place.commitment())


def _difference(listed: Listed, order: PurchaseOrder, terms: ResourceTerms) -> str:
    """In what a commitment of the order's name is not the order; empty when it is."""
    wanted = {
        "plan": (listed.plan, PLAN_WORDS[terms.term_months]),
        "type": (listed.type_, gcp_tables().sold_types.get(terms.family)),
        "resources": (amounts_of(listed), contents_of(order)),
        "intent": (intent_of(listed.description), order.intent),
    }
    return ", ".join(
        f"{name} {found}, not {ordered}"
        for name, (found, ordered) in wanted.items()
        if found != ordered
    )


def _by_operations(clients: GcpClients, place: Place) -> Evidence:
    """What the inserts of a commitment that is not there say: failed, going on, or nothing."""
    listed = invoke_all(
        "regionOperations.list",
        clients.operations().list,
        request={"project": place.project, "region": place.region},
    )
    inserts = [
        one
        for one in listed
        if one.operation_type == _INSERT and one.target_link.endswith(place.path)
    ]
    if not all(_is_done(one) for one in inserts):
        return Unknown(f"{place.path} is not found, and its insert is going on")
    ended = [end_of(one) for one in inserts]
    if any(one is None for one in ended):
        return Unknown(f"{place.path} is not found, and its insert is listed as done")
    refused = [one for one in ended if isinstance(one, Refused)]
    if refused and len(refused) == len(ended):
        return refused[0]
    return Absent(f"{place.path} is not found")


def _is_done(operation: Operation) -> bool:
    return getattr(operation.status, "name", operation.status) == _DONE


def end_of(operation: Operation) -> Exists | Refused | Unknown | None:
    """What a finished operation says: its error counts although it is done.

    Of several errors each must be a known refusal; that the name is taken goes before them.
    """
    errors, status = [*operation.error.errors], int(operation.http_error_status_code)
    taken = [one for one in errors if one.code in ALREADY_EXISTS_CODES]
    if taken:
        return Exists(taken[0].message)
    said = [operation_outcome(one.code, one.message, status) for one in errors]
    if said:
        return next((one for one in said if isinstance(one, Unknown)), said[0])
    if status or operation.http_error_message:
        return status_outcome(status, operation.http_error_message)
    return None
