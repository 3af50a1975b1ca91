"""What somebody typed into a form that could not be done as it stood, and what is wrong with it.

Forms judge their fields themselves instead of leaving it to the framework, so that whoever filled
one in gets it back as they left it, each mistake beside its field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from service.api.routes_deciding import COMMENT_LENGTH_MAX
from service.api.routes_proposals import QUANTITY


@dataclass(frozen=True, slots=True)
class Entered:
    """One form as it came: ``typed`` and ``problems`` by field, empty where nothing is wrong."""

    form: str = ""
    typed: Mapping[str, str] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    def value(self, form: str, name: str) -> str:
        """What was typed into ``name``, if this is what came of ``form``."""
        return self.typed.get(name, "") if form == self.form else ""

    def problem(self, form: str, name: str) -> str:
        """What is wrong with ``name``, if this is what came of ``form``; empty when nothing is."""
        return self.problems.get(name, "") if form == self.form else ""

    def with_problem(self, name: str, problem: str) -> Entered:
        """The same with something wrong in ``name``."""
        return replace(self, problems={**self.problems, name: problem})


def entered(form: str, **typed: str) -> Entered:
    """``form`` as it came. ``reason`` must be given, ``comment`` may, ``quantity`` is a number."""
    found = {name: _problem_of(name, value) for name, value in typed.items()}
    return Entered(form, typed, {name: problem for name, problem in found.items() if problem})


def _problem_of(name: str, value: str) -> str:
    if name == "quantity":
        return _problem_of_quantity(value)
    if name == "reason" and not value.strip():
        return "Say why; it is kept in the ledger."
    if "\0" in value:
        return "It holds a character that cannot be kept. Type it anew."
    if len(value) > COMMENT_LENGTH_MAX:
        return f"It has {len(value)} characters; at most {COMMENT_LENGTH_MAX} are kept."
    return ""


def _problem_of_quantity(value: str) -> str:
    if not value or re.fullmatch(QUANTITY, value):
        return ""
    if re.fullmatch(r"\d+,\d+", value):
        return f"Write it with a point: {value.replace(',', '.')}."
    return "Write a plain number such as 1.5, or leave it empty for all of it."
