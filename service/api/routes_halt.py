"""The halt: read by anybody who may read, set and cleared by operators only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Response
from pydantic import ConfigDict, Field
from sqlalchemy import Engine

from service.api import models
from service.api.context import Allowed, Context
from service.api.once import Once, once
from service.api.problems import Kind, ProblemError, documented
from service.api.shapes import REASON
from service.api.shapes import Body as StrictBody
from service.api.status import halt_of
from service.domain.hours import Clock
from service.store.engine import reading, writing
from service.store.halt import read_halt, set_halt

REASON_LENGTH_MAX = 500


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


def read(context: Context, _caller: Allowed) -> models.Halt:
    """Whether buying is stopped, by whom and why."""
    with reading(context.engine) as connection:
        return halt_of(read_halt(connection))


def halt(change: Annotated[Once, Depends(once)], order: Annotated[HaltOrder, Body()]) -> Response:
    """Stop all buying, in every replica, at its next step. Deciding and reporting go on."""
    return _change(change, order, halted=True)


def resume(change: Annotated[Once, Depends(once)], order: Annotated[HaltOrder, Body()]) -> Response:
    """Let buying go on, within the policy."""
    return _change(change, order, halted=False)


def _change(change: Once, order: HaltOrder, *, halted: bool) -> Response:
    engine, clock = change.context.engine, change.context.clock
    return change.reply(
        order,
        lambda: switch(engine, clock, halted=halted, by=change.caller.actor, reason=order.reason),
    )


def router() -> APIRouter:
    """These routes, ready to be included."""
    routes = APIRouter(tags=["halt"])
    routes.add_api_route(
        "/v1/halt",
        read,
        responses=documented(Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.NOT_READY, Kind.INTERNAL),
    )
    changing = documented(
        Kind.UNAUTHENTICATED,
        Kind.FORBIDDEN,
        Kind.CONFLICT,
        Kind.TOO_LARGE,
        Kind.INVALID,
        Kind.NOT_READY,
        Kind.INTERNAL,
    )
    for path, handler in (("/v1/halt", halt), ("/v1/halt/resume", resume)):
        routes.add_api_route(
            path, handler, methods=["POST"], response_model=models.Halt, responses=changing
        )
    return routes
