"""Credentials and clients for Google Cloud: decides whose they are, which endpoint, how often.

Fails closed. Credentials come from the one file that the settings name (a service account's key or
a workload identity configuration), with or without impersonation; what else the machine holds is
never looked at, and no variable of Google's SDKs moves an endpoint. An endpoint other than Google's
own must be on loopback, and is spoken to without any credentials, so a practice run cannot reach a
real cloud and real keys cannot reach a practice one. The SDKs take seconds to import and are
imported here, when first needed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from service.domain.errors import InputError, ProviderError
from service.providers.gcp.words import PROVIDER
from service.providers.loopback import is_loopback

if TYPE_CHECKING:
    from google.api_core.client_options import ClientOptions
    from google.api_core.retry import Retry
    from google.auth.credentials import Credentials
    from google.auth.transport.requests import AuthorizedSession
    from google.cloud.bigquery import Client as BigQuery
    from google.cloud.billing_v1 import CloudBillingClient, CloudCatalogClient
    from google.cloud.commerce_consumer_procurement_v1 import ConsumerProcurementServiceClient
    from google.cloud.compute_v1 import RegionCommitmentsClient, RegionOperationsClient

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
RESOURCE_MANAGER = "https://cloudresourcemanager.googleapis.com"
UNIVERSE = "googleapis.com"
_BIGQUERY = "https://bigquery.googleapis.com"
_TOKEN_RETRIES = 3
READ_TIMEOUT_SECONDS = 60.0
_IMPERSONATED_SECONDS = 3_600
Answered = TypeVar("Answered")
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class GcpAccess:
    """Whom to speak for, and how to get there.

    ``project`` owns what is bought, ``billing_account`` pays. ``credentials_file`` is required
    unless ``endpoint_url`` is a sandbox's; ``impersonate`` is a service account to speak as.
    ``flexible_offers``: Google's offer of a flexible commitment by its months; a term without one
    is not bought. ``flexible_past_offers``: the months of offers that are not sold any more, of
    which orders may be left. ``shared``: the billing account shares resource commitments among its
    projects. An operation is asked about ``polls`` times, ``poll_seconds`` apart.
    """

    project: str
    billing_account: str
    credentials_file: Path | None = None
    impersonate: str | None = None
    endpoint_url: str | None = None
    flexible_offers: Mapping[int, str] = field(default_factory=dict)
    flexible_past_offers: Mapping[str, int] = field(default_factory=dict)
    flexible_region: str = "global"
    shared: bool = False
    export_table: str | None = None
    purchase_timeout_seconds: float = 120.0
    polls: int = 30
    poll_seconds: float = 2.0

    def __post_init__(self) -> None:
        for months, offer in self.flexible_offers.items():
            if self.flexible_past_offers.get(offer, months) != months:
                raise InputError(
                    f"{offer} is named as an offer of two terms",
                    file="the settings",
                    column=f"TENOR_GCP_FLEXIBLE_OFFER_{months}",
                    remedy="Name each offer under its own term, now and in the past.",
                )
        if self.endpoint_url is None:
            if self.credentials_file is None:
                raise InputError(
                    "no credentials are named for Google Cloud",
                    file="the settings",
                    remedy="Set TENOR_GCP_CREDENTIALS_FILE; what the machine holds is not used.",
                )
            return
        if not is_loopback(self.endpoint_url):
            raise InputError(
                f"the endpoint {self.endpoint_url} is not on loopback",
                file="the settings",
                remedy="Leave it out to use Google Cloud, or give http://127.0.0.1:PORT.",
            )
        if self.credentials_file is not None or self.impersonate is not None:
            raise InputError(
                "a loopback endpoint is spoken to without credentials",
                file="the settings",
                remedy="Leave TENOR_GCP_CREDENTIALS_FILE and TENOR_GCP_IMPERSONATE out.",
            )


class GcpClients:
    """Makes clients for one ``GcpAccess`` and keeps them."""

    def __init__(self, access: GcpAccess) -> None:
        self.access = access
        self._kept: dict[str, Any] = {}

    @property
    def principal(self) -> str:
        """Who the credentials speak as."""
        if self.access.endpoint_url is not None:
            return "sandbox"
        if self.access.impersonate is not None:
            return self.access.impersonate
        return str(
            getattr(self.credentials(), "service_account_email", None) or "workload identity"
        )

    def commitments(self) -> RegionCommitmentsClient:
        """Compute Engine's resource commitments."""
        from google.cloud import compute_v1  # noqa: PLC0415 - takes seconds

        return self._rest("commitments", compute_v1.RegionCommitmentsClient)

    def operations(self) -> RegionOperationsClient:
        """Compute Engine's operations."""
        from google.cloud import compute_v1  # noqa: PLC0415 - takes seconds

        return self._rest("operations", compute_v1.RegionOperationsClient)

    def orders(self) -> ConsumerProcurementServiceClient:
        """Orders of flexible commitments."""
        from google.cloud import commerce_consumer_procurement_v1 as procurement  # noqa: PLC0415

        return self._rest("orders", procurement.ConsumerProcurementServiceClient)

    def catalog(self) -> CloudCatalogClient:
        """The public price list."""
        from google.cloud import billing_v1  # noqa: PLC0415 - takes long

        return self._rest("catalog", billing_v1.CloudCatalogClient)

    def billing(self) -> CloudBillingClient:
        """Billing accounts and their projects."""
        from google.cloud import billing_v1  # noqa: PLC0415 - takes long

        return self._rest("billing", billing_v1.CloudBillingClient)

    def bigquery(self) -> BigQuery:
        """Where the billing export lies."""
        from google.cloud import bigquery  # noqa: PLC0415 - takes long

        if "bigquery" not in self._kept:
            self._kept["bigquery"] = bigquery.Client(
                project=self.access.project,
                credentials=self.credentials(),
                client_options=self._options(_BIGQUERY),
                _http=self.session(),
            )
        kept: BigQuery = self._kept["bigquery"]
        return kept

    def session(self) -> AuthorizedSession:
        """Plain HTTP with the credentials, for what has no client of its own."""
        from google.auth.transport.requests import AuthorizedSession  # noqa: PLC0415

        if "session" not in self._kept:
            session = AuthorizedSession(self.credentials())  # type: ignore[no-untyped-call]
            self._close_to_surroundings(session)
            self._kept["session"] = session
        kept: AuthorizedSession = self._kept["session"]
        return kept

    def credentials(self) -> Credentials:
        """The credentials that the access names, and no others."""
        if "credentials" not in self._kept:
            self._kept["credentials"] = _credentials(self.access)
        kept: Credentials = self._kept["credentials"]
        return kept

    def close(self) -> None:
        """Close every connection; clients are made anew when they are asked for again."""
        while self._kept:
            name, client = self._kept.popitem()
            if name == "credentials":
                continue
            getattr(client, "transport", client).close()

    def _rest(self, name: str, make: Callable[..., Made]) -> Made:
        if name not in self._kept:
            client = make(
                transport="rest",
                credentials=self.credentials(),
                client_options=self._options(make.DEFAULT_ENDPOINT),  # type: ignore[attr-defined]
            )
            self._close_to_surroundings(client.transport._session)  # type: ignore[attr-defined]  # noqa: SLF001
            self._kept[name] = client
        kept: Made = self._kept[name]
        return kept

    def _options(self, endpoint: str) -> ClientOptions:
        """Where to: named, because the SDKs would ask the environment otherwise."""
        from google.api_core.client_options import ClientOptions  # noqa: PLC0415

        url = self.access.endpoint_url
        return ClientOptions(api_endpoint=url or endpoint, universe_domain=UNIVERSE)

    def _close_to_surroundings(self, session: AuthorizedSession) -> None:
        if self.access.endpoint_url is not None:
            session.trust_env = False  # loopback is never asked for through somebody else
            return
        from service.providers.surroundings import close_to_surroundings  # noqa: PLC0415

        close_to_surroundings(session)
        # Tokens are asked for through a session of their own.
        asking = session._auth_request.session  # noqa: SLF001
        close_to_surroundings(asking, retries=_TOKEN_RETRIES)


