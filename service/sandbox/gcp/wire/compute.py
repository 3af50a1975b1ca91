"""Compute Engine's commitments and operations, as its REST interface answers."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from service.sandbox.faults import ApiError, FaultKind
from service.sandbox.gcp.commitments import CommitmentRecord, Contents, Wanted, merged
from service.sandbox.gcp.operations import Operation, OperationError
from service.sandbox.gcp.pacific import next_midnight, term_end
from service.sandbox.gcp.wire.call import (
    CONFLICT,
    Call,
    Handler,
    Json,
    Priced,
    instant,
    invalid,
    listed,
    not_found,
    page,
)
from service.sandbox.gcp.world import GcpWorld

_ROOT = "https://www.googleapis.com/compute/v1"
_NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?\Z")
_PLANS = {"TWELVE_MONTH": 12, "THIRTY_SIX_MONTH": 36}
_PLAN_WORDS = {months: word for word, months in _PLANS.items()}
_MEMORY_STEP_MB = 256
_MEMORY_MB_PER_VCPU = 6_656
_LINK = re.compile(
    r"projects/(?P<project>[^/]+)/regions/(?P<region>[^/]+)/commitments/(?P<name>[^/]+)\Z"
)
INSERT_OPERATION = "gcp.regionCommitments.insert.operation"
"""A fault by this name refuses inside the operation: it ends as done, with an error."""


def insert(world: GcpWorld, call: Call) -> Json:
    """Buy one commitment, or make one of others; answers with the operation."""
    known = _seen(world, call)
    if known is not None:
        return _operation(known)
    wanted = _wanted(world, call)
    key = f"{wanted.project}/{wanted.region}/{wanted.name}"
    if key in world.commitments.records:
        link = f"projects/{wanted.project}/regions/{wanted.region}/commitments/{wanted.name}"
        raise ApiError("alreadyExists", f"The resource '{link}' already exists", CONFLICT)
    operation = _begin(world, call, "insert", wanted.name)
    for fault in world.faults.strike(INSERT_OPERATION):
        if fault.kind is FaultKind.REFUSE:
            operation.doomed = OperationError(fault.code, "Refused by the fault script.")
    world.commitments.add(wanted, world.new_number(), operation, world.now())
    call.bought.append(world.commitments.records[key])
    call.priced.append(Priced(wanted.region, wanted.family))
    return _operation(operation)


def get(world: GcpWorld, call: Call) -> Json:
    """One commitment by name."""
    return _commitment(world, _record(world, call.path))


def list_region(world: GcpWorld, call: Call) -> Json:
    """The commitments of one project and region."""
    found = [
        _commitment(world, one)
        for one in listed(world, world.commitments.records.values())
        if isinstance(one, CommitmentRecord)
        and (one.project, one.region) == (call.path["project"], call.path["region"])
    ]
    items, token = page(call, found, size_name="maxResults", largest=world.options.page_size)
    answer: dict[str, Any] = {"kind": "compute#commitmentList", "items": list(items)}
    return answer | ({"nextPageToken": token} if token else {})


def aggregated_list(world: GcpWorld, call: Call) -> Json:
    """The commitments of one project, by region; a region without any has a warning."""
    found = [
        _commitment(world, one)
        for one in listed(world, world.commitments.records.values())
        if isinstance(one, CommitmentRecord) and one.project == call.path["project"]
    ]
    items, token = page(call, found, size_name="maxResults", largest=world.options.page_size)
    regions: dict[str, dict[str, Any]] = {
        f"regions/{region}": {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "No results."}}
        for region in world.catalog.tables["regions"]
    }
    for one in items:
        scope = regions[f"regions/{one['region'].rsplit('/', 1)[-1]}"]
        scope.pop("warning", None)
        scope.setdefault("commitments", []).append(one)
    answer: dict[str, Any] = {"kind": "compute#commitmentAggregatedList", "items": regions}
    return answer | ({"nextPageToken": token} if token else {})


def update(world: GcpWorld, call: Call) -> Json:
    """Change auto-renewal or the plan, and nothing else."""
    known = _seen(world, call)
    if known is not None:
        return _operation(known)
    record = _record(world, call.path)
    now = world.now()
    paths = [one for one in call.query.get("updateMask", "").split(",") if one]
    if not paths or not set(paths) <= {"auto_renew", "autoRenew", "plan"}:
        raise invalid("Only auto_renew and plan can be updated, and update_mask must name them.")
    if record.status(now) not in {"NOT_YET_ACTIVE", "ACTIVE"}:
        raise invalid("The commitment can no longer be updated.")
    if "plan" in paths:
        _upgrade(world, record, str(call.body.get("plan", "")))
    if {"auto_renew", "autoRenew"} & set(paths):
        record.renews = bool(call.body.get("autoRenew", False))
    return _operation(_begin(world, call, "update", record.name))


def get_operation(world: GcpWorld, call: Call) -> Json:
    """One operation; asking moves it on."""
    operation = world_operations(world).get(call.path["operation"])
    if operation is None:
        raise not_found(call.path["operation"])
    operation.look(world.now())
    _sweep(world, operation)
    return _operation(operation)


def list_operations(world: GcpWorld, call: Call) -> Json:
    """The operations of one project and region; ``filter`` knows ``targetLink eq``."""
    link = re.search(r'targetLink\s*(?:eq|=)\s*"?([^"\s]+?)"?\Z', call.query.get("filter", ""))
    found = [
        _operation(one)
        for one in world_operations(world).values()
        if (one.project, one.region) == (call.path["project"], call.path["region"])
        and (link is None or one.target == link[1])
    ]
    items, token = page(call, found, size_name="maxResults", largest=world.options.page_size)
    answer: dict[str, Any] = {"kind": "compute#operationList", "items": list(items)}
    return answer | ({"nextPageToken": token} if token else {})


OPERATIONS: Mapping[str, Handler] = {
    "regionCommitments.insert": insert,
    "regionCommitments.get": get,
    "regionCommitments.list": list_region,
    "regionCommitments.aggregatedList": aggregated_list,
    "regionCommitments.update": update,
    "regionOperations.get": get_operation,
    "regionOperations.list": list_operations,
}


def world_operations(world: GcpWorld) -> dict[str, Operation]:
    """Every Compute Engine operation of the world by name."""
    return world.requests.operations


def _seen(world: GcpWorld, call: Call) -> Operation | None:
    """The operation that this request id began before; another request under it is refused."""
    request_id = call.query.get("requestId", "")
    known = world.requests.by_id.get(f"{call.path['project']}/{request_id}")
    if not request_id or known is None or world.now() >= known.forgotten_at:
        return None
    if known.fingerprint != _fingerprint(call):
        raise invalid(f"The request id {request_id} was used for another request.")
    return world.requests.operations[known.answer]


def _begin(world: GcpWorld, call: Call, kind: str, name: str) -> Operation:
    project, region = call.path["project"], call.path["region"]
    identity = world.new_id().hex
    operation = Operation(
        name=f"operation-{identity[:13]}-{identity[13:26]}",
        number=world.new_number(),
        kind=kind,
        project=project,
        region=region,
        target=_link(project, region, name),
        inserted_at=world.now(),
        finish=lambda: None,
    )
    world.requests.operations[operation.name] = operation
    request_id = call.query.get("requestId", "")
    if request_id:
        world.requests.note(
            f"{project}/{request_id}",
            _fingerprint(call),
            operation.name,
            world.after_hours(world.options.request_id_hours),
        )
    return operation


def _fingerprint(call: Call) -> str:
    return json.dumps([dict(call.path), call.query.get("updateMask"), call.body], sort_keys=True)


def _wanted(world: GcpWorld, call: Call) -> Wanted:
    project, region, body = call.path["project"], call.path["region"], call.body
    if project not in world.projects.values() or region not in world.catalog.tables["regions"]:
        raise not_found(f"projects/{project}/regions/{region}")
    name = str(body.get("name", ""))
    if not _NAME.match(name):
        raise invalid(f"Invalid value for field 'resource.name': '{name}'.")
    plan = _PLANS.get(str(body.get("plan", "")))
    commitment_type = str(body.get("type", ""))
    family = world.catalog.family_of_type(commitment_type)
    if plan is None or family is None or body.get("category", "MACHINE") != "MACHINE":
        raise invalid("Invalid value for field 'resource.plan', 'resource.type' or 'category'.")
    vcpus, memory_mb = _amounts(body.get("resources", ()))
    wanted = Wanted(
        project=project,
        region=region,
        name=name,
        family=family,
        commitment_type=commitment_type,
        plan_months=plan,
        description=str(body.get("description", "")),
        renews=bool(body.get("autoRenew", False)),
        contents=Contents(vcpus, memory_mb, world.rates(region, family, plan)),
        merge_sources=tuple(map(_key, body.get("mergeSourceCommitments", ()))),
        split_source=_key(body["splitSourceCommitment"])
        if body.get("splitSourceCommitment")
        else None,
    )
    if wanted.merge_sources:
        return _merging(world, wanted)
    return _splitting(world, wanted) if wanted.split_source is not None else wanted


def _amounts(resources: Any) -> tuple[int, int]:  # noqa: ANN401  # JSON
    """How many vCPUs and MB of memory; at least one vCPU, and no more memory than they allow."""
    amounts = {"VCPU": 0, "MEMORY": 0}
    for one in resources:
        kind, amount = str(one.get("type", "")), int(one.get("amount", 0))
        if kind not in amounts or amounts[kind] or amount <= 0:
            raise invalid(f"Invalid value for field 'resource.resources': '{kind} {amount}'.")
        amounts[kind] = amount
    vcpus, memory_mb = amounts["VCPU"], amounts["MEMORY"]
    if vcpus < 1:
        raise invalid("A commitment must have at least one vCPU.")
    if memory_mb % _MEMORY_STEP_MB:
        raise invalid(f"Memory must be a multiple of {_MEMORY_STEP_MB} MB.")
    if memory_mb > vcpus * _MEMORY_MB_PER_VCPU:
        raise invalid("Memory must be at most 6.5 GB for each vCPU.")
    return vcpus, memory_mb


def _merging(world: GcpWorld, wanted: Wanted) -> Wanted:
    sources = [_source(world, key, wanted) for key in wanted.merge_sources]
    if len(set(wanted.merge_sources)) < 2:  # noqa: PLR2004  # one cannot be merged
        raise invalid("At least two commitments are needed to merge.")
    held = merged([one.contents(world.now()) for one in sources])
    asked = wanted.contents
    if (held.vcpus, held.memory_mb) != (asked.vcpus, asked.memory_mb):
        raise invalid("The merged commitment must have the sources' resources.")
    return replace(wanted, contents=held)


def _splitting(world: GcpWorld, wanted: Wanted) -> Wanted:
    source = _source(world, str(wanted.split_source), wanted)
    held, asked = source.contents(world.now()), wanted.contents
    if len(source.periods) > 1 and source.periods[-1].start > world.now():
        raise invalid("The source commitment is being split already.")
    if not (0 < asked.vcpus < held.vcpus and asked.memory_mb <= held.memory_mb):
        raise invalid("The new commitment must have a part of the source's resources.")
    return replace(wanted, contents=replace(asked, rates_usd=held.rates_usd))


def _source(world: GcpWorld, key: str, wanted: Wanted) -> CommitmentRecord:
    """A commitment that another can be made of: active, of the same project, series and plan."""
    record = world.commitments.records.get(key)
    if record is None:
        raise not_found(key)
    same = (record.project, record.region, record.commitment_type, record.plan_months)
    if same != (wanted.project, wanted.region, wanted.commitment_type, wanted.plan_months):
        raise invalid("Source commitments must have the same region, type and plan.")
    if record.status(world.now()) != "ACTIVE" or record.cancelled_at is not None:
        raise invalid(f"The source commitment {record.name} is not active.")
    return record


def _upgrade(world: GcpWorld, record: CommitmentRecord, word: str) -> None:
    """A year becomes three, counted from the next midnight, at the price of three years."""
    months = _PLANS.get(word)
    if months is None or months <= record.plan_months or record.status(world.now()) != "ACTIVE":
        raise invalid("Only an active commitment's plan can be upgraded, to a longer one.")
    at = next_midnight(world.now())
    rates = world.rates(record.region, record.family, months)
    record.change(at, replace(record.contents(world.now()), rates_usd=rates))
    record.plan_months, record.end = months, term_end(at, months)


def _record(world: GcpWorld, path: Mapping[str, str]) -> CommitmentRecord:
    key = f"{path['project']}/{path['region']}/{path['commitment']}"
    record = world.commitments.records.get(key)
    if record is None:
        raise not_found(key)
    return record


def _sweep(world: GcpWorld, operation: Operation) -> None:
    for record in [*world.commitments.records.values()]:
        if record.operation is operation:
            world.commitments.sweep(record)


def _key(link: Any) -> str:  # noqa: ANN401  # JSON
    found = _LINK.search(str(link))
    if found is None:
        raise invalid(f"Invalid commitment URL '{link}'.")
    return f"{found['project']}/{found['region']}/{found['name']}"


def _link(project: str, region: str, name: str) -> str:
    return f"{_ROOT}/projects/{project}/regions/{region}/commitments/{name}"


def _commitment(world: GcpWorld, record: CommitmentRecord) -> Json:
    now = world.now()
    contents = record.contents(now)
    amounts = (("VCPU", contents.vcpus), ("MEMORY", contents.memory_mb))
    shown: dict[str, Any] = {
        "kind": "compute#commitment",
        "id": str(record.number),
        "creationTimestamp": instant(record.created_at),
        "name": record.name,
        "description": record.description,
        "region": f"{_ROOT}/projects/{record.project}/regions/{record.region}",
        "selfLink": _link(record.project, record.region, record.name),
        "status": record.status(now),
        "plan": _PLAN_WORDS[record.plan_months],
        "category": "MACHINE",
        "type": record.commitment_type,
        "autoRenew": record.renews,
        "resources": [{"type": kind, "amount": str(amount)} for kind, amount in amounts if amount],
    }
    if record.operation.done_at is not None:
        shown |= {"startTimestamp": instant(record.start), "endTimestamp": instant(record.end)}
    if record.merge_sources:
        links = [_link(*source.split("/")) for source in record.merge_sources]
        shown["mergeSourceCommitments"] = links
    if record.split_source is not None:
        shown["splitSourceCommitment"] = _link(*record.split_source.split("/"))
    return shown


def _operation(operation: Operation) -> Json:
    shown: dict[str, Any] = {
        "kind": "compute#operation",
        "id": str(operation.number),
        "name": operation.name,
        "operationType": operation.kind,
        "targetLink": operation.target,
        "status": operation.status,
        "progress": 100 if operation.status == "DONE" else 0,
        "insertTime": instant(operation.inserted_at),
        "region": f"{_ROOT}/projects/{operation.project}/regions/{operation.region}",
    }
    if operation.error is not None:
        error = {"code": operation.error.code, "message": operation.error.message}
        shown |= {"error": {"errors": [error]}, "httpErrorStatusCode": 403}
    return shown
