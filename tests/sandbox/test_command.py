"""``tenor sandbox`` as a process: announces where it is, lets time run, ends when told."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from service.cli import build_parser
from service.domain.commitments import Kind, Payment
from service.domain.errors import InputError
from service.domain.usage import SkuKey
from service.providers.aws.clients import AwsClients
from service.providers.aws.reader import AwsReader
from service.sandbox.access import sandbox_access
from service.sandbox.cloud import SandboxCloud
from tests.sandbox.clouds import small_world

ROOT = Path(__file__).resolve().parents[2]


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "service.cli", "sandbox", *arguments]


def test_serves_the_address_that_it_prints_until_terminated(tmp_path: Path) -> None:
    exports = tmp_path / "exports"
    options = ["--json", "--clouds", "aws", "--days-history", "3", "--hours-per-second", "48"]
    with subprocess.Popen(
        command(*options, "--exports", str(exports)), stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None
        environment = json.loads(running.stdout.readline())
        with closing(AwsClients(sandbox_access(environment["AWS_ENDPOINT_URL"]))) as clients:
            reader = AwsReader(clients)
            assert len(reader.accounts()) == 5
            key = SkuKey("aws", "us-east-1", "USE1-BoxUsage:m5.large/RunInstances")
            sold = {(one.kind, one.payment) for one in reader.offerings([key])}
        running.send_signal(signal.SIGTERM)
        assert running.wait(timeout=10) == 0
    assert (Kind.AWS_COMPUTE_SP, Payment.NO_UPFRONT) in sold
    assert environment["AWS_ENDPOINT_URL"].startswith("http://127.0.0.1:")
    assert list(exports.rglob("*.parquet"))


@pytest.mark.parametrize(
    "options",
    [
        ["--days-history", "0"],
        ["--hours-per-second", "-1"],
        ["--port", "-2"],
        ["--start", "yesterday"],
        ["--clouds", "aws,oracle"],
    ],
)
def test_refuses_options_that_make_no_sense(options: list[str]) -> None:
    chosen = build_parser().parse_args(["sandbox", *options])
    with pytest.raises(InputError, match=options[0]):
        chosen.run(chosen)


def test_a_port_that_is_taken_is_named_in_the_error() -> None:
    with subprocess.Popen(
        command("--json", "--clouds", "aws", "--days-history", "1"),
        stdout=subprocess.PIPE,
        text=True,
    ) as first:
        assert first.stdout is not None
        port = json.loads(first.stdout.readline())["AWS_ENDPOINT_URL"].rpartition(":")[2]
        second = subprocess.run(
            command("--port", port, "--clouds", "aws", "--days-history", "1"),
            capture_output=True,
            text=True,
            check=False,
        )
        first.terminate()
        assert first.wait(timeout=10) == 0
    assert second.returncode == 2
    assert port in second.stderr


def test_a_port_that_cannot_be_is_named_in_the_error() -> None:
    chosen = build_parser().parse_args(["sandbox", "--port", "99999", "--days-history", "1"])
    with pytest.raises(InputError, match="port 99999 cannot be used"):
        chosen.run(chosen)


def test_a_folder_that_cannot_be_written_is_named_in_the_error(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.touch()
    arguments = ["sandbox", "--clouds", "aws", "--days-history", "3", "--exports", str(taken)]
    chosen = build_parser().parse_args(arguments)
    with pytest.raises(InputError, match=r"file.* cannot be written"):
        chosen.run(chosen)


def test_a_sandbox_that_cannot_start_gives_its_port_back(tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.touch()
    cloud = SandboxCloud(small_world(), exports=taken)
    listener = cloud.server._http.socket  # noqa: SLF001 - what would stay open
    assert listener.fileno() >= 0
    with pytest.raises(OSError, match="file"):
        cloud.start()
    assert listener.fileno() == -1


@contextmanager
def sandbox(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """``tenor sandbox`` as a process that ends with the block, whatever happens in it."""
    with subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.terminate()


def cycle(folder: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    policy = {"TENOR_POLICY_FILE": str(ROOT / "policies" / "default.yaml")}
    return subprocess.run(
        [sys.executable, "-m", "service.cli", "cycle", "--json"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environment, **policy},
        capture_output=True,
        text=True,
        check=False,
    )


def test_tenor_beside_it_decides_on_fresh_usage_of_all_three_clouds(tmp_path: Path) -> None:
    with sandbox("--days-history", "30") as running:
        assert running.stdout is not None
        shown = [running.stdout.readline()]
        while not shown[-1].startswith("#"):
            shown.append(running.stdout.readline())
            assert shown[-1], "it ended before it had said where it is"
        told = dict(re.findall(r"^export (\w+)=(.*)$", "".join(shown), re.MULTILINE))
        done = cycle(tmp_path, told)
    assert running.returncode == 0
    assert "purchase_accounts" in shown[-1]
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["cycles"]) == 3


def test_usage_of_a_world_that_began_long_ago_is_too_old_for_the_machines_clock(
    tmp_path: Path,
) -> None:
    begun = ["--clouds", "aws", "--days-history", "10", "--start", "2026-03-02", "--json"]
    with sandbox(*begun) as running:
        assert running.stdout is not None
        done = cycle(tmp_path, json.loads(running.stdout.readline()))
    assert done.returncode == 3
    assert "data_age" in done.stderr
