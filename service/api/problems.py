"""Decides how every error of the API looks: RFC 9457 problem details, from a closed set of kinds.

``type`` is a path on this server; a GET there explains the kind. What went wrong inside never
reaches the caller: an unforeseen error answers with an id, and the log holds the rest under it.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from service.domain.errors import PolicyError

MEDIA_TYPE = "application/problem+json"
PROBLEMS_PATH = "/problems"


class _Kind(NamedTuple):
    slug: str
    status: int
    title: str
    meaning: str


class Kind(_Kind, Enum):
    """Every problem that the API can answer with."""

    BAD_REQUEST = _Kind("bad-request", 400, "Bad request", "The request cannot be read at all.")
    UNAUTHENTICATED = _Kind(
        "unauthenticated",
        401,
        "A token is needed",
        "Send `Authorization: Bearer tnr_…` with a token that has neither expired nor been "
        "revoked. `tenor token create` makes one.",
    )
    FORBIDDEN = _Kind(
        "forbidden",
        403,
        "Your role is not enough",
        "Roles are viewer, approver, operator and admin; each includes the one before.",
    )
    LIMITED = _Kind(
        "limited-to-accounts",
        403,
        "You are limited to some accounts",
        "This is about all accounts together, or about others than those that the token or the "
        "identity provider limits you to.",
    )
    NOT_OUR_FORM = _Kind(
        "form-not-recognised",
        403,
        "The form was not recognised",
        "A page's form is taken only from the page and the session that showed it. Load the page "
        "again.",
    )
    NOT_SIGNED_IN = _Kind(
        "sign-in-failed",
        403,
        "Signing in did not succeed",
        "The identity provider did not vouch for somebody who has a role here. Begin again, or ask "
        "who runs it.",
    )
    NOT_FOUND = _Kind("not-found", 404, "Not found", "There is no such resource or route.")
    METHOD_NOT_ALLOWED = _Kind(
        "method-not-allowed", 405, "Method not allowed", "The route exists for other methods."
    )
    CONFLICT = _Kind(
        "conflict",
        409,
        "The state does not allow it",
        "The resource is in a state from which this is not possible: a proposal that has been "
        "decided or has expired, or a halt that is already as asked.",
    )
    STALE_VERSION = _Kind(
        "stale-version",
        412,
        "It has changed since you read it",
        "The If-Match header names another version than the present one. Read it again.",
    )
    TOO_LARGE = _Kind(
        "too-large", 413, "The request body is too large", "Bodies are limited to 64 KiB."
    )
    INVALID = _Kind(
        "invalid",
        422,
        "The request is not valid",
        "`errors` names each field, what is wrong with it and where it stood.",
    )
    VERSION_NEEDED = _Kind(
        "version-needed",
        428,
        "Say which version you decided on",
        "Send `If-Match` with the ETag of what you read, so that a decision binds "
        "to what was seen.",
    )
    WRONG_HOST = _Kind(
        "wrong-host",
        421,
        "Not a name of this service",
        "The Host header names something that is not in `TENOR_ALLOWED_HOSTS`.",
    )
    TOO_MANY = _Kind(
        "too-many-requests",
        429,
        "Too many requests",
        "Wait the seconds that `Retry-After` says.",
    )
    INTERNAL = _Kind(
        "internal",
        500,
        "Something went wrong in Tenor",
        "The log holds the cause under the `error_id` of the answer.",
    )
    NOT_READY = _Kind(
        "not-ready", 503, "Not ready", "`reasons` lists what has to be mended, each with its name."
    )

    @property
    def type_uri(self) -> str:
        """The problem's ``type``: a path under which its explanation is served."""
        return f"{PROBLEMS_PATH}/{self.slug}"


_BY_STATUS = {kind.status: kind for kind in reversed(Kind)}
"""The first kind of each status, for errors that name nothing but that."""

_BY_SLUG = {kind.slug: kind for kind in Kind}


