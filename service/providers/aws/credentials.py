"""Where credentials come from: exactly the one source that the settings name, and no other.

The SDK's own search goes on until something is found: variables of the environment, shared files,
the container's and the machine's role. Whatever is found speaks, in whichever account it belongs
to. Here a session is given one place to look at; when that holds nothing, nothing is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import boto3
import botocore.session
from botocore.credentials import (
    ContainerProvider,
    CredentialProvider,
    Credentials,
    DeferredRefreshableCredentials,
    EnvProvider,
    InstanceMetadataProvider,
    create_credential_resolver,
)
from botocore.exceptions import BotoCoreError
from botocore.loaders import Loader, create_loader
from botocore.utils import InstanceMetadataFetcher, resolve_imds_endpoint_mode

from service.domain.errors import InputError

# What a profile can hold by itself. All else in the SDK's search is found by chance.
_OF_A_PROFILE = frozenset(
    {
        "assume-role",
        "assume-role-with-web-identity",
        "sso",
        "login",
        "shared-credentials-file",
        "custom-process",
        "config-file",
    }
)
_NO_PROFILE = {"profile": (None, None, None, None)}


class Source(StrEnum):
    """What the machine itself can hold: variables, or a role of its container or instance."""

    ENVIRONMENT = "environment"
    CONTAINER = "container"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class Keys:
    """Credentials given by hand; never shown."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A file that the platform keeps a web identity token in, and the role that it may assume."""

    path: Path
    role_arn: str


class _Provider(Protocol):
    def load_credentials(self) -> Credentials | None: ...


@dataclass(frozen=True, slots=True)
class _OnlySource:
    """The one place that a session may take credentials from; asked when a client is made."""

    name: str
    load: Callable[[], Credentials | None]

    def load_credentials(self) -> Credentials:
        """The credentials; ``InputError`` when the named source holds none."""
        try:
            found = self.load()
        except BotoCoreError as error:
            raise _unusable(self.name, str(error)) from error
        if found is None:
            raise _unusable(self.name, "it holds no credentials")
        return found


def _unusable(name: str, problem: str) -> InputError:
    return InputError(
        f"{name} cannot be used for AWS: {problem}",
        file="the settings",
        remedy="Mend it or name another source; nothing else that the machine holds is tried.",
    )


def session_of_keys(keys: Keys) -> boto3.Session:
    """A session that speaks with ``keys``."""
    made = Credentials(keys.access_key, keys.secret_key, keys.session_token)
    return _session(_OnlySource("the given keys", lambda: made))


def session_of_source(source: Source) -> boto3.Session:
    """A session that speaks with what ``source`` of this machine holds."""
    provider: CredentialProvider
    match source:
        case Source.ENVIRONMENT:
            provider = EnvProvider()
        case Source.CONTAINER:
            provider = ContainerProvider()
        case Source.INSTANCE:
            provider = InstanceMetadataProvider(iam_role_fetcher=_metadata())
    return _session(_OnlySource(f"TENOR_AWS_SOURCE={source.value}", provider.load))


def _metadata() -> InstanceMetadataFetcher:
    """Asks the instance's metadata service, where the SDK's own settings say that it is."""
    core = botocore.session.Session(session_vars=_NO_PROFILE)
    names = ("ec2_metadata_service_endpoint", "ec2_metadata_v1_disabled")
    config = {name: core.get_config_variable(name) for name in names}
    mode = resolve_imds_endpoint_mode(core)
    return InstanceMetadataFetcher(
        config={**config, "ec2_metadata_service_endpoint_mode": mode},
        user_agent=core.user_agent(),
    )


def session_of_profile(name: str) -> boto3.Session:
    """A session that speaks with what the profile ``name`` itself holds or names.

    ``InputError`` when there is no such profile. The SDK would go on to the container's and the
    machine's role when a profile holds no credentials.
    """
    core = botocore.session.Session(profile=name)
    core.set_config_variable("ignore_configured_endpoint_urls", True)  # noqa: FBT003 - the SDK's
    try:
        core.get_scoped_config()
    except BotoCoreError as error:
        raise _unusable(f"TENOR_AWS_PROFILE={name}", str(error)) from error
    resolver = create_credential_resolver(core)
    resolver.providers = [one for one in resolver.providers if one.METHOD in _OF_A_PROFILE]
    return _session(_OnlySource(f"TENOR_AWS_PROFILE={name}", resolver.load_credentials), core)


def session_of_nothing() -> boto3.Session:
    """A session that can sign nothing: making a client that needs credentials is an error."""

    def refuse() -> Credentials:
        raise InputError(
            "no credentials are named for AWS",
            file="the settings",
            remedy="Set one of TENOR_AWS_PROFILE, TENOR_AWS_TOKEN_FILE and TENOR_AWS_SOURCE "
            "(docs/connect/aws.md); what the machine happens to hold is not used.",
        )

    return _session(_OnlySource("no source", refuse))


def session_renewed_by(ask: Callable[[], Mapping[str, Any]]) -> boto3.Session:
    """A session that only ever uses what ``ask`` hands out, asked again as it runs out.

    ``ask`` returns the ``Credentials`` of an STS answer.
    """

    def renew() -> dict[str, str]:
        keys = ask()
        return {
            "access_key": keys["AccessKeyId"],
            "secret_key": keys["SecretAccessKey"],
            "token": keys["SessionToken"],
            "expiry_time": keys["Expiration"].isoformat(),
        }

    made = DeferredRefreshableCredentials(refresh_using=renew, method="assume-role")
    return _session(_OnlySource("the role", lambda: made))


@cache
def _service_models() -> Loader:
    """The SDK's service models, read once for all sessions: some take a second to parse."""
    return create_loader()


def _session(source: _Provider, core: botocore.session.Session | None = None) -> boto3.Session:
    # Without a profile of ours, one that AWS_PROFILE names is not looked at either.
    core = core or botocore.session.Session(session_vars=_NO_PROFILE)
    core.register_component("data_loader", _service_models())
    core.register_component("credential_provider", source)
    return boto3.Session(botocore_session=core)
