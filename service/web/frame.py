"""What every page shares: its frame, who is signed in, and how an error looks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment

from service import __version__
from service.api.context import AppContext, Context
from service.api.problems import Kind, ProblemError, as_problem
from service.api.stream import head_of
from service.store.engine import reading
from service.store.states import Role
from service.web.session import SignedIn, csrf_field, signed_in

PAGES = (
    ("/", "Overview"),
    ("/proposals", "Proposals"),
    ("/commitments", "Commitments"),
    ("/cycles", "Cycles & plans"),
    ("/policy", "Policy"),
    ("/audit", "Audit"),
    ("/alerts", "Alerts"),
    ("/halt", "Halt"),
)
ABOUT_ALL_ACCOUNTS = frozenset({"/cycles", "/policy", "/audit", "/alerts"})
"""Pages that are not shown to who is limited to some accounts, nor offered to them."""

_PARENTS = {"/plans": "/cycles", "/alterations": "/commitments"}
"""Which of the pages in the menu a page without a place there belongs to."""

_FOR_PROGRAMS = ("/v1", "/problems", "/openapi.json", "/healthz", "/readyz", "/static")
_STATE = "tenor_templates"
_GIVEN_SHOWN = 2000
_PROBLEMS = {
    "missing": "it has to be filled in",
    "string_too_short": "it has to be filled in",
    "string_pattern_mismatch": "it is not written in a way that can be read",
    "enum": "it is none of the choices",
    "int_parsing": "it is not a whole number",
}
"""The framework's commonest objections in words; others are shown as it words them."""


class SignInNeededError(Exception):
    """Raised by a page that its reader must sign in for; answered by a redirect to /login."""

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        super().__init__(wanted)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who looks at a page, and what the page is made with."""

    request: Request
    context: AppContext
    signed_in: SignedIn | None
    stands_at: int
    """The ledger's last number before anything of the page was read."""

    def may(self, role: Role) -> bool:
        """True when somebody is signed in whose role reaches ``role``."""
        return self.signed_in is not None and self.signed_in.caller.may(role)

    @property
    def accounts(self) -> frozenset[str] | None:
        """The accounts that this visitor is limited to; ``None`` for all of them."""
        return None if self.signed_in is None else self.signed_in.caller.accounts

    def sees(self, account: str) -> bool:
        """True when the visitor is not limited to other accounts than ``account``."""
        return self.accounts is None or account in self.accounts

    @property
    def pages(self) -> tuple[tuple[str, str], ...]:
        """The menu: path and name of each page that this visitor may see."""
        if self.accounts is None:
            return PAGES
        return tuple(one for one in PAGES if one[0] not in ABOUT_ALL_ACCOUNTS)

    @property
    def csrf(self) -> str:
        """What this visitor's forms must carry; empty for who is not signed in."""
        if self.signed_in is None:
            return ""
        return csrf_field(self.signed_in.session, self.context.session_key)

    @property
    def address(self) -> str:
        """Path and query of what was asked for."""
        url = self.request.url
        return f"{url.path}?{url.query}" if url.query else url.path

    def page(
        self, template: str, facts: Mapping[str, object], *, status: int = 200, live: bool = False
    ) -> HTMLResponse:
        """The template filled with ``facts``, in the frame. ``live`` pages refresh."""
        here = "/" + self.request.url.path.strip("/").split("/")[0]
        here = _PARENTS.get(here, here)
        templates: Environment = getattr(self.request.app.state, _STATE)
        html = templates.get_template(template).render(
            {
                "pages": self.pages,
                "sees_all": self.accounts is None,
                "here": here,
                "path": self.request.url.path,
                "signed_in": self.signed_in,
                "csrf": self.csrf,
                "version": __version__,
                "live": self.address if live else "",
                "stands_at": self.stands_at,
                "read_at": self.context.clock.now(),
                "now": self.context.clock.now(),
                **facts,
            }
        )
        return HTMLResponse(html, status_code=status, headers={"Cache-Control": "no-store"})


def keep_templates(state: object, templates: Environment) -> None:
    """Hang the templates on an application's state, where pages find them."""
    setattr(state, _STATE, templates)


def visitor(request: Request, context: Context) -> Visitor:
    """Whoever asks, signed in or not."""
    with reading(context.engine) as connection:
        stands_at = head_of(connection)
        found = signed_in(connection, request, context)
    return Visitor(request=request, context=context, signed_in=found, stands_at=stands_at)


def _reader(request: Request, context: Context) -> Visitor:
    found = visitor(request, context)
    if found.signed_in is None and not context.open_reads:
        raise SignInNeededError(found.address)
    return found


def _whole_reader(request: Request, context: Context) -> Visitor:
    found = _reader(request, context)
    if found.accounts is not None:
        raise ProblemError(
            Kind.LIMITED, "This page is about all accounts; you are limited to some."
        )
    return found


AnyVisitor = Annotated[Visitor, Depends(visitor)]
"""Whoever asks."""
ReadingVisitor = Annotated[Visitor, Depends(_reader)]
"""Whoever may read pages; others are sent to sign in."""
WholeVisitor = Annotated[Visitor, Depends(_whole_reader)]
"""Whoever may read what is about all accounts."""


def to_login(wanted: str) -> RedirectResponse:
    """Off to sign in, and back to ``wanted`` afterwards."""
    return RedirectResponse(f"/login?next={quote(wanted, safe='/')}", status_code=303)


@dataclass(frozen=True, slots=True)
class Mistake:
    """A field of a form or an address that cannot be taken: its name, what was given, and why."""

    field: str
    given: str
    problem: str


def mistakes(error: Exception) -> list[Mistake]:
    """What is wrong with each field of a request; none where it is something else that is."""
    if not isinstance(error, RequestValidationError):
        return []
    return [_mistake(item) for item in error.errors()]


def _mistake(item: Mapping[str, Any]) -> Mistake:
    name = str(item["loc"][-1])
    given = item.get("input")
    # A sign-in's token is never written onto a page.
    told = isinstance(given, str) and name not in {"csrf", "token"}
    problem = _PROBLEMS.get(str(item["type"]), str(item["msg"]))
    return Mistake(name, str(given)[:_GIVEN_SHOWN] if told else "", problem)


def error_page(
    context_of: Callable[[Request], AppContext], request: Request, error: Exception
) -> Response | None:
    """The error as a page, for a person's browser; ``None`` when a program asked."""
    if isinstance(error, SignInNeededError):
        answer = to_login(error.wanted)
        if request.headers.get("hx-request") != "true":
            return answer
        # A page that refreshes itself goes there as a whole, not into its own main part.
        return Response(status_code=204, headers={"HX-Redirect": answer.headers["location"]})
    path = request.url.path
    if path.startswith(_FOR_PROGRAMS) or "text/html" not in request.headers.get("accept", ""):
        return None
    problem: ProblemError = as_problem(error)
    shown = visitor(request, context_of(request))
    return shown.page(
        "problem.html",
        {
            "problem": {"title": problem.kind.title, "detail": problem.detail},
            "mistakes": mistakes(error),
            "back": path.rsplit("/", 1)[0] or "/",
        },
        status=problem.kind.status,
    )
