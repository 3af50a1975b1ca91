"""The halt: read by anybody who may read, set and cleared by operators only."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Depends, Response
from pydantic import ConfigDict, Field

from service.api import models
from service.api.context import Allowed, AppContext, Context
from service.api.halting import halt_now
from service.api.once import Once, once
from service.api.problems import Kind, ProblemError, documented
from service.api.shapes import REASON
from service.api.shapes import Body as StrictBody
from service.store.engine import reading, writing
from service.store.halt import set_halt

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


def switch(context: AppContext, *, halted: bool, by: str, reason: str) -> models.Halt:
    """Set or clear the switch and say how buying stands; a 409 problem when it stood so already.

    The switch is not all: a policy that halts goes on halting when the switch is cleared.
    """
    with writing(context.engine) as connection:
        now = context.clock.now()
        changed = set_halt(connection, halted=halted, by=by, reason=reason.strip(), now=now)
        now_is = halt_now(connection, context.policy_source)
    if changed:
        return now_is
    stands = "Buying is not halted."
    if halted:
        stands = "Buying is halted already."
    elif now_is.halted:
        stands = f"The switch is not set. Buying is halted: {now_is.detail}."
    raise ProblemError(Kind.CONFLICT, stands)


def read(context: Context, _caller: Allowed) -> models.Halt:
    """Whether buying is stopped, by what, and why."""
    with reading(context.engine) as connection:
        return halt_now(connection, context.policy_source)


def halt(change: Annotated[Once, Depends(once)], order: Annotated[HaltOrder, Body()]) -> Response:
    """Stop all buying, in every replica, at its next step. Deciding and reporting go on."""
    return _change(change, order, halted=True)


def resume(change: Annotated[Once, Depends(once)], order: Annotated[HaltOrder, Body()]) -> Response:
    """Let buying go on, within the policy."""
    return _change(change, order, halted=False)


def _change(change: Once, order: HaltOrder, *, halted: bool) -> Response:
    return change.reply(
        order,
        lambda: switch(change.context, halted=halted, by=change.caller.actor, reason=order.reason),
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
