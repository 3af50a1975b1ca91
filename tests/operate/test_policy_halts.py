"""A policy that halts, or that nobody can read, is seen wherever it is asked whether Tenor buys."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service import cli
from service.api.shell import at_the_shell
from service.notify.alerts import AlertKind, Severity
from service.notify.config import AlertsConfig
from service.operate.alerting import collect
from service.settings import read_settings
from service.store import alerts
from service.store.engine import reading
from service.store.states import Role
from service.wiring import Parts, opened
from tests.api.world import POLICY, make_world

SOUND = POLICY.read_text(encoding="utf-8")
HALTING = f"{SOUND}\nhalt: true\n"


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """A policy file that the test may change."""
    file = tmp_path / "policy.yaml"
    file.write_text(SOUND, encoding="utf-8")
    return file


@pytest.fixture
def environment(policy: Path, sqlite_engine: Engine) -> Iterator[dict[str, str]]:
    """This process set up with that policy on a fresh database, without any cloud."""
    before = dict(os.environ)
    given = {
        "TENOR_DATABASE_URL": str(sqlite_engine.url),
        "TENOR_POLICY_FILE": str(policy),
        "TENOR_AWS_SOURCE": "environment",
    }
    for name in [name for name in os.environ if name.startswith("TENOR_")]:
        del os.environ[name]
    os.environ.update(given)
    yield given
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def parts(environment: dict[str, str]) -> Iterator[Parts]:
    """The parts of a process that is set up so."""
    with opened(read_settings(environment)) as made:
        yield made


def said(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    assert cli.main(words) == 0
    return capsys.readouterr().out


def test_a_policy_that_halts_is_a_halt_in_the_api_the_pages_and_the_metrics(
    sqlite_engine: Engine, policy: Path
) -> None:
    world = make_world(sqlite_engine, policy=policy)
    client = world.client(world.token(Role.OPERATOR))
    pages = world.signed_in(world.token(Role.OPERATOR))
    assert client.get("/v1/halt").json()["halted_by"] == []
    assert "Buying is not halted" in pages.get("/halt").text
    assert "tenor_halted 0.0" in client.get("/metrics").text

    policy.write_text(HALTING, encoding="utf-8")
    stands = client.get("/v1/halt").json()
    assert (stands["halted"], stands["halted_by"]) == (True, ["policy"])
    assert client.get("/v1/status").json()["halt"] == stands
    assert "Buying is not halted" not in pages.get("/halt").text
    assert "halt: true" in pages.get("/halt").text
    assert "<strong>Buying is halted</strong> by the policy" in pages.get("/").text
    told = client.get("/metrics").text
    assert "tenor_halted 1.0" in told
    assert 'tenor_halted_by{halter="policy"} 1.0' in told
    assert 'tenor_halted_by{halter="switch"} 0.0' in told
    answer = client.post("/v1/halt/resume", json={"reason": "checked"})
    assert answer.status_code == 409
    assert "halt: true" in answer.json()["detail"]

    world.halt()
    assert client.get("/v1/halt").json()["halted_by"] == ["switch", "policy"]
    resumed = client.post("/v1/halt/resume", json={"reason": "checked"}).json()
    assert (resumed["halted"], resumed["halted_by"]) == (True, ["policy"])

    policy.write_text("nonsense: [", encoding="utf-8")
    assert client.get("/v1/halt").json()["halted_by"] == ["unreadable_policy"]
    assert "Buying is not halted" not in pages.get("/halt").text
    assert "tenor_halted 1.0" in client.get("/metrics").text


@pytest.mark.usefixtures("environment")
def test_the_command_line_says_that_the_policy_halts_and_what_ends_it(
    policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "running" in said(capsys, "status")
    policy.write_text(HALTING, encoding="utf-8")
    assert "running" not in said(capsys, "status")
    assert json.loads(said(capsys, "status", "--json"))["halt"]["halted_by"] == ["policy"]
    told = said(capsys, "resume", "--reason", "drill")
    assert "was off already" in told
    assert "take halt: true out" in told
    said(capsys, "halt", "--reason", "drill")
    assert json.loads(said(capsys, "resume", "--by", "ops", "--json")) == {
        "halted": True,
        "halted_by": ["policy"],
        "changed": True,
        "by": at_the_shell("ops").actor,
    }


def test_what_befalls_the_policy_is_told_once_when_it_begins_and_once_when_it_ends(
    parts: Parts, policy: Path
) -> None:
    known: set[str] = set()

    def told() -> list[tuple[AlertKind, Severity]]:
        collect(parts, AlertsConfig())
        with reading(parts.engine) as connection:
            raised = alerts.list_alerts(connection, limit=1_000)
        fresh = [one for one in reversed(raised) if one.alert not in known]
        known.update(one.alert for one in raised)
        return [(AlertKind(one.kind), Severity(one.severity)) for one in fresh]

    halt, unreadable = AlertKind.HALT, AlertKind.POLICY_UNREADABLE
    assert told() == []
    policy.write_text(HALTING, encoding="utf-8")
    assert told() == [(halt, Severity.CRITICAL)]
    assert told() == []
    policy.write_text("nonsense: [", encoding="utf-8")
    assert told() == [(unreadable, Severity.CRITICAL)]
    assert told() == []
    policy.write_text("other: [", encoding="utf-8")
    assert told() == [(unreadable, Severity.CRITICAL)], "another content is told anew"
    policy.unlink()
    assert told() == [(unreadable, Severity.CRITICAL)]
    assert told() == []
    policy.write_text(HALTING, encoding="utf-8")
    assert told() == [(unreadable, Severity.INFO)], "it has been halting all the while"
    policy.write_text(SOUND, encoding="utf-8")
    assert told() == [(halt, Severity.INFO)]
    assert told() == []
