"""Over the API: a yes to a part, two people, a no that holds, withdrawing, expiring, repeating."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import Engine, update

from service.api.once import ABANDONED, KEPT
from service.domain.commitments import Offering
from service.domain.purchases import Proposal
from service.store import price_snapshots
from service.store.api_tables import replies
from service.store.engine import writing
from service.store.schema import plans
from service.store.states import Role
from tests.api.world import POLICY, World, a_line, add_proposals, make_world

IF_FIRST = {"If-Match": '"v1"'}
LINE = a_line()
OFFERING = Offering(
    offering=LINE.offering,
    provider="aws",
    kind=LINE.kind,
    term_months=12,
    payment=LINE.payment,
    region=None,
    family=None,
    platform=None,
    tenancy=None,
    zone=None,
    size_flexible=False,
    rates_usd={"sku": Decimal("0.7")},
    upfront_usd=Decimal(0),
    min_quantity=Decimal("0.1"),
    step=Decimal("0.1"),
)


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    """The shipped policy, with two people above $5,000 over the term."""
    path = tmp_path / "policy.yaml"
    text = POLICY.read_text(encoding="utf-8")
    at = text.index("\nsign_off:") + len("\nsign_off:")
    path.write_text(f"{text[:at]}\n  two_person_above_usd: 5000{text[at:]}", encoding="utf-8")
    return path


def with_steps(world: World) -> Proposal:
    """A proposal whose plan's prices are stored."""
    (proposal,) = add_proposals(world)
    snapshot = price_snapshots.snapshot_of("aws", world.clock.now(), [], [OFFERING])
    with writing(world.engine) as connection:
        price_snapshots.keep(connection, snapshot)
        connection.execute(update(plans).values(prices_digest=snapshot.digest))
    return proposal


def test_a_part_is_approved_and_shown_beside_what_was_planned(engine: Engine) -> None:
    world = make_world(engine)
    proposal = with_steps(world)
    client = world.client(world.token(Role.APPROVER, label="Ada"))
    path = f"/v1/proposals/{proposal.proposal}"
    answer = client.post(f"{path}/approve", json={"quantity": "0.65"}, headers=IF_FIRST)
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert found["line"]["quantity"] == "0.6"
    assert found["line"]["commit_usd_per_hour"] == "0.6"
    assert (found["planned_quantity"], found["state"]) == ("1.25", "approved")
    assert found["approvals"][0]["quantity"] == "0.6"
    detail = client.get(path).json()
    assert detail["scenarios"][0]["name"] == "bad"
    assert Decimal(detail["loss_usd"]) == Decimal("0.048") * 8760


@pytest.mark.parametrize("quantity", ["1.26", "0", "0.05"])
def test_a_part_that_cannot_be_bought_is_refused_with_why(world: World, quantity: str) -> None:
    proposal = with_steps(world)
    client = world.client(world.token(Role.APPROVER))
    path = f"/v1/proposals/{proposal.proposal}"
    answer = client.post(f"{path}/approve", json={"quantity": quantity}, headers=IF_FIRST)
    assert answer.status_code == 422
    assert client.get(path).json()["state"] == "waiting"


def test_two_people_must_approve_above_the_amount(engine: Engine, strict: Path) -> None:
    world = make_world(engine, policy=strict)
    (proposal,) = add_proposals(world)
    ada = world.client(world.token(Role.APPROVER, label="Ada"))
    path = f"/v1/proposals/{proposal.proposal}"
    assert ada.get(path).json()["approvals_needed"] == 2
    first = ada.post(f"{path}/approve", json={"comment": "one"}, headers=IF_FIRST).json()
    assert (first["state"], first["version"], len(first["approvals"])) == ("waiting", 2, 1)
    second = {"If-Match": '"v2"'}
    for again in (ada, world.client(world.token(Role.ADMIN, label="ada"))):
        answer = again.post(f"{path}/approve", headers=second)
        assert answer.status_code == 409
        assert "another person" in answer.json()["detail"]
    bo = world.client(world.token(Role.APPROVER, label="Bo"))
    assert bo.post(f"{path}/approve", headers=IF_FIRST).status_code == 412
    done = bo.post(f"{path}/approve", headers=second).json()
    assert (done["state"], len(done["approvals"])) == ("approved", 2)


def test_a_part_below_the_amount_is_no_way_round_the_second_person(
    sqlite_engine: Engine, strict: Path
) -> None:
    world = make_world(sqlite_engine, policy=strict)
    proposal = with_steps(world)
    client = world.client(world.token(Role.APPROVER))
    path = f"/v1/proposals/{proposal.proposal}/approve"
    answer = client.post(path, json={"quantity": "0.5"}, headers=IF_FIRST).json()
    assert (answer["state"], answer["approvals_needed"]) == ("waiting", 2)


