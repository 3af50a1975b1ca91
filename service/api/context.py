"""What every handler is given: the application's parts, and who is calling.

A handler that takes ``Allowed`` answers only whom the table in ``who_may`` lets use its route.
Browser sessions open pages, never ``/v1``: a request to the API is authorised by its own header,
so no other site can cause one.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Engine

from service.api.access import Access
from service.api.identity import Identity
from service.api.kept import Kept
from service.api.oidc import FAILURE_KEPT_SECONDS, IssuerUnreachableError, NotTrustedError
from service.api.ports import PolicySource, ScheduledJob, UsageSource
from service.api.problems import Kind, ProblemError, unauthenticated
from service.api.slots import Pace, Slots
from service.api.tokens import ANONYMOUS_READER, PREFIX, Caller, recognise
from service.api.who_may import Reach, rule_of
from service.domain.hours import Clock
from service.observe.log import get_logger
from service.store.engine import reading
from service.store.states import Role

_STATE = "tenor"
_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="token",
    description="An API token, `tnr_…`, made by `tenor token create`, or the identity provider's.",
)


@dataclass(frozen=True, slots=True)
class AppContext:
    """The parts of one application; ``access`` is how it may be reached.

    ``clock`` is the deployment's, which a demonstration may speed up; ``auth_clock`` is the real
    one, by which tokens and sessions expire. ``usage`` is what bills and pictures are made
    of; ``None`` where there is none to be read. ``status_kept_seconds``
    is how long a status may be shown again while the ledger stands still. Whoever tries a policy
    holds ``trying`` meanwhile.
    """

    engine: Engine
    clock: Clock
    auth_clock: Clock
    policy_source: PolicySource
    jobs: tuple[ScheduledJob, ...]
    open_reads: bool
    access: Access
    usage: UsageSource | None = None
    status_kept_seconds: float = 1.0
    kept: Kept = field(default_factory=Kept)
    slots: Slots = field(default_factory=Slots)
    pace: Pace = field(default_factory=Pace)
    trying: threading.Lock = field(default_factory=threading.Lock)

    @property
    def session_key(self) -> bytes:
        """What signs browser sessions."""
        return self.access.session_key


class WallClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """The current instant in UTC."""
        return datetime.now(UTC)


def attach(state: Any, context: AppContext) -> None:  # noqa: ANN401 - Starlette's own State
    """Hang ``context`` on an application's state, where ``app_context`` finds it."""
    setattr(state, _STATE, context)


def context_in(state: Any) -> AppContext:  # noqa: ANN401 - Starlette's own State
    """What ``attach`` hung on ``state``."""
    context: AppContext = getattr(state, _STATE)
    return context


def app_context(request: Request) -> AppContext:
    """The parts of the application that serves ``request``."""
    return context_in(request.app.state)


Context = Annotated[AppContext, Depends(app_context)]
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]


def bearer(
    request: Request, context: AppContext, credentials: HTTPAuthorizationCredentials | None
) -> Caller | None:
    """Who the ``Authorization`` header says it is; ``None`` without one.

    A 401 problem when there is one and it opens nothing: a wrong token is never treated as no
    token, or reads that are open would hide its expiry.
    """
    if credentials is None:
        return None
    token = credentials.credentials
    if token.startswith(PREFIX) or context.access.identity is None:
        with reading(context.engine) as connection:
            caller = recognise(connection, token, now=context.auth_clock.now())
    else:
        caller = _vouched_for(context.access.identity, token)
    if caller is None:
        refused(request, context)
        raise unauthenticated("The token is unknown, expired or revoked.")
    return caller


def refused(request: Request, context: AppContext) -> None:
    """Count a credential that opened nothing; a 429 problem when its address shows too many.

    Asked only once a credential has failed: somebody's wrong ones keep nobody out who shares their
    address. What that leaves to guessing is the address's own limit of requests, against 256 bits.
    """
    address = address_of(request)
    slow_down(context.access.limiter.may_try(address))
    context.access.limiter.wrong_token(address)


def _vouched_for(identity: Identity, token: str) -> Caller | None:
    try:
        claims = identity.issuer.claims(token, audience=identity.audience)
    except NotTrustedError as error:
        get_logger("tenor.api").warning("api.token_not_trusted", why=str(error))
        return None
    except IssuerUnreachableError as error:
        raise identity_unreachable(error) from error
    caller = identity.caller(claims)
    if caller is None:
        raise ProblemError(Kind.FORBIDDEN, "Nothing in the token gives a role here.")
    return caller


def identity_unreachable(error: IssuerUnreachableError) -> ProblemError:
    """The 503 problem for whoever only the identity provider could vouch for now."""
    return ProblemError(
        Kind.NOT_READY,
        "The identity provider cannot be asked now.",
        reasons={"identity": str(error)},
        headers={"Retry-After": str(FAILURE_KEPT_SECONDS)},
    )


def address_of(request: Request) -> str:
    """The address that a request came from, as the socket says it."""
    return request.client.host if request.client is not None else "unknown"


def listener_of(request: Request, caller: Caller | None) -> str:
    """Whose one open stream more it is: a person's, or an address's where nobody is asked."""
    if caller is None or caller == ANONYMOUS_READER:
        return f"address {address_of(request)}"
    return f"person {caller.person}"


def slow_down(wait_seconds: int | None) -> None:
    """A 429 problem when there is something to wait for."""
    if wait_seconds is not None:
        raise ProblemError(
            Kind.TOO_MANY,
            f"Too many requests. Try again in {wait_seconds} s.",
            headers={"Retry-After": str(wait_seconds)},
        )


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


def demand_whole(caller: Caller) -> Caller:
    """``caller``, if it is not limited to some accounts; a 403 problem otherwise."""
    if caller.accounts is not None:
        raise ProblemError(
            Kind.LIMITED, "This is about all accounts; the token is limited to some."
        )
    return caller


def _allowed(request: Request, context: Context, credentials: _Credentials) -> Caller:
    rule = rule_of(request.method, request.scope["route"].path)
    caller = bearer(request, context, credentials)
    if caller is None and context.open_reads and rule.opens_to_readers:
        return ANONYMOUS_READER
    if rule.role is None:
        return caller or ANONYMOUS_READER
    caller = demand(caller, rule.role)
    slow_down(context.access.limiter.principal(caller.person))
    if rule.reach is Reach.WHOLE:
        demand_whole(caller)
    return caller


Allowed = Annotated[Caller, Depends(_allowed)]
"""Whoever ``who_may`` lets use the route."""
