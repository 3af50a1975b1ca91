"""What all who use the service share: one of them does not take it from the others."""

from __future__ import annotations

from service.api.context import AppContext
from service.store.states import Role
from tests.api.world import World, csrf_in


def test_one_policy_is_tried_at_a_time(world: World) -> None:
    client = world.signed_in(world.token(Role.VIEWER))
    form = {"csrf": csrf_in(client.get("/policy").text), "text": "["}
    context: AppContext = world.app.state.tenor
    with context.trying:
        answer = client.post("/policy/try", data=form)
    assert answer.status_code == 429
    for text in ("[" * 20_000, "- " * 4_000):
        answer = client.post("/policy/try", data={**form, "text": text})
        assert answer.status_code == 200
        assert "nested more than" in answer.text
