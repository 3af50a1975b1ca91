"""Clients for Azure: decides how often a request may be sent, and what a failed reading is.

Reads are retried. Whatever buys or alters is sent once: its pipeline has no retry policy, follows
no redirect, and registers no resource provider on the side (the SDK's own way of that sends the
purchase a second time). Waiting for long-running operations is done here, with a bound, because the
SDK's poller takes the last 200 for a success whatever it says.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from azure.core import PipelineClient
from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError, DecodeError, HttpResponseError
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import (
    ContentDecodePolicy,
    HeadersPolicy,
    HTTPPolicy,
    RequestIdPolicy,
    RetryPolicy,
    SansIOHTTPPolicy,
    UserAgentPolicy,
)
from azure.core.rest import HttpRequest, HttpResponse

from service.domain.errors import InputError, ProviderError
from service.providers.azure.access import PROVIDER, AzureAccess
from service.providers.azure.credential import credential_of
from service.providers.azure.transport import transport_of

if TYPE_CHECKING:
    from azure.core.pipeline.transport import RequestsTransport
    from azure.mgmt.billingbenefits import BillingBenefitsMgmtClient
    from azure.mgmt.reservations import ReservationsMgmtClient
    from azure.storage.blob import ContainerClient

ARM_URL = "https://management.azure.com"
ARM_SCOPE = f"{ARM_URL}/.default"
SAVINGS_PLANS_VERSION = "2022-11-01"
PAGES_MAX = 10_000
_READ_TIMEOUT_SECONDS = 120.0
_READ_RETRIES = 4
_OK, _REDIRECTED = 200, 300
NO_CODE = "HTTP {}"
"""What stands for the code of an error to which Azure gave none."""
Answer = Mapping[str, Any]
"""One answer of Azure as plain JSON; it does not leave this package."""
Item = TypeVar("Item")
UNREADABLE = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)
"""What making sense of an answer raises that is not what it should be."""
TROUBLE = (AzureError, *UNREADABLE)
"""Everything that a look at Azure can raise."""
Policies = list[HTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any]]


class _SandboxToken(SansIOHTTPPolicy[Any, Any]):
    """Sends a sandbox's token over plain HTTP, which the SDK's own policy rightly refuses."""

    def __init__(self, token: str) -> None:
        self._token = token

    def on_request(self, request: PipelineRequest[Any]) -> None:
        request.http_request.headers["Authorization"] = f"Bearer {self._token}"


class _SandboxCredential:
    """Stands where the SDK wants a credential; what it hands out is the sandbox's token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:  # noqa: ANN401
        return AccessToken(self._token, 2**40)


