import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.domain.plans import Decision
from service.domain.purchases import ProposalState
from service.store import ledger, proposals
from service.store.engine import reading
from service.store.states import Role
from tests.api.world import LIFETIME, World, add_proposals, csrf_in, make_world

IF_FIRST = {"If-Match": '"v1"'}


def test_a_proposal_is_read_with_what_why_and_verdict(world: World) -> None:
    (proposal,) = add_proposals(world)
    answer = world.client(world.token(Role.VIEWER)).get(f"/v1/proposals/{proposal.proposal}")
    found = answer.json()
    assert answer.headers["etag"] == '"v1"'
    assert found["state"] == ProposalState.WAITING
    assert found["line"]["quantity"] == "1.25"
    assert found["line"]["total_usd"] == "10950"
    assert found["line"]["reason"] == "steady use for ninety days"
    assert found["verdict"]["decision"] == Decision.NEEDS_SIGN_OFF
    assert found["verdict"]["results"][0]["limit"] == "25 USD/h"
    assert found["purchase"] is None


@pytest.mark.parametrize(
    ("move", "state", "kind"),
    [
        ("approve", ProposalState.APPROVED, "proposal.approved"),
        ("reject", ProposalState.REJECTED, "proposal.rejected"),
    ],
)
def test_a_decision_is_stored_with_who_made_it_and_is_in_the_audit(
    engine: Engine, move: str, state: ProposalState, kind: str
) -> None:
    world = make_world(engine)
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.APPROVER, label="Ada"))
    path = f"/v1/proposals/{proposal.proposal}/{move}"
    said = {"reason" if move == "reject" else "comment": "agreed"}
    answer = client.post(path, json=said, headers=IF_FIRST)
    assert answer.status_code == 200
    assert answer.headers["etag"] == '"v2"'
    assert (answer.json()["state"], answer.json()["comment"]) == (state, "agreed")
    assert answer.json()["decided_by"].startswith("Ada (tok_")
    with reading(engine) as connection:
        stored = proposals.find(connection, proposal.proposal)
        newest = ledger.latest(connection, limit=1)[0]
        ledger.verify(connection)
    assert stored is not None
    assert (stored.state, stored.version) == (state, 2)
    assert (newest.kind, newest.payload["comment"]) == (kind, "agreed")
    assert newest.actor.startswith("Ada (tok_")
    shown = client.get("/v1/audit", params={"limit": 1}).json()["items"][0]
    assert (shown["kind"], shown["proposal"]) == (kind, proposal.proposal)


@pytest.mark.parametrize("second", ["approve", "reject"])
@pytest.mark.parametrize("tag", ['"v1"', '"v2"'])
def test_a_decided_proposal_cannot_be_decided_again(world: World, second: str, tag: str) -> None:
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.APPROVER))
    path = f"/v1/proposals/{proposal.proposal}"
    assert client.post(f"{path}/approve", headers=IF_FIRST).status_code == 200
    said = {"reason" if second == "reject" else "comment": "again"}
    again = client.post(f"{path}/{second}", json=said, headers={"If-Match": tag})
    assert again.status_code == 409
    assert again.json()["type"] == "/problems/conflict"
    assert "approved already" in again.json()["detail"]
    assert client.get(path).json()["version"] == 2


@pytest.mark.parametrize("tag", ['"v2"', '"v0"', '"1"', "v1", 'W/"v1"', "*", '"x"'])
def test_a_decision_on_another_version_than_the_present_one_is_refused(
    world: World, tag: str
) -> None:
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.APPROVER))
    path = f"/v1/proposals/{proposal.proposal}"
    answer = client.post(f"{path}/approve", headers={"If-Match": tag})
    assert answer.status_code == 412
    assert client.get(path).json()["state"] == "waiting"


def test_a_decision_must_say_on_which_version(world: World) -> None:
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.APPROVER))
    answer = client.post(f"/v1/proposals/{proposal.proposal}/approve")
    assert answer.status_code == 428
    assert "If-Match" in answer.json()["detail"]


def test_an_expired_proposal_cannot_be_approved(world: World) -> None:
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.APPROVER))
    path = f"/v1/proposals/{proposal.proposal}/approve"
    world.clock.instant += LIFETIME
    answer = client.post(path, headers=IF_FIRST)
    assert answer.status_code == 409
    assert "lifetime" in answer.json()["detail"]


def test_a_proposal_can_be_approved_until_its_lifetime_ends(world: World) -> None:
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.APPROVER))
    world.clock.instant += LIFETIME * 0.999
    path = f"/v1/proposals/{proposal.proposal}/approve"
    assert client.post(path, headers=IF_FIRST).status_code == 200


def test_an_unknown_proposal_is_not_found(world: World) -> None:
    client = world.client(world.token(Role.APPROVER))
    assert client.get("/v1/proposals/p-none").status_code == 404
    assert client.post("/v1/proposals/p-none/approve", headers=IF_FIRST).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"comment": 5},
        {"comment": None},
        {"comment": "x" * 2001},
        {"comment": "fine", "amount": "2"},
        {"comment": "fine", "quantity": 1},
        {"comment": "fine", "quantity": "1e0"},
        {"comment": "fine", "quantity": "-1"},
        {"reason": "fine"},
        [],
        "yes",
    ],
)
def test_a_body_with_anything_unforeseen_decides_nothing(world: World, body: object) -> None:
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.APPROVER))
    path = f"/v1/proposals/{proposal.proposal}"
    answer = client.post(f"{path}/approve", json=body, headers=IF_FIRST)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["where"].startswith("body")
    assert client.get(path).json()["state"] == "waiting"


