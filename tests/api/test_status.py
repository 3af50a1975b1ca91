from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text, update

from service.api.status import next_due
from service.domain.plans import Decision
from service.domain.purchases import IntentState
from service.store import due, lease
from service.store.alteration_tables import alterations
from service.store.engine import open_engine, reading, writing
from service.store.schema import job_runs
from service.store.states import Role, RunState
from tests.api.altered import add_alteration
from tests.api.figures import add_report, add_usage
from tests.api.world import JOBS, NOW, Job, World, add_proposals, add_purchase, make_world


def status_of(world: World) -> dict[str, Any]:
    answer = world.client(world.token(Role.VIEWER)).get("/v1/status")
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def hold_lease(engine: Engine) -> lease.Lease:
    with writing(engine) as connection:
        held = lease.acquire(connection, holder="worker-1", lifetime=timedelta(minutes=5))
    assert held is not None
    return held


def test_an_empty_deployment_says_so_and_invents_nothing(engine: Engine) -> None:
    found = status_of(make_world(engine))
    assert found["now"] == "2026-03-02T09:30:00Z"
    assert found["executor"] is None
    assert found["performance"] is None
    assert found["data"] == []
    assert found["latest_purchases"] == []
    assert found["lock_in"] == {
        "commitments": 0,
        "commit_usd_per_hour": "0",
        "remaining_usd": "0",
        "weighted_months_left": "0",
    }


def test_status_shows_what_was_bought_and_what_it_binds_to(engine: Engine) -> None:
    world = make_world(engine)
    add_purchase(world, 1)
    world.clock.instant += timedelta(days=30)
    add_purchase(world, 2)
    found = status_of(world)
    purchases = found["latest_purchases"]
    assert isinstance(purchases, list)
    assert [row["intent"] for row in purchases] == ["i-2", "i-1"]
    assert purchases[0]["commit_usd_per_hour"] == "1.25"
    assert purchases[0]["commitment"] == "sp-00000002"
    # 1.25 $/h for 8,760 h and for 8,040 h: 21,000 $ and, over 2.5 $/h and 730 h, 11.5 months.
    assert found["lock_in"] == {
        "commitments": 2,
        "commit_usd_per_hour": "2.5",
        "remaining_usd": "21000",
        "weighted_months_left": "11.5",
    }
    expiries = found["next_expiries"]
    assert isinstance(expiries, list)
    assert [row["id"] for row in expiries] == ["sp-00000001", "sp-00000002"]


def test_a_commitment_that_ended_or_vanished_binds_no_longer(world: World) -> None:
    add_purchase(world, 1)
    world.clock.instant += timedelta(hours=8760)
    found = status_of(world)
    assert found["next_expiries"] == []
    assert found["lock_in"]["commitments"] == 0


def test_status_shows_purchases_whose_outcome_is_not_known(world: World) -> None:
    add_purchase(world, 1)
    add_purchase(world, 2, state=IntentState.UNKNOWN)
    (unknown,) = status_of(world)["unknown_purchases"]
    assert (unknown["intent"], unknown["state"]) == ("i-2", "unknown")
    assert unknown["detail"] == "timed out"


def test_status_counts_alterations_that_have_not_ended(engine: Engine) -> None:
    world = make_world(engine)
    waiting, unknown = add_alteration(world), add_alteration(world)
    with writing(engine) as connection:
        connection.execute(
            update(alterations)
            .where(alterations.c.alteration_id == unknown)
            .values(state="unknown")
        )
    assert waiting != unknown
    assert status_of(world)["open_alterations"] == {
        "waiting": 1,
        "under_way": 0,
        "unknown": 1,
        "next_expires_at": "2026-03-04T09:30:00Z",
    }
    told = world.client(world.token(Role.VIEWER)).get("/metrics").text
    assert "tenor_unknown_alterations 1.0" in told
    assert "tenor_alterations_waiting 1.0" in told


