"""What becomes of a command that a page shows: given as a reader would, and looked at.

What cannot be run here is listed with the reason, and with the test that does run it.
"""

from __future__ import annotations

import ast
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from sqlalchemy import update

from service.api.sessions import open_session
from service.api.tokens import Caller
from service.cli import main
from service.domain.alterations import AlterationState
from service.domain.purchases import IntentState
from service.sandbox.estate import Estate
from service.settings import read_settings
from service.store.alteration_tables import alterations
from service.store.engine import open_engine, writing
from service.store.states import Role
from tests.api.altered import add_alteration
from tests.api.test_part_and_two import with_steps
from tests.api.world import World, add_purchase, make_world
from tests.documents import ROOT
from tests.test_docs import parses

T = TypeVar("T")

_OF_COMPOSE: dict[tuple[str, ...], str] = dict.fromkeys(
    [("cp",), ("mkdir",), ("openssl",), ("printf",), ("chmod",), ("sudo",), ("docker",)],
    "tests/test_deploy.py::test_what_compose_reads_is_made_as_the_page_says",
)
SEEN_ELSEWHERE: dict[tuple[str, ...], str] = {
    ("pg_dump",): "tests/operate/test_backup_and_restore.py"
    "::test_a_dump_made_while_somebody_writes_is_restored_whole",
    (
        "tenor",
        "backtest",
        "--data",
    ): "tests/backtest/test_portfolio.py::test_the_command_answers_for_a_folder",
    **_OF_COMPOSE,
    ("kubectl",): "tests/test_deploy.py::test_secrets_are_made_as_the_page_says",
}
"""How commands begin that need what a test here has not: a PostgreSQL, a folder with half a year of
a market's usage, containers; and the test that runs them, or compares them with what they make."""

IN_SMALL = {
    ("python", "-m", "service.backtest.learn"): [
        *("--seeds=1", "--rounds=1", "--hidden=2", "--answers=1"),
    ],
    ("python", "tests/benchmarks/bench_backtest.py"): ["--pools", "1"],
}
"""What is said beside a command as it is shown, for it to take seconds."""

MAKES = {"demo": ".venv/bin/tenor demo", "test": ".ci/check"}
"""What each target of ``make`` comes to once the environment is installed."""

MADE_FROM = ("Makefile", "pyproject.toml", "requirements.lock", "requirements-dev.lock")
"""The files that ``make`` asks for before it does anything."""


@dataclass
class Place:
    """A folder with a database of its own, from which commands are given as a reader would."""

    folder: Path
    estate: Estate
    words: dict[str, list[str]] = field(default_factory=dict)
    decided: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"sqlite:///{self.folder / 'var' / 'tenor.db'}"

    def world(self) -> World:
        """What is in its database, as the tests of the API write it."""
        return make_world(open_engine(self.url))

    def meant(self, word: str) -> str:
        """What stands here for a word that a page leaves to its reader."""
        return self.words[word].pop(0) if self.words.get(word) else word

    def tenor(self, words: Sequence[str]) -> tuple[int, str, str]:
        """Run one of our commands; exit status, and what was printed to each stream."""
        out, err = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            try:
                code = main([self.meant(word) for word in words])
            except SystemExit as end:
                code = int(end.code or 0)
        return code, out.getvalue(), err.getvalue()


def make_ready(place: Place, words: Sequence[str]) -> None:
    """What must have happened before a command makes sense."""
    match list(words[1:3]):
        case ["token", "revoke"]:
            world = place.world()
            place.words[words[3]] = [world.minted(Role.VIEWER)[1]]
            world.engine.dispose()
        case ["session", "revoke"]:
            world, now = place.world(), datetime.now(UTC)
            ada = Caller(None, "Ada", Role.VIEWER, subject="https://id.example.com#u-1")
            with writing(world.engine) as connection:
                opened = open_session(connection, ada, now=now, expires_at=now + timedelta(hours=1))
            world.engine.dispose()
            place.words[words[3]] = [opened]
        case ["resume", _]:
            world = place.world()
            world.halt()
            world.engine.dispose()
        case ["intents", "settle"] if "INTENT" not in place.words:
            world = place.world()
            held = [add_purchase(world, number, state=IntentState.UNKNOWN) for number in (1, 2)]
            world.engine.dispose()
            place.words |= {"INTENT": [str(one) for one in held], "COMMITMENT": ["sp-seen"]}
        case ["alterations", "settle"] if "ID" not in place.words:
            world = place.world()
            place.words["ID"] = [str(add_alteration(world)) for _ in range(2)]
            with writing(world.engine) as connection:
                unknown = {"state": AlterationState.UNKNOWN.value}
                connection.execute(update(alterations).values(**unknown))
            world.engine.dispose()


def said_of(words: Sequence[str], table: Mapping[tuple[str, ...], T]) -> T | None:
    """What ``table`` says of commands that begin so."""
    for begins, said in table.items():
        if tuple(words[: len(begins)]) == begins:
            return said
    return None


def is_a_test(named: str) -> bool:
    """Whether ``file::function`` is a test of this checkout."""
    path, _, function = named.partition("::")
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    names = {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}
    return function.startswith("test_") and function in names


def clone(words: Sequence[str]) -> None:
    """``git clone``: of a repository that has what ``make`` needs."""
    assert words[1] == "clone"
    Path("origin").mkdir()
    for name in MADE_FROM:
        shutil.copyfile(ROOT / name, Path("origin", name))
    author = ("-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    for given in (
        ("-C", "origin", "init", "--quiet"),
        ("-C", "origin", "add", "."),
        ("-C", "origin", *author, "commit", "--quiet", "-m", "All of it"),
        ("clone", "--quiet", "origin", words[-1]),
    ):
        subprocess.run(["git", *given], check=True)