def kind_of(slug: str) -> Kind | None:
    """The kind with this last path segment, if there is one."""
    return _BY_SLUG.get(slug)


class FieldError(BaseModel):
    """One thing wrong with a request: where, what."""

    model_config = ConfigDict(frozen=True)

    where: str = Field(examples=["body.comment"])
    problem: str = Field(examples=["String should have at most 2000 characters"])


class Problem(BaseModel):
    """RFC 9457 problem details, as ``application/problem+json``."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(examples=["/problems/not-found"])
    title: str = Field(examples=["Not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["There is no plan p-17."])
    instance: str = Field(description="path of the request", examples=["/v1/plans/p-17"])
    errors: list[FieldError] | None = None
    reasons: dict[str, str] | None = None
    error_id: str | None = None


class ProblemError(Exception):
    """Raised by handlers; answered as a problem of ``kind``. ``detail`` is for the caller."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        errors: list[FieldError] | None = None,
        reasons: dict[str, str] | None = None,
    ) -> None:
        self.kind = kind
        self.detail = detail
        self.headers = dict(headers or {})
        self.errors = errors
        self.reasons = reasons
        super().__init__(f"{kind.slug}: {detail}")


def unauthenticated(detail: str) -> ProblemError:
    """A 401 with the challenge that RFC 9110 requires."""
    return ProblemError(
        Kind.UNAUTHENTICATED, detail, headers={"WWW-Authenticate": 'Bearer realm="tenor"'}
    )


def respond(
    kind: Kind,
    detail: str,
    *,
    path: str,
    headers: Mapping[str, str] | None = None,
    errors: list[FieldError] | None = None,
    reasons: dict[str, str] | None = None,
    error_id: str | None = None,
) -> JSONResponse:
    """The problem as a response."""
    body = Problem(
        type=kind.type_uri,
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=path,
        errors=errors,
        reasons=reasons,
        error_id=error_id,
    )
    return JSONResponse(
        body.model_dump(exclude_none=True),
        status_code=kind.status,
        media_type=MEDIA_TYPE,
        headers={**(headers or {}), "Cache-Control": "no-store"},
    )


def as_problem(error: Exception) -> ProblemError:
    """What an exception that FastAPI, Starlette or a handler raised means to the caller."""
    if isinstance(error, ProblemError):
        return error
    if isinstance(error, PolicyError):
        return ProblemError(
            Kind.NOT_READY, "The policy cannot be read.", reasons={"policy": str(error)}
        )
    if isinstance(error, RequestValidationError):
        found = [
            FieldError(where=".".join(str(part) for part in item["loc"]), problem=item["msg"])
            for item in error.errors()
        ]
        things = "1 thing" if len(found) == 1 else f"{len(found)} things"
        return ProblemError(Kind.INVALID, f"{things} to mend in the request.", errors=found)
    if isinstance(error, HTTPException):
        kind = _BY_STATUS.get(error.status_code, Kind.BAD_REQUEST)
        return ProblemError(kind, str(error.detail), headers=error.headers)
    return ProblemError(Kind.INTERNAL, "An unforeseen error.")


def answer(request: Request, error: Exception) -> JSONResponse:
    """The exception handler of the API."""
    problem = as_problem(error)
    return respond(
        problem.kind,
        problem.detail,
        path=request.url.path,
        headers=problem.headers,
        errors=problem.errors,
        reasons=problem.reasons,
    )


def documented(*kinds: Kind) -> dict[int | str, dict[str, Any]]:
    """The ``responses`` of a route for OpenAPI: each kind with its schema and an example."""
    return {
        kind.status: {
            "description": kind.title,
            "content": {
                MEDIA_TYPE: {
                    "schema": {"$ref": "#/components/schemas/Problem"},
                    "example": {
                        "type": kind.type_uri,
                        "title": kind.title,
                        "status": kind.status,
                        "detail": kind.meaning,
                        "instance": "/v1/…",
                    },
                }
            },
        }
        for kind in kinds
    }
