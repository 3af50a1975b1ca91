"""Audit, alerts, demotions and alterations as pages, over a small past written by the store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import Engine, select, update
from starlette.testclient import TestClient

from service.api.context import AppContext, attach
from service.api.limiting import Limiter
from service.purchase.written_alterations import ask_another
from service.store import alerts, alterations, demotion, schema
from service.store.alert_tables import alerts as alerts_table
from service.store.engine import reading, writing
from service.store.states import Role
from tests.api.altered import add_alteration
from tests.api.world import (
    QUICK,
    World,
    add_proposals,
    add_purchase,
    csrf_in,
    make_world,
)


@pytest.fixture
def world(sqlite_engine: Engine) -> World:
    return make_world(sqlite_engine)


@pytest.fixture
def reader(world: World) -> TestClient:
    return world.signed_in(world.token(Role.APPROVER, label="Ada"))


def send(client: TestClient, path: str, form: Mapping[str, str], *, page: str) -> str:
    answer = client.post(path, data={"csrf": csrf_in(client.get(page).text), **form})
    return f"{answer.status_code} {answer.text}"


def kinds(html: str) -> list[str]:
    return re.findall(r'<td class="nowrap"><code>([a-z_]+[.][a-z_.]+)</code></td>', html)


def test_the_ledger_is_filtered_by_event_person_subject_and_day(
    world: World, reader: TestClient
) -> None:
    (proposal,) = add_proposals(world)
    add_purchase(world)
    path = f"/proposals/{proposal.proposal}"
    send(reader, f"{path}/approve", {"version": "1", "comment": "yes"}, page=path)
    every = kinds(reader.get("/audit").text)
    assert {"proposal.recorded", "proposal.approved", "purchase.bought"} <= set(every)
    assert set(kinds(reader.get("/audit?kind=purchase.bought").text)) == {"purchase.bought"}
    about = kinds(reader.get(f"/audit?subject={proposal.proposal}").text)
    assert set(about) == {"proposal.recorded", "proposal.approved"}
    assert set(kinds(reader.get("/audit?subject=i-1").text)) == {"purchase.bought"}
    (actor,) = set(re.findall(r"<td>(Ada[^<]*)</td>", reader.get("/audit").text))
    assert kinds(reader.get("/audit", params={"actor": actor}).text) == ["proposal.approved"]
    assert kinds(reader.get("/audit?since=2026-03-02&until=2026-03-02").text) == every
    assert kinds(reader.get("/audit?until=2026-03-01").text) == []
    assert kinds(reader.get("/audit?since=2026-03-03").text) == []


def test_a_ledger_that_was_changed_is_told_on_its_page(world: World, reader: TestClient) -> None:
    add_proposals(world)
    assert "The chain is whole" in reader.get("/audit").text
    assert "The chain is whole" in reader.get("/audit?check=yes").text
    with writing(world.engine) as connection:
        first = connection.execute(select(schema.events.c.sequence)).scalars().first()
        connection.execute(
            update(schema.events)
            .where(schema.events.c.sequence == first)
            .values(actor="somebody else")
        )
    for asked in ("/audit", "/audit?check=yes"):
        html = reader.get(asked).text
        assert "The chain is broken" in html
        assert "altered at event 1" in html


def test_the_whole_chain_is_not_read_for_one_person_as_often_as_they_like(world: World) -> None:
    context: AppContext = world.app.state.tenor
    limiter = Limiter(replace(QUICK, chain_checks=0))
    attach(world.app.state, replace(context, access=replace(context.access, limiter=limiter)))
    reader = world.signed_in(world.token(Role.VIEWER))
    assert reader.get("/audit").status_code == 200
    assert reader.get("/audit?check=yes").status_code == 429


def test_alerts_and_what_could_not_be_delivered_are_shown(world: World, reader: TestClient) -> None:
    assert "Nothing was worth an alert yet" in reader.get("/alerts").text
    now = world.clock.now()
    with writing(world.engine) as connection:
        alerts.raise_alert(
            connection,
            key="k",
            kind="purchase.unknown",
            severity="critical",
            title="A purchase whose outcome is not known",
            body="i-1 in 111122223333",
            at=now,
            data={},
            targets={"the chat": now},
        )
        (one,) = alerts.claim_due(connection, now=now, stuck_after=timedelta(minutes=5))
        alerts.failed(connection, one, error="it said 410", again_at=None, now=now)
    html = reader.get("/alerts").text
    for words in ("A purchase whose outcome", "critical", "1 dead", "the chat", "it said 410"):
        assert words in html
    assert "A purchase whose outcome" in reader.get("/").text
    with reading(world.engine) as connection:
        assert len(connection.execute(select(alerts_table)).all()) == 1


def test_an_autopilot_that_gave_itself_up_is_told_first_but_not_to_who_sees_some_accounts(
    world: World, reader: TestClient
) -> None:
    with writing(world.engine) as connection:
        demotion.demote(connection, "aws", rule="data_age", detail="too old", now=world.clock.now())
    assert "Autopilot gave itself up in AWS" in reader.get("/").text
    limited = world.signed_in(world.token(Role.ADMIN, accounts=frozenset({"999900001111"})))
    assert "Autopilot gave itself up" not in limited.get("/").text


def test_an_alteration_is_approved_at_the_version_that_was_seen(
    world: World, reader: TestClient
) -> None:
    path = f"/alterations/{add_alteration(world)}"
    assert path in reader.get("/commitments").text
    assert path in reader.get("/").text
    html = reader.get(path).text
    assert "the usage that it was bought for is gone" in html
    assert "One person’s yes is enough." in html
    assert "as quoted" not in html
    priced = add_alteration(world, usd_per_hour=Decimal("1.25"))
    assert "$1.25/h together, upfront included" in reader.get(f"/alterations/{priced}").text
    stale = send(reader, f"{path}/approve", {"version": "7"}, page=path)
    assert stale.startswith("412")
    done = send(reader, f"{path}/approve", {"version": "1", "comment": "yes"}, page=path)
    assert done.startswith("200")
    assert "Approved by Ada" in done
    assert f'action="{path}/approve"' not in done
    assert kinds(reader.get("/audit?kind=alteration.approved").text) == ["alteration.approved"]


def test_an_alteration_that_two_must_approve_says_who_has(world: World, reader: TestClient) -> None:
    identity = add_alteration(world)
    path = f"/alterations/{identity}"
    assert "Said yes" not in reader.get(path).text
    send(reader, f"{path}/approve", {"version": "1"}, page=path)
    with writing(world.engine) as connection:
        found = alterations.find(connection, identity)
        assert found is not None
        ask_another(connection, found, detail="two must", now=world.clock.now())
    html = reader.get(path).text
    assert "Said yes: ada." in html
    assert "<strong>another person</strong> must: 1 of 2 people." in html
    assert f'action="{path}/approve"' not in html
    assert "You have approved it" in html
    bo = world.signed_in(world.token(Role.APPROVER, label="Bo"))
    assert f'action="{path}/approve"' in bo.get(path).text
    assert "Said yes: ada, bo." in send(bo, f"{path}/approve", {"version": "3"}, page=path)


def test_an_alteration_is_rejected_with_a_reason_only(world: World, reader: TestClient) -> None:
    path = f"/alterations/{add_alteration(world)}"
    assert send(reader, f"{path}/reject", {"version": "1"}, page=path).startswith("422")
    done = send(reader, f"{path}/reject", {"version": "1", "reason": "we keep it <b>"}, page=path)
    assert "we keep it &lt;b&gt;" in done
    assert "withdrawn" in done
    again = send(reader, f"{path}/reject", {"version": "2", "reason": "no"}, page="/policy")
    assert again.startswith("409")


def test_an_alteration_of_other_accounts_is_not_there(world: World) -> None:
    path = f"/alterations/{add_alteration(world)}"
    limited = world.signed_in(world.token(Role.ADMIN, accounts=frozenset({"999900001111"})))
    assert limited.get(path).status_code == 404
    assert path not in limited.get("/commitments").text


def test_commitments_are_shown_without_their_use_where_no_usage_is_kept(
    world: World, reader: TestClient
) -> None:
    add_purchase(world)
    html = reader.get("/commitments").text
    assert "How much is used of AWS" in html
    assert "2027-03" in html
    assert "May still be returned" in html
