"""Clients of live clouds, made on a machine that is full of somebody else's settings.

Nothing here leaves the machine: what is sent goes to a server on loopback.
"""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from azure.core.rest import HttpRequest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from service.providers.azure.access import AzureAccess, ClientSecret, WorkloadToken
from service.providers.azure.clients import AzureClients
from service.providers.azure.transport import transport_of
from service.providers.gcp.clients import GcpAccess, GcpClients
from service.providers.surroundings import ProxiedAdapter, close_to_surroundings
from tests.providers.wire import listening

TENANT = "7a0e0000-0000-4000-8000-000000000001"
PAYER = "5b000000-0000-4000-8000-000000000010"
CLIENT = "5a000000-0000-4000-8000-0000000000bb"
OTHERS = {
    "AZURE_AUTHORITY_HOST": "https://login.example",
    "AZURE_KUBERNETES_TOKEN_PROXY": "https://tokens.example",
    "BIGQUERY_EMULATOR_HOST": "http://bigquery.example:9",
    "GOOGLE_API_USE_MTLS_ENDPOINT": "always",
    "GOOGLE_CLOUD_UNIVERSE_DOMAIN": "universe.example",
    "GOOGLE_CLOUD_PROJECT": "somebody-elses",
}


@dataclass(frozen=True, slots=True)
class Machine:
    """Where the tests' files may lie."""

    folder: Path

    def azure(self, **changes: object) -> AzureAccess:
        settings: dict[str, object] = {
            "tenant_id": TENANT,
            "subscription_id": PAYER,
            "credential": ClientSecret(CLIENT, "never-shown"),
            "exports_url": "https://costs.blob.core.windows.net/exports",
        }
        return AzureAccess(**(settings | changes))  # type: ignore[arg-type]

    def google(self, token_uri: str = "https://oauth2.googleapis.com/token") -> GcpAccess:  # noqa: S107
        key = rsa.generate_private_key(65_537, 2_048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        told = {
            "type": "service_account",
            "client_email": "tenor@acme.iam.gserviceaccount.com",
            "private_key": key.decode(),
            "private_key_id": "1",
            "token_uri": token_uri,
        }
        path = self.folder / "key.json"
        path.write_text(json.dumps(told))
        return GcpAccess(
            project="acme", billing_account="01AB23-45CD67-89EF01", credentials_file=path
        )


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A machine with a ``default`` entry in its netrc, and variables of others."""
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in {**OTHERS, "NETRC": str(netrc)}.items():
        monkeypatch.setenv(name, value)
    return Machine(tmp_path)


def test_the_netrc_of_these_tests_would_replace_a_token(machine: Machine) -> None:
    assert machine.folder.is_dir()
    with listening() as listener, requests.Session() as session:
        session.get(f"{listener.url}/a", headers={"Authorization": "Bearer ours"}, timeout=10)
        ((_, sent),) = listener.asked
        assert sent is not None
        assert sent.startswith("Basic ")


def test_azure_is_sent_our_token_whatever_a_netrc_says(machine: Machine) -> None:
    with listening() as listener, transport_of(machine.azure(), read_timeout_seconds=10) as wire:
        request = HttpRequest("GET", f"{listener.url}/a", headers={"Authorization": "Bearer ours"})
        assert wire.send(request).status_code == 200
        assert listener.asked == [("/a", "Bearer ours")]


def test_every_client_of_azure_is_closed_to_its_surroundings(machine: Machine) -> None:
    clients = AzureClients(machine.azure())
    try:
        pipelines: list[Any] = [
            *(
                one._client._pipeline  # noqa: SLF001
                for one in (
                    clients.reservations,
                    clients.buying_reservations,
                    clients.benefits,
                    clients.buying_benefits,
                )
            ),
            clients.exports._pipeline,  # noqa: SLF001
            clients._arm._pipeline,  # noqa: SLF001
            clients._public._pipeline,  # noqa: SLF001
        ]
        for pipeline in pipelines:
            _is_closed(pipeline._transport.session)  # noqa: SLF001
    finally:
        clients.close()


def test_azures_secrets_are_shown_to_its_own_authority_alone(machine: Machine) -> None:
    token = WorkloadToken(CLIENT, machine.folder / "token")
    with (
        closing(AzureClients(machine.azure(credential=ClientSecret(CLIENT, "x")))) as of_secret,
        closing(AzureClients(machine.azure(credential=token))) as of_token,
    ):
        secret: Any = of_secret.credential
        workload: Any = of_token.credential
        assert secret._authority == "https://login.microsoftonline.com"  # noqa: SLF001
        assert workload._client._authority == "https://login.microsoftonline.com"  # noqa: SLF001
        for client in (secret._client, workload._client):  # noqa: SLF001
            _is_closed(client._pipeline._transport.session)  # noqa: SLF001


def test_google_is_sent_our_token_whatever_a_netrc_says(machine: Machine) -> None:
    body = json.dumps({"access_token": "ours", "expires_in": 3_600}).encode()
    with listening(body) as listener:
        clients = GcpClients(machine.google(f"{listener.url}/token"))
        try:
            clients.session().get(f"{listener.url}/b", timeout=10)
        finally:
            clients.close()
        assert listener.asked == [("/token", None), ("/b", "Bearer ours")]


def test_no_variable_moves_googles_endpoints(machine: Machine) -> None:
    clients = GcpClients(machine.google())
    try:
        rest: list[Any] = [
            clients.commitments(),
            clients.operations(),
            clients.orders(),
            clients.catalog(),
            clients.billing(),
        ]
        hosts = [one.transport._host for one in rest]  # noqa: SLF001
        assert hosts == [
            "https://compute.googleapis.com",
            "https://compute.googleapis.com",
            "https://cloudcommerceconsumerprocurement.googleapis.com",
            "https://cloudbilling.googleapis.com",
            "https://cloudbilling.googleapis.com",
        ]
        assert {one.universe_domain for one in rest} == {"googleapis.com"}
        connection: Any = clients.bigquery()._connection  # noqa: SLF001
        assert connection.API_BASE_URL == "https://bigquery.googleapis.com"
        sessions = [*(one.transport._session for one in rest), clients.session()]  # noqa: SLF001
        assert clients.bigquery()._http is clients.session()  # noqa: SLF001
        for session in sessions:
            _is_closed(session)
            _is_closed(session._auth_request.session)  # noqa: SLF001
    finally:
        clients.close()


def test_the_way_out_is_the_machines(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.folder.is_dir()
    with listening() as proxy, listening() as direct, requests.Session() as session:
        close_to_surroundings(session)
        monkeypatch.setenv("http_proxy", proxy.url)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        session.get("http://cloud.invalid/a", timeout=10)
        session.get(f"{direct.url}/b", timeout=10)
        assert proxy.asked == [("http://cloud.invalid/a", None)]
        assert direct.asked == [("/b", None)]


def _is_closed(session: requests.Session) -> None:
    assert session.trust_env is False
    assert session.auth is None
    for scheme in ("https://", "http://"):
        assert isinstance(session.get_adapter(f"{scheme}cloud.invalid"), ProxiedAdapter)
