import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from service.api.problems import Kind
from service.store.states import Role
from tests.api.altered import add_alteration
from tests.api.figures import add_report, add_usage
from tests.api.test_who_may import CHANGES, OPEN_ROUTES, call
from tests.api.world import World, add_proposals, add_purchase

NOT_JSON = {
    "/metrics",
    "/v1/events/stream",
    "/v1/exports/commitments",
    "/v1/exports/bills",
    "/v1/proposals/{proposal_id}/picture",
}
"""Answered in other forms, or only with usage; tested where they are."""
EXAMPLE_OF = {
    "cycle_id": "/v1/cycles",
    "plan_id": "/v1/plans",
    "proposal_id": "/v1/proposals",
    "alteration_id": "/v1/alterations",
    "slug": "",
}


def operations(world: World) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in world.app.openapi()["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def refs(value: object) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "$ref":
                yield str(inner)
            yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def validator(world: World, schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": world.app.openapi()["components"]})


def test_the_description_says_that_it_is_openapi_3_1(world: World) -> None:
    document = world.client().get("/openapi.json").json()
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["title"] == "Tenor"
    assert document == world.app.openapi()


def test_every_schema_is_sound_and_every_reference_leads_somewhere(world: World) -> None:
    document = world.app.openapi()
    schemas = document["components"]["schemas"]
    for schema in schemas.values():
        Draft202012Validator.check_schema(schema)
    assert schemas
    used = set(refs(document))
    assert used <= {f"#/components/schemas/{name}" for name in schemas}
    assert "#/components/schemas/Problem" in used


def test_every_operation_has_a_name_of_its_own_a_description_and_its_parameters(
    world: World,
) -> None:
    names = []
    for path, _, operation in operations(world):
        names.append(operation["operationId"])
        assert operation["description"], path
        declared = {
            item["name"] for item in operation.get("parameters", []) if item["in"] == "path"
        }
        assert declared == set(re.findall(r"{(\w+)}", path))
    assert len(names) == len(set(names))


def test_every_operation_documents_its_problems(world: World) -> None:
    for path, method, operation in operations(world):
        answers = operation["responses"]
        assert "500" in answers, path
        secured = path not in OPEN_ROUTES
        assert ("401" in answers) == secured
        assert ("security" in operation) == secured
        if method == "post":
            assert {"403", "409", "413", "422"} <= set(answers)
        for code, answer in answers.items():
            if code == "200" and path in NOT_JSON:
                continue
            media = "application/json" if code == "200" else "application/problem+json"
            assert list(answer["content"]) == [media], (path, code)


def test_every_post_takes_a_key_and_every_decision_the_version_that_was_seen(world: World) -> None:
    posts = {
        path: {one["name"].lower() for one in operation["parameters"] if one["in"] == "header"}
        for path, method, operation in operations(world)
        if method == "post"
    }
    assert {path for path, names in posts.items() if "idempotency-key" not in names} == set()
    decided = {path for path in posts if path.endswith(("/approve", "/reject", "/withdraw"))}
    assert {path for path in decided if "if-match" not in posts[path]} == set()
    assert len(decided) >= len(("approve", "reject")) * len(("proposals", "alterations"))


def test_bodies_are_documented_with_an_example_that_is_valid(world: World) -> None:
    seen = 0
    for path, method, operation in operations(world):
        if method != "post" or path.endswith("}/revoke"):
            continue
        (schema,) = [
            world.app.openapi()["components"]["schemas"][ref.rsplit("/", 1)[1]]
            for ref in refs(operation["requestBody"])
        ]
        assert schema["additionalProperties"] is False, path
        for example in schema["examples"]:
            validator(world, schema).validate(example)
            seen += 1
    assert seen >= len(CHANGES) - 2


def test_every_read_answers_as_it_is_documented(world: World) -> None:
    add_usage(world)
    add_report(world)
    add_proposals(world, lines=2)
    add_purchase(world)
    add_alteration(world)
    client = world.client(world.token(Role.ADMIN))
    for path, method, operation in operations(world):
        if method != "get" or path in {"/readyz", *NOT_JSON}:
            continue
        (parameter,) = re.findall(r"{(\w+)}", path) or [None]
        url = path
        if parameter == "slug":
            url = "/problems/conflict"
        elif parameter is not None:
            first = client.get(EXAMPLE_OF[parameter]).json()["items"][0]
            url = path.replace(f"{{{parameter}}}", first["id"])
        answer = client.get(url)
        assert answer.status_code == 200, url
        schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
        validator(world, schema).validate(answer.json())


@pytest.mark.parametrize("path", CHANGES)
def test_every_change_answers_as_it_is_documented(world: World, path: str) -> None:
    answer = call(world.client(world.token(Role.ADMIN)), path, world)
    assert answer.status_code == 200, answer.text
    operation = world.app.openapi()["paths"][path]["post"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    validator(world, schema).validate(answer.json())


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.slug)
def test_every_kind_of_problem_explains_itself_under_its_type(world: World, kind: Kind) -> None:
    found = world.client().get(kind.type_uri).json()
    assert (found["status"], found["type"]) == (kind.status, kind.type_uri)
    assert found["meaning"]


def test_the_schema_check_notices_an_answer_that_is_not_as_documented(world: World) -> None:
    operation = world.app.openapi()["paths"]["/v1/halt"]["get"]
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert list(validator(world, schema).iter_errors({"halted": "no"}))