def _credentials(access: GcpAccess) -> Credentials:
    if access.endpoint_url is not None or access.credentials_file is None:
        from google.auth.credentials import AnonymousCredentials  # noqa: PLC0415

        made: Credentials = AnonymousCredentials()  # type: ignore[no-untyped-call]
        return made
    source = _of_file(access.credentials_file)
    if access.impersonate is None:
        return source
    from google.auth.impersonated_credentials import Credentials as Impersonated  # noqa: PLC0415

    impersonated: Credentials = Impersonated(  # type: ignore[no-untyped-call]
        source_credentials=source,
        target_principal=access.impersonate,
        target_scopes=[SCOPE],
        lifetime=_IMPERSONATED_SECONDS,
    )
    return impersonated


def _of_file(path: Path) -> Credentials:
    """A service account's key or a workload identity configuration; ``InputError`` for others."""
    from google.auth import aws, identity_pool  # noqa: PLC0415
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.oauth2 import service_account  # noqa: PLC0415

    try:
        info = json.loads(path.read_text("utf-8"))
        kind = info.get("type") if isinstance(info, dict) else None
        if kind == "service_account":
            key = service_account.Credentials
            made: Credentials = key.from_service_account_info(  # type: ignore[no-untyped-call]
                info, scopes=[SCOPE]
            )
            return made
        if kind == "external_account" and "executable" not in info.get("credential_source", {}):
            environment = str(info["credential_source"].get("environment_id", ""))
            of_kind = (
                aws.Credentials if environment.startswith("aws") else identity_pool.Credentials
            )
            pooled: Credentials = of_kind.from_info(  # type: ignore[no-untyped-call]
                info, scopes=[SCOPE]
            )
            return pooled
    except (OSError, ValueError, KeyError, GoogleAuthError) as error:
        raise _unusable(path, str(error)) from error
    raise _unusable(path, f"it is of type {kind}")


