"""A practice run cannot reach a real cloud, nor a real cloud's keys a practice run."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from contextlib import ExitStack, closing
from typing import cast

import pytest
from botocore.exceptions import ClientError

from service.domain.errors import InputError
from service.providers.aws.clients import AwsAccess, AwsClients
from service.providers.aws.credentials import Keys
from service.sandbox.access import sandbox_access
from service.sandbox.loopback import LOOPBACK
from service.sandbox.server import SandboxServer
from tests.sandbox.clouds import Sdk, small_cloud, small_world


def test_listens_on_loopback_only() -> None:
    server = SandboxServer(small_world())
    try:
        assert server.endpoint_url == f"http://127.0.0.1:{server.port}"
        assert LOOPBACK == "127.0.0.1"
    finally:
        server.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://savingsplans.amazonaws.com",
        "http://10.0.0.7:8080",
        "http://0.0.0.0:8080",
        "http://localhost:8080",  # a name can be pointed anywhere
        "http://127.0.0.1.example.com:80",
        "http://127.0.0.1@example.com:80",
        "ftp://127.0.0.1:80",
        "127.0.0.1:80",
        "",
    ],
)
def test_sandbox_keys_are_not_sent_anywhere_but_loopback(url: str) -> None:
    with pytest.raises(InputError, match="loopback"):
        sandbox_access(url)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1234", "http://[::1]:1234"])
def test_loopback_addresses_are_accepted(url: str) -> None:
    assert sandbox_access(url).endpoint_url == url


def test_a_loopback_endpoint_is_never_given_the_machines_own_credentials() -> None:
    with pytest.raises(InputError, match="own keys"):
        AwsAccess(region="us-east-1", endpoint_url="http://127.0.0.1:1234")


def test_keys_that_are_not_the_sandboxes_are_refused() -> None:
    with small_cloud() as cloud, ExitStack() as opened:
        access = AwsAccess(
            region="us-east-1",
            keys=Keys("AKIAIOSFODNN7EXAMPLE", "secret"),
            endpoint_url=cloud.endpoint_url,
        )
        clients = opened.enter_context(closing(AwsClients(access)))
        codes = {}
        for service, method in {
            "sts": "get_caller_identity",
            "savingsplans": "describe_savings_plans",
            "ec2": "describe_regions",
        }.items():
            client = cast("Sdk", clients.purchasing(service))
            with pytest.raises(ClientError) as caught:
                getattr(client, method)()
            codes[service] = caught.value.response["Error"]["Code"]
    assert codes == {
        "sts": "InvalidClientTokenId",
        "savingsplans": "UnrecognizedClientException",
        "ec2": "AuthFailure",
    }


def test_an_unsigned_request_is_refused() -> None:
    with small_cloud() as cloud:
        request = urllib.request.Request(  # noqa: S310  # our own loopback server
            f"{cloud.endpoint_url}/DescribeSavingsPlans", data=b"{}", method="POST"
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request, timeout=5)  # noqa: S310
        with caught.value as error:
            assert error.code == 403


def test_secrets_are_not_in_the_representation() -> None:
    access = sandbox_access("http://127.0.0.1:1234")
    assert "sandbox-keys" not in repr(access)
    assert "sandbox-keys" not in repr(access.keys)


def test_closing_frees_the_port_and_ends_held_connections() -> None:
    with small_cloud() as cloud:
        port = cloud.server.port
    with pytest.raises(OSError), socket.create_connection((LOOPBACK, port), timeout=1):  # noqa: PT011
        pass