def make(words: Sequence[str]) -> None:
    """``make``: it would set up the environment, and then do what the page says."""
    (target,) = words[1:]
    # these tests may run under make themselves: its flags are none of this one's
    own = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    would = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", target],
        check=True,
        capture_output=True,
        text=True,
        env=own,
    ).stdout.splitlines()
    assert would[-1] == MAKES[target]
    assert any("--require-hashes" in line for line in would[:-1])


def serve_sandbox(words: Sequence[str]) -> None:
    """``tenor sandbox``: it says where its clouds are, and ends when it is told to."""
    begin = [sys.executable, "-m", "service.cli", *words[1:]]
    with subprocess.Popen(begin, stdout=subprocess.PIPE, text=True) as clouds:
        try:
            assert clouds.stdout is not None
            assert clouds.stdout.readline().startswith("export ")
        finally:
            clouds.send_signal(signal.SIGTERM)
        assert clouds.wait(timeout=60) == 0


def grant(words: Sequence[str]) -> None:
    """``az``: it names files and roles that there are; Azure itself is not asked."""
    folder = ROOT / "docs" / "permissions"
    ours = {
        json.loads(path.read_text(encoding="utf-8"))["properties"]["roleName"]
        for path in folder.glob("azure-*.json")
    }
    table = [
        line
        for line in (folder / "README.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    said = dict(pairwise(words))
    assert said.keys() & {"--role", "--body"}, words
    if "--role" in said:
        assert said["--role"] in ours or any(said["--role"] in row for row in table)
    if "--body" in said:
        assert (folder / said["--body"].removeprefix("@")).is_file()


def serve_a_while() -> None:
    """``tenor run``: it answers, and ends when it is told to."""
    begin = [sys.executable, "-c", "from service.cli import main; raise SystemExit(main(['run']))"]
    with Path("run.log").open("w", encoding="utf-8") as log:
        daemon = subprocess.Popen(begin, stderr=log)
    try:
        for _ in range(1200):
            told = re.search(
                r"http://127\.0\.0\.1:\d+", Path("run.log").read_text(encoding="utf-8")
            )
            if told or daemon.poll() is not None:
                break
            time.sleep(0.05)
        assert told, Path("run.log").read_text(encoding="utf-8")
        with urllib.request.urlopen(f"{told[0]}/healthz", timeout=30) as answer:  # noqa: S310
            assert answer.status == 200
    finally:
        daemon.send_signal(signal.SIGTERM)
        code = daemon.wait(timeout=60)
    assert code == 0


def examine(place: Place) -> None:
    """``tenor doctor``: all is well, but for usage that was not fetched yet.

    What a provider offers no way to prove is not proven in its sandbox either.
    """
    code, out, err = place.tenor(["doctor", "--json"])
    failed = [one for one in json.loads(out)["checks"] if one["proven"] and not one["passed"]]
    assert (code == 0) is (not failed), err
    clouds = {one["check"].split(":")[0] for one in failed}
    assert clouds <= set(place.estate.payers) - place.decided, failed
    assert all("no usage is known at all" in one["finding"] for one in failed), failed


def ask(place: Place, words: Sequence[str]) -> None:
    """``curl``: the same request to the API, in a state in which it makes sense."""
    world = place.world()
    headers, data, url = {}, None, ""
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word == "-H":
            name, _, value = rest.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = rest.pop(0)
        else:
            url = word
    client = world.client(world.token(Role.APPROVER))
    headers["Authorization"] = str(client.headers["Authorization"])
    path = re.sub(r"^http://127\.0\.0\.1:8321", "", url)
    path = path.replace("p-…", str(with_steps(world).proposal))
    answer = client.post(path, content=data, headers=headers)
    world.engine.dispose()
    assert answer.status_code == 200, answer.text


def give(place: Place, words: list[str]) -> None:
    """Give one command of a page."""
    program = words[0].removeprefix(".venv/bin/")
    words = [program, *words[1:]]
    if said_of(words, SEEN_ELSEWHERE) is not None:
        assert program != "tenor" or parses(shlex.join(words))
        return
    words += said_of(words, IN_SMALL) or []
    match words:
        case ["export", *settings]:
            read_settings(dict(word.split("=", 1) for word in settings))
        case ["cd", folder]:
            os.chdir(folder)
        case ["python" | "python3", *rest]:
            meant = [place.meant(word) for word in rest]
            subprocess.run([sys.executable, *meant], check=True, stdout=subprocess.DEVNULL)
        case ["curl", *_]:
            ask(place, words)
        case ["git", *_]:
            clone(words)
        case ["az", *_]:
            grant(words)
        case ["make", *_]:
            make(words)
        case _:
            assert program == "tenor", words
            tell(place, words)


def tell(place: Place, words: list[str]) -> None:
    """Give one of our own commands."""
    match words[1:]:
        case ["run"]:
            return serve_a_while()
        case ["sandbox", *_]:
            return serve_sandbox(words)
        case ["doctor"]:
            return examine(place)
    make_ready(place, words)
    code, out, err = place.tenor(words[1:])
    assert code == 0, out + err
    if words[1:3] == ["cycle", "--provider"]:
        place.decided.add(words[3])
    return None