class AzureClients:
    """Clients for one ``AzureAccess``, made when they are first asked for. Safe in threads."""

    def __init__(
        self,
        access: AzureAccess,
        *,
        sleep: Callable[[float], None] = time.sleep,
        blob_retries: int = _READ_RETRIES,
    ) -> None:
        self.access = access
        self.sleep = sleep
        self._blob_retries = blob_retries
        self._opened: list[Any] = []

    @cached_property
    def credential(self) -> TokenCredential:
        """The one credential; no other is ever tried."""
        token = self.access.sandbox_token
        if token is not None:
            return _SandboxCredential(token)
        made = credential_of(self.access)
        self._opened.append(made)
        return made

    @cached_property
    def reservations(self) -> ReservationsMgmtClient:
        """``Microsoft.Capacity``, for reads: retried."""
        return self._reservations(once=False)

    @cached_property
    def buying_reservations(self) -> ReservationsMgmtClient:
        """``Microsoft.Capacity``, each request sent at most once."""
        return self._reservations(once=True)

    @cached_property
    def benefits(self) -> BillingBenefitsMgmtClient:
        """``Microsoft.BillingBenefits``, for reads: retried."""
        return self._benefits(once=False)

    @cached_property
    def buying_benefits(self) -> BillingBenefitsMgmtClient:
        """``Microsoft.BillingBenefits``, each request sent at most once."""
        return self._benefits(once=True)

    @cached_property
    def exports(self) -> ContainerClient:
        """The blob container of cost exports; ``InputError`` when none is set."""
        from azure.storage.blob import ContainerClient  # noqa: PLC0415 - heavy

        url = self.access.exports_url
        if url is None:
            raise InputError(
                "no container of cost exports is set",
                file="the settings",
                column="TENOR_AZURE_EXPORTS_URL",
                remedy="Give https://ACCOUNT.blob.core.windows.net/CONTAINER.",
            )
        credential = None if self.access.sandbox_token else self.credential
        client = ContainerClient.from_container_url(
            f"{url}?sig=sandbox&sp=rl&sv=2024-11-04" if credential is None else url,
            credential=credential,
            retry_total=self._blob_retries,
            initial_backoff=self.access.retry_backoff_seconds,
            increment_base=2,
            transport=self._transport(once=False),
        )
        self._opened.append(client)
        return client

    def get(self, operation: str, url: str, parameters: Mapping[str, str]) -> Answer:
        """One read of Azure Resource Manager, by path or by a link that it gave."""
        base = self.access.endpoint_url or ARM_URL
        return self._get(self._arm, base, operation, url, parameters)

    def get_all(self, operation: str, url: str, parameters: Mapping[str, str]) -> Iterable[Answer]:
        """Every item of every page of Azure Resource Manager."""
        return _pages(
            operation,
            url,
            parameters,
            get=lambda link, query: self.get(operation, link, query),
            items="value",
            link="nextLink",
        )

    def retail(self, parameters: Mapping[str, str]) -> Iterable[Answer]:
        """Every item of every page of the Retail Prices API, its numbers as exact decimals."""
        operation = "Retail.Prices"
        return _pages(
            operation,
            "/api/retail/prices",
            parameters,
            get=lambda link, query: self._get(
                self._public, self.access.retail_url, operation, link, query
            ),
            items="Items",
            link="NextPageLink",
        )

    def claims(self) -> Mapping[str, Any]:
        """What the access token says of its owner; ``ProviderError`` when it says nothing."""
        operation = "Token.Get"
        try:
            token = self.credential.get_token(ARM_SCOPE).token
            part = token.split(".")[1]
            raw = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
            claims = json.loads(raw)
        except AzureError as error:
            raise failed(operation, error) from error
        except (IndexError, ValueError, binascii.Error) as error:
            raise _failed(operation, "unreadable_token", str(error)) from error
        return dict(claims)

    def close(self) -> None:
        """Close every connection."""
        while self._opened:
            self._opened.pop().close()
        for name in ("reservations", "buying_reservations", "benefits", "buying_benefits"):
            self.__dict__.pop(name, None)
        for name in ("exports", "_arm", "_public", "credential"):
            self.__dict__.pop(name, None)

    @cached_property
    def _arm(self) -> PipelineClient[Any, Any]:
        return self._pipeline(self.access.endpoint_url or ARM_URL, self._policies(once=False))

    @cached_property
    def _public(self) -> PipelineClient[Any, Any]:
        policies = self._policies(once=False)
        del policies[-1]  # public prices are asked for by nobody in particular
        return self._pipeline(self.access.retail_url, policies)

    def _reservations(self, *, once: bool) -> ReservationsMgmtClient:
        from azure.mgmt.reservations import ReservationsMgmtClient  # noqa: PLC0415 - heavy

        client = ReservationsMgmtClient(
            self.credential,
            base_url=self.access.endpoint_url or ARM_URL,
            policies=self._policies(once=once),
            transport=self._transport(once=once),
        )
        self._opened.append(client)
        return client

    def _benefits(self, *, once: bool) -> BillingBenefitsMgmtClient:
        from azure.mgmt.billingbenefits import BillingBenefitsMgmtClient  # noqa: PLC0415 - heavy

        client = BillingBenefitsMgmtClient(
            self.credential,
            self.access.subscription_id,
            base_url=self.access.endpoint_url or ARM_URL,
            api_version=SAVINGS_PLANS_VERSION,
            policies=self._policies(once=once),
            transport=self._transport(once=once),
        )
        self._opened.append(client)
        return client

    def _pipeline(self, base_url: str, policies: Policies) -> PipelineClient[Any, Any]:
        client: PipelineClient[Any, Any] = PipelineClient(
            base_url, policies=policies, transport=self._transport(once=False)
        )
        self._opened.append(client)
        return client

    def _transport(self, *, once: bool) -> RequestsTransport:
        read = self.access.purchase_read_timeout_seconds if once else _READ_TIMEOUT_SECONDS
        return transport_of(self.access, read_timeout_seconds=read)

    def _policies(self, *, once: bool) -> Policies:
        """What every request goes through. The last one signs it."""
        from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy  # noqa: PLC0415

        token = self.access.sandbox_token
        signing: HTTPPolicy[Any, Any] | SansIOHTTPPolicy[Any, Any] = (
            ARMChallengeAuthenticationPolicy(self.credential, ARM_SCOPE)
            if token is None
            else _SandboxToken(token)
        )
        backoff = self.access.retry_backoff_seconds
        reading = RetryPolicy(retry_total=_READ_RETRIES, retry_backoff_factor=backoff)
        retrying: Policies = [] if once else [reading]
        return [
            RequestIdPolicy(),
            HeadersPolicy(),
            UserAgentPolicy(base_user_agent="tenor"),
            ContentDecodePolicy(),
            *retrying,
            signing,
        ]

    def _get(
        self,
        client: PipelineClient[Any, Any],
        base: str,
        operation: str,
        url: str,
        parameters: Mapping[str, str],
    ) -> Answer:
        target = url if "://" in url else base + url
        if urlsplit(target)[:2] != urlsplit(base)[:2]:
            raise _failed(operation, "foreign_link", f"{url} leads away from {base}")
        request = HttpRequest("GET", target, params=dict(parameters))
        try:
            response: HttpResponse = client.send_request(request)
            if not _OK <= response.status_code < _REDIRECTED:
                raise HttpResponseError(response=response)
            answer = json.loads(response.text(), parse_float=Decimal)
        except AzureError as error:
            raise failed(operation, error) from error
        except ValueError as error:
            raise _failed(operation, "unreadable_answer", str(error)) from error
        if not isinstance(answer, dict):
            raise _failed(operation, "unreadable_answer", "the answer is no object")
        return answer


