"""Sessions and clients for AWS: decides whose credentials speak, to which endpoint, how often.

Fails closed. One source of credentials is named, and with a role configured only that role's keys
are ever used: when it cannot be assumed nothing is called, and whatever else the machine holds is
not tried. An endpoint other than AWS's own must be on loopback and comes with keys given by hand,
so a practice run cannot reach a real cloud and real keys cannot reach a practice one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import boto3
from botocore import UNSIGNED
from botocore.client import BaseClient
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from service.domain.errors import InputError, ProviderError
from service.providers.aws.credentials import (
    Keys,
    Source,
    TokenFile,
    session_of_keys,
    session_of_nothing,
    session_of_profile,
    session_of_source,
    session_renewed_by,
)
from service.providers.loopback import is_loopback

NO_EXTERNAL_ID = "none"
"""What the settings say where a role's trust policy asks for no external id."""
PROVIDER = "aws"
SESSION_NAME = "tenor"
Answer = Mapping[str, Any]
"""One answer of an SDK call; it does not leave this package."""

_READ = {
    "retries": {"mode": "standard", "total_max_attempts": 5},
    "connect_timeout": 10,
    "read_timeout": 60,
}
# One attempt, whatever happens: the SDK's own retries resend a purchase whose answer was lost.
_PURCHASE = {
    "retries": {"mode": "standard", "total_max_attempts": 1},
    "connect_timeout": 10,
    "read_timeout": 70,
}


@dataclass(frozen=True, slots=True)
class AwsAccess:
    """Which account to speak for, and how to get there.

    ``role_arn`` is assumed with ``external_id``; the credentials that may do so are the one of
    ``keys``, ``profile``, ``token`` and ``source`` that is set. With none of them nothing can be
    asked of AWS. ``endpoint_url`` is for a cloud on loopback only.
    """

    region: str
    role_arn: str | None = None
    external_id: str | None = None
    profile: str | None = None
    token: TokenFile | None = None
    source: Source | None = None
    keys: Keys | None = field(default=None, repr=False)
    endpoint_url: str | None = None
    purchase_read_timeout_seconds: float = float(_PURCHASE["read_timeout"])  # type: ignore[arg-type]

    def __post_init__(self) -> None:
        self._require_one_source()
        self._require_external_id()
        if self.endpoint_url is None:
            return
        if not is_loopback(self.endpoint_url):
            raise InputError(
                f"the endpoint {self.endpoint_url} is not on loopback",
                file="the settings",
                remedy="Leave it out to use AWS, or give http://127.0.0.1:PORT of a sandbox.",
            )
        if self.keys is None:
            raise InputError(
                "a loopback endpoint is only spoken to with the sandbox's own keys",
                file="the settings",
                remedy="Pass the keys that the sandbox printed.",
            )

    def _require_one_source(self) -> None:
        sources = (self.keys, self.profile, self.token, self.source)
        named = sum(one is not None for one in sources)
        if named > 1 or (named == 0 and self.role_arn is not None):
            raise InputError(
                f"{named} sources of credentials are named for AWS",
                file="the settings",
                remedy="Set exactly one of TENOR_AWS_PROFILE, TENOR_AWS_TOKEN_FILE and "
                "TENOR_AWS_SOURCE (docs/connect/aws.md).",
            )
        by_hand = self.keys is not None
        if self.external_id is not None and self.role_arn is None and not by_hand:
            raise InputError(
                "there is an external id and no role to assume with it",
                file="the settings",
                remedy="Set TENOR_AWS_ROLE_ARN too, or leave TENOR_AWS_EXTERNAL_ID out.",
            )

    def _require_external_id(self) -> None:
        """A role that anybody may be made to assume is a role for anybody: AWS's confused deputy.

        A sandbox's keys, which are given by hand, open no account.
        """
        if self.role_arn is not None and self.keys is None and not self.external_id:
            raise InputError(
                f"there is a role to assume, {self.role_arn}, and no external id",
                file="the settings",
                column="TENOR_AWS_EXTERNAL_ID",
                remedy="Set it to the sts:ExternalId of the role's trust policy; the word "
                f"{NO_EXTERNAL_ID} says that the trust policy asks for none.",
            )


