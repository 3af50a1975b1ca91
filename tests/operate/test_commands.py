"""What an operator types: halt, resume, status, doctor, proposals, cycle; and the daemon's end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from service import cli
from service.operate.demo import Demo

START_SECONDS_MAX = 60
STOP_SECONDS_MAX = 10


@pytest.fixture
def environment(demo: Demo) -> Mapping[str, str]:
    """The variables with which a process joins the demo's deployment."""
    settings = demo.parts.settings
    return {
        "TENOR_DATABASE_URL": settings.database_url,
        "TENOR_DATA_DIR": str(settings.data_dir),
        "TENOR_POLICY_FILE": str(settings.policy_file),
        "TENOR_EXPORTS": str(settings.exports),
        "TENOR_AWS_ENDPOINT_URL": demo.cloud.endpoint_url,
        "TENOR_LISTEN_PORT": "0",
        "TENOR_OPEN_READS": "true",
    }


@pytest.fixture
def joined(environment: Mapping[str, str]) -> Iterator[None]:
    """This very process joined to the demo's deployment."""
    before = dict(os.environ)
    os.environ.update(environment)
    yield
    os.environ.clear()
    os.environ.update(before)


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    status = cli.main(arguments)
    printed = capsys.readouterr()
    return status, printed.out, printed.err


@pytest.mark.usefixtures("joined")
def test_halt_is_seen_by_status_and_ends_with_resume(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("halt", "--reason", "drill", "--by", "ops", capsys=capsys)[0] == 0
    status = json.loads(run("status", "--json", capsys=capsys)[1])
    assert status["halt"]["halted"] is True
    assert status["halt"]["reason"] == "drill"
    assert "was halted already" in run("halt", "--reason", "again", capsys=capsys)[1]
    assert run("resume", capsys=capsys)[0] == 0
    assert json.loads(run("status", "--json", capsys=capsys)[1])["halt"]["halted"] is False


@pytest.mark.usefixtures("joined")
def test_doctor_names_what_is_wrong_and_how_to_mend_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, _ = run("doctor", "--json", capsys=capsys)
    checks = {one["check"]: one for one in json.loads(out)["checks"]}
    # The sandbox's usage is of its own year, so by the wall clock it is stale: that must fail.
    assert status == 1
    assert checks["aws: usage"]["passed"] is False
    assert "tenor ingest" in checks["aws: usage"]["mend"]
    assert checks["aws: credentials"]["passed"] is True
    assert checks["aws: purchase account"]["passed"] is True
    assert checks["aws: read inventory"]["passed"] is True


@pytest.mark.usefixtures("joined")
def test_an_unknown_proposal_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    status, _, err = run("proposals", "show", "p-none", capsys=capsys)
    assert status == 2
    assert "there is no proposal p-none" in err


@pytest.mark.usefixtures("joined")
def test_a_cycle_on_stale_usage_is_refused_with_status_three(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, err = run("cycle", "--json", capsys=capsys)
    assert (status, out) == (3, "")
    assert "data_age" in err


def test_the_daemon_answers_and_ends_on_sigterm_within_ten_seconds(
    environment: Mapping[str, str], tmp_path: Path
) -> None:
    log = (tmp_path / "daemon.log").open("w+", encoding="utf-8")
    command = [sys.executable, "-m", "service.cli", "run", "--bell-seconds", "0.5"]
    daemon = subprocess.Popen(command, env={**os.environ, **environment}, stderr=log)
    try:
        url = _url_in(tmp_path / "daemon.log")
        with urllib.request.urlopen(url + "/healthz", timeout=5) as answer:  # noqa: S310
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(url + "/v1/halt", data=b"{}", timeout=5)  # noqa: S310
        assert refused.value.code == 401
        refused.value.close()
        # By the wall's clock the sandbox's usage is stale: the daemon, asked to decide, says so.
        cycle = [sys.executable, "-m", "service.cli", "cycle"]
        told = subprocess.run(
            cycle, env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )
        assert told.returncode == 3
        assert "has been asked" in told.stderr
        assert "RefusedError: refused by data_age" in told.stderr
        asked = time.monotonic()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(STOP_SECONDS_MAX + 5) == 0
        assert time.monotonic() - asked < STOP_SECONDS_MAX
    finally:
        daemon.kill()
        daemon.wait()
        log.close()
    lines = (tmp_path / "daemon.log").read_text(encoding="utf-8").splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert json.loads(lines[-1])["event"] == "daemon.stopped"


def _url_in(log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        for line in log.read_text(encoding="utf-8").splitlines():
            event = json.loads(line)
            if event["event"] == "daemon.started":
                return str(event["url"])
        time.sleep(0.1)
    pytest.fail(log.read_text(encoding="utf-8"))
