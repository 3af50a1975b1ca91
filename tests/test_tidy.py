"""The habits that a machine can hold: sizes, layering, names, locks, one buyer."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = sorted(
    path for top in ("service", "tests", "migrations") for path in (ROOT / top).rglob("*.py")
)
SERVICE = [path for path in CODE if path.is_relative_to(ROOT / "service")]
PURE = [
    path
    for path in SERVICE
    if path.name != "command.py"
    and (
        path.relative_to(ROOT / "service").parts[0]
        in {"domain", "billing", "forecast", "plan", "backtest", "guard", "report"}
        or path.relative_to(ROOT / "service").as_posix()
        in {"purchase/lifecycle.py", "reconcile/match.py", "usage/quality.py"}
    )
]
LINES_MAX = 400
FUNCTION_LINES_MAX = 60
TOP_LEVEL = {
    *("pyproject.toml", "service", "policies", "migrations", "Dockerfile", "tests", "docs"),
    *("README.md", "LICENSE", "CHANGELOG.md", "Makefile"),
    *("requirements.lock", "requirements-dev.lock", ".ci"),
}


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _names(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _tracked() -> list[str]:
    listing = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return listing.stdout.splitlines()


def oversized_files(paths: list[Path]) -> list[str]:
    lengths = ((path, len(path.read_text(encoding="utf-8").splitlines())) for path in paths)
    return [f"{_names(path)}: {count} lines" for path, count in lengths if count > LINES_MAX]


def _functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def oversized_functions(tree: ast.Module) -> list[str]:
    return [
        f"{node.name}: {(node.end_lineno or 0) - node.lineno + 1} lines"
        for node in _functions(tree)
        if (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]


def impurities(tree: ast.Module) -> list[str]:
    """Uses of the clock, the environment, the global random state, or assert, by line."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            found.append(f"line {node.lineno}: assert disappears under -O; raise instead")
        if isinstance(node, ast.Attribute):
            spelled = ast.unparse(node)
            if re.fullmatch(
                r"datetime\.(now|utcnow|today)|time\.(time|monotonic)|os\.environ|os\.getenv"
                r"|np\.random\.(seed|rand|randn|normal|uniform)|random\.\w+",
                spelled,
            ):
                found.append(f"line {node.lineno}: {spelled}")
    return found


def test_the_top_level_holds_exactly_what_the_owner_fixed() -> None:
    tops = {name.split("/")[0] for name in _tracked()}
    undotted = {name for name in tops if not name.startswith(".") or name == ".ci"}
    assert undotted == TOP_LEVEL


def test_files_stay_under_four_hundred_lines() -> None:
    assert oversized_files(CODE) == []


def test_functions_stay_under_sixty_lines() -> None:
    long = {_names(path): oversized_functions(_tree(path)) for path in CODE}
    assert {name: found for name, found in long.items() if found} == {}


def test_the_size_check_notices_a_long_function() -> None:
    body = "\n".join(f"    x{n} = {n}" for n in range(FUNCTION_LINES_MAX + 1))
    assert oversized_functions(ast.parse(f"def f():\n{body}\n")) == ["f: 62 lines"]


@pytest.mark.parametrize("path", PURE, ids=_names)
def test_the_core_reads_no_clock_environment_or_global_random(path: Path) -> None:
    assert impurities(_tree(path)) == []


def test_the_purity_check_notices_a_clock_and_an_assert() -> None:
    tree = ast.parse("import datetime as d\nassert d\nx = datetime.now()\n")
    assert len(impurities(tree)) == 2


def test_production_code_never_relies_on_assert() -> None:
    asserting = [
        _names(path)
        for path in SERVICE
        if any(isinstance(node, ast.Assert) for node in ast.walk(_tree(path)))
    ]
    assert asserting == []


def calls_to_buy(tree: ast.Module) -> int:
    return sum(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "buy"
        for node in ast.walk(tree)
    )


def test_exactly_one_place_calls_a_purchase() -> None:
    callers = {_names(path): calls_to_buy(_tree(path)) for path in SERVICE}
    assert {name: count for name, count in callers.items() if count} == {
        "service/purchase/execute.py": 1
    }


SDK_PURCHASE_CALLS = re.compile(
    r"\.(create_savings_plan|purchase_reserved_instances_offering|begin_purchase|place_order)\("
)


def test_the_sdk_purchase_calls_stand_in_one_module_each() -> None:
    places = [
        (_names(path), match)
        for path in SERVICE
        if "sandbox" not in path.parts
        for match in SDK_PURCHASE_CALLS.findall(path.read_text(encoding="utf-8"))
    ]
    assert all(name.startswith("service/providers/") for name, _ in places)
    assert len({match for _, match in places}) == len(places)
    assert places, "no purchase call at all: the search is broken or nothing is ever bought"


def test_no_module_is_a_bag_of_odds_and_ends() -> None:
    vague = {"utils", "util", "helpers", "helper", "services", "managers", "base", "common", "misc"}
    assert [_names(path) for path in CODE if vague & {path.stem, *path.parts}] == []


def test_nothing_is_patched_or_left_to_do() -> None:
    banned = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b|mock\.patch|mocker\.")
    found = [
        f"{_names(path)}:{number}"
        for path in CODE
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if banned.search(line)
    ]
    assert found == []


def test_locks_hold_hashes_and_no_host() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert "--hash=sha256:" in text
        assert re.search(r"https?://|--(extra-)?index-url|--find-links", text) is None


def test_every_pinned_requirement_is_hash_locked() -> None:
    for name in ("requirements.lock", "requirements-dev.lock"):
        blocks = re.split(r"\n(?=\S)", (ROOT / name).read_text(encoding="utf-8").strip())
        assert [block for block in blocks if "--hash=" not in block] == []