def test_without_a_policy_nobody_decides(sqlite_engine: Engine, strict: Path) -> None:
    world = make_world(sqlite_engine, policy=strict)
    (proposal,) = add_proposals(world)
    strict.write_text("mode: whatever\n", encoding="utf-8")
    client = world.client(world.token(Role.APPROVER))
    path = f"/v1/proposals/{proposal.proposal}"
    assert client.post(f"{path}/approve", headers=IF_FIRST).status_code == 503
    said = {"reason": "no"}
    assert client.post(f"{path}/reject", json=said, headers=IF_FIRST).status_code == 503
    found = client.get(path).json()
    assert (found["state"], found["approvals_needed"]) == ("waiting", None)


def test_a_rejection_holds_for_as_long_as_the_policy_says(engine: Engine) -> None:
    world = make_world(engine)
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.APPROVER, label="Ada"))
    path = f"/v1/proposals/{proposal.proposal}/reject"
    found = client.post(path, json={"reason": " we move "}, headers=IF_FIRST).json()
    assert (found["state"], found["comment"]) == ("rejected", "we move")
    assert found["held_until"] == "2026-03-09T09:30:00Z"
    (hold,) = client.get("/v1/holds").json()["items"]
    assert (hold["reason"], hold["account"]) == ("we move", "111122223333")
    world.clock.instant += timedelta(hours=168)
    assert client.get("/v1/holds").json()["items"] == []


@pytest.mark.parametrize("said", [None, {}, {"reason": ""}, {"reason": "  "}, {"comment": "no"}])
def test_a_rejection_says_why(world: World, said: dict[str, str] | None) -> None:
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.APPROVER))
    path = f"/v1/proposals/{proposal.proposal}/reject"
    assert client.post(path, json=said, headers=IF_FIRST).status_code == 422


def test_the_like_of_what_was_rejected_is_not_approved_while_that_holds(world: World) -> None:
    first, second = add_proposals(world, lines=2)
    client = world.client(world.token(Role.APPROVER, label="Ada"))
    path = f"/v1/proposals/{first.proposal}/reject"
    assert client.post(path, json={"reason": "too long"}, headers=IF_FIRST).status_code == 200
    path = f"/v1/proposals/{second.proposal}"
    answer = client.post(f"{path}/approve", headers=IF_FIRST)
    assert answer.status_code == 409
    assert "rejected by Ada" in answer.json()["detail"]
    assert "too long" in answer.json()["detail"]
    assert client.get(path).json()["state"] == "waiting"


def test_an_approver_takes_back_only_their_own_yes(world: World) -> None:
    (proposal,) = add_proposals(world)
    ada = world.client(world.token(Role.APPROVER, label="Ada"))
    bo = world.client(world.token(Role.APPROVER, label="Bo"))
    path = f"/v1/proposals/{proposal.proposal}"
    ada.post(f"{path}/approve", headers=IF_FIRST)
    second = {"If-Match": '"v2"'}
    assert bo.post(f"{path}/withdraw", headers=second).status_code == 403
    answer = ada.post(f"{path}/withdraw", json={"comment": "wait"}, headers=second)
    assert (answer.status_code, answer.json()["state"]) == (200, "withdrawn")
    assert bo.post(f"{path}/approve", headers={"If-Match": '"v3"'}).status_code == 409


def test_an_operator_ends_a_lifetime_and_nothing_is_held(world: World) -> None:
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.OPERATOR, label="Olu"))
    path = f"/v1/proposals/{proposal.proposal}/expire"
    assert client.post(path, headers=IF_FIRST).json()["state"] == "expired"
    assert client.get("/v1/holds").json()["items"] == []
    newest = client.get("/v1/audit").json()["items"][0]
    assert newest["kind"] == "proposal.expired"
    assert newest["actor"].startswith("Olu")


def test_a_repeated_request_is_answered_as_the_first_and_changes_nothing(engine: Engine) -> None:
    world = make_world(engine)
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.APPROVER))
    path = f"/v1/proposals/{proposal.proposal}/approve"
    headers = {**IF_FIRST, "Idempotency-Key": "k-1"}
    first = client.post(path, json={"comment": "yes"}, headers=headers)
    events = len(client.get("/v1/audit").json()["items"])
    again = client.post(path, json={"comment": "yes"}, headers=headers)
    assert (again.status_code, again.json()) == (first.status_code, first.json())
    assert again.headers["etag"] == first.headers["etag"]
    assert again.headers["idempotency-replayed"] == "true"
    assert len(client.get("/v1/audit").json()["items"]) == events


