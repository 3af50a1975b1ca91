"""Whom Tenor speaks for in Azure: one credential, one tenant, and loopback only with its token."""

from __future__ import annotations

import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    WorkloadIdentityCredential,
)

from service.domain.errors import InputError, ProviderError
from service.providers.azure.access import AzureAccess, ClientSecret, WorkloadToken
from service.providers.azure.clients import AzureClients
from service.providers.azure.cloud import azure_access, azure_cloud
from service.sandbox.azure.access import sandbox_access
from service.settings import read_settings
from tests.sandbox.azure.clouds import small_cloud

TENANT = "7a0e0000-0000-4000-8000-000000000001"
PAYER = "5b000000-0000-4000-8000-000000000010"
OTHER = "a.b.c"
CLIENT = "5a000000-0000-4000-8000-0000000000bb"
SECRET = ClientSecret(CLIENT, "never-shown")


def access(**changes: object) -> AzureAccess:
    settings: dict[str, object] = {
        "tenant_id": TENANT,
        "subscription_id": PAYER,
        "credential": SECRET,
    }
    return AzureAccess(**(settings | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "https://management.azure.com",
        "http://localhost:9",
        "http://10.0.0.1:9",
        "http://127.0.0.1.example.com",
        "ftp://127.0.0.1",
    ],
)
def test_an_endpoint_of_our_own_must_be_a_loopback_number(url: str) -> None:
    with pytest.raises(InputError, match="loopback"):
        access(credential=None, endpoint_url=url, sandbox_token=OTHER)
    with pytest.raises(InputError, match="loopback"):
        sandbox_access(url)


def test_real_credentials_are_never_shown_to_loopback_nor_sandbox_tokens_to_azure() -> None:
    loopback = "http://127.0.0.1:9"
    with pytest.raises(InputError, match="own token"):
        access(endpoint_url=loopback, sandbox_token=OTHER)
    with pytest.raises(InputError, match="own token"):
        access(credential=None, endpoint_url=loopback)
    with pytest.raises(InputError, match="one credential"):
        access(sandbox_token=OTHER)
    with pytest.raises(InputError, match="one credential"):
        access(credential=None)


def test_a_sandboxs_exports_must_be_on_loopback_too() -> None:
    there = sandbox_access("http://127.0.0.1:9")
    with pytest.raises(InputError, match="loopback"):
        replace(there, exports_url="https://real.blob.core.windows.net/costs")
    with pytest.raises(InputError, match="https"):
        access(exports_url="http://real.blob.core.windows.net/costs")


def test_ids_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="TENOR_AZURE_TENANT_ID"):
        access(tenant_id="contoso.com")
    with pytest.raises(InputError, match="TENOR_AZURE_SUBSCRIPTION_ID"):
        access(subscription_id="production")


def test_no_secret_is_shown() -> None:
    assert "never-shown" not in repr(access())
    token = sandbox_access("http://127.0.0.1:9")
    assert str(token.sandbox_token) not in repr(token)
    settings = read_settings({"TENOR_AZURE_CLIENT_SECRET": "never-shown"})
    assert "never-shown" not in repr(settings)


def test_the_credential_is_the_one_that_is_named_and_no_chain(tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    named = {
        ClientSecretCredential: SECRET,
        WorkloadIdentityCredential: WorkloadToken(CLIENT, token_file),
    }
    for kind, credential in named.items():
        with closing(AzureClients(access(credential=credential))) as clients:
            assert type(clients.credential) is kind
    assert CertificateCredential.__name__ not in {kind.__name__ for kind in named}


ENVIRONMENT = {
    "TENOR_AZURE_TENANT_ID": TENANT,
    "TENOR_AZURE_SUBSCRIPTION_ID": PAYER,
    "TENOR_AZURE_CLIENT_ID": CLIENT,
}


def test_settings_name_exactly_one_credential(tmp_path: Path) -> None:
    assert azure_access(read_settings({})) is None
    with pytest.raises(InputError, match="0 credentials"):
        azure_access(read_settings(ENVIRONMENT))
    both = ENVIRONMENT | {
        "TENOR_AZURE_CLIENT_SECRET": "x",
        "TENOR_AZURE_TOKEN_FILE": str(tmp_path / "token"),
    }
    with pytest.raises(InputError, match="2 credentials"):
        azure_access(read_settings(both))
    found = azure_access(read_settings(ENVIRONMENT | {"TENOR_AZURE_CLIENT_SECRET": "x"}))
    assert found is not None
    assert found.credential == ClientSecret(CLIENT, "x")
    with pytest.raises(InputError, match="no subscription"):
        azure_access(read_settings({"TENOR_AZURE_TENANT_ID": TENANT}))


def test_a_certificate_that_is_not_there_is_an_error_of_the_settings(tmp_path: Path) -> None:
    settings = ENVIRONMENT | {"TENOR_AZURE_CERTIFICATE_FILE": str(tmp_path / "none.pem")}
    found = azure_access(read_settings(settings))
    assert found is not None
    with pytest.raises(InputError, match="certificate"):
        _ = AzureClients(found).credential


def test_a_sandbox_named_in_the_settings_is_reached_whole() -> None:
    with small_cloud() as cloud:
        settings = {"TENOR_AZURE_ENDPOINT_URL": cloud.endpoint_url}
        found = azure_access(read_settings(ENVIRONMENT | settings))
        assert found is not None
        parts = azure_cloud(found, cloud.world.clock)
        assert parts.reader.identity().account == cloud.world.payer
        assert parts.exports is not None
        parts.close()


def test_another_token_opens_nothing() -> None:
    with small_cloud() as cloud:
        other = replace(cloud.access(), sandbox_token=OTHER)
        with (
            closing(AzureClients(other)) as clients,
            pytest.raises(ProviderError, match="InvalidAuthenticationToken"),
        ):
            list(clients.get_all("Subscriptions.List", "/subscriptions", {}))


def test_azures_sdks_load_only_when_azure_is_spoken_to() -> None:
    script = (
        "import sys, service.providers.azure.cloud, service.settings;"
        "sys.exit(any(name.split('.')[0] == 'azure' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