def _unusable(path: Path, problem: str) -> InputError:
    return InputError(
        f"the Google Cloud credentials cannot be used: {problem}",
        file=str(path),
        remedy="Name a service account's key file or a workload identity configuration "
        "in TENOR_GCP_CREDENTIALS_FILE.",
    )


def read_retry() -> Retry:
    """How reads are retried: throttles and passing trouble, for a quarter of a minute."""
    from google.api_core import exceptions  # noqa: PLC0415
    from google.api_core.retry import Retry, if_exception_type  # noqa: PLC0415

    passing = (
        exceptions.TooManyRequests,
        exceptions.ServiceUnavailable,
        exceptions.InternalServerError,
        exceptions.BadGateway,
        exceptions.GatewayTimeout,
    )
    retry: Retry = Retry(
        predicate=if_exception_type(*passing), initial=0.2, maximum=4.0, timeout=15.0
    )
    return retry


def wire_errors() -> tuple[type[Exception], ...]:
    """Everything that a call can raise: Google's errors, the raw HTTP library's, broken answers."""
    from google.api_core.exceptions import GoogleAPIError  # noqa: PLC0415
    from google.auth.exceptions import GoogleAuthError  # noqa: PLC0415
    from google.protobuf.json_format import (  # type: ignore[import-untyped]  # noqa: PLC0415
        ParseError,
    )
    from requests.exceptions import RequestException  # noqa: PLC0415

    return (GoogleAPIError, GoogleAuthError, RequestException, ParseError, ValueError)


def invoke(operation: str, call: Callable[..., Answered], /, **options: object) -> Answered:
    """One read, retried; whatever goes wrong is a ``ProviderError`` with Google's reason."""
    try:
        return call(retry=read_retry(), timeout=READ_TIMEOUT_SECONDS, **options)
    except wire_errors() as error:
        raise failed(operation, error) from error


def invoke_all(
    operation: str, call: Callable[..., Iterable[Answered]], /, **options: object
) -> list[Answered]:
    """Every item of every page of one read."""
    try:
        return list(call(retry=read_retry(), timeout=READ_TIMEOUT_SECONDS, **options))
    except wire_errors() as error:
        raise failed(operation, error) from error


def failed(operation: str, error: Exception) -> ProviderError:
    """``error`` of a read, as Tenor's own."""
    return ProviderError(
        provider=PROVIDER, operation=operation, code=reason_of(error), detail=str(error)
    )


def reason_of(error: Exception) -> str:
    """Google's reason for an error (``quotaExceeded``, ``notFound``), else the error's kind."""
    return given_reason(error) or type(error).__name__


def given_reason(error: Exception) -> str | None:
    """The reason that Google's own answer gives; ``None`` where what came back is not Google's."""
    told = (*(getattr(error, "errors", None) or ()), *(getattr(error, "details", None) or ()))
    words: list[object] = [one.get("reason") for one in told if isinstance(one, Mapping)]
    words += [getattr(error, "reason", None), _status_word(getattr(error, "response", None))]
    return next((str(word) for word in words if word), None)


def _status_word(response: object) -> object:
    """``PERMISSION_DENIED`` and its like: all that some of Google's errors say of their reason."""
    read = getattr(response, "json", None)
    if read is None:
        return None
    try:
        answer = read()
    except ValueError:
        return None
    fault = answer.get("error") if isinstance(answer, Mapping) else None
    return fault.get("status") if isinstance(fault, Mapping) else None