def test_status_counts_proposals_that_wait_and_says_when_the_next_expires(engine: Engine) -> None:
    world = make_world(engine)
    first, _ = add_proposals(world, lines=2)
    client = world.client(world.token(Role.APPROVER))
    path, said = f"/v1/proposals/{first.proposal}/reject", {"reason": "no"}
    assert client.post(path, json=said, headers={"If-Match": '"v1"'}).status_code == 200
    assert status_of(world)["pending"] == {
        "proposals": 1,
        "commit_usd_per_hour": "1.25",
        "expected_savings_usd_per_hour": "0.4",
        "total_usd": "10950",
        "next_expires_at": "2026-03-04T09:30:00Z",
    }


def test_status_tells_how_old_the_usage_is(engine: Engine) -> None:
    world = make_world(engine)
    add_usage(world, age=timedelta(hours=50))
    (data,) = status_of(world)["data"]
    assert data["through"] == "2026-02-28T07:00:00Z"
    assert data["age_hours"] == "50.5"


def test_status_shows_what_was_realised_of_what_was_promised(world: World) -> None:
    add_report(world)
    add_report(world, subject="plan-1", realised_usd=Decimal(5))
    performance = status_of(world)["performance"]
    assert isinstance(performance, dict)
    assert performance["realised_usd"] == "90"
    assert performance["promised_low_usd"] == "80"
    assert performance["effective_savings_rate"] == "0.213"


def test_status_tells_the_room_left_under_each_ceiling(world: World) -> None:
    add_purchase(world, 1)
    world.clock.instant += timedelta(hours=25)
    add_purchase(world, 2)
    caps = {(cap["span"], cap["measure"]): cap for cap in status_of(world)["caps"]}
    day, total = caps["day", "commit_usd_per_hour"], caps["total", "commit_usd_per_hour"]
    assert (day["spent"], total["spent"]) == ("1.25", "2.5")
    assert caps["total", "obligation_usd"]["spent"] == "21900"
    assert len(caps) == 6
    for cap in caps.values():
        assert Decimal(cap["left"]) == Decimal(cap["limit"]) - Decimal(cap["spent"])


