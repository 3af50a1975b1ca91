"""Decides how a decision binds to what was seen: by the version that an ETag names."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Header
from pydantic import BaseModel

from service.api.problems import Kind, ProblemError

_ETAG = re.compile(r'"v(\d{1,9})"')

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="the ETag of what is decided on, as it was read",
        max_length=100,
        examples=['"v1"'],
    ),
]


def etag(version: int) -> str:
    """The strong ETag of a version."""
    return f'"v{version}"'


def etag_of(found: BaseModel) -> str:
    """The ETag of an answer that has a version; empty for one that has none."""
    version = getattr(found, "version", None)
    return etag(version) if isinstance(version, int) else ""


def version_named(if_match: str | None) -> int:
    """The version that ``If-Match`` names; a 428 problem without one, 412 for what is no ETag."""
    if if_match is None:
        raise ProblemError(Kind.VERSION_NEEDED, Kind.VERSION_NEEDED.meaning)
    named = _ETAG.fullmatch(if_match.strip())
    if named is None:
        raise ProblemError(
            Kind.STALE_VERSION, f"{if_match} is not the ETag of any version of this."
        )
    return int(named[1])
