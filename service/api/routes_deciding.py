"""Decides how a person's word is taken over HTTP, on a proposal as on an alteration.

It names the version that was seen, is said once under its key, and is answered with what it was
said of, as it stands now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, ConfigDict, Field

from service.api.once import Once, once
from service.api.problems import Kind, documented
from service.api.shapes import REASON, STORABLE
from service.api.shapes import Body as StrictBody
from service.api.versions import etag_of, version_named

COMMENT_LENGTH_MAX = 2_000


def body_like(*examples: dict[str, str]) -> ConfigDict:
    """How a body is read: strictly; and what it may look like."""
    return ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        json_schema_extra={"examples": [dict(one) for one in examples]},
    )


class Remark(StrictBody):
    """What is said with it; the ledger keeps it."""

    model_config = body_like({"comment": "priced again next week"})

    comment: str = Field(default="", max_length=COMMENT_LENGTH_MAX, pattern=STORABLE)


class Reject(StrictBody):
    """A no, with the reason that those who come after read."""

    model_config = body_like({"reason": "we leave this region in May"})

    reason: str = Field(min_length=1, max_length=COMMENT_LENGTH_MAX, pattern=REASON)


Change = Annotated[Once, Depends(once)]

DECIDING_PROBLEMS: dict[int | str, dict[str, Any]] = documented(
    Kind.UNAUTHENTICATED,
    Kind.FORBIDDEN,
    Kind.NOT_FOUND,
    Kind.CONFLICT,
    Kind.STALE_VERSION,
    Kind.TOO_LARGE,
    Kind.INVALID,
    Kind.VERSION_NEEDED,
    Kind.NOT_READY,
    Kind.INTERNAL,
)


def answered(
    change: Once, order: BaseModel, if_match: str | None, decide: Callable[..., BaseModel]
) -> Response:
    """What ``decide`` says of the ``version`` that was seen, once for each key."""
    return change.reply(order, lambda: decide(version=version_named(if_match)), etag=etag_of)


def add_decisions(
    routes: APIRouter,
    path: str,
    handlers: Mapping[str, Callable[..., Response]],
    model: type[BaseModel],
) -> None:
    """A route for each word that can be said of what is at ``path``."""
    for verb, handler in handlers.items():
        routes.add_api_route(
            f"{path}/{verb}",
            handler,
            methods=["POST"],
            response_model=model,
            responses=DECIDING_PROBLEMS,
        )
