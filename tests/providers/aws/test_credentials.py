"""Credentials come from the one source that is named; what the machine happens to hold is not used.

Pitfall 41: a failed credential fell back to the machine's own, and bought in the wrong account.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config

from service.clouds import access_of, clouds_of
from service.domain.errors import InputError, ProviderError
from service.operate.doctor import examine
from service.providers.aws.clients import NO_EXTERNAL_ID, AwsAccess, AwsClients, of_token
from service.providers.aws.credentials import Source, TokenFile, session_of_source
from service.providers.aws.reader import AwsReader
from service.sandbox.identity import ROOT_ACCESS_KEY, ROOT_SECRET_KEY
from service.settings import Settings, read_settings
from service.wiring import WallClock
from tests.sandbox.clouds import small_cloud

ROLE = "arn:aws:iam::200000000025:role/tenor"
CONFIG = """
[profile bare]
region = eu-west-1
[profile full]
aws_access_key_id = OFTHEPROFILE
aws_secret_access_key = x
"""


@pytest.fixture(autouse=True)
def rich_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine full of credentials of others, all of which the SDK would find by itself."""
    (tmp_path / "config").write_text(CONFIG)
    held = {
        "AWS_ACCESS_KEY_ID": "OFTHEENVIRONMENT",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_PROFILE": "somebody",
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ROLE_ARN": ROLE,
        "AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "token"),
    }
    for name, value in held.items():
        monkeypatch.setenv(name, value)


def key_of(access: AwsAccess) -> str:
    """The access key that a client of ``access`` would sign with."""
    with closing(AwsClients(access)) as clients:
        client: Any = clients.reading("sts")
        return str(client._request_signer._credentials.access_key)  # noqa: SLF001 - the SDK's


def test_nothing_named_asks_nothing_and_says_what_to_set() -> None:
    with (
        closing(AwsClients(access_of(Settings()))) as clients,
        pytest.raises(InputError, match="TENOR_AWS_SOURCE") as refused,
    ):
        AwsReader(clients).identity()
    assert refused.value.exit_code == 2


def test_a_profile_speaks_with_what_it_holds_and_the_environment_does_not() -> None:
    assert key_of(AwsAccess(region="us-east-1", profile="full")) == "OFTHEPROFILE"


def test_a_profile_without_credentials_is_no_leave_to_look_further() -> None:
    with pytest.raises(InputError, match=r"TENOR_AWS_PROFILE=bare .* holds no credentials"):
        key_of(AwsAccess(region="us-east-1", profile="bare"))


def test_the_environment_speaks_when_it_is_the_source_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    access = access_of(read_settings({"TENOR_AWS_SOURCE": "environment"}))
    assert key_of(access) == "OFTHEENVIRONMENT"
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(InputError, match="TENOR_AWS_SOURCE=environment"):
        key_of(access)


@pytest.mark.parametrize("source", [Source.CONTAINER, Source.INSTANCE])
def test_a_source_that_is_named_and_empty_is_an_error_whatever_else_there_is(
    source: Source,
) -> None:
    with pytest.raises(InputError, match=f"TENOR_AWS_SOURCE={source.value}"):
        key_of(AwsAccess(region="us-east-1", source=source))


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"TENOR_AWS_ROLE_ARN": ROLE}, "0 sources"),
        ({"TENOR_AWS_ROLE_ARN": ROLE, "TENOR_AWS_PROFILE": "full"}, "no external id"),
        (
            {
                "TENOR_AWS_ROLE_ARN": ROLE,
                "TENOR_AWS_PROFILE": "full",
                "TENOR_AWS_EXTERNAL_ID": "",
            },
            "TENOR_AWS_EXTERNAL_ID",
        ),
        ({"TENOR_AWS_PROFILE": "full", "TENOR_AWS_SOURCE": "instance"}, "2 sources"),
        ({"TENOR_AWS_PROFILE": "full", "TENOR_AWS_EXTERNAL_ID": "word"}, "external id"),
        ({"TENOR_AWS_TOKEN_FILE": "token"}, "by half"),
        ({"TENOR_AWS_SOURCE": "whatever"}, "TENOR_AWS_SOURCE"),
        (
            {"TENOR_AWS_SOURCE": "instance", "TENOR_AWS_ENDPOINT_URL": "http://127.0.0.1:9"},
            "sandbox",
        ),
    ],
)
def test_settings_that_leave_the_source_open_are_bad_input(
    variables: dict[str, str], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        clouds_of(read_settings(variables), WallClock())


def test_a_role_that_asks_for_no_external_id_is_named_so() -> None:
    settings = {"TENOR_AWS_ROLE_ARN": ROLE, "TENOR_AWS_PROFILE": "full"}
    access = access_of(read_settings(settings | {"TENOR_AWS_EXTERNAL_ID": NO_EXTERNAL_ID}))
    assert access.role_arn == ROLE


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({}, "no credentials are named for AWS"),
        ({"TENOR_AWS_ROLE_ARN": ROLE}, "Set exactly one of TENOR_AWS_PROFILE"),
    ],
)
def test_the_doctor_says_which_source_is_missing(
    variables: dict[str, str], said: str, tmp_path: Path
) -> None:
    folder = {"TENOR_DATABASE_URL": f"sqlite:///{tmp_path}/t.db", "TENOR_DATA_DIR": str(tmp_path)}
    checks = examine(read_settings(folder | variables))
    assert any(said in f"{one.finding} {one.mend}" for one in checks if not one.passed)


