"""Every command that README and docs show is run, and answers what its page says it answers.

A ``console`` block holds commands behind ``$ `` and what they print; ``…`` stands for anything. The
commands of an ``sh`` block are run one after the other in a folder and on a database of their own,
against a sandbox cloud where one is asked. A ``shape`` has the names that its command answers with.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from service.domain.errors import InputError
from service.domain.hours import HOUR, iso
from service.operate.demo_result import result_of
from service.sandbox.estate import Estate, running
from service.settings import read_settings
from service.wiring import build
from tests.backtest.series import BEGIN, wavy
from tests.documented_commands import (
    IN_SMALL,
    MADE_FROM,
    SEEN_ELSEWHERE,
    Place,
    give,
    is_a_test,
)
from tests.documents import ROOT, Block, commands_in, every_block, names_in_shape

BLOCKS = every_block()
HISTORY_DAYS = 30
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
    for name in ("docs", "policies", "service", "tests", *MADE_FROM):
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
    for index, amount in enumerate(wavy(15)):
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
        "service/plan/ladder_weights.txt": ["learnt.txt"],
    }


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


def test_every_exception_is_of_a_command_that_is_shown_and_run_by_a_test() -> None:
    shown = [words for one in BLOCKS if one.kind == "sh" for words in commands_in(one)]
    shown = [[words[0].removeprefix(".venv/bin/"), *words[1:]] for words in shown]
    for table in (SEEN_ELSEWHERE, IN_SMALL):
        used = {
            begins for words in shown for begins in table if tuple(words[: len(begins)]) == begins
        }
        assert used == set(table)
    assert all(is_a_test(named) for named in SEEN_ELSEWHERE.values())
    assert not is_a_test("tests/test_documented_sessions.py::test_that_nobody_wrote")
    assert not is_a_test("tests/test_documented_sessions.py::is_a_test")


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
