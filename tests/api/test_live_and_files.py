"""Live events, rates, exported files, the audit's command."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, text

from service.api.app import create_app
from service.api.limiting import Limiter, Rates
from service.api.ports import policy_file
from service.api.slots import STREAMS_MAX
from service.cli import main
from service.domain.commitments import Commitment, CommitmentState, Offering
from service.domain.errors import RefusedError
from service.domain.hours import HOUR, HourRange
from service.domain.ids import AccountId, CommitmentId
from service.domain.usage import Dataset, Sku, SkuKey, Usage, UsageLine
from service.report.contracts import COLUMNS
from service.report.picture import picture, typical_week
from service.store import ledger
from service.store.engine import reading, writing
from service.store.states import Role
from tests.api.test_part_and_two import OFFERING
from tests.api.world import (
    NOW,
    POLICY,
    SetClock,
    World,
    a_line,
    add_proposals,
    add_purchase,
    an_access,
    make_world,
)

WEEKS = 4
SKU = SkuKey("aws", "us-east-1", "sku")


class StoredUsage:
    """Four weeks of one SKU: 3 units by day, 1 by night, at $1 on demand; $0.35 of it owned."""

    providers = ("aws",)

    def dataset(self, provider: str, *, hours: int, end: datetime | None = None) -> Dataset:
        if provider != "aws":
            raise RefusedError(rule="data_age", detail="none")
        stop = (end or NOW).replace(minute=0)
        span = HourRange(stop - hours * HOUR, hours)
        line = UsageLine("aws", AccountId("111122223333"), "us-east-1", "", "sku")
        used = np.array([[3.0 if span.hour(index).hour >= 8 else 1.0] for index in range(hours)])
        sku = Sku(
            key=SKU,
            service="ec2",
            family=None,
            size_units=None,
            platform=None,
            tenancy=None,
            unit="Hrs",
            on_demand_usd=Decimal(1),
            list_usd=Decimal(1),
        )
        owned = Commitment(
            commitment=CommitmentId("sp-1"),
            offering=OFFERING.offering,
            account=AccountId("111122223333"),
            scope=None,
            zone=None,
            quantity=Decimal("0.35"),
            start=span.start,
            end=NOW + timedelta(days=300),
            state=CommitmentState.ACTIVE,
        )
        offerings: dict[object, Offering] = {OFFERING.offering: OFFERING}
        return Dataset(
            usage=Usage(span, (line,), used),
            skus={SKU: sku},
            offerings=offerings,  # type: ignore[arg-type]
            commitments=(owned,),
        )


@pytest.fixture
def billed(sqlite_engine: Engine) -> World:
    clock = SetClock()
    app = create_app(
        engine=sqlite_engine,
        clock=clock,
        auth_clock=clock,
        policy_source=policy_file(POLICY),
        access=an_access(),
        usage=StoredUsage(),
    )
    return World(engine=sqlite_engine, clock=clock, app=app)


def told(world: World, last: int | None, token: str) -> list[dict[str, str]]:
    """The events of a stream that ends at once."""
    headers = {} if last is None else {"Last-Event-ID": str(last)}
    answer = world.client(token, **headers).get("/v1/events/stream?wait_seconds=0")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if "id" in fields:
            found.append(fields)
    return found


def test_a_stream_resumes_after_the_last_event_that_was_seen(engine: Engine) -> None:
    world = make_world(engine)
    token = world.token(Role.VIEWER)
    add_proposals(world, lines=3)
    everything = told(world, 0, token)
    assert [int(one["id"]) for one in everything] == [1, 2, 3]
    assert everything[0]["event"] == "proposal.recorded"
    assert json.loads(everything[0]["data"])["sequence"] == 1
    assert [one["id"] for one in told(world, 2, token)] == ["3"]
    assert told(world, 3, token) == []


def test_a_stream_without_a_past_begins_now(world: World) -> None:
    add_proposals(world)
    assert told(world, None, world.token(Role.VIEWER)) == []


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 30])
def test_a_last_event_that_is_no_number_is_refused(world: World, last: str) -> None:
    client = world.client(world.token(Role.VIEWER), **{"Last-Event-ID": last})
    assert client.get("/v1/events/stream?wait_seconds=0").status_code == 422


def test_streams_are_bounded_and_places_are_given_back(world: World) -> None:
    slots = world.app.state.tenor.slots
    token = world.token(Role.VIEWER)
    people = [f"person {number}" for number in range(STREAMS_MAX)]
    assert all(slots.take(who) for who in people)
    full = world.client(token).get("/v1/events/stream?wait_seconds=0")
    assert (full.status_code, full.headers["retry-after"]) == (429, "10")
    for who in people:
        slots.give_back(who)
    for _ in range(STREAMS_MAX + 1):
        assert told(world, 0, token) == []


@pytest.fixture
def slow(world: World) -> Iterator[World]:
    """A world that answers ten requests a minute, and three wrong tokens.

    Sliding windows weigh the minute before by what is left of it, so a burst that meets the turn of
    a minute is let off a request or two. The test begins where none turns soon.
    """
    left_of_the_minute_seconds = 60 - time.time() % 60
    if left_of_the_minute_seconds < 10:
        time.sleep(left_of_the_minute_seconds + 0.1)
    yield limited(world, Rates(per_address=10, per_principal=5, wrong_tokens=3))
    limited(world, Rates(1_000_000, 1_000_000, 1_000_000))


def limited(world: World, rates: Rates) -> World:
    context = world.app.state.tenor
    object.__setattr__(context.access, "limiter", Limiter(rates))
    return world


def test_an_address_that_asks_too_often_is_told_when_to_come_back(slow: World) -> None:
    client = slow.client()
    codes = [client.get("/problems").status_code for _ in range(12)]
    assert codes == [200] * 10 + [429] * 2
    answer = client.get("/problems")
    assert 1 <= int(answer.headers["retry-after"]) <= 120
    assert answer.json()["type"] == "/problems/too-many-requests"
    assert client.get("/healthz").status_code == 200


def test_a_caller_who_asks_too_often_is_stopped_whatever_token_they_use(slow: World) -> None:
    clients = [slow.client(slow.token(Role.VIEWER, label="Ada")) for _ in range(2)]
    codes = [clients[index % 2].get("/v1/me").status_code for index in range(6)]
    assert codes == [200] * 5 + [429]


def test_whoever_tries_tokens_is_stopped_and_nobody_else_at_their_address(slow: World) -> None:
    right = slow.token(Role.VIEWER)
    codes = [slow.client(f"tnr_wrong{index}").get("/v1/me").status_code for index in range(4)]
    assert codes == [401] * 3 + [429]
    assert slow.client(right).get("/v1/me").status_code == 200
    page = slow.client(accept="text/html")
    assert page.post("/login", data={"token": "tnr_wrong"}).status_code == 429
    assert page.post("/login", data={"token": right}, follow_redirects=False).status_code == 303


def test_commitments_leave_as_contract_records_in_every_form(world: World) -> None:
    add_purchase(world)
    client = world.client(world.token(Role.VIEWER))
    path = "/v1/exports/commitments"
    rows = list(csv.DictReader(io.StringIO(client.get(path).text)))
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["ContractCommitmentId"] == "sp-00000001"
    assert rows[0]["ContractCommitmentCost"] == "10950"
    assert rows[0]["ContractCommitmentLifecycleStatus"] == "Active"
    as_json = client.get(path, params={"format": "json"}).json()["items"][0]
    assert {name: value or "" for name, value in as_json.items()} == rows[0]
    answer = client.get(path, headers={"Accept": "application/vnd.apache.parquet"})
    table = pq.read_table(io.BytesIO(answer.content))
    assert tuple(table.column_names) == COLUMNS
    assert table["ContractCommitmentCost"][0].as_py() == Decimal(10950)
    assert 'filename="contract-commitments.parquet"' in answer.headers["content-disposition"]


def test_bills_leave_as_focus_rows_that_add_up_in_both_forms(billed: World) -> None:
    client = billed.client(billed.token(Role.VIEWER))
    query = {"hours": "48", "end": "2026-03-01T12:30:00Z"}
    rows = list(csv.DictReader(io.StringIO(client.get("/v1/exports/bills", params=query).text)))
    cost = sum(Decimal(row["EffectiveCost"]) for row in rows)
    table = pq.read_table(
        io.BytesIO(client.get("/v1/exports/bills", params={**query, "format": "parquet"}).content)
    )
    assert sum(table["EffectiveCost"].to_pylist()) == cost
    assert max(row["ChargePeriodEnd"] for row in rows) == "2026-03-01T12:00:00Z"
    owned = Decimal("0.35") * 48
    covered = Decimal("0.5") * 48
    on_demand = (3 * 16 + 1 * 8) * 2 - covered
    assert abs(cost - owned - on_demand) < Decimal("0.000001")


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"hours": "0"}, 422),
        ({"hours": "745"}, 422),
        ({"format": "json"}, 422),
        ({"provider": "gcp"}, 409),
        ({"end": "2026-03-01T12:30:00"}, 422),
        ({"end": "0001-01-01T00:00:00+23:59"}, 422),
    ],
)
def test_a_bill_that_cannot_be_made_is_refused(
    billed: World, query: dict[str, str], status: int
) -> None:
    client = billed.client(billed.token(Role.VIEWER))
    assert client.get("/v1/exports/bills", params=query).status_code == status


def test_the_picture_shows_usage_what_is_owned_and_what_is_proposed(billed: World) -> None:
    (proposal,) = add_proposals(billed)
    client = billed.client(billed.token(Role.VIEWER))
    found = client.get(f"/v1/proposals/{proposal.proposal}/picture").json()
    assert found["hours"] == WEEKS * 168 == len(found["usage_usd_per_hour"])
    assert set(found["usage_usd_per_hour"]) == {"1", "3"}
    assert set(found["owned_usd_per_hour"]) == {"0.5"}
    # $1.25 of commitment covers at most 1.25 / 0.7 dollars of on demand, beside what is owned.
    assert set(found["proposed_usd_per_hour"]) == {"0.5", "1.785714"}
    assert found["capacity_usd_per_hour"] == "1.785714"
    assert len(found["week_usage_usd_per_hour"]) == 168
    assert found["week_usage_usd_per_hour"][0] == "1"
    assert found["week_usage_usd_per_hour"][8] == "3"


def test_a_picture_without_usage_is_refused_with_why(world: World) -> None:
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.VIEWER))
    answer = client.get(f"/v1/proposals/{proposal.proposal}/picture")
    assert answer.status_code == 409
    assert client.get("/v1/proposals/none/picture").status_code == 404


def test_a_typical_week_is_the_mean_of_its_hours_and_says_where_it_saw_none() -> None:
    hours = HourRange(NOW.replace(hour=9, minute=0), 170)
    week = typical_week(np.arange(170.0), hours)
    assert week[9] == (0 + 168) / 2
    assert week[11] == 2
    short = typical_week(np.ones(3), HourRange(NOW.replace(hour=9, minute=0), 3))
    assert np.isnan(short).sum() == 165


def test_the_picture_never_covers_more_than_was_used() -> None:
    seen = picture(StoredUsage().dataset("aws", hours=48), a_line())
    assert (seen.owned + seen.proposed <= seen.usage + 1e-9).all()
    assert 0 < seen.unused_ratio < 1


def audited(engine: Engine, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    url = engine.url.render_as_string(hide_password=False)
    code = main(["audit", *options, "--database-url", url])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_the_chain_is_verified_from_the_command_line(
    engine: Engine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    world = make_world(engine)
    add_proposals(world, lines=3)
    code, said = audited(engine, capsys, "verify", "--json")
    answer = json.loads(said)
    assert (code, answer["sound"], answer["events"]) == (0, True, 3)
    assert audited(engine, capsys, "verify", "--expect", answer["head"])[0] == 0
    code, said = audited(engine, capsys, "verify", "--expect", "f" * 64)
    assert code == 1
    assert "written anew" in said
    out = tmp_path / "audit.jsonl"
    assert audited(engine, capsys, "export", "--out", str(out))[0] == 0
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [one["sequence"] for one in lines] == [1, 2, 3]
    assert lines[2]["hash"] == answer["head"]


@pytest.mark.parametrize(
    "defect",
    [
        "UPDATE events SET actor = 'nobody' WHERE sequence = 2",
        "UPDATE events SET payload = '{}' WHERE sequence = 2",
        "DELETE FROM events WHERE sequence = 2",
    ],
)
def test_a_row_that_was_changed_is_named(
    engine: Engine, capsys: pytest.CaptureFixture[str], defect: str
) -> None:
    add_proposals(make_world(engine), lines=3)
    with writing(engine) as connection:
        connection.execute(text(defect))
    code, said = audited(engine, capsys, "verify")
    assert code == 1
    assert "event 2" in said


def test_what_was_decided_over_the_api_keeps_the_chain_sound(engine: Engine) -> None:
    world = make_world(engine)
    (proposal,) = add_proposals(world)
    client = world.client(world.token(Role.OPERATOR))
    path = f"/v1/proposals/{proposal.proposal}"
    client.post(f"{path}/approve", headers={"If-Match": '"v1"'})
    client.post(f"{path}/withdraw", headers={"If-Match": '"v2"'})
    client.post("/v1/halt", json={"reason": "test"})
    with reading(engine) as connection:
        assert ledger.verify(connection) == 4
