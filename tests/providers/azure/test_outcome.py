"""What each error of Azure's SDK proves about a purchase."""

from __future__ import annotations

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from azure.core import PipelineClient
from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ODataV4Format,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
    ServiceResponseTimeoutError,
)
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse
from azure.identity import CredentialUnavailableError
from azure.mgmt.reservations.models import ErrorResponseCode, ProvisioningState
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from requests import exceptions as http
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, SSLError

from service.domain.commitments import CommitmentState
from service.domain.ids import CommitmentId
from service.domain.purchases import Bought, Refused, Unknown
from service.providers.azure.outcome import (
    NOT_SENT,
    REFUSALS,
    is_retryable,
    outcome_of,
    outcome_of_state,
)
from service.providers.azure.words import STATES

NO_CONNECTION = MaxRetryError(None, "/", NewConnectionError(None, "refused"))  # type: ignore[arg-type]
CONNECT_TIMEOUT = ConnectTimeoutError("no connection in time")
BAD_RECORD = MaxRetryError(None, "/", SSLError("bad record mac"))  # type: ignore[arg-type]
OWNED = CommitmentId("/providers/Microsoft.Capacity/reservationOrders/a/reservations/b")


@pytest.mark.parametrize(
    "error",
    [
        ServiceRequestError("refused", error=http.ConnectionError(NO_CONNECTION)),
        ServiceRequestError("slow", error=http.ConnectTimeout("slow")),
        ServiceRequestTimeoutError("slow", error=CONNECT_TIMEOUT),
        ClientAuthenticationError("no token"),
        CredentialUnavailableError("no token"),
    ],
)
def test_what_never_left_this_machine_was_not_sent(error: AzureError) -> None:
    outcome = outcome_of(error)
    assert isinstance(outcome, Refused)
    assert outcome.code == NOT_SENT
    assert is_retryable(outcome)


@pytest.mark.parametrize(
    "error",
    [
        ServiceRequestError("nobody knows why"),
        ServiceRequestError("broken", error=http.SSLError(BAD_RECORD)),
        ServiceRequestError("broken", error=http.ConnectionError("nobody knows why")),
        ServiceResponseError("connection reset"),
        ServiceResponseTimeoutError("read timed out"),
        AzureError("anything else"),
    ],
)
def test_a_lost_answer_proves_nothing(error: AzureError) -> None:
    assert isinstance(outcome_of(error), Unknown)


def answered(status: int, code: str | None) -> HttpResponseError:
    error = HttpResponseError("said so")
    error.status_code = status
    if code is not None:
        error.error = ODataV4Format({"error": {"code": code, "message": "said so"}})
    return error


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429])
def test_a_no_without_a_code_of_azures_proves_nothing(status: int) -> None:
    assert isinstance(outcome_of(answered(status, None)), Unknown)


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "BadRequest"), (401, "ExpiredToken"), (403, "Nobody"), (429, "TooManyRequests")],
)
def test_a_no_with_a_code_of_azures_is_one(status: int, code: str) -> None:
    outcome = outcome_of(answered(status, code))
    assert isinstance(outcome, Refused)
    assert outcome.code == code


@contextmanager
def breaking_after_the_request(folder: Path) -> Iterator[tuple[str, str, list[bytes]]]:
    """A TLS server that reads one whole request and answers with a record that cannot be read."""
    certificate, key = self_signed(folder)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    got: list[bytes] = []

    def serve() -> None:
        plain, _ = listening.accept()
        with context.wrap_socket(plain, server_side=True) as secure:
            while not b"".join(got).endswith(b"whole"):
                got.append(secure.recv(65_536))
            os.write(secure.fileno(), b"\x17\x03\x03\x00\x20" + b"x" * 32)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"https://localhost:{listening.getsockname()[1]}", str(certificate), got
        thread.join()


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate, secret = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate, secret


def test_a_request_that_was_read_whole_before_tls_broke_is_not_written_off(tmp_path: Path) -> None:
    with breaking_after_the_request(tmp_path) as (url, certificate, got):
        transport = RequestsTransport(connection_verify=certificate, use_env_settings=False)
        with (
            PipelineClient[HttpRequest, HttpResponse](
                url, policies=[], transport=transport
            ) as client,
            pytest.raises(ServiceRequestError) as raised,
        ):
            client.send_request(HttpRequest("PUT", f"{url}/order", content=b"whole"))
    assert b"".join(got).startswith(b"PUT /order")
    assert isinstance(outcome_of(raised.value), Unknown)


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("Succeeded", Bought),
        ("Failed", Refused),
        ("BillingFailed", Refused),
        ("Cancelled", Refused),
        ("Creating", Unknown),
        ("PendingResourceHold", Unknown),
        ("ConfirmedResourceHold", Unknown),
        ("PendingBilling", Unknown),
        ("ConfirmedBilling", Unknown),
        ("Created", Unknown),
        ("Expired", Unknown),
        ("SomethingNew", Unknown),
        ("", Unknown),
    ],
)
def test_only_the_orders_own_state_says_yes_or_no(state: str, outcome: type) -> None:
    assert isinstance(outcome_of_state(state, OWNED, "order a"), outcome)


def test_a_yes_without_the_commitments_id_is_none() -> None:
    assert isinstance(outcome_of_state("Succeeded", None, "order a"), Unknown)


def test_every_state_that_the_sdk_knows_means_something_here() -> None:
    assert {one.value for one in ProvisioningState} == set(STATES)
    going_on = {"Creating", "PendingBilling", "ConfirmedBilling", "Created"}
    assert {STATES[one] for one in going_on} == {CommitmentState.PAYMENT_PENDING}


def test_no_transient_error_is_among_the_refusals() -> None:
    transient = {one.value for one in ErrorResponseCode if "Transient" in one.value}
    ambiguous = {"ServerTimeout", "InternalServerError", "ReservationOrderIdAlreadyExists"}
    assert transient
    assert not REFUSALS & (transient | ambiguous | {"OperationFailed", "NotSpecified"})
