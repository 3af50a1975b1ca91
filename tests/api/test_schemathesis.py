"""Whatever the description lets a caller send is answered as the description says, never 5xx."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import Engine

from service.store.engine import open_engine
from service.store.states import Role
from tests.api.altered import add_alteration
from tests.api.figures import add_report, add_usage
from tests.api.world import World, add_proposals, add_purchase, make_world
from tests.purchase.world import take_lease

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
EXAMPLES = 4


@pytest.fixture(scope="module")
def engine_of_module(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    path = tmp_path_factory.mktemp("fuzz") / "tenor.db"
    shutil.copyfile(sqlite_template, path)
    return open_engine(f"sqlite:///{path}")


@pytest.fixture(scope="module")
def fuzzed(engine_of_module: Engine) -> World:
    world = make_world(engine_of_module)
    # Schemathesis calls the application by a name of its own.
    object.__setattr__(world.app.state.tenor.access, "hosts", frozenset({"*"}))
    take_lease(engine_of_module, "fuzzed", timedelta(hours=1))  # or it is not ready
    add_usage(world)
    add_report(world)
    add_purchase(world)
    add_proposals(world, lines=2)
    add_alteration(world)
    return world


def send_cases(
    operation: schemathesis.APIOperation[Any, Any, Any, Any], mode: GenerationMode, token: str
) -> int:
    """Send what ``mode`` makes of the operation; returns how many requests that were."""
    sent = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:  # noqa: ANN401 - made by schemathesis
        nonlocal sent
        if operation.path == "/v1/events/stream":
            case.query = {"wait_seconds": 0}  # or it stays open
        case.call_and_validate(
            headers={"Authorization": f"Bearer {token}"},
            checks=CHECKS,
        )
        sent += 1

    send()
    return sent


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_every_operation_keeps_to_its_description(fuzzed: World, mode: GenerationMode) -> None:
    token = fuzzed.token(Role.ADMIN)
    schema = schemathesis.openapi.from_asgi("/openapi.json", fuzzed.app)
    tried = {}
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()
        # What has nothing to get wrong has no wrong requests.
        wrong = mode is GenerationMode.NEGATIVE
        if wrong and not (list(operation.iter_parameters()) or operation.body):
            continue
        tried[operation.label] = send_cases(operation, mode, token)
    assert len(tried) >= (20 if mode is GenerationMode.NEGATIVE else 30)
    assert all(tried.values())


def test_every_operation_has_an_example_that_its_schema_admits(fuzzed: World) -> None:
    document = fuzzed.app.openapi()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            contents = operation["responses"]["200"]["content"]
            assert any("example" in one for one in contents.values()), (method, path)
            shown = contents.get("application/json", {})
            if "example" in shown:
                schema = {**shown["schema"], "components": document["components"]}
                Draft202012Validator(schema).validate(shown["example"])
