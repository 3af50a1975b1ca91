"""Returns and other changes of what is owned, over the API: read, listed, decided by people."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine
from starlette.testclient import TestClient

from service.api.deciding_alterations import people_needed
from service.domain.alterations import AlterationKind, AlterationState
from service.domain.ids import IntentId
from service.purchase.written_alterations import ask_another
from service.store import alterations, ledger
from service.store.engine import reading, writing
from service.store.states import Role
from tests.api.altered import add_alteration
from tests.api.world import LIFETIME, World, make_world

IF_FIRST = {"If-Match": '"v1"'}


def asked(world: World) -> str:
    """A new alteration's address."""
    return f"/v1/alterations/{add_alteration(world)}"


def approver(world: World, name: str = "Ada") -> TestClient:
    return world.client(world.token(Role.APPROVER, label=name))


def waits_again(world: World, path: str) -> None:
    """What the executor does when the quote obliges to more than one person may approve."""
    with writing(world.engine) as connection:
        found = alterations.find(connection, IntentId(path.rsplit("/", 1)[1]))
        assert found is not None
        ask_another(connection, found, detail="two must", now=world.clock.now())


def test_an_alteration_is_read_with_its_version_as_its_etag(engine: Engine) -> None:
    world = make_world(engine)
    path = asked(world)
    answer = approver(world).get(path)
    assert answer.headers["etag"] == '"v1"'
    found = answer.json()
    assert (found["alteration"], found["state"]) == ("return", "waiting")
    assert found["reason"] == "the usage that it was bought for is gone"
    assert len(found["sources"]) == 1
    assert (found["approved_by"], found["decided_by"]) == ([], None)
    assert found["quoted_usd_per_hour"] is None
    priced = add_alteration(world, usd_per_hour=Decimal("0.0625"))
    shown = approver(world).get(f"/v1/alterations/{priced}").json()
    assert shown["quoted_usd_per_hour"] == "0.0625"


def test_a_yes_binds_to_the_version_that_was_seen_and_is_in_the_audit(engine: Engine) -> None:
    world = make_world(engine)
    path, client = asked(world), approver(world)
    assert client.post(f"{path}/approve").status_code == 428
    assert client.post(f"{path}/approve", headers={"If-Match": '"v2"'}).status_code == 412
    assert client.post(f"{path}/approve", headers={"If-Match": "*"}).status_code == 412
    answer = client.post(f"{path}/approve", json={"comment": "agreed"}, headers=IF_FIRST)
    assert (answer.status_code, answer.headers["etag"]) == (200, '"v2"')
    assert (answer.json()["state"], answer.json()["approved_by"]) == ("approved", ["ada"])
    assert answer.json()["decided_by"].startswith("Ada (tok_")
    again = client.post(f"{path}/approve", headers={"If-Match": '"v2"'})
    assert (again.status_code, again.json()["detail"]) == (409, "It is approved already.")
    (newest,) = client.get("/v1/audit?limit=1").json()["items"]
    assert (newest["kind"], newest["payload"]["comment"]) == ("alteration.approved", "agreed")
    with reading(engine) as connection:
        ledger.verify(connection)


def test_nobody_says_yes_twice_where_two_people_must(engine: Engine) -> None:
    world = make_world(engine)
    path = asked(world)
    assert approver(world).post(f"{path}/approve", headers=IF_FIRST).status_code == 200
    waits_again(world, path)
    waiting = approver(world).get(path).json()
    assert (waiting["approved_by"], waiting["approvals_needed"]) == (["ada"], 2)
    third = {"If-Match": '"v3"'}
    same = world.client(world.token(Role.ADMIN, label=" ada "))
    refused = same.post(f"{path}/approve", headers=third)
    assert refused.status_code == 409
    assert "another person" in refused.json()["detail"]
    assert same.get(path).json()["state"] == "waiting"
    done = approver(world, "Bo").post(f"{path}/approve", headers=third)
    assert done.status_code == 200
    assert done.json()["approved_by"] == ["ada", "bo"]


