"""YAML read strictly, with the line of every key and value.

What is plain text stays text: only ``true``/``false``, whole numbers and decimals are anything
else. YAML's own guesses (``yes``, ``010`` as octal, ``22:00`` as a number in base 60, floats that
round) would each change what a limit means, so they are not made. Duplicate keys, aliases, merge
keys and explicit tags are problems.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import yaml

from service.domain.errors import PolicyError

Path = tuple[str | int, ...]
MAX_DEPTH = 12
"""How many mappings and lists may lie in each other."""

NUMBER_LENGTH_MAX = 100
"""What is longer is no number but text: Python refuses to read thousands of digits."""


class Problem(NamedTuple):
    """One thing wrong, in sentence form without a full stop, and how to mend it."""

    line: int
    key: str
    problem: str
    remedy: str


@dataclass(slots=True)
class Document:
    """Values of a YAML file, the 1-based line of each path, and what was structurally wrong."""

    value: object = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def line_of(self, path: Path) -> int:
        """The line of ``path``, or of the nearest thing that holds it; 1 for the file."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return 1


def read_yaml(content: str, *, file: str) -> Document:
    """The one document in ``content``; ``PolicyError`` with its line when it is not YAML."""
    document = Document()
    try:
        _look_through(content, file=file)
        node = yaml.compose(content, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise PolicyError(
            f"not YAML: {error.problem or error.context}",
            file=file,
            row=mark.line + 1 if mark else 1,
            remedy="Mind the indentation and put text with special characters in quotes.",
        ) from error
    except yaml.YAMLError as error:
        raise PolicyError(
            "not YAML text", file=file, row=1, remedy="Save the file as plain UTF-8."
        ) from error
    if not isinstance(node, yaml.MappingNode):
        raise PolicyError(
            "a policy is a mapping of keys to values",
            file=file,
            row=1,
            remedy="Begin with `version: 1`; see policies/default.yaml.",
        )
    document.value = _value(node, (), document)
    return document


def _look_through(content: str, *, file: str) -> None:
    """Refuse what is shared or nested too deeply, before anything is made of it.

    Events come one by one, so that reading stops at the first that is too deep: what comes after
    it may take time that grows with the square of its length.
    """
    depth = 0
    for event in yaml.parse(content, Loader=yaml.SafeLoader):
        _refuse_sharing(event, file=file)
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise PolicyError(
                f"nested more than {MAX_DEPTH} deep",
                file=file,
                row=event.start_mark.line + 1 if event.start_mark else 1,
                remedy="Flatten it.",
            )


def _refuse_sharing(event: yaml.Event, *, file: str) -> None:
    tag = getattr(event, "tag", None)
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or tag:
        what = "an alias or anchor" if not tag else f"the tag {tag}"
        raise PolicyError(
            f"{what} is not part of the policy language",
            file=file,
            row=event.start_mark.line + 1 if event.start_mark else 1,
            remedy="Write the value out where it holds.",
        )


def _value(node: yaml.Node, path: Path, document: Document) -> object:
    document.lines.setdefault(path, node.start_mark.line + 1)
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return tuple(
            _value(item, (*path, index), document) for index, item in enumerate(node.value)
        )
    return _scalar(str(node.value), plain=getattr(node, "style", None) is None)


def _mapping(node: yaml.MappingNode, path: Path, document: Document) -> dict[str, object]:
    found: dict[str, object] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
        if key in found:
            first = document.lines[(*path, key)]
            document.problems.append(
                Problem(
                    line,
                    key,
                    f"{key} is given twice, first on line {first}",
                    "Keep one of the two.",
                )
            )
            continue
        document.lines[(*path, key)] = line
        found[key] = _value(value_node, (*path, key), document)
    return found


def _scalar(text: str, *, plain: bool) -> object:
    if not plain or len(text) > NUMBER_LENGTH_MAX:
        return text
    if text in {"", "~", "null"}:
        return None
    if text in {"true", "false"}:
        return text == "true"
    if re.fullmatch(r"-?(0|[1-9][0-9]*)", text):
        return int(text)
    if re.fullmatch(r"-?(0|[1-9][0-9]*)\.[0-9]+", text):
        return Decimal(text)
    return text