class _Sts(BaseHTTPRequestHandler):
    asked: list[dict[str, list[str]]] = []  # noqa: RUF012 - one test's own

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.asked.append(parse_qs(body))
        answer = (
            b"<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            b"<AccessKeyId>OFTHETOKEN</AccessKeyId><SecretAccessKey>x</SecretAccessKey>"
            b"<SessionToken>y</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration>"
            b"</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
        )
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def sts() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Sts) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


class _Machine(BaseHTTPRequestHandler):
    """A container's and an instance's own credentials, as their platforms hand them out."""

    asked: list[tuple[str, str, str | None]] = []  # noqa: RUF012 - one test's own

    def do_PUT(self) -> None:
        self._answer(b"a-token")

    def do_GET(self) -> None:
        keys = {
            "Code": "Success",
            "AccessKeyId": ROOT_ACCESS_KEY,
            "SecretAccessKey": ROOT_SECRET_KEY,
            "Token": "of the machine",
            "Expiration": "2099-01-01T00:00:00Z",
        }
        names_role = self.path.endswith("security-credentials/")
        self._answer(b"tenor" if names_role else json.dumps(keys).encode())

    def _answer(self, answer: bytes) -> None:
        token = self.headers.get("x-aws-ec2-metadata-token") or self.headers.get("Authorization")
        self.asked.append((self.command, self.path, token))
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def machine() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), _Machine) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


ROLES = "/latest/meta-data/iam/security-credentials/"


@pytest.mark.parametrize(
    ("source", "asked"),
    [
        (Source.CONTAINER, [("GET", "/role", "the container's word")]),
        (
            Source.INSTANCE,
            [
                ("PUT", "/latest/api/token", None),
                ("GET", ROLES, "a-token"),
                ("GET", f"{ROLES}tenor", "a-token"),
            ],
        ),
    ],
)
def test_a_machines_own_role_is_asked_for_and_speaks(
    machine: str,
    source: Source,
    asked: list[tuple[str, str, str | None]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    told = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{machine}/role",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN": "the container's word",
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": machine,
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    _Machine.asked.clear()
    session = session_of_source(source)
    with small_cloud() as cloud:
        client = session.client(
            "sts",
            region_name="us-east-1",
            endpoint_url=cloud.endpoint_url,
            config=Config(proxies={}),
        )
        try:
            who = client.get_caller_identity()
        finally:
            client.close()
    assert who["Account"] == cloud.world.payer
    # Not with what the environment holds, which the cloud would not know.
    assert _Machine.asked == asked


def test_a_token_is_read_anew_each_time_that_its_role_is_assumed(sts: str, tmp_path: Path) -> None:
    config = Config(signature_version=UNSIGNED, proxies={})
    client = boto3.Session(region_name="us-east-1", profile_name="full").client(
        "sts", endpoint_url=sts, config=config
    )
    token = TokenFile(tmp_path / "token", ROLE)
    try:
        for word in ("first", "second"):
            token.path.write_text(f"{word}\n")
            assert of_token(client, token)["AccessKeyId"] == "OFTHETOKEN"
            assert _Sts.asked[-1]["WebIdentityToken"] == [word]
            assert _Sts.asked[-1]["RoleArn"] == [ROLE]
    finally:
        client.close()


def test_a_token_that_cannot_be_read_leaves_nobody_else_to_speak(tmp_path: Path) -> None:
    settings = read_settings(
        {
            "TENOR_AWS_TOKEN_FILE": str(tmp_path / "none"),
            "TENOR_AWS_TOKEN_ROLE_ARN": ROLE,
            "TENOR_AWS_ROLE_ARN": ROLE,
            "TENOR_AWS_EXTERNAL_ID": "between-us",
        }
    )
    with (
        closing(AwsClients(access_of(settings))) as clients,
        pytest.raises(ProviderError, match="no_token"),
    ):
        AwsReader(clients).identity()
