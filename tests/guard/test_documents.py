"""The documents say what the code does: every key, every rule, every printed error, every word."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

from service.cli import main
from service.guard.language import Amounts, Bounds, Caps, Policy
from service.guard.rules import judge
from tests.guard.cases import POLICIES, context, line, policy

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")


def model_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((one for one in map(model_in, get_args(annotation)) if one is not None), None)


def keys(model: type[BaseModel], path: str = "") -> Iterator[tuple[str, bool]]:
    for name, field in model.model_fields.items():
        yield path + name, field.is_required()
        inner = model_in(field.annotation)
        shared = inner is None or inner in {Amounts, Bounds} or (path and inner is Caps)
        if inner is not None and not shared:
            yield from keys(inner, f"{path}{name}.")


@pytest.mark.parametrize(("key", "required"), list(keys(Policy)))
def test_every_key_is_described_as_required_or_with_its_default(key: str, required: object) -> None:
    row = re.search(rf"^\| `{re.escape(key)}` \| (required|default [^|]+) \|", GUIDE, re.MULTILINE)
    assert row is not None
    assert (row[1] == "required") is required


@pytest.mark.parametrize("key", [*Amounts.model_fields, *Bounds.model_fields])
def test_shared_keys_are_described_once(key: str) -> None:
    assert f"`{key}`" in GUIDE or f"{{{key}" in GUIDE or f", {key}" in GUIDE


def test_the_guide_describes_no_key_that_does_not_exist() -> None:
    table = GUIDE.split("## Every key")[1].split("**Three amounts.**")[0]
    described = re.findall(r"^\| `([a-z_.]+)` \|", table, re.MULTILINE)
    assert sorted(described) == sorted(key for key, _ in keys(Policy))


def test_every_rule_is_described_by_its_name() -> None:
    (verdict,) = judge([line()], policy=policy(), context=context())
    table = GUIDE.split("## The rules")[1].split("## Mistakes")[0]
    described = set(re.findall(r"`([a-z_]+)`", table))
    assert {result.rule for result in verdict.results} <= described


MISTAKES = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| `(tenor: .+)` \|$", GUIDE, re.MULTILINE)


def test_the_guide_shows_mistakes() -> None:
    assert len(MISTAKES) >= 9


@pytest.mark.parametrize("mistake", MISTAKES)
def test_each_mistake_prints_exactly_what_the_guide_shows(
    mistake: tuple[str, str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    old, new, printed = mistake
    text = (POLICIES / "default.yaml").read_text(encoding="utf-8")
    at = text.index("\n" + old) + 1 if f"\n{old}" in text else text.index(old)
    (tmp_path / "default.yaml").write_text(
        text[:at] + new + text[at + len(old) :], encoding="utf-8"
    )
    monkeypatch.chdir(tmp_path)
    assert main(["policy", "check", "default.yaml"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == printed


def domain_classes() -> Iterator[str]:
    for path in sorted((ROOT / "service" / "domain").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef):
                yield node.name


def words(name: str) -> str:
    """``PlanLine`` as it stands in prose: plan line."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()


@pytest.mark.parametrize("name", list(domain_classes()))
def test_every_class_of_the_domain_is_a_word_of_the_glossary(name: str) -> None:
    assert words(name) in GLOSSARY.lower().replace("-", " ")


def test_the_glossary_check_would_notice_a_missing_word() -> None:
    assert words("PurchaseOrder") == "purchase order"
    assert words("MissingWord") not in GLOSSARY.lower()


def test_words_are_explained_once() -> None:
    terms = re.findall(r"^\| ([^|]+) \|", GLOSSARY, re.MULTILINE)
    explained = [term for term in terms if term not in {"word", "---"}]
    assert len(explained) == len(set(explained))


def test_links_to_files_lead_somewhere() -> None:
    for text in (GUIDE, GLOSSARY):
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert (ROOT / "docs" / target).resolve().exists(), target
