"""The files that deploy and watch Tenor name settings, routes and metrics that exist."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, insert

from service.api.access import access_from
from service.domain.errors import InputError
from service.guard.policy import load_policy
from service.notify.alerts import _OF_EVENT, Severity, of_event
from service.notify.runbooks import PAGES, with_page
from service.observe.metrics import timed_job
from service.settings import CONFIG_FILE, Settings, read_settings
from service.store.alteration_tables import demotions
from service.store.engine import writing
from service.store.states import Role
from service.wiring import WallClock, shipped
from tests.api.figures import add_report, add_usage
from tests.api.world import add_purchase, make_world
from tests.documents import blocks_of

DOCS = Path(__file__).resolve().parents[1] / "docs"
MONITORING = DOCS / "monitoring"
METRIC = re.compile(r"\btenor_[a-z_]+")
SETTINGS = {f"TENOR_{name.upper()}" for name in Settings.model_fields} | {CONFIG_FILE}


def _documents(path: Path) -> list[Any]:
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


def _variables(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(key, str) and key.startswith("TENOR_"):
                yield key
            if key == "name" and isinstance(inner, str) and inner.startswith("TENOR_"):
                yield inner
            yield from _variables(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _variables(inner)


@pytest.mark.parametrize("name", ["compose.yaml", "kubernetes/tenor.yaml"])
def test_every_variable_of_a_deployment_is_a_setting(name: str) -> None:
    used = {variable for one in _documents(DOCS / "deploy" / name) for variable in _variables(one)}
    assert used
    assert used <= SETTINGS


def test_the_kubernetes_settings_file_is_one_that_tenor_reads(tmp_path: Path) -> None:
    documents = _documents(DOCS / "deploy" / "kubernetes" / "tenor.yaml")
    config = next(one for one in documents if one["kind"] == "ConfigMap")
    file = tmp_path / "tenor.yaml"
    file.write_text(config["data"]["tenor.yaml"])
    assert read_settings({CONFIG_FILE: str(file)}).listen_host == "0.0.0.0"  # noqa: S104


def test_containers_run_without_rights_on_a_root_that_cannot_be_written() -> None:
    documents = _documents(DOCS / "deploy" / "kubernetes" / "tenor.yaml")
    spec = next(one for one in documents if one["kind"] == "Deployment")["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    for container in (*spec["containers"], *spec["initContainers"]):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
    compose = _documents(DOCS / "deploy" / "compose.yaml")[0]
    assert compose["services"]["tenor"]["read_only"] is True
    dockerfile = (DOCS.parent / "Dockerfile").read_text(encoding="utf-8")
    assert "\nUSER tenor\n" in dockerfile


def _pod() -> dict[str, Any]:
    documents = _documents(DOCS / "deploy" / "kubernetes" / "tenor.yaml")
    deployment = next(one for one in documents if one["kind"] == "Deployment")
    pod: dict[str, Any] = deployment["spec"]["template"]["spec"]
    return pod


def _block(page: str, beginning: str) -> list[str]:
    """The lines of the ``sh`` block of a page that begins so."""
    blocks = blocks_of(page, (DOCS / page).read_text(encoding="utf-8"))
    (found,) = [one for one in blocks if one.kind == "sh" and one.text.startswith(beginning)]
    return found.text.splitlines()


def test_a_pod_is_cut_off_for_nothing_that_every_replica_would_be_cut_off_for() -> None:
    (container,) = _pod()["containers"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz?serving=1"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_a_pod_is_not_given_the_services_own_variables() -> None:
    assert _pod()["enableServiceLinks"] is False
    with pytest.raises(InputError, match="TENOR_SERVICE_HOST"):
        read_settings({"TENOR_SERVICE_HOST": "10.0.0.1"})


def test_the_image_says_nothing_that_a_settings_file_says_otherwise() -> None:
    dockerfile = (DOCS.parent / "Dockerfile").read_text(encoding="utf-8")
    image = dict(re.findall(r"\b(TENOR_[A-Z_]+)=(\S+)", dockerfile))
    assert image
    documents = _documents(DOCS / "deploy" / "kubernetes" / "tenor.yaml")
    config = next(one for one in documents if one["kind"] == "ConfigMap")
    told = yaml.safe_load(config["data"]["tenor.yaml"])
    assert "policy_file" in told
    for name, value in told.items():
        assert image.get(f"TENOR_{name.upper()}", value) == value


def test_without_a_setting_the_image_finds_the_policy_that_is_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped(read_settings({}).policy_file).is_file()


def test_a_pod_answers_prometheus_at_its_own_address_and_its_replicas_share_a_key(
    tmp_path: Path,
) -> None:
    pod = _pod()
    (container,) = pod["containers"]
    variables = {one["name"]: one for one in container["env"]}
    assert variables["POD_IP"]["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
    hosts = variables["TENOR_ALLOWED_HOSTS"]["value"].replace("$(POD_IP)", "10.1.2.3")
    documents = _documents(DOCS / "deploy" / "kubernetes" / "tenor.yaml")
    config = next(one for one in documents if one["kind"] == "ConfigMap")
    told = yaml.safe_load(config["data"]["tenor.yaml"])
    mounts = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    volumes = {one["name"]: one for one in pod["volumes"]}
    file = Path(told["session_key_file"])
    assert volumes[mounts[str(file.parent)]]["secret"]["secretName"] == "tenor-session"
    (tmp_path / "key").write_text("k" * 64)
    settings = read_settings(
        {"TENOR_ALLOWED_HOSTS": hosts, "TENOR_SESSION_KEY_FILE": str(tmp_path / "key")},
        public_url=told["public_url"],
        trusted_proxies=told["trusted_proxies"],
    )
    access = access_from(settings, WallClock())
    assert access.trusted_proxies, "all who come through the ingress would share one limit"
    assert {"10.1.2.3", "tenor.example.com"} <= access.hosts
    assert access.session_key == b"k" * 64
    assert access.is_tls


def test_secrets_are_made_as_the_page_says() -> None:
    lines = _block("operations.md", "kubectl")
    made = {}
    for line in lines:
        words = shlex.split(line)
        if words[1:4] == ["create", "secret", "generic"]:
            made[words[4]] = {word.partition("=")[2].partition("=")[0] for word in words[5:]}
        elif words[1] == "apply":
            assert (DOCS.parent / words[3]).is_file()
        else:
            assert words[1:3] == ["exec", "deployment/tenor"]
    pod = _pod()
    wanted = {
        source["secretRef"]["name"]
        for container in (*pod["containers"], *pod["initContainers"])
        for source in container["envFrom"]
    }
    mounted = {one["secret"]["secretName"] for one in pod["volumes"] if "secret" in one}
    assert made.keys() == wanted | mounted
    assert made["tenor"] <= SETTINGS
    assert made["tenor-session"] == {"session_key"}
    kinds = _documents(DOCS / "deploy" / "kubernetes" / "tenor.yaml")
    accounts = [one["metadata"]["name"] for one in kinds if one["kind"] == "ServiceAccount"]
    assert accounts == [pod["serviceAccountName"]]


def test_what_compose_reads_is_made_as_the_page_says(tmp_path: Path) -> None:
    lines = _block("operations.md", "cp ")
    (owner,) = [line for line in lines if line.startswith("sudo ")]
    dockerfile = (DOCS.parent / "Dockerfile").read_text(encoding="utf-8")
    _, change, user, *owned = shlex.split(owner)
    assert (change, f"--uid {user} " in dockerfile) == ("chown", True)
    # What is fetched from a cloud is written there, by the container's own user.
    assert "docs/deploy/exports" in owned
    started = [shlex.split(line) for line in lines if line.startswith("docker ")]
    assert {tuple(words[1:4]) for words in started} == {
        ("compose", "-f", "docs/deploy/compose.yaml")
    }
    (tmp_path / "policies").symlink_to(DOCS.parent / "policies")
    deploy = tmp_path / "docs" / "deploy"
    deploy.mkdir(parents=True)
    here = [line for line in lines if not line.startswith(("sudo ", "docker "))]
    subprocess.run(["sh", "-ec", "\n".join(here)], cwd=tmp_path, check=True)
    compose = _documents(DOCS / "deploy" / "compose.yaml")[0]
    files = [one["file"] for one in compose["secrets"].values()]
    folders = [one.split(":")[0] for one in compose["services"]["tenor"]["volumes"]]
    assert "./exports:/exports" in compose["services"]["tenor"]["volumes"]
    for name in [*files, *(one for one in folders if one.startswith("./"))]:
        assert (deploy / name).exists(), name
    password = (deploy / "secrets" / "database_password").read_text(encoding="utf-8").strip()
    pgpass = deploy / "secrets" / "pgpass"
    assert pgpass.read_text(encoding="utf-8") == f"database:5432:tenor:tenor:{password}\n"
    assert pgpass.stat().st_mode & 0o777 == 0o600
    load_policy(deploy / "policy.yaml")


def test_dashboard_and_rules_ask_for_metrics_that_there_are(sqlite_engine: Engine) -> None:
    with timed_job("cycle-aws") as state:
        state.append("done")
    world = make_world(sqlite_engine)
    add_usage(world)
    add_report(world)
    add_purchase(world)
    with writing(sqlite_engine) as connection:
        demotion = {"rule": "drift", "detail": "a difference", "demoted_at": world.clock.now()}
        connection.execute(insert(demotions).values(provider="aws", **demotion))
    client = world.client(world.token(Role.VIEWER))
    assert client.get("/v1/status").status_code == 200
    told = client.get("/metrics").text
    known = set(re.findall(r"^# TYPE (\S+)", told, re.MULTILINE))
    known |= {f"{name}_bucket" for name in known}
    dashboard = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
    asked = {
        metric
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for metric in METRIC.findall(target["expr"])
    }
    rules = _documents(MONITORING / "alert_rules.yml")[0]["groups"][0]["rules"]
    asked |= {metric for rule in rules for metric in METRIC.findall(rule["expr"])}
    assert asked - known == set()
    for rule in rules:
        assert (DOCS.parent / rule["annotations"]["runbook"]).is_file()


def test_every_alert_that_asks_for_something_names_a_page_that_there_is() -> None:
    asked = {rule.kind for rule in _OF_EVENT.values() if rule.severity is not Severity.INFO}
    assert asked - PAGES.keys() == set()
    folder = DOCS / "runbooks"
    listed = (folder / "README.md").read_text(encoding="utf-8")
    for page in PAGES.values():
        assert (folder / page).is_file()
        assert f"({page})" in listed
    at = datetime(2026, 3, 2, tzinfo=UTC)
    failed = of_event("cycle.failed", 1, at, {})
    assert failed is not None
    told = with_page(failed)
    assert told.body.endswith("See docs/runbooks/cycle-failed.md.")
    assert told.data["runbook"] == "docs/runbooks/cycle-failed.md"
    ended = of_event("halt.cleared", 2, at, {})
    assert ended is not None
    assert with_page(ended) == ended


def test_prometheus_takes_the_rules_and_they_fire_as_their_tests_say() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    for action, file in (("check", "alert_rules.yml"), ("test", "alert_rules_test.yml")):
        done = subprocess.run(
            [promtool, action, "rules", file],
            cwd=MONITORING,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus_kubernetes.yml"])
def test_prometheus_takes_the_scrape_configurations(tmp_path: Path, name: str) -> None:
    text = (MONITORING / name).read_text(encoding="utf-8")
    document = yaml.safe_load(text)
    assert document["rule_files"] == ["alert_rules.yml"]
    for job in document["scrape_configs"]:
        assert job["authorization"]["credentials_file"]
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: apt-get install prometheus")
    if name == "prometheus_kubernetes.yml":
        # Debian's promtool knows nothing of Kubernetes; what stands beside it is checked all the
        # same.
        discovered = "kubernetes_sd_configs: [{role: pod}]"
        assert discovered in text
        text = text.replace(discovered, 'static_configs: [{targets: ["pod:8321"]}]')
    (tmp_path / name).write_text(text, encoding="utf-8")
    shutil.copyfile(MONITORING / "alert_rules.yml", tmp_path / "alert_rules.yml")
    done = subprocess.run(
        [promtool, "check", "config", "--syntax-only", name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