def test_a_key_stands_for_one_request_of_one_caller(world: World) -> None:
    client = world.client(world.token(Role.OPERATOR, label="Olu"), **{"Idempotency-Key": "k"})
    assert client.post("/v1/halt", json={"reason": "a"}).status_code == 200
    assert client.post("/v1/halt", json={"reason": "b"}).status_code == 422
    assert client.post("/v1/halt/resume", json={"reason": "a"}).status_code == 422
    other = world.client(world.token(Role.OPERATOR, label="Ada"), **{"Idempotency-Key": "k"})
    assert other.post("/v1/halt", json={"reason": "a"}).status_code == 409


def test_an_answer_is_not_repeated_to_a_token_of_the_same_name_for_other_accounts(
    world: World,
) -> None:
    (proposal,) = add_proposals(world)
    path = f"/v1/proposals/{proposal.proposal}/approve"
    headers = {**IF_FIRST, "Idempotency-Key": "k-1"}
    limits = [None, frozenset({"999999999999"})]
    tokens = [world.token(Role.APPROVER, label="Ada", accounts=limit) for limit in limits]
    answers = [world.client(token).post(path, headers=headers) for token in tokens]
    assert [answer.status_code for answer in answers] == [200, 404]
    assert proposal.proposal not in answers[1].json().get("id", "")
    again = world.client(tokens[0]).post(path, headers=headers)
    assert again.headers["idempotency-replayed"] == "true"


def test_a_refusal_is_repeated_too(world: World) -> None:
    client = world.client(world.token(Role.OPERATOR), **{"Idempotency-Key": "k"})
    first = client.post("/v1/halt/resume", json={"reason": "a"})
    assert first.status_code == 409
    world.halt()
    again = client.post("/v1/halt/resume", json={"reason": "a"})
    assert (again.status_code, again.json()) == (409, first.json())


def test_keys_are_forgotten_after_their_time(world: World) -> None:
    client = world.client(world.token(Role.OPERATOR), **{"Idempotency-Key": "k"})
    client.post("/v1/halt", json={"reason": "a"})
    world.halt(halted=False)
    world.clock.instant += KEPT
    answer = client.post("/v1/halt", json={"reason": "a"})
    assert answer.status_code == 200
    assert "idempotency-replayed" not in answer.headers


def test_a_request_whose_answer_never_came_is_tried_again_after_a_while(world: World) -> None:
    client = world.client(world.token(Role.OPERATOR), **{"Idempotency-Key": "k"})
    client.post("/v1/halt", json={"reason": "a"})
    with writing(world.engine) as connection:
        connection.execute(update(replies).values(status=None, body=None, headers=None))
    busy = client.post("/v1/halt", json={"reason": "a"})
    assert (busy.status_code, busy.headers["retry-after"]) == (409, "1")
    world.clock.instant += ABANDONED
    assert "halted already" in client.post("/v1/halt", json={"reason": "a"}).json()["detail"]


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "é"])
def test_a_key_that_is_none_is_refused(world: World, key: str) -> None:
    client = world.client(world.token(Role.OPERATOR))
    headers = {b"Idempotency-Key": key.encode()}
    answer = client.post("/v1/halt", json={"reason": "a"}, headers=headers)
    assert answer.status_code == 422
    assert client.get("/v1/halt").json()["halted"] is False


def test_an_administrator_ends_a_token_and_the_ledger_knows(world: World) -> None:
    text, token_id = world.minted(Role.VIEWER, label="Vi")
    client = world.client(world.token(Role.ADMIN, label="Ann"))
    listed = {item["id"]: item for item in client.get("/v1/tokens").json()["items"]}
    assert listed[token_id]["revoked_at"] is None
    assert text not in client.get("/v1/tokens").text
    assert client.post(f"/v1/tokens/{token_id}/revoke").json()["revoked_at"] is not None
    assert world.client(text).get("/v1/me").status_code == 401
    newest = client.get("/v1/audit").json()["items"][0]
    assert (newest["kind"], newest["actor"][:3]) == ("token.revoked", "Ann")
    assert client.post("/v1/tokens/tok_none/revoke").status_code == 404


def test_proposals_and_commitments_are_sorted_as_asked(world: World) -> None:
    for number in (1, 2, 3):
        world.clock.instant += timedelta(minutes=1)
        add_proposals(world, number)
    client = world.client(world.token(Role.VIEWER))

    def pages(sort: str) -> list[str]:
        found: list[str] = []
        url: str | None = f"/v1/proposals?sort={sort}&limit=1&provider=aws"
        while url is not None:
            page = client.get(url).json()
            found += [item["id"] for item in page["items"]]
            url = page["next"]
        return found

    newest_first = pages("-created_at")
    assert len(newest_first) == 3
    assert pages("created_at") == newest_first[::-1]
    assert pages("expires_at") == newest_first[::-1]
    assert set(pages("-commit_usd_per_hour")) == set(newest_first)
    assert client.get("/v1/proposals?sort=comment").status_code == 422
    assert client.get("/v1/proposals?provider=gcp").json()["items"] == []
