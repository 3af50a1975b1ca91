"""Sends: a message by apprise to people, a signed CloudEvent to a program.

A webhook's body is a CloudEvents 1.0 envelope in structured JSON. Its signature is that of the
Standard Webhooks convention: HMAC-SHA256 over ``id.timestamp.body`` with the shared key, in
``webhook-signature`` as ``v1,<base64>``; receivers know a repeat by ``webhook-id``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING

from service.domain.errors import InputError
from service.domain.hours import iso
from service.notify.alerts import Severity
from service.notify.config import Target, revealed
from service.store.alerts import Raised

if TYPE_CHECKING:
    from apprise import Apprise

SOURCE = "tenor"
TIMEOUT_SECONDS = 10.0


class DeliveryError(Exception):
    """A receiver did not take an alert. The message holds no secret."""


def cloud_event(raised: Raised) -> dict[str, object]:
    """The CloudEvents 1.0 envelope of one alert."""
    return {
        "specversion": "1.0",
        "id": raised.alert,
        "source": SOURCE,
        "type": f"tenor.alert.{raised.kind}",
        "subject": raised.title,
        "time": iso(raised.raised_at),
        "datacontenttype": "application/json",
        "data": {"severity": raised.severity, "body": raised.body, **raised.data},
    }


def signature(key: str, identity: str, timestamp: int, body: bytes) -> str:
    """The ``webhook-signature`` of ``body``."""
    signed = f"{identity}.{timestamp}.".encode() + body
    digest = hmac.new(key.encode(), signed, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def send(target: Target, alerts: Sequence[Raised]) -> None:
    """Hand ``alerts`` to ``target``, in one message where it takes messages.

    Raises ``DeliveryError`` when it did not take them, ``InputError`` when the environment lacks
    what the target names.
    """
    if target.webhook is not None:
        for raised in alerts:
            _post(target, raised)
        return
    _tell(target, alerts)


def require_usable(target: Target) -> None:
    """``InputError`` when nothing could be sent to ``target``, whoever listens there.

    The environment lacks what it names, or its url is none that apprise knows.
    """
    if target.webhook is not None:
        revealed(target.webhook)
        revealed(f"${{{target.secret_env}}}")
        return
    if not _receiver().add(revealed(target.url or "")):
        raise InputError(
            f"the url of {target.name} is not one that apprise knows",
            file="the alerts file",
            column="url",
            remedy="See docs/alerts.md; the variables in it are put in before it is read.",
        )


def _post(target: Target, raised: Raised) -> None:
    import httpx2  # noqa: PLC0415 - only a deployment with webhooks pays for the import

    body = json.dumps(cloud_event(raised), sort_keys=True).encode()
    timestamp = int(time.time())  # receivers judge its age by the wall's clock, whatever ours says
    key = revealed(f"${{{target.secret_env}}}")
    headers: Mapping[str, str] = {
        "content-type": "application/cloudevents+json; charset=utf-8",
        "webhook-id": raised.alert,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature(key, raised.alert, timestamp, body),
    }
    try:
        answer = httpx2.post(
            revealed(target.webhook or ""), content=body, headers=headers, timeout=TIMEOUT_SECONDS
        )
    except httpx2.HTTPError as error:
        raise DeliveryError(type(error).__name__) from None
    if not HTTPStatus.OK <= answer.status_code < HTTPStatus.MULTIPLE_CHOICES:
        raise DeliveryError(f"answered {answer.status_code}")


def _receiver() -> Apprise:
    import apprise  # noqa: PLC0415 - a heavy import

    return apprise.Apprise()


def _tell(target: Target, alerts: Sequence[Raised]) -> None:
    import apprise  # noqa: PLC0415 - a heavy import

    kinds = {
        Severity.INFO: apprise.NotifyType.INFO,
        Severity.WARNING: apprise.NotifyType.WARNING,
        Severity.CRITICAL: apprise.NotifyType.FAILURE,
    }
    receiver = _receiver()
    if not receiver.add(revealed(target.url or "")):
        raise DeliveryError("its url is not one that apprise knows")
    worst = max((Severity(raised.severity) for raised in alerts), key=lambda one: one.rank)
    if len(alerts) == 1:
        title, body = f"Tenor: {alerts[0].title}", alerts[0].body
    else:
        title = f"Tenor: {len(alerts)} things to know"
        body = "\n\n".join(f"{one.title}\n{one.body}" for one in alerts)
    if not receiver.notify(body=body, title=title, notify_type=kinds[worst]):
        raise DeliveryError("apprise could not deliver it")
