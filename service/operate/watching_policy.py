"""Tells of the policy file what people must hear: it halts buying, it cannot be read; and the ends.

What was told last is in the ledger, so each is told once, whichever process looks, however often.
"""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection

from service.domain.errors import InputError
from service.observe.events import (
    Event,
    PolicyHalted,
    PolicyHaltEnded,
    PolicyRefused,
    PolicyRestored,
)
from service.store import ledger
from service.store.engine import reading, writing
from service.wiring import Parts, shipped


def watch_policy(parts: Parts) -> None:
    """Write what is new about the policy file as it stands now. For the executor alone."""
    with reading(parts.engine) as connection:
        fresh = _news(parts, connection)
    if not fresh:
        return
    now = parts.clock.now()
    with writing(parts.engine) as connection:
        for event in fresh:
            ledger.append(connection, event, now=now)


def _news(parts: Parts, connection: Connection) -> tuple[Event, ...]:
    path = shipped(parts.settings.policy_file)
    told = ledger.newest_of(connection, (PolicyRefused.name, PolicyRestored.name))
    refused = told is not None and told.kind == PolicyRefused.name
    try:
        policy = parts.policy().policy
    except InputError as error:
        content = _digest(parts, str(error))
        if told is not None and refused and told.payload.get("content") == content:
            return ()
        return (PolicyRefused(file=str(path), detail=_said(error), content=content),)
    found: list[Event] = []
    if refused:
        found.append(PolicyRestored(file=str(path), digest=policy.digest))
    last = ledger.newest_of(connection, (PolicyHalted.name, PolicyHaltEnded.name))
    halted = last is not None and last.kind == PolicyHalted.name
    if policy.halt and not halted:
        found.append(PolicyHalted(policy=policy.name, digest=policy.digest))
    if halted and not policy.halt:
        found.append(PolicyHaltEnded(policy=policy.name, digest=policy.digest))
    return tuple(found)


def _said(error: InputError) -> str:
    row = "" if error.row is None else f"line {error.row}: "
    return f"{row}{error.problem}"


def _digest(parts: Parts, problem: str) -> str:
    """Of what the file says; of the problem where it cannot even be opened."""
    try:
        raw = shipped(parts.settings.policy_file).read_bytes()
    except OSError:
        raw = problem.encode()
    return hashlib.sha256(raw).hexdigest()
