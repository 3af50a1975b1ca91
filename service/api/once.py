"""Decides what a repeated POST does: with the same Idempotency-Key, nothing a second time.

The first answer is kept under the caller and the key, and given again to the same request; another
request under that key is refused. Keys are forgotten after a day.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from fastapi import Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import ColumnElement, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from service.api.context import Allowed, AppContext, Context
from service.api.problems import Kind, ProblemError, respond
from service.api.tokens import Caller
from service.store.api_tables import replies
from service.store.engine import writing

KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=2)
"""After this long without an answer, whoever began it is taken to have died."""

REPLAYED = "Idempotency-Replayed"
_SERVER_ERROR = 500
_NOT_OUTCOMES = frozenset({Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.LIMITED, Kind.TOO_MANY})

IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="chosen by the caller, once for each change; a repeated request with it is "
        "answered as the first was, and changes nothing more",
        min_length=1,
        max_length=200,
        pattern=r"^[!-~]+$",
        examples=["0b8f3f60-6f0a-4a57-9a5d-2f0f3a1c9e77"],
    ),
]


@dataclass(frozen=True, slots=True)
class Once:
    """One change, asked for by ``caller`` under ``key``, or without one (``None``)."""

    context: AppContext
    caller: Caller
    request: Request
    key: str | None

    def reply(
        self,
        order: BaseModel | None,
        make: Callable[[], BaseModel],
        *,
        etag: Callable[[BaseModel], str] | None = None,
    ) -> Response:
        """The answer to ``make``, or the one that was given to the same request before.

        A problem that ``make`` raises is an answer too, unless it says that nothing was tried.
        """
        if self.key is None:
            return _answer(make(), etag)
        digest = self._digest(order)
        before = self._begin(digest)
        if before is not None:
            return before
        reply: Response | None = None
        try:
            try:
                reply = _answer(make(), etag)
            except ProblemError as problem:
                if problem.kind.status < _SERVER_ERROR and problem.kind not in _NOT_OUTCOMES:
                    reply = respond(
                        problem.kind,
                        problem.detail,
                        path=self.request.url.path,
                        headers=problem.headers,
                        errors=problem.errors,
                    )
                raise
        finally:
            self._end(reply)
        return reply

    @property
    def _principal(self) -> str:
        """Who may be shown the answer again: the same person by the same way in.

        With another token, or other accounts, the request is judged anew.
        """
        caller = self.caller
        accounts = None if caller.accounts is None else sorted(caller.accounts)
        parts = json.dumps([caller.person, caller.token_id, accounts])
        return hashlib.sha256(parts.encode()).hexdigest()

    def _digest(self, order: BaseModel | None) -> str:
        parts = [
            self.request.method,
            self.request.url.path,
            self.request.headers.get("if-match", ""),
            "" if order is None else order.model_dump_json(),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def _begin(self, digest: str) -> Response | None:
        now = self.context.auth_clock.now()
        row = {
            "principal": self._principal,
            "key": self.key,
            "request_digest": digest,
            "began_at": now,
            "expires_at": now + KEPT,
        }
        with writing(self.context.engine) as connection:
            connection.execute(delete(replies).where(replies.c.expires_at <= now))
        try:
            with writing(self.context.engine) as connection:
                connection.execute(insert(replies).values(**row))
        except IntegrityError:
            return self._before(digest)
        return None

    def _before(self, digest: str) -> Response | None:
        """The kept answer; ``None`` when whoever was making it died."""
        now = self.context.auth_clock.now()
        with writing(self.context.engine) as connection:
            kept = connection.execute(select(replies).where(*self._mine())).mappings().one_or_none()
            if kept is not None and kept["request_digest"] != digest:
                raise ProblemError(Kind.INVALID, "This Idempotency-Key stands for another request.")
            if kept is None or (kept["status"] is None and kept["began_at"] > now - ABANDONED):
                raise ProblemError(
                    Kind.CONFLICT,
                    "The first request with this Idempotency-Key is still being answered.",
                    headers={"Retry-After": "1"},
                )
            if kept["status"] is None:
                taken = update(replies).where(*self._mine(), replies.c.began_at == kept["began_at"])
                if connection.execute(taken.values(began_at=now)).rowcount == 1:
                    return None
                raise ProblemError(Kind.CONFLICT, "The request is still being answered.")
        return Response(
            kept["body"],
            status_code=kept["status"],
            headers={**kept["headers"], REPLAYED: "true"},
        )

    def _end(self, reply: Response | None) -> None:
        with writing(self.context.engine) as connection:
            if reply is None:
                connection.execute(delete(replies).where(*self._mine()))
                return
            headers = {
                name: value for name, value in reply.headers.items() if name != "content-length"
            }
            connection.execute(
                update(replies)
                .where(*self._mine())
                .values(status=reply.status_code, headers=headers, body=bytes(reply.body).decode())
            )

    def _mine(self) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return (replies.c.principal == self._principal, replies.c.key == self.key)


def _answer(found: BaseModel, etag: Callable[[BaseModel], str] | None) -> Response:
    headers = {"Cache-Control": "no-store"}
    if etag is not None:
        headers["ETag"] = etag(found)
    return Response(found.model_dump_json(), media_type="application/json", headers=headers)


def once(context: Context, caller: Allowed, request: Request, key: IdempotencyKey = None) -> Once:
    """What a changing handler takes: the caller, let in, and the key that they gave."""
    return Once(context=context, caller=caller, request=request, key=key)
