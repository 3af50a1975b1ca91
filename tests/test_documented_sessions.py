"""Every command that README and docs show is run, and answers what its page says it answers.

A ``console`` block holds commands behind ``$ `` and what they print; ``…`` stands for anything. The
commands of an ``sh`` block are run one after the other in a folder and on a database of their own,
against a sandbox cloud where one is asked. What is not run here is listed with the reason, and with
the test that does run it. A ``shape`` has the names that its command answers with.
"""

from __future__ import annotations

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
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.cli import main
from service.domain.errors import InputError
from service.domain.hours import HOUR, iso
from service.domain.purchases import IntentState
from service.operate.demo_result import result_of
from service.sandbox.estate import Estate, running
from service.settings import read_settings
from service.store.engine import open_engine
from service.store.states import Role
from service.wiring import build
from tests.api.test_part_and_two import with_steps
from tests.api.world import World, add_purchase, make_world
from tests.backtest.series import BEGIN, wavy
from tests.documents import ROOT, Block, commands_in, every_block, names_in_shape
from tests.test_docs import parses

BLOCKS = every_block()
HISTORY_DAYS = 30
SEEN_ELSEWHERE = {
    ("make", "demo"): "tests/web/time_first_purchase.py",
    ("make", "test"): ".ci/run",
    ("git", "clone"): "tests/web/time_first_purchase.py",
    ("cd", "tenor"): "tests/web/time_first_purchase.py",
    ("pg_dump",): "tests/operate/test_backup_and_restore.py",
    ("tenor", "sandbox"): "tests/sandbox/test_command.py",
    (
        "tenor",
        "backtest",
        "--demand",
        "FILE",
        "--strategy",
        "all",
    ): "tests/backtest/test_command.py",
    ("tenor", "backtest", "--demand", "FILE", "--stress"): "tests/backtest/test_command.py",
    ("tenor", "backtest", "--data"): "tests/backtest/test_portfolio.py",
    ("python", "-m", "service.backtest.learn"): "service/backtest/learn/__main__.py",
    ("python", "tests/benchmarks/bench_backtest.py"): "tests/benchmarks/bench_backtest.py",
}
"""How commands begin that need what a test has not, or take minutes; and the file that runs them.

Of Tenor's own among them the command line is parsed all the same."""

