"""Whose credentials speak for us, and to whom: nothing is taken from the machine."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from service.domain.errors import InputError
from service.providers.gcp.clients import GcpAccess, GcpClients
from service.providers.gcp.cloud import access_of, gcp_cloud
from service.providers.gcp.permissions import (
    IN_OTHERS,
    MODES,
    GcpPermissions,
    Holder,
    needed,
)
from service.providers.port import PermissionProof, ProviderPermissions
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.gcp.access import sandbox_access
from service.sandbox.gcp.cloud import GcpSandbox
from service.settings import Settings, read_settings
from tests.sandbox.gcp.clouds import small_cloud, strike

ACCOUNT = "01AB23-45CD67-89EF01"


@pytest.fixture
def cloud() -> Iterator[GcpSandbox]:
    with small_cloud() as cloud:
        yield cloud


def test_without_a_credentials_file_there_is_no_access() -> None:
    with pytest.raises(InputError, match="TENOR_GCP_CREDENTIALS_FILE"):
        GcpAccess(project="p", billing_account=ACCOUNT)


@pytest.mark.parametrize(
    "url", ["https://compute.googleapis.com", "http://localhost:1", "http://10.0.0.1:80", "nowhere"]
)
def test_an_endpoint_that_is_not_a_loopback_number_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="loopback"):
        GcpAccess(project="p", billing_account=ACCOUNT, endpoint_url=url)


def test_a_loopback_endpoint_is_never_given_credentials(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without credentials"):
        GcpAccess(
            project="p",
            billing_account=ACCOUNT,
            endpoint_url="http://127.0.0.1:1",
            credentials_file=tmp_path / "key.json",
        )


@pytest.mark.parametrize(
    "text",
    [
        "not json",
        "[]",
        json.dumps({"type": "authorized_user", "refresh_token": "x"}),
        json.dumps({"type": "service_account", "client_email": "a@b"}),
        json.dumps(
            {"type": "external_account", "credential_source": {"executable": {"command": "x"}}}
        ),
    ],
)
def test_a_file_that_is_no_service_account_or_workload_identity_is_refused(
    tmp_path: Path, text: str
) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    clients = GcpClients(GcpAccess(project="p", billing_account=ACCOUNT, credentials_file=path))
    with pytest.raises(InputError, match="cannot be used"):
        clients.credentials()


def test_a_workload_identity_configuration_speaks_as_its_service_account(tmp_path: Path) -> None:
    path = tmp_path / "identity.json"
    host = "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts"
    path.write_text(
        json.dumps(
            {
                "type": "external_account",
                "audience": "//iam.googleapis.com/projects/1/locations/global/"
                "workloadIdentityPools/pool/providers/k8s",
                "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
                "token_url": "https://sts.googleapis.com/v1/token",
                "credential_source": {"file": str(tmp_path / "token")},
                "service_account_impersonation_url": (
                    f"{host}/tenor@p.iam.gserviceaccount.com:generateAccessToken"
                ),
            }
        )
    )
    access = GcpAccess(project="p", billing_account=ACCOUNT, credentials_file=path)
    assert GcpClients(access).principal == "tenor@p.iam.gserviceaccount.com"
    both = GcpAccess(
        project="p", billing_account=ACCOUNT, credentials_file=path, impersonate="other@p"
    )
    assert GcpClients(both).principal == "other@p"


def test_the_sandbox_refuses_whoever_brings_credentials(cloud: GcpSandbox) -> None:
    from tests.sandbox.gcp.raw import ask  # noqa: PLC0415 - one test's own

    status, _ = ask(
        cloud, "GET", "/v1/billingAccounts/x/projects", headers={"Authorization": "Bearer real"}
    )
    assert status == 401


def test_settings_without_google_cloud_have_no_access_to_it() -> None:
    assert access_of(Settings()) is None


@pytest.mark.parametrize("name", ["TENOR_GCP_PROJECT", "TENOR_GCP_BILLING_ACCOUNT"])
def test_settings_that_speak_of_it_by_half_are_bad_input(name: str) -> None:
    with pytest.raises(InputError, match="by half"):
        access_of(read_settings({name: "something"}))


def test_settings_say_how_to_reach_google_cloud(tmp_path: Path) -> None:
    settings = read_settings(
        {
            "TENOR_GCP_PROJECT": "acme-commitments",
            "TENOR_GCP_BILLING_ACCOUNT": ACCOUNT,
            "TENOR_GCP_CREDENTIALS_FILE": str(tmp_path / "key.json"),
            "TENOR_GCP_FLEXIBLE_OFFER_12": "services/compute.googleapis.com/standardOffers/x",
            "TENOR_GCP_FLEXIBLE_PAST_OFFERS_12": "old-1, older-1",
            "TENOR_GCP_FLEXIBLE_PAST_OFFERS_36": "old-3",
            "TENOR_GCP_SHARED_COMMITMENTS": "true",
        }
    )
    access = access_of(settings)
    assert access is not None
    assert access.flexible_past_offers == {"old-1": 12, "older-1": 12, "old-3": 36}
    assert access.flexible_offers == {12: "services/compute.googleapis.com/standardOffers/x"}
    assert access.shared
    assert access.endpoint_url is None
    assert access.credentials_file == tmp_path / "key.json"


@pytest.mark.parametrize(
    ("name", "value"),
    [("FLEXIBLE_PAST_OFFERS_36", "old-1"), ("FLEXIBLE_OFFER_36", "old-1")],
)
def test_an_offer_of_two_terms_is_bad_input(tmp_path: Path, name: str, value: str) -> None:
    settings = read_settings(
        {
            "TENOR_GCP_PROJECT": "acme-commitments",
            "TENOR_GCP_BILLING_ACCOUNT": ACCOUNT,
            "TENOR_GCP_CREDENTIALS_FILE": str(tmp_path / "key.json"),
            "TENOR_GCP_FLEXIBLE_PAST_OFFERS_12": "old-1",
            f"TENOR_GCP_{name}": value,
        }
    )
    with pytest.raises(InputError, match="two terms"):
        access_of(settings)


def test_settings_of_a_sandbox_reach_it_and_nothing_else(cloud: GcpSandbox) -> None:
    settings = read_settings({"TENOR_GCP_ENDPOINT_URL": cloud.endpoint_url})
    access = access_of(settings)
    assert access == sandbox_access(cloud.endpoint_url)
    parts = gcp_cloud(access, cloud.clock)
    assert parts.reader.identity().account == "acme-commitments"
    assert parts.finder is parts.buyer
    assert parts.exports is not None
    parts.close()
    with pytest.raises(InputError, match="loopback"):
        access_of(read_settings({"TENOR_GCP_ENDPOINT_URL": "https://compute.googleapis.com"}))


def test_ambient_credentials_and_endpoints_are_not_looked_at(cloud: GcpSandbox) -> None:
    """A process whose environment is full of others' access buys in the sandbox all the same."""
    code = (
        "import sys;from tests.sandbox.gcp.clouds import vcpus;"
        "from service.providers.gcp.clients import GcpClients;"
        "from service.providers.gcp.price_list import Prices;"
        "from service.providers.gcp.buyer import GcpBuyer;"
        "from service.sandbox.gcp.access import sandbox_access;"
        "from service.sandbox.clock import VirtualClock;from datetime import datetime,UTC;"
        "c=GcpClients(sandbox_access(sys.argv[1]));k=VirtualClock(datetime(2026,3,2,tzinfo=UTC));"
        "print(GcpBuyer(c,Prices(c,k),clock=k).buy(vcpus()))"
    )
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(Path(__file__).resolve().parents[3]),
        "GOOGLE_APPLICATION_CREDENTIALS": "/nonexistent/somebody-elses.json",
        "GOOGLE_CLOUD_PROJECT": "somebody-elses",
        "BIGQUERY_EMULATOR_HOST": "http://127.0.0.1:9",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
        "ALL_PROXY": "http://127.0.0.1:9",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, cloud.endpoint_url],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("Bought"), done.stderr


