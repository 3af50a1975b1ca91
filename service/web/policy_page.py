"""The policy as it was read, and what an edited one would have said of the newest plans."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, Response

from service.api.problems import Kind, ProblemError
from service.api.shapes import STORABLE
from service.api.status import policy_state
from service.domain.errors import InputError
from service.guard.policy import Policy, parse_policy, problems_of
from service.guard.yaml_lines import Problem
from service.store.states import Role
from service.web.dry_run import Effect, effects
from service.web.forms import Csrf, signer
from service.web.frame import AnyVisitor, Visitor, WholeVisitor

TEXT_LENGTH_MAX = 40_000
PASTED = "the pasted policy"
Text = Annotated[str, Form(max_length=TEXT_LENGTH_MAX, pattern=STORABLE)]


def policy(visitor: WholeVisitor) -> HTMLResponse:
    """The policy in force, as its file says it."""
    return _page(visitor, tried=None)


def try_policy(visitor: AnyVisitor, text: Text, csrf: Csrf = "") -> Response:
    """The newest plans under ``text``, beside what the policy in force says. Changes nothing."""
    signer(visitor, csrf, "/policy/try", "/policy")
    # Browsers send line ends as CR LF; the file has LF.
    content = text.replace("\r\n", "\n")
    with _one_at_a_time(visitor):
        problems = problems_of(content, file=PASTED)
        found: list[Effect] = []
        in_force = _in_force(visitor)
        if not problems and in_force is not None:
            after = parse_policy(content, file=PASTED)
            found = effects(visitor.context, in_force, after)
    return _page(visitor, tried=content, problems=problems, found=found)


@contextmanager
def _one_at_a_time(visitor: Visitor) -> Iterator[None]:
    """A try takes up to seconds of the one processor that everything else here shares."""
    trying = visitor.context.trying
    if not trying.acquire(blocking=False):
        raise ProblemError(
            Kind.TOO_MANY,
            "Somebody else's policy is being tried. Try again in a moment.",
            headers={"Retry-After": "2"},
        )
    try:
        yield
    finally:
        trying.release()


def _in_force(visitor: Visitor) -> Policy | None:
    try:
        return visitor.context.policy_source().policy
    except InputError:
        return None


def _page(
    visitor: Visitor,
    *,
    tried: str | None,
    problems: tuple[Problem, ...] = (),
    found: list[Effect] | None = None,
) -> HTMLResponse:
    try:
        text = visitor.context.policy_source().text
    except InputError:
        text = ""
    return visitor.page(
        "policy.html",
        {
            "policy": policy_state(visitor.context),
            "text": text,
            "tried": tried,
            "problems": problems,
            "effects": found or [],
            "may_try": visitor.may(Role.VIEWER),
        },
    )


def router() -> APIRouter:
    """These pages, ready to be included."""
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route("/policy", policy, methods=["GET"], response_model=None)
    routes.add_api_route("/policy/try", try_policy, methods=["POST"], response_model=None)
    return routes