SHAPES = (
    ("bill --data docs/examples/worked",),
    ("bill --data docs/examples/worked --explain 2026-03-01T09:00:00Z",),
    ("plan --data docs/examples/worked --as-given",),
    ("replay PLAN",),
    ("backtest --demand FILE --strategy provider-30d",),
    ("demo",),
    ("report --data docs/examples/worked",),
    (
        "policy check policies/default.yaml",
        "policy explain policies/default.yaml --kind aws_compute_sp --region us-east-1",
    ),
    ("token create --role viewer --name Vi", "token list"),
)
"""What is asked for each shape of docs/tables.md, in their order; one command for each object."""


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


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where AWS's billing data arrives."""
    return tmp_path_factory.mktemp("exports") / "aws"


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory, exports: Path) -> Iterator[Estate]:
    """Three sandbox clouds whose usage is as fresh as the wall's clock wants it."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    folder = tmp_path_factory.mktemp("clouds")
    with running(
        seed=7, history_days=HISTORY_DAYS, folder=folder, exports=exports, start=now
    ) as made:
        yield made


@pytest.fixture
def place(
    estate: Estate,
    exports: Path,
    sqlite_template: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Place:
    """A fresh folder with links to what a checkout has, and the environment of the sandbox."""
    for name in ("docs", "policies", "service", "tests"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "var").mkdir()
    shutil.copyfile(sqlite_template, tmp_path / "var" / "tenor.db")
    accounts = json.dumps(estate.payers)
    policy = (ROOT / "policies" / "default.yaml").read_text(encoding="utf-8")
    policy = policy.replace("purchase_accounts: {}", f"purchase_accounts: {accounts}")
    (tmp_path / "policy.yaml").write_text(policy, encoding="utf-8")
    made = Place(tmp_path, estate)
    environment = {
        **estate.environment,
        "TENOR_DATABASE_URL": made.url,
        "TENOR_DATA_DIR": str(tmp_path / "var"),
        "TENOR_POLICY_FILE": str(tmp_path / "policy.yaml"),
        "TENOR_LISTEN_PORT": "0",
    }
    for name in [name for name in os.environ if name.startswith("TENOR_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    _write_files(made, exports)
    return made


def _write_files(place: Place, exports: Path) -> None:
    """The files that commands on the pages name, and what stands for their placeholders."""
    lines = ["hour,region,sku,quantity"]
    for index, amount in enumerate(wavy(40)):
        lines.append(f"{iso(BEGIN + index * HOUR)},east,a,{amount:.4f}")
    Path("demand.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Path("menu.csv").write_text("offer,term_months,rate\none,12,0.7\n", encoding="utf-8")
    changes, holidays = (b for b in BLOCKS if (b.page, b.kind) == ("docs/model.md", "yaml"))
    Path("changes.yaml").write_text(changes.text, encoding="utf-8")
    Path("holidays.yaml").write_text(holidays.text, encoding="utf-8")
    shutil.copytree(exports, "exports")
    newest = max(Path("exports").rglob("*.parquet"), key=lambda path: path.as_posix())
    place.words = {
        "EXPORTS": ["exports"],
        "exports/2026-09.parquet": [str(newest)],
        "DIR": ["docs/examples/worked"] * 9,
        "FILE": ["demand.csv"] * 9,
        "FOLDER": ["pictures"],
    }


def make_ready(place: Place, words: Sequence[str]) -> None:
    """What must have happened before a command makes sense."""
    match list(words[1:3]):
        case ["token", "revoke"]:
            world = place.world()
            place.words[words[3]] = [world.minted(Role.VIEWER)[1]]
            world.engine.dispose()
        case ["resume", _]:
            world = place.world()
            world.halt()
            world.engine.dispose()
        case ["intents", "settle"] if "INTENT" not in place.words:
            world = place.world()
            held = [add_purchase(world, number, state=IntentState.UNKNOWN) for number in (1, 2)]
            world.engine.dispose()
            place.words |= {"INTENT": [str(one) for one in held], "COMMITMENT": ["sp-seen"]}


def said_elsewhere(words: Sequence[str]) -> str | None:
    """The file that runs such a command, when this one does not."""
    for begins, where in SEEN_ELSEWHERE.items():
        if tuple(words[: len(begins)]) == begins:
            return where
    return None


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
    """``tenor doctor``: all is well, but for usage that was not fetched yet."""
    code, out, err = place.tenor(["doctor", "--json"])
    failed = [one for one in json.loads(out)["checks"] if not one["passed"]]
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
    where = said_elsewhere(words)
    if where is not None:
        assert (ROOT / where).is_file(), where
        assert program != "tenor" or parses(shlex.join(words))
    elif program == "export":
        read_settings(dict(word.split("=", 1) for word in words[1:]))
    elif program == "curl":
        ask(place, words)
    elif program == "python3":
        subprocess.run([sys.executable, *words[1:]], check=True)
    elif words[1:] == ["run"]:
        serve_a_while()
    elif words[1:] == ["doctor"]:
        examine(place)
    else:
        assert program == "tenor", words
        make_ready(place, words)
        code, out, err = place.tenor(words[1:])
        assert code == 0, out + err
        if words[1:3] == ["cycle", "--provider"]:
            place.decided.add(words[3])


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.kind == "sh"], ids=str)
def test_every_command_of_a_block_runs(
    block: Block, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in list(os.environ):
        # AWS is there always, another cloud on its own page.
        cloud = re.match(r"TENOR_(AZURE|GCP)_", name)
        if cloud and block.page != f"docs/connect/{cloud[1].lower()}.md":
            monkeypatch.delenv(name)
    commands = commands_in(block)
    assert commands
    for words in commands:
        give(place, words)


def test_every_exception_is_of_a_command_that_is_shown() -> None:
    shown = [words for one in BLOCKS if one.kind == "sh" for words in commands_in(one)]
    shown = [[words[0].removeprefix(".venv/bin/"), *words[1:]] for words in shown]
    used = {begins for words in shown for begins in SEEN_ELSEWHERE
            if tuple(words[: len(begins)]) == begins}  # fmt: skip
    assert used == set(SEEN_ELSEWHERE)


def test_a_command_that_does_not_run_would_be_seen(place: Place) -> None:
    with pytest.raises(AssertionError):
        give(place, ["tenor", "bill", "--data", "nowhere"])
    with pytest.raises(InputError):
        give(place, ["export", "TENOR_NO_SUCH=1"])
    with pytest.raises(AssertionError):
        give(place, ["rm", "-rf", "var"])


def fits(said: str, printed: str) -> bool:
    """Whether ``printed`` is what ``said`` shows, with ``…`` for anything."""
    pattern = ".*".join(re.escape(part.strip()) for part in said.split("…"))
    return re.fullmatch(rf"{pattern}\s*", printed.strip(), re.DOTALL) is not None


def test_the_comparison_would_notice() -> None:
    assert fits('{"a": 1, …}', '{"a": 1, "b": 2}\n')
    assert not fits('{"a": 1, …}', '{"a": 2, "b": 2}\n')


@pytest.mark.parametrize("block", [one for one in BLOCKS if one.kind == "console"], ids=str)
def test_a_session_answers_what_its_page_says(block: Block, place: Place) -> None:
    parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]
    assert parts
    for part in parts:
        command, _, said = part.partition("\n")
        words = shlex.split(command)
        assert words[0] == "tenor"
        _, out, err = place.tenor(words[1:])
        assert fits(said.strip(), out + err), out + err


SHAPED = [one for one in BLOCKS if one.kind == "shape"]


def test_each_shape_is_asked_for() -> None:
    assert [len(names_in_shape(one.text)) for one in SHAPED] == [len(one) for one in SHAPES]


@pytest.mark.parametrize(("block", "asked"), list(zip(SHAPED, SHAPES, strict=False)), ids=str)
def test_a_shape_has_the_names_that_its_command_answers_with(
    block: Block, asked: tuple[str, ...], place: Place
) -> None:
    for command, names in zip(asked, names_in_shape(block.text), strict=True):
        assert set(answer_to(place, command)) >= names, command


def answer_to(place: Place, command: str) -> dict[str, object]:
    """What ``command`` says as JSON."""
    if command == "demo":
        parts = build(read_settings(os.environ))
        try:
            with running(seed=7, history_days=2, folder=place.folder, providers=("aws",)) as small:
                small.advance(48)
                return result_of(parts, small, days=2)
        finally:
            parts.close()
    if "PLAN" in command:
        code, out, err = place.tenor(["cycle", "--provider", "aws", "--json"])
        assert code == 0, err
        place.words["PLAN"] = [json.loads(out)["plan"]]
    code, out, err = place.tenor([*command.split(), "--json"])
    assert code == 0, err
    found: dict[str, object] = json.loads(out)
    return found