def test_the_sdks_are_not_imported_until_they_are_used() -> None:
    code = (
        "import sys, service.providers.gcp.cloud, service.sandbox.gcp.cloud;"
        "print([m for m in sys.modules if m.startswith('google.')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[3],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("mode", MODES)
def test_every_permission_of_a_mode_is_proven_or_its_mend_told(
    cloud: GcpSandbox, mode: str
) -> None:
    asked: ProviderPermissions = GcpPermissions(cloud.clients())
    proofs = asked.permissions(mode)
    assert [one.action for one in proofs] == [
        f"{name} {IN_OTHERS}" if holder is Holder.OTHER_PROJECTS else name
        for holder, names in needed(mode).items()
        for name in names
    ]
    assert all(one.allowed for one in proofs)
    lacking = proofs[-1].action
    cloud.world.denied_permissions.add(lacking)
    (denied,) = [one for one in asked.permissions(mode) if not one.allowed]
    assert denied.action == lacking
    assert f"gcp-{mode}.yaml" in denied.mend


def test_observing_needs_nothing_that_changes_anything() -> None:
    names = {name for names in needed("observe").values() for name in names}
    assert not [n for n in names if n.rsplit(".", 1)[1] in {"update", "place", "delete"}]
    # Reading the export by query makes a query job, and nothing else is made.
    assert [n for n in names if n.endswith(".create")] == ["bigquery.jobs.create"]
    buying = {name for names in needed("autopilot").values() for name in names}
    assert buying - names == {
        "compute.commitments.create",
        "compute.commitments.update",
        "compute.regionOperations.get",
        "compute.regionOperations.list",
        "consumerprocurement.orders.place",
    }
    with pytest.raises(InputError):
        needed("anything")


@pytest.mark.parametrize("mode", MODES)
def test_the_roles_in_the_documents_grant_what_is_needed_and_no_more(mode: str) -> None:
    path = Path(__file__).resolve().parents[3] / "docs" / "permissions" / f"gcp-{mode}.yaml"
    roles = list(yaml.safe_load_all(path.read_text("utf-8")))
    granted = [tuple(role["includedPermissions"]) for role in roles]
    wanted = dict(needed(mode))
    assert set(wanted.pop(Holder.OTHER_PROJECTS)) <= set(wanted[Holder.PROJECT])
    assert granted == list(wanted.values())


def test_every_project_is_asked_and_the_one_that_lacks_is_named(cloud: GcpSandbox) -> None:
    def proof() -> PermissionProof:
        proofs = GcpPermissions(cloud.clients()).permissions("observe")
        return next(one for one in proofs if one.action == f"compute.commitments.list {IN_OTHERS}")

    assert proof().allowed is True
    cloud.world.denied_permissions.add("acme-data:compute.commitments.list")
    assert proof().allowed is False
    assert proof().detail == "lacking on 1 of 3 other projects: acme-data"
    assert "gcp-observe.yaml" in proof().mend
    cloud.world.denied_permissions.clear()
    asking = "gcp.projects.testIamPermissions"
    fault = Fault(asking, FaultKind.REFUSE, code="forbidden", status=403, after_calls=1)
    strike(cloud, fault)
    assert proof().allowed is None
    listing = "gcp.billingAccounts.projects.list"
    strike(cloud, Fault(listing, FaultKind.REFUSE, code="forbidden", status=403, times=9))
    assert proof().allowed is None


def test_a_question_that_is_not_answered_is_no_proof_either_way(cloud: GcpSandbox) -> None:
    asking = "gcp.billingAccounts.testIamPermissions"
    strike(cloud, Fault(asking, FaultKind.REFUSE, code="forbidden", status=403))
    proofs = GcpPermissions(cloud.clients()).permissions("observe")
    unanswered = [one.action for one in proofs if one.allowed is None]
    assert "billing.resourceAssociations.list" in unanswered
    assert "compute.commitments.list" not in unanswered
