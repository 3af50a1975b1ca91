"""Builds each cloud that the settings name, behind the port. SDKs load only for those."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Protocol

from service.domain.errors import InputError
from service.domain.hours import Clock
from service.providers.aws import organisation
from service.providers.aws.alterer import AwsAlterer
from service.providers.aws.buyer import AwsBuyer
from service.providers.aws.clients import AwsAccess, AwsClients
from service.providers.aws.credentials import Source, TokenFile
from service.providers.aws.permissions import AwsPermissions
from service.providers.aws.reader import AwsReader
from service.providers.aws.usage_source import aws_exports, granted_on, needed_by
from service.providers.port import (
    ProviderAlterer,
    ProviderBuyer,
    ProviderExports,
    ProviderFinder,
    ProviderPermissions,
    ProviderReader,
)
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Cloud:
    """One provider, spoken to with one set of credentials.

    ``committed_usd``: what plans of the whole organisation commit on a day, whoever owns them;
    ``None`` where the inventory itself spans the organisation. ``exports``: where billing data is
    fetched from, ``None`` where it lies on this machine already. ``bound_account``: the only
    account that the settings let anything be bought in, ``None`` when they leave it to the policy.
    """

    provider: str
    reader: ProviderReader
    buyer: ProviderBuyer
    close: Callable[[], None]
    committed_usd: Callable[[date], Decimal] | None = None
    exports: ProviderExports | None = None
    finder: ProviderFinder | None = None
    alterer: ProviderAlterer | None = None
    permissions: ProviderPermissions | None = None
    bound_account: str | None = None


def aws_cloud(access: AwsAccess, clock: Clock, settings: Settings) -> Cloud:
    """AWS behind the port; ``settings`` say which zones are offered and where usage comes from."""
    clients = AwsClients(access)
    buyer = AwsBuyer(clients, clock=clock)
    exports = aws_exports(
        clients,
        clock=clock,
        s3=settings.aws_exports_s3,
        cost_explorer_requests=settings.aws_cost_explorer_requests,
    )
    zones = [zone.strip() for zone in settings.aws_reservation_zones.split(",") if zone.strip()]
    return Cloud(
        provider="aws",
        reader=AwsReader(clients, zones=zones),
        buyer=buyer,
        finder=buyer,
        alterer=AwsAlterer(clients, clock=clock),
        permissions=AwsPermissions(
            clients, optional=needed_by(exports), granted_on=granted_on(exports)
        ),
        exports=exports,
        committed_usd=partial(organisation.committed_usd, clients),
        close=clients.close,
        bound_account=settings.aws_purchase_account,
    )


def providers_named(settings: Settings) -> tuple[str, ...]:
    """The clouds that the settings name, AWS when they name none; whether usable or not."""
    aws = (
        settings.aws_endpoint_url,
        settings.aws_role_arn,
        settings.aws_profile,
        settings.aws_token_file,
        settings.aws_source,
    )
    named = {
        "aws": any(aws),
        "azure": settings.azure_tenant_id is not None or settings.azure_endpoint_url is not None,
        "gcp": settings.gcp_project is not None or settings.gcp_endpoint_url is not None,
    }
    return tuple(provider for provider, wanted in named.items() if wanted) or ("aws",)


def require_named(settings: Settings, provider: str) -> None:
    """``InputError`` when the settings do not name ``provider``."""
    known = providers_named(settings)
    if provider not in known:
        raise not_set_up(provider, known)


def not_set_up(provider: str, known: Sequence[str]) -> InputError:
    """What is said of a cloud that is none of ``known``."""
    return InputError(
        f"{provider!r} is not set up here",
        file="the settings",
        remedy=f"Set its TENOR_{provider.upper()}_ variables; set up now: {', '.join(known)}.",
    )


def clouds_of(settings: Settings, clock: Clock) -> tuple[Cloud, ...]:
    """Every cloud of ``providers_named``; SDKs of others are not loaded."""
    made: dict[str, Callable[[Settings, Clock], Cloud | None]] = {
        "aws": _aws,
        "azure": _azure,
        "gcp": _gcp,
    }
    found = (made[provider](settings, clock) for provider in providers_named(settings))
    return tuple(cloud for cloud in found if cloud is not None)


def _aws(settings: Settings, clock: Clock) -> Cloud:
    return aws_cloud(access_of(settings), clock, settings)


def _azure(settings: Settings, clock: Clock) -> Cloud | None:
    from service.providers.azure import cloud  # noqa: PLC0415 - its SDKs load only when used

    access = cloud.azure_access(settings)
    if access is None:
        return None
    parts = cloud.azure_cloud(access, clock)
    return _behind_the_port("azure", parts, bound_account=access.subscription_id.lower())


def _gcp(settings: Settings, clock: Clock) -> Cloud | None:
    from service.providers.gcp import cloud  # noqa: PLC0415 - its SDKs load only when used

    access = cloud.access_of(settings)
    if access is None:
        return None
    parts = cloud.gcp_cloud(access, clock)
    return _behind_the_port("gcp", parts, bound_account=access.project)


class _Whole(Protocol):
    """What an adapter package puts together."""

    @property
    def reader(self) -> ProviderReader: ...
    @property
    def buyer(self) -> ProviderBuyer: ...
    @property
    def finder(self) -> ProviderFinder: ...
    @property
    def alterer(self) -> ProviderAlterer: ...
    @property
    def permissions(self) -> ProviderPermissions: ...
    @property
    def exports(self) -> ProviderExports | None: ...
    @property
    def close(self) -> Callable[[], None]: ...


def _behind_the_port(provider: str, whole: _Whole, *, bound_account: str) -> Cloud:
    return Cloud(
        provider=provider,
        reader=whole.reader,
        buyer=whole.buyer,
        finder=whole.finder,
        alterer=whole.alterer,
        permissions=whole.permissions,
        exports=whole.exports,
        close=whole.close,
        bound_account=bound_account,
    )


def access_of(settings: Settings) -> AwsAccess:
    """How the settings say to reach AWS.

    A loopback endpoint is spoken to with the sandbox's own keys only, whatever else the machine
    holds: the access itself refuses anything else.
    """
    if settings.aws_endpoint_url is not None:
        from service.sandbox.access import sandbox_access  # noqa: PLC0415 - only a sandbox run

        return sandbox_access(
            settings.aws_endpoint_url,
            role_arn=settings.aws_role_arn,
            external_id=settings.aws_external_id,
            named={
                "TENOR_AWS_PROFILE": settings.aws_profile,
                "TENOR_AWS_TOKEN_FILE": settings.aws_token_file,
                "TENOR_AWS_SOURCE": settings.aws_source,
            },
        )
    source = settings.aws_source
    return AwsAccess(
        region=settings.aws_region,
        role_arn=settings.aws_role_arn,
        external_id=settings.aws_external_id,
        profile=settings.aws_profile,
        token=_token_of(settings),
        source=None if source is None else Source(source),
    )


def _token_of(settings: Settings) -> TokenFile | None:
    path, role = settings.aws_token_file, settings.aws_token_role_arn
    if path is None and role is None:
        return None
    if path is None or role is None:
        raise InputError(
            "a web identity token is set up by half",
            file="the settings",
            column="TENOR_AWS_TOKEN_FILE",
            remedy="Set both TENOR_AWS_TOKEN_FILE and TENOR_AWS_TOKEN_ROLE_ARN, or neither.",
        )
    return TokenFile(path, role)