def test_status_shows_the_policy_that_is_in_force_or_what_is_wrong_with_it(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text("version: 1\nmoode: observe\n")
    broken = status_of(make_world(sqlite_engine, policy=path))
    assert broken["policy"]["mode"] is None
    assert "is missing" in broken["policy"]["problem"]
    assert broken["caps"] == []
    sound = status_of(make_world(sqlite_engine))
    assert sound["policy"]["mode"] == "copilot"
    assert sound["policy"]["problem"] is None


def test_status_tells_what_the_policy_said_of_the_newest_plan(engine: Engine) -> None:
    world = make_world(engine)
    add_proposals(world)
    world.clock.instant += timedelta(hours=1)
    add_proposals(world, lines=3, decision=Decision.REFUSE)
    found = status_of(world)["latest_decision"]
    assert found["decided_at"] == "2026-03-02T10:30:00Z"
    assert (found["lines"], found["refused"], found["need_sign_off"]) == (3, 3, 0)
    assert found["refused_by"] == [{"rule": "caps.per_line", "lines": 3}]


def test_status_shows_each_jobs_last_and_next_run(engine: Engine) -> None:
    world = make_world(engine)
    held = hold_lease(engine)
    due_at = datetime(2026, 3, 2, 6, tzinfo=UTC)
    with writing(engine) as connection:
        run = due.claim(connection, schedule="cycle", due_at=due_at, lease=held, now=NOW)
        assert run is not None
        due.finish(connection, run, state=RunState.DONE, lease=held, now=NOW, detail="1 proposal")
    jobs = {job["name"]: job for job in status_of(world)["jobs"]}
    assert jobs["cycle"]["last_state"] == "done"
    assert jobs["cycle"]["last_detail"] == "1 proposal"
    some = world.client(world.token(Role.VIEWER, accounts=frozenset({"111122223333"})))
    jobs = {job["name"]: job for job in some.get("/v1/status").json()["jobs"]}
    assert (jobs["cycle"]["last_state"], jobs["cycle"]["last_detail"]) == ("done", "")
    assert jobs["cycle"]["next_due_at"] == "2026-03-03T06:00:00Z"
    assert jobs["ingest"]["last_due_at"] is None
    assert jobs["ingest"]["next_due_at"] == "2026-03-02T06:00:00Z"


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_the_next_run_that_is_shown_is_the_one_that_the_store_will_ask_for(
    sqlite_engine: Engine, job: Job
) -> None:
    held = hold_lease(sqlite_engine)
    last: datetime | None = None
    for _ in range(3):
        now = NOW if last is None else last + job.every
        shown = next_due(job, last, now)
        with writing(sqlite_engine) as connection:
            (wanted,) = due.due_instants(
                connection,
                schedule=job.name,
                every=job.every,
                now=now,
                lease=held,
                offset=job.offset,
            )
            assert shown == wanted
            due.claim(connection, schedule=job.name, due_at=wanted, lease=held, now=now)
        last = wanted


def test_the_process_is_alive_whatever_else_is_wrong(world: World) -> None:
    assert world.client().get("/healthz").json() == {"status": "alive"}


def test_ready_when_database_schema_scheduler_and_policy_are(engine: Engine) -> None:
    world = make_world(engine)
    hold_lease(engine)
    answer = world.client().get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["checked"] == ["database", "migrations", "scheduler", "policy"]


def test_not_ready_without_a_scheduler(world: World) -> None:
    answer = world.client().get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert list(answer.json()["reasons"]) == ["scheduler"]


def test_not_ready_when_the_lease_has_run_out(sqlite_engine: Engine, world: World) -> None:
    hold_lease(sqlite_engine)
    with writing(sqlite_engine) as connection:
        connection.execute(text("UPDATE leases SET expires_at = '2020-01-01 00:00:00'"))
    assert list(world.client().get("/readyz").json()["reasons"]) == ["scheduler"]


def test_not_ready_on_another_schema_than_this_versions(engine: Engine) -> None:
    world = make_world(engine)
    hold_lease(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    reasons = world.client().get("/readyz").json()["reasons"]
    assert list(reasons) == ["migrations"]
    assert "tenor migrate" in reasons["migrations"]


def test_not_ready_with_a_policy_that_cannot_be_read(sqlite_engine: Engine, tmp_path: Path) -> None:
    hold_lease(sqlite_engine)
    world = make_world(sqlite_engine, policy=tmp_path / "missing.yaml")
    assert list(world.client().get("/readyz").json()["reasons"]) == ["policy"]


def test_a_mistake_in_the_policy_or_no_lease_takes_no_replica_out_of_service(
    sqlite_engine: Engine, tmp_path: Path
) -> None:
    world = make_world(sqlite_engine, policy=tmp_path / "missing.yaml")
    client = world.client(world.token(Role.OPERATOR))
    assert set(client.get("/readyz").json()["reasons"]) == {"scheduler", "policy"}
    assert client.get("/readyz?serving=1").json()["checked"] == ["database", "migrations"]
    assert client.get("/v1/status").status_code == 200
    assert client.post("/v1/halt", json={"reason": "look first"}).status_code == 200
    with writing(sqlite_engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
    assert list(client.get("/readyz?serving=1").json()["reasons"]) == ["migrations"]


def test_not_ready_without_a_database_and_says_nothing_of_its_address(tmp_path: Path) -> None:
    secret = tmp_path / "no-such-folder" / "hunter2.db"
    answer = make_world(open_engine(f"sqlite:///{secret}")).client().get("/readyz")
    assert answer.status_code == 503
    assert "hunter2" not in answer.text
    assert "database" in answer.json()["reasons"]
    serving = make_world(open_engine(f"sqlite:///{secret}")).client().get("/readyz?serving=1")
    assert serving.status_code == 503


def test_a_run_that_began_is_shown_before_it_ends(sqlite_engine: Engine, world: World) -> None:
    with writing(sqlite_engine) as connection:
        connection.execute(
            insert(job_runs).values(
                run_id="ingest@x",
                schedule="ingest",
                due_at=NOW,
                state=RunState.STARTED.value,
                holder="w",
                fence=1,
                attempts=1,
                started_at=NOW,
                detail="",
            )
        )
    jobs = {job["name"]: job for job in status_of(world)["jobs"]}
    assert jobs["ingest"]["last_state"] == "started"
    assert jobs["ingest"]["last_finished_at"] is None
    with reading(sqlite_engine) as connection:
        assert lease.current(connection) is None
