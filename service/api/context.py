"""What every handler is given: the application's parts, and who is calling.

Reads need the viewer's role, unless reads were opened on purpose. Whatever changes something needs
a token of the role that its route names, in every set-up. Browser sessions open pages, never
``/v1``: a request to the API is authorised by its own header, so no other site can cause one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Engine

from service.api.ports import PolicySource, ScheduledJob
from service.api.problems import Kind, ProblemError, unauthenticated
from service.api.tokens import ANONYMOUS_READER, Caller, recognise
from service.domain.hours import Clock
from service.store.engine import reading
from service.store.states import Role

_STATE = "tenor"
_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="An API token, `tnr_…`, made by `tenor token create`.",
)


@dataclass(frozen=True, slots=True)
class AppContext:
    """The parts of one application. ``session_key`` signs browser sessions.

    ``clock`` is the deployment's, which a demonstration may speed up; ``auth_clock`` is the real
    one, by which tokens and sessions expire.
    """

    engine: Engine
    clock: Clock
    auth_clock: Clock
    policy_source: PolicySource
    jobs: tuple[ScheduledJob, ...]
    open_reads: bool
    session_key: bytes


class WallClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The current instant in UTC."""
        return datetime.now(UTC)


def attach(state: Any, context: AppContext) -> None:  # noqa: ANN401 - Starlette's own State
    """Hang ``context`` on an application's state, where ``app_context`` finds it."""
    setattr(state, _STATE, context)


def app_context(request: Request) -> AppContext:
    """The parts of the application that serves ``request``."""
    context: AppContext = getattr(request.app.state, _STATE)
    return context


Context = Annotated[AppContext, Depends(app_context)]
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]


def bearer(context: AppContext, credentials: HTTPAuthorizationCredentials | None) -> Caller | None:
    """Who the ``Authorization`` header says it is; ``None`` without one.

    A 401 problem when there is one and it opens nothing: a wrong token is never treated as no
    token, or reads that are open would hide its expiry.
    """
    if credentials is None:
        return None
    with reading(context.engine) as connection:
        caller = recognise(connection, credentials.credentials, now=context.auth_clock.now())
    if caller is None:
        raise unauthenticated("The token is unknown, expired or revoked.")
    return caller


def demand(caller: Caller | None, role: Role) -> Caller:
    """``caller``, if its role reaches ``role``; a 401 or 403 problem otherwise."""
    if caller is None:
        raise unauthenticated(f"This needs a token with the role {role.value}.")
    if not caller.may(role):
        raise ProblemError(
            Kind.FORBIDDEN,
            f"This needs the role {role.value}; the token has {caller.role.value}.",
        )
    return caller


def _reader(context: Context, credentials: _Credentials) -> Caller:
    caller = bearer(context, credentials)
    if caller is None and context.open_reads:
        return ANONYMOUS_READER
    return demand(caller, Role.VIEWER)


def _holding(role: Role) -> Callable[[AppContext, HTTPAuthorizationCredentials | None], Caller]:
    def dependency(context: Context, credentials: _Credentials) -> Caller:
        return demand(bearer(context, credentials), role)

    return dependency


Reader = Annotated[Caller, Depends(_reader)]
"""Whoever may read."""
Approver = Annotated[Caller, Depends(_holding(Role.APPROVER))]
"""Whoever may approve and reject proposals."""
Operator = Annotated[Caller, Depends(_holding(Role.OPERATOR))]
"""Whoever may halt and resume."""