def read(operation: str, ask: Callable[[], Item]) -> Item:
    """One read through the SDK; whatever goes wrong is a ``ProviderError`` with Azure's code."""
    try:
        return ask()
    except AzureError as error:
        raise failed(operation, error) from error
    except UNREADABLE as error:
        raise _failed(operation, "unreadable_answer", repr(error)) from error


def failed(operation: str, error: AzureError) -> ProviderError:
    """The ``ProviderError`` of a read that raised."""
    return _failed(operation, code_of(error), str(error.message).strip() or type(error).__name__)


def trouble(error: Exception) -> str:
    """What went wrong with a look, in a line: Azure's code and words, or what could not be read."""
    if isinstance(error, AzureError):
        return f"{code_of(error)} {error.message}"
    return f"the answer cannot be read: {error!r}"


def code_of(error: AzureError) -> str:
    """Azure's code for an error; the error's own name where it has none."""
    if isinstance(error, HttpResponseError) and not isinstance(error, DecodeError):
        if error.error is not None and error.error.code:
            return str(error.error.code)
        if error.status_code is not None:
            return NO_CODE.format(error.status_code)
    return type(error).__name__


def _failed(operation: str, code: str, detail: str) -> ProviderError:
    return ProviderError(provider=PROVIDER, operation=operation, code=code, detail=detail)


def _pages(
    operation: str,
    url: str,
    parameters: Mapping[str, str],
    *,
    get: Callable[[str, Mapping[str, str]], Answer],
    items: str,
    link: str,
) -> Iterable[Answer]:
    """Every item of every page; a listing that does not end, or has none, is an error."""
    for _ in range(PAGES_MAX):
        page = get(url, parameters)
        found = page.get(items)
        if not isinstance(found, list):
            raise _failed(operation, "incomplete_answer", f"the answer has no {items}")
        yield from found
        url, parameters = str(page.get(link) or ""), {}
        if not url:
            return
    raise _failed(operation, "endless_listing", f"more than {PAGES_MAX} pages")
