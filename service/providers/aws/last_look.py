"""Decides when a call that spends is asked about a last time: signed, right before it is sent.

Signing may have to fetch a role's keys first, and that may take minutes: STS is asked up to five
times, each for as long as a read may take. Whoever asked before the SDK began would not see a halt
that was set meanwhile, nor a lease that was lost. So the SDK asks itself, once all that is left is
to write the request to the wire.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from botocore.client import BaseClient

from service.domain.purchases import Refused
from service.providers.port import StillWanted

_EVENT = "before-send"
_NAME = "tenor-last-look"
_wanted: ContextVar[StillWanted | None] = ContextVar(_NAME, default=None)


class NotWantedError(Exception):
    """The call is not wanted any more, and was not sent; ``refused`` says why."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.detail)
        self.refused = refused


def send_if_wanted(
    client: BaseClient, operation: str, arguments: dict[str, Any], still_wanted: StillWanted
) -> dict[str, Any]:
    """The answer to one call of ``client``, unless ``still_wanted`` refuses it when it is signed.

    Raises ``NotWantedError`` then, and what the SDK raises.
    """
    client.meta.events.register_first(_EVENT, _look, unique_id=_NAME)
    token = _wanted.set(still_wanted)
    try:
        answer: dict[str, Any] = getattr(client, operation)(**arguments)
    finally:
        _wanted.reset(token)
    return answer


def _look(**_: object) -> None:
    """Asked by the SDK, in the caller's own thread; to raise is to send nothing."""
    still_wanted = _wanted.get()
    stopped = None if still_wanted is None else still_wanted()
    if stopped is not None:
        raise NotWantedError(stopped)