def test_proposals_are_listed_by_state_and_plan(world: World) -> None:
    add_proposals(world)
    first, second = add_proposals(world, lines=2)
    client = world.client(world.token(Role.APPROVER))
    client.post(f"/v1/proposals/{first.proposal}/approve", headers=IF_FIRST)

    def ids(**filters: str) -> set[str]:
        answer = client.get("/v1/proposals", params=filters)
        return {item["id"] for item in answer.json()["items"]}

    assert ids(state="approved") == {first.proposal}
    assert ids(state="waiting") == {second.proposal}
    assert ids(plan=first.plan) == {first.proposal, second.proposal}
    assert len(ids()) == 3
    assert client.get("/v1/proposals", params={"state": "odd"}).status_code == 422


def test_halting_and_resuming_is_kept_with_who_and_why(engine: Engine) -> None:
    world = make_world(engine)
    client = world.client(world.token(Role.OPERATOR, label="Olu"))
    assert client.get("/v1/halt").json()["halted"] is False
    halted = client.post("/v1/halt", json={"reason": " prices look wrong "}).json()
    assert (halted["halted"], halted["reason"]) == (True, "prices look wrong")
    assert halted["changed_by"].startswith("Olu (tok_")
    assert client.get("/v1/status").json()["halt"] == halted
    assert client.post("/v1/halt", json={"reason": "again"}).status_code == 409
    resumed = client.post("/v1/halt/resume", json={"reason": "checked"}).json()
    assert (resumed["halted"], resumed["reason"]) == (False, "checked")
    assert client.post("/v1/halt/resume", json={"reason": "again"}).status_code == 409
    kinds = [item["kind"] for item in client.get("/v1/audit").json()["items"]]
    assert kinds[:2] == ["halt.cleared", "halt.set"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": ""},
        {"reason": "   "},
        {"reason": 1},
        {"reason": "x" * 501},
        {"reason": "ok", "scope": "aws"},
    ],
)
def test_a_halt_without_a_proper_reason_is_refused(world: World, body: dict[str, object]) -> None:
    client = world.client(world.token(Role.OPERATOR))
    assert client.post("/v1/halt", json=body).status_code == 422
    assert client.get("/v1/halt").json()["halted"] is False


def test_a_person_approves_in_the_browser_without_scripts(world: World) -> None:
    (proposal,) = add_proposals(world)
    client = world.signed_in(world.token(Role.APPROVER, label="Ada"))
    path = f"/proposals/{proposal.proposal}"
    page = client.get(path).text
    form = {"csrf": csrf_in(page), "version": "1", "comment": "agreed"}
    answer = client.post(f"{path}/approve", data=form)
    assert answer.status_code == 200
    assert answer.url.path == path
    assert "approved" in answer.text
    assert "Ada (tok_" in answer.text
    assert "agreed" in answer.text
    assert '<button type="submit">Approve' not in answer.text


def test_a_form_that_shows_an_old_version_is_refused_with_a_page(world: World) -> None:
    (proposal,) = add_proposals(world)
    client = world.signed_in(world.token(Role.APPROVER))
    path = f"/proposals/{proposal.proposal}"
    form = {"csrf": csrf_in(client.get(path).text), "version": "7", "reason": "no"}
    answer = client.post(f"{path}/reject", data=form)
    assert answer.status_code == 412
    assert "changed since you read it" in answer.text
    assert f'href="{path}"' in answer.text


def test_halting_in_the_browser_needs_the_confirmation(world: World) -> None:
    client = world.signed_in(world.token(Role.OPERATOR))
    form = {"csrf": csrf_in(client.get("/halt").text), "reason": "odd prices"}
    assert client.post("/halt/set", data=form).status_code == 422
    answer = client.post("/halt/set", data={**form, "confirmed": "yes"})
    assert "Buying is halted" in answer.text
    assert "odd prices" in client.get("/").text


@pytest.mark.parametrize("role", [Role.VIEWER, None])
def test_who_may_not_decide_is_shown_no_form(sqlite_engine: Engine, role: Role | None) -> None:
    world = make_world(sqlite_engine, open_reads=True)
    (proposal,) = add_proposals(world)
    client = world.signed_in(world.token(role)) if role else world.client(accept="text/html")
    for path in (f"/proposals/{proposal.proposal}", "/halt"):
        page = client.get(path).text
        assert 'method="post" action="/proposals' not in page
        assert 'method="post" action="/halt' not in page


def test_of_two_people_who_decide_at_once_exactly_one_is_heard(engine: Engine) -> None:
    world = make_world(engine)
    (proposal,) = add_proposals(world)
    path = f"/v1/proposals/{proposal.proposal}"
    clients = [world.client(world.token(Role.APPROVER, label=name)) for name in ("Ada", "Bo")]
    together = threading.Barrier(2)

    def decide(client: TestClient, move: str) -> int:
        together.wait(5)
        said = {"reason" if move == "reject" else "comment": "now"}
        return client.post(f"{path}/{move}", json=said, headers=IF_FIRST).status_code

    with ThreadPoolExecutor(2) as pool:
        answers = sorted(pool.map(decide, clients, ("approve", "reject")))
    assert answers in ([200, 409], [200, 412])
    kinds = [item["kind"] for item in clients[0].get("/v1/audit").json()["items"]]
    decisions = [kind for kind in kinds if kind in {"proposal.approved", "proposal.rejected"}]
    assert len(decisions) == 1
