"""The files that deploy and watch Tenor name settings, routes and metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine, insert

from service.observe.metrics import timed_job
from service.settings import CONFIG_FILE, Settings, read_settings
from service.store.alteration_tables import demotions
from service.store.engine import writing
from service.store.states import Role
from tests.api.figures import add_report, add_usage
from tests.api.world import add_purchase, make_world

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
        assert (DOCS.parent / rule["annotations"]["runbook"]).exists()


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