@pytest.mark.parametrize(
    ("changes", "above_usd", "needed"),
    [
        ({}, Decimal(100), 1),
        ({"alteration": AlterationKind.EXCHANGE}, Decimal(100), None),
        ({"alteration": AlterationKind.EXCHANGE}, None, 1),
        ({"alteration": AlterationKind.SET_RENEWAL, "renew": False}, Decimal(100), 1),
        ({"alteration": AlterationKind.SET_RENEWAL, "renew": True}, Decimal(100), None),
    ],
)
def test_it_says_how_many_people_it_needs_once_that_is_known(
    world: World, changes: dict[str, Any], above_usd: Decimal | None, needed: int | None
) -> None:
    identity = add_alteration(world)
    with reading(world.engine) as connection:
        found = alterations.find(connection, identity)
    assert found is not None
    asked_for = replace(found, order=replace(found.order, **changes))
    assert people_needed(asked_for, above_usd=above_usd) == needed
    once = replace(asked_for, approved_by=("ada",))
    assert people_needed(once, above_usd=above_usd) == 2
    done = replace(once, approved_by=("ada", "bo"), state=AlterationState.ALTERED)
    assert people_needed(done, above_usd=above_usd) == (1 if needed == 1 else 2)


def test_a_no_needs_a_reason_and_takes_back_what_was_approved_too(engine: Engine) -> None:
    world = make_world(engine)
    path, client = asked(world), approver(world)
    for said in (None, {}, {"reason": "  "}, {"comment": "no"}):
        assert client.post(f"{path}/reject", json=said, headers=IF_FIRST).status_code == 422
    client.post(f"{path}/approve", headers=IF_FIRST)
    said = {"reason": " we keep it "}
    assert client.post(f"{path}/reject", json=said, headers=IF_FIRST).status_code == 412
    answer = client.post(f"{path}/reject", json=said, headers={"If-Match": '"v2"'})
    assert (answer.status_code, answer.json()["state"]) == (200, "withdrawn")
    assert answer.json()["detail"] == "rejected: we keep it"
    late = client.post(f"{path}/approve", headers={"If-Match": '"v3"'})
    assert late.status_code == 409


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_nothing_is_decided_after_its_lifetime(world: World, verb: str) -> None:
    path, client = asked(world), approver(world)
    said = {"reason" if verb == "reject" else "comment": "because"}
    world.clock.instant += LIFETIME - timedelta(seconds=1)
    early = client.post(f"{path}/{verb}", json=said, headers={"If-Match": '"v9"'})
    assert early.status_code == 412
    world.clock.instant += timedelta(seconds=1)
    late = client.post(f"{path}/{verb}", json=said, headers=IF_FIRST)
    assert (late.status_code, late.json()["detail"]) == (409, "Its lifetime is over.")


def test_a_repeated_yes_is_answered_as_the_first_and_said_once(world: World) -> None:
    path, client = asked(world), approver(world)
    headers = {**IF_FIRST, "Idempotency-Key": "k-1"}
    first = client.post(f"{path}/approve", json={"comment": "yes"}, headers=headers)
    again = client.post(f"{path}/approve", json={"comment": "yes"}, headers=headers)
    assert (again.status_code, again.json()) == (200, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    told = client.get("/v1/audit?kind=alteration.approved").json()["items"]
    assert len(told) == 1
    assert client.post(f"{path}/reject", json={"reason": "no"}, headers=headers).status_code == 422


def test_alterations_are_listed_by_state_kind_provider_and_account(world: World) -> None:
    first, second = asked(world), asked(world)
    client = approver(world)
    client.post(f"{first}/approve", headers=IF_FIRST)

    def listed(**wanted: str) -> set[str]:
        items = client.get("/v1/alterations", params=wanted).json()["items"]
        return {f"/v1/alterations/{one['id']}" for one in items}

    assert listed() == {first, second}
    assert listed(state="approved") == {first}
    assert listed(state="waiting", alteration="return", provider="aws") == {second}
    assert listed(alteration="exchange") == listed(provider="gcp") == listed(account="9") == set()
    assert client.get("/v1/alterations?state=gone").status_code == 422
    assert client.get("/v1/alterations?sort=reason").status_code == 422


def test_what_is_not_there_is_not_found(world: World) -> None:
    client = approver(world)
    assert client.get("/v1/alterations/a-none").status_code == 404
    assert client.post("/v1/alterations/a-none/approve", headers=IF_FIRST).status_code == 404
