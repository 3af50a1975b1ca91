"""Reads a policy file strictly and says exactly which line is wrong, and how to mend it.

The first problem by line is the error; how many more there are is told with it. A policy that
has any problem is not a policy: nothing of it is used.
"""

from __future__ import annotations

import difflib
import json
import types
from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path as FilePath
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from service.domain.errors import PolicyError
from service.guard.fields import Mode
from service.guard.language import Policy
from service.guard.yaml_lines import Document, Path, Problem, read_yaml

__all__ = [
    "Mode",
    "Policy",
    "load_policy",
    "load_problems",
    "parse_policy",
    "policy_schema",
    "problems_of",
    "schema_text",
]

SCHEMA_ID = "policy.schema.json"
MAX_BYTES = 1_000_000
_DID_YOU_MEAN = "Did you mean "


def load_policy(path: FilePath) -> Policy:
    """The policy in the YAML file at ``path``.

    Raises ``PolicyError`` (file, line, remedy) for anything that is not exactly the language.
    """
    return parse_policy(_content(path), file=str(path))


def load_problems(path: FilePath) -> tuple[Problem, ...]:
    """Every problem of the policy file at ``path``, by line; empty when it is sound."""
    try:
        content = _content(path)
    except PolicyError as error:
        return (_as_problem(error),)
    return problems_of(content, file=str(path))


def _content(path: FilePath) -> str:
    file = str(path)
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        why = error.strerror or type(error).__name__
        remedy = "Give the path of a readable policy file."
        raise PolicyError(f"the policy cannot be read ({why})", file=file, remedy=remedy) from error
    if len(raw) > MAX_BYTES:
        remedy = "Give a policy, not a data file."
        raise PolicyError("longer than a megabyte", file=file, remedy=remedy)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = raw[: error.start].count(b"\n") + 1
        remedy = "Save the file as plain UTF-8."
        raise PolicyError("not UTF-8 text", file=file, row=row, remedy=remedy) from error


def parse_policy(content: str, *, file: str) -> Policy:
    """The policy that ``content`` spells; ``file`` names it in errors."""
    policy, problems = _validated(read_yaml(content, file=file))
    if problems or policy is None:
        first, *more = problems
        further = f" ({len(more)} more problem{'s' * (len(more) > 1)} below)" if more else ""
        raise PolicyError(
            first.problem + further,
            file=file,
            row=first.line,
            column=first.key,
            remedy=first.remedy,
        )
    return policy


def problems_of(content: str, *, file: str) -> tuple[Problem, ...]:
    """Every problem of a policy text, by line; empty when it is sound."""
    try:
        document = read_yaml(content, file=file)
    except PolicyError as error:
        return (_as_problem(error),)
    return tuple(_validated(document)[1])


def _as_problem(error: PolicyError) -> Problem:
    return Problem(error.row or 1, error.column or "policy", error.problem, error.remedy)


def schema_text() -> str:
    """The JSON Schema as published beside the policies."""
    return json.dumps(policy_schema(), indent=2, ensure_ascii=False) + "\n"


def policy_schema() -> Mapping[str, object]:
    """The JSON Schema (2020-12) of the language, for editors and other validators."""
    schema = Policy.model_json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **schema,
        "title": "Tenor policy",
    }


def _validated(document: Document) -> tuple[Policy | None, list[Problem]]:
    problems = list(document.problems)
    policy: Policy | None = None
    try:
        policy = Policy.model_validate(document.value)
    except ValidationError as error:
        details = error.errors(include_url=False)
        problems += [_problem(detail, document) for detail in details if not _echo(detail)]
        problems = _without_misspelt(problems)
    return policy, sorted(set(problems))


def _echo(detail: ErrorDetails) -> bool:
    """True for a list called too short only because its items were wrong."""
    return detail["type"] == "too_short" and bool(detail["input"])


