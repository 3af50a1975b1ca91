"""Routes about the API itself: whose token this is, what each problem means."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field

from service.api import models
from service.api.context import Allowed
from service.api.problems import Kind, ProblemError, documented, kind_of
from service.api.shapes import Answer


class ProblemMeaning(Answer):
    """What one kind of problem means, and what to do about it."""

    type: str = Field(examples=["/problems/stale-version"])
    status: int
    title: str
    meaning: str


def read_me(caller: Allowed) -> models.Me:
    """Whose token the request carries, and its role."""
    return models.Me(
        label=caller.label,
        role=caller.role,
        token_id=caller.token_id,
        subject=caller.subject or None,
        accounts=None if caller.accounts is None else sorted(caller.accounts),
    )


def read_problem(slug: Annotated[str, Path(max_length=60)]) -> ProblemMeaning:
    """What a problem's `type` means."""
    kind = kind_of(slug)
    if kind is None:
        raise ProblemError(Kind.NOT_FOUND, f"There is no problem {slug}.")
    return ProblemMeaning(
        type=kind.type_uri, status=kind.status, title=kind.title, meaning=kind.meaning
    )


def list_problems() -> list[ProblemMeaning]:
    """Every kind of problem that this API answers with."""
    return [
        ProblemMeaning(
            type=kind.type_uri, status=kind.status, title=kind.title, meaning=kind.meaning
        )
        for kind in Kind
    ]


def router() -> APIRouter:
    """These routes, ready to be included."""
    routes = APIRouter(tags=["about"])
    routes.add_api_route(
        "/v1/me",
        read_me,
        responses=documented(Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.NOT_READY, Kind.INTERNAL),
    )
    routes.add_api_route("/problems", list_problems, responses=documented(Kind.INTERNAL))
    routes.add_api_route(
        "/problems/{slug}",
        read_problem,
        responses=documented(Kind.NOT_FOUND, Kind.INVALID, Kind.INTERNAL),
    )
    return routes
