"""Pitfall 43: mail scanners followed the links of an approval, and a GET did what the link said."""

from __future__ import annotations

from service.api.who_may import API
from service.store import ledger, proposals
from service.store.engine import reading
from service.store.states import Role
from tests.api.altered import add_alteration
from tests.api.test_who_may import CHANGES, ENDS, PAGE_CHANGES, page_routes
from tests.api.world import World, add_proposals

STREAMS = {"/live", "/v1/events/stream"}
"""They go on for as long as somebody listens; ``tests/api/test_live_and_files.py`` reads them."""


def test_43_no_get_whoever_sends_it_changes_anything(world: World) -> None:
    (proposal,) = add_proposals(world)
    ids = {
        "proposal_id": proposal.proposal,
        "alteration_id": add_alteration(world),
        "plan_id": proposal.plan,
        "cycle_id": "c",
        "token_id": "t",
    }
    paths = {rule.path for rule in API if rule.method == "GET"} | set(CHANGES)
    paths |= {path for path, _ in page_routes(world)} | set(PAGE_CHANGES)

    def state() -> object:
        with reading(world.engine) as connection:
            return (
                [event.kind for event in ledger.read(connection, limit=1_000)],
                proposals.find(connection, proposal.proposal),
            )

    before = state()
    token = world.token(Role.ADMIN)
    with world.client(token) as program, world.signed_in(token) as browser:
        for path in sorted(paths - STREAMS):
            if "{" not in path or any(f"{{{name}}}" in path for name in ids):
                filled = path.format(**ids)
                program.get(filled, params=ENDS)
                browser.get(filled, params=ENDS)
    assert state() == before