def _without_misspelt(problems: list[Problem]) -> list[Problem]:
    """Leave out "x is missing" where a misspelt x stands beside it: one mistake, one problem."""
    meant = {
        _sibling(problem.key, problem.remedy[len(_DID_YOU_MEAN) : -1])
        for problem in problems
        if problem.remedy.startswith(_DID_YOU_MEAN)
    }
    return [
        problem
        for problem in problems
        if not (problem.key in meant and problem.problem.endswith(" is missing"))
    ]


def _sibling(key: str, name: str) -> str:
    return ".".join([*key.split(".")[:-1], name])


def _problem(detail: ErrorDetails, document: Document) -> Problem:
    path: Path = tuple(detail["loc"])
    key = ".".join(str(part) for part in path) or "policy"
    line = document.line_of(path)
    kind = detail["type"]
    if kind == "missing":
        return Problem(
            line,
            key,
            f"{path[-1]} is missing",
            f"Add {path[-1]}: limits are required, never implied.",
        )
    if kind == "extra_forbidden":
        known = _keys_at(path[:-1])
        return Problem(line, key, f"unknown key {path[-1]}", _suggest(str(path[-1]), known))
    if kind == "enum":
        allowed = _values_of(str(detail.get("ctx", {}).get("expected", "")))
        return Problem(
            line, key, f"{_shown(detail['input'])} is not allowed", _suggest_value(detail, allowed)
        )
    return Problem(line, key, f"{_shown(detail['input'])} {_said(detail)}", _remedy(kind))


_REMEDIES = {
    "wrong_number": "Write the bare number, in the unit that the key's name ends with.",
    "wrong_text": 'Write it in quotes, e.g. "111122223333".',
    "wrong_bool": "Write true or false.",
    "impossible_range": "Correct one of the two ends.",
    "greater_than_equal": "Give a value within the range.",
    "less_than_equal": "Give a value within the range; ratios run from 0 to 1, never per cent.",
    "too_short": "Give at least one value.",
    "tuple_type": "Write a list: [a, b] or one `- item` per line.",
    "model_type": "Write keys and values, indented below this key.",
}


def _remedy(kind: str) -> str:
    return _REMEDIES.get(kind, "Correct the value; docs/policy.md describes every key.")


def _said(detail: ErrorDetails) -> str:
    kind = detail["type"]
    limits = detail.get("ctx", {})
    words = {
        "greater_than_equal": f"is below {limits.get('ge')}",
        "greater_than": f"must be above {limits.get('gt')}",
        "less_than_equal": f"is above {limits.get('le')}",
        "too_short": "is an empty list",
        "tuple_type": "must be a list",
        "model_type": "must be a mapping of keys to values",
        "literal_error": f"must be {limits.get('expected')}",
        "missing": "is missing",
    }
    return words.get(kind, detail["msg"])


def _shown(value: object) -> str:
    if isinstance(value, Mapping | tuple):
        return "this"
    if value is None:
        return "an empty value"
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)[:60]


def _values_of(expected: str) -> list[str]:
    return [word.strip(" '") for word in expected.replace(" or ", ",").split(",")]


def _suggest_value(detail: ErrorDetails, allowed: list[str]) -> str:
    return _suggest(str(detail["input"]), allowed)


def _suggest(word: str, known: Iterable[str]) -> str:
    choices = sorted(known)
    close = difflib.get_close_matches(word.lower(), choices, n=1, cutoff=0.6)
    if close:
        return f"{_DID_YOU_MEAN}{close[0]}?"
    if not choices:
        return "Remove it."
    return "Use one of: " + ", ".join(choices) + "."


def _keys_at(path: Path) -> tuple[str, ...]:
    """The keys that the language knows at ``path``."""
    model: type[BaseModel] | None = Policy
    for part in path:
        if isinstance(part, int):
            continue
        field = model.model_fields.get(part) if model is not None else None
        model = _model_in(field.annotation) if field is not None else None
    return tuple(model.model_fields) if model is not None else ()


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type expression
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return None
    if get_origin(annotation) in {tuple, Union, types.UnionType}:
        for inner in get_args(annotation):
            found = _model_in(inner)
            if found is not None:
                return found
    return None
