"""Decides what every list is asked with and answered as: pages of at most so many, by a cursor."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response
from pydantic import AwareDatetime

from service.api.context import Allowed, AppContext, Context
from service.api.cursor import next_link
from service.api.problems import Kind, documented
from service.api.reads import Slice
from service.api.shapes import LIMIT, STORABLE, Item, Limit, Page
from service.api.tokens import Caller
from service.store.engine import reading

LimitQuery = Annotated[Limit, Query()]
CursorQuery = Annotated[
    str | None, Query(max_length=1000, description="from the `next` of the page before")
]
Identifier = Annotated[str, Path(min_length=1, max_length=200, pattern=STORABLE)]

Named = Annotated[str | None, Query(max_length=200, pattern=STORABLE)]
"""A filter by a name or id, exactly as it is."""
_FIRST, _LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)
Until = Annotated[
    AwareDatetime | None,
    Query(ge=_FIRST, lt=_LAST, examples=["2026-03-02T06:00:00Z"], description="ISO 8601, zoned"),
]

READ_PROBLEMS = documented(
    Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.INVALID, Kind.NOT_READY, Kind.INTERNAL
)
READ_ONE_PROBLEMS = documented(
    Kind.UNAUTHENTICATED,
    Kind.FORBIDDEN,
    Kind.NOT_FOUND,
    Kind.INVALID,
    Kind.NOT_READY,
    Kind.INTERNAL,
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A list that ``caller`` asks for: at most ``limit`` from ``cursor`` on."""

    context: AppContext
    caller: Caller
    request: Request
    response: Response
    limit: int
    cursor: str | None

    def page(self, read: Callable[..., Slice[Item]]) -> Page[Item]:
        """A slice as the API's page, its ``next`` (same filters and order) also as a ``Link``.

        ``read`` takes a connection, ``limit`` and ``cursor``.
        """
        with reading(self.context.engine) as connection:
            found = read(connection, limit=self.limit, cursor=self.cursor)
        if found.cursor is None:
            return Page(items=list(found.items), next=None)
        filters = {
            name: value
            for name, value in self.request.query_params.items()
            if name not in {"limit", "cursor"}
        }
        link = next_link(
            self.request.url.path, limit=self.limit, cursor=found.cursor, filters=filters
        )
        self.response.headers["Link"] = f'<{link}>; rel="next"'
        return Page(items=list(found.items), next=link)


def _listed(
    *,
    request: Request,
    response: Response,
    context: Context,
    caller: Allowed,
    limit: LimitQuery = LIMIT,
    cursor: CursorQuery = None,
) -> Listed:
    return Listed(context, caller, request, response, limit, cursor)


Listing = Annotated[Listed, Depends(_listed)]