class AwsClients:
    """Makes clients for one ``AwsAccess`` and keeps them; clients are safe to share in threads."""

    def __init__(self, access: AwsAccess) -> None:
        self.access = access
        self._source = self._named_source(access)
        self._session = self._source if access.role_arn is None else self._assumed(access.role_arn)
        self._clients: dict[tuple[str, str, bool], BaseClient] = {}

    def reading(self, service: str, region: str | None = None) -> BaseClient:
        """A client for reads: retried by the SDK's standard rules."""
        return self._client(service, region, purchase=False)

    def purchasing(self, service: str, region: str | None = None) -> BaseClient:
        """A client that sends each request at most once."""
        return self._client(service, region, purchase=True)

    def offered_in(self, service: str, regions: Sequence[str]) -> list[str]:
        """Those of ``regions`` in which the SDK knows ``service``; asking elsewhere only fails."""
        known = set(self._session.get_available_regions(service))
        return [region for region in regions if region in known]

    def close(self) -> None:
        """Close every connection; the clients are made anew when they are asked for again."""
        while self._clients:
            _, client = self._clients.popitem()
            client.close()

    def _client(self, service: str, region: str | None, *, purchase: bool) -> BaseClient:
        key = (service, region or self.access.region, purchase)
        known = self._clients.get(key)
        if known is None:
            known = self._make(self._session, service, key[1], purchase=purchase)
            self._clients[key] = known
        return known

    def _make(
        self,
        session: boto3.Session,
        service: str,
        region: str,
        *,
        purchase: bool = False,
        signed: bool = True,
    ) -> BaseClient:
        options: dict[str, Any] = dict(_PURCHASE if purchase else _READ)
        if not signed:
            options["signature_version"] = UNSIGNED
        if purchase:
            options["read_timeout"] = self.access.purchase_read_timeout_seconds
        if self.access.endpoint_url is not None:
            options["proxies"] = {}  # loopback is never asked for through somebody else
        # Endpoints come from here alone, not from AWS_ENDPOINT_URL or a shared file.
        options["ignore_configured_endpoint_urls"] = True
        config = Config(**options)
        create: Callable[..., BaseClient] = session.client
        return create(
            service, region_name=region, endpoint_url=self.access.endpoint_url, config=config
        )

    def _named_source(self, access: AwsAccess) -> boto3.Session:
        if access.keys is not None:
            return session_of_keys(access.keys)
        if access.profile is not None:
            return session_of_profile(access.profile)
        if access.source is not None:
            return session_of_source(access.source)
        if access.token is not None:
            return self._told_by(access.token)
        return session_of_nothing()

    def _told_by(self, token: TokenFile) -> boto3.Session:
        """A session of the role that the platform's token may assume; the file is read anew."""
        asking = session_of_nothing()

        def ask() -> Answer:
            with closing(self._make(asking, "sts", self.access.region, signed=False)) as client:
                return of_token(client, token)

        return session_renewed_by(ask)

    def _assumed(self, role_arn: str) -> boto3.Session:
        """A session that only ever uses the role's keys, renewed as they run out."""

        def ask() -> Answer:
            arguments = {"RoleArn": role_arn, "RoleSessionName": SESSION_NAME}
            if self.access.external_id not in {None, NO_EXTERNAL_ID}:
                arguments["ExternalId"] = self.access.external_id
            with closing(self._make(self._source, "sts", self.access.region)) as client:
                answer = invoke(client, "assume_role", arguments, needs="Credentials")
            keys: Answer = answer["Credentials"]
            return keys

        return session_renewed_by(ask)


def of_token(client: BaseClient, token: TokenFile) -> Answer:
    """The keys that STS hands out for the token that the file holds now."""
    operation = "assume_role_with_web_identity"
    try:
        word = token.path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise _failed(f"sts.{operation}", "no_token", f"{token.path}: {error}") from error
    arguments = {
        "RoleArn": token.role_arn,
        "RoleSessionName": SESSION_NAME,
        "WebIdentityToken": word,
    }
    keys: Answer = invoke(client, operation, arguments, needs="Credentials")["Credentials"]
    return keys


def invoke(
    client: BaseClient, operation: str, arguments: Mapping[str, Any], *, needs: str = ""
) -> Answer:
    """One read; whatever goes wrong is a ``ProviderError`` with the provider's code.

    An answer without its member ``needs`` is an error too: the SDK reads a broken body as an
    empty one, and an inventory that looks empty would be bought again.
    """
    name = f"{client.meta.service_model.service_name}.{operation}"
    try:
        answer: Answer = getattr(client, operation)(**arguments)
    except ClientError as error:
        fault = error.response.get("Error", {})
        code, detail = str(fault.get("Code", "unknown")), str(fault.get("Message", error))
        raise _failed(name, code, detail) from error
    except (BotoCoreError, ResponseParserError) as error:
        raise _failed(name, type(error).__name__, str(error)) from error
    if needs and needs not in answer:
        raise _failed(name, "incomplete_answer", f"the answer has no {needs}")
    return answer


def _failed(operation: str, code: str, detail: str) -> ProviderError:
    return ProviderError(provider=PROVIDER, operation=operation, code=code, detail=detail)


PAGES_MAX = 10_000


def invoke_all(
    client: BaseClient,
    operation: str,
    arguments: Mapping[str, Any],
    *,
    items: str,
    token: str = "nextToken",  # noqa: S107  # the name of a field
) -> list[Answer]:
    """Every item of every page; a listing that does not end is a ``ProviderError``."""
    found: list[Answer] = []
    following: dict[str, Any] = {}
    for _ in range(PAGES_MAX):
        page = invoke(client, operation, {**arguments, **following}, needs=items)
        found.extend(page[items])
        following = {token: page.get(token)}
        if not following[token]:
            return found
    raise _failed(operation, "endless_listing", f"more than {PAGES_MAX} pages")
