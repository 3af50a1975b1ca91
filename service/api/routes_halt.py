"""The halt: read by anybody who may read, set and cleared by operators only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import ConfigDict, Field
from sqlalchemy import Engine

from service.api import models
from service.api.context import Context, Operator, Reader
from service.api.problems import Kind, ProblemError, documented
from service.api.shapes import Body as StrictBody
from service.api.status import halt_of
from service.domain.hours import Clock
from service.store.engine import reading, writing
from service.store.halt import read_halt, set_halt

REASON_LENGTH_MAX = 500
REASON = r"^[^\x00]*[^\s\x00][^\x00]*$"
"""Something to read, in text that every database can hold."""


class HaltOrder(StrictBody):
    """Why buying is stopped or resumed; the ledger keeps it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [{"reason": "prices look wrong since this morning"}]},
    )

    reason: str = Field(min_length=1, max_length=REASON_LENGTH_MAX, pattern=REASON)


def switch(engine: Engine, clock: Clock, *, halted: bool, by: str, reason: str) -> models.Halt:
    """Set or clear the halt and say how it stands; a 409 problem when it stood so already."""
    with writing(engine) as connection:
        changed = set_halt(connection, halted=halted, by=by, reason=reason.strip(), now=clock.now())
        now_is = halt_of(read_halt(connection))
    if not changed:
        stands = "halted already" if halted else "not halted"
        raise ProblemError(Kind.CONFLICT, f"Buying is {stands}.")
    return now_is


def read(context: Context, _caller: Reader) -> models.Halt:
    """Whether buying is stopped, by whom and why."""
    with reading(context.engine) as connection:
        return halt_of(read_halt(connection))


def halt(context: Context, caller: Operator, order: Annotated[HaltOrder, Body()]) -> models.Halt:
    """Stop all buying, in every replica, at its next step. Deciding and reporting go on."""
    return switch(context.engine, context.clock, halted=True, by=caller.actor, reason=order.reason)


def resume(context: Context, caller: Operator, order: Annotated[HaltOrder, Body()]) -> models.Halt:
    """Let buying go on, within the policy."""
    return switch(context.engine, context.clock, halted=False, by=caller.actor, reason=order.reason)


def router() -> APIRouter:
    """These routes, ready to be included."""
    routes = APIRouter(tags=["halt"])
    routes.add_api_route(
        "/v1/halt", read, responses=documented(Kind.UNAUTHENTICATED, Kind.INTERNAL)
    )
    changing = documented(
        Kind.UNAUTHENTICATED,
        Kind.FORBIDDEN,
        Kind.CONFLICT,
        Kind.TOO_LARGE,
        Kind.INVALID,
        Kind.INTERNAL,
    )
    routes.add_api_route("/v1/halt", halt, methods=["POST"], responses=changing)
    routes.add_api_route("/v1/halt/resume", resume, methods=["POST"], responses=changing)
    return routes
