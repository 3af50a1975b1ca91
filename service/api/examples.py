"""Examples for the description of the API, made from its schemas, so that they cannot drift apart.

A field's own example counts first, then what its name is known for here, then its type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
_DEEPEST = 24
_KNOWN: Mapping[str, Any] = {
    "account": "111122223333",
    "accounts": ["111122223333"],
    "actor": "Ada (tok_0a1b2c3d4e5f)",
    "approved_by": "Ada (tok_0a1b2c3d4e5f)",
    "by": "Ada (tok_0a1b2c3d4e5f)",
    "changed_by": "Ada (tok_0a1b2c3d4e5f)",
    "decided_by": "Ada (tok_0a1b2c3d4e5f)",
    "rejected_by": "Ada (tok_0a1b2c3d4e5f)",
    "chance": "one in ten is worse",
    "comment": "agreed with the platform team",
    "commitment": "0b8f3f60-6f0a-4a57-9a5d-2f0f3a1c9e77",
    "cycle": "cycle@2026-03-02T06:00:00Z",
    "detail": "within the limit",
    "digest": "6f0a4a579a5d2f0f",
    "explanation": ["usage was never below this in 90 days"],
    "family": "m5",
    "holder": "host-1:4711:0b8f3f60",
    "intent": "5a1e9c77-0b8f-4a57-9a5d-2f0f3a1c9e77",
    "kind": "proposal.approved",
    "label": "Ada",
    "limit": "25 USD/h",
    "actual": "1.25 USD/h",
    "line": "line-1",
    "name": "cautious",
    "offering": "aws_compute_sp/12/no_upfront",
    "plan": "plan-1",
    "proposal": "p-0a1b2c3d4e5f",
    "provider": "aws",
    "reason": "usage was never below this in 90 days",
    "region": "us-east-1",
    "role": "approver",
    "rule": "caps.per_line",
    "schedule": "cycle",
    "subject": "all",
    "term_months": 12,
    "token_id": "tok_0a1b2c3d4e5f",
    "zone": None,
}
_NUMBERS = {"integer": 1, "number": 1.5}


def add_examples(document: dict[str, Any]) -> None:
    """Give every answer of ``document`` that has none an example of its schema."""
    schemas = document["components"]["schemas"]
    for operations in document["paths"].values():
        for operation in operations.values():
            for code, answer in operation["responses"].items():
                content = answer.get("content", {}).get("application/json")
                if code == "200" and content is not None and "example" not in content:
                    content["example"] = example_of(content.get("schema", {}), schemas)


def example_of(
    schema: Schema, schemas: Mapping[str, Schema], *, name: str = "", depth: int = 0
) -> Any:  # noqa: ANN401 - JSON is anything
    """A value that ``schema`` admits; references lead into ``schemas``."""
    inner = _inner(schema, schemas)
    stated = _stated(schema)
    if depth > _DEEPEST or stated is not None:
        return stated
    if inner is not None:
        return example_of(inner, schemas, name=name, depth=depth + 1)
    known = _KNOWN.get(name)
    if schema.get("type") == "array" and not isinstance(known, list):
        return [example_of(schema.get("items", {}), schemas, name=name, depth=depth + 1)]
    if schema.get("type") == "object":
        return {
            field: example_of(part, schemas, name=field, depth=depth + 1)
            for field, part in schema.get("properties", {}).items()
        }
    return known if schema.get("type") == "array" else _plain(schema, name)


def _inner(schema: Schema, schemas: Mapping[str, Schema]) -> Schema | None:
    """The schema that stands for this one, if another does: a reference, or the first choice."""
    if "$ref" in schema:
        return schemas[schema["$ref"].rsplit("/", 1)[1]]
    chosen: Schema | None = schema["anyOf"][0] if "anyOf" in schema else None
    return chosen


def _stated(schema: Schema) -> Any:  # noqa: ANN401
    if schema.get("examples"):
        return schema["examples"][0]
    if "const" in schema:
        return schema["const"]
    return schema["enum"][0] if schema.get("enum") else None


def _plain(schema: Schema, name: str) -> Any:  # noqa: ANN401
    kind = schema.get("type")
    if kind == "boolean":
        return False
    known = _KNOWN.get(name)
    if kind in _NUMBERS:
        return known if isinstance(known, int) else _NUMBERS[kind]
    if isinstance(known, str):
        return known
    return None if kind == "null" else f"{name or 'text'}-1"
