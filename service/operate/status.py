"""``tenor status``: what ``/v1/status`` says, read straight from the database."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from service.api.access import Access
from service.api.context import AppContext, WallClock
from service.api.status import read_status
from service.clouds import providers_named
from service.domain.hours import iso
from service.operate.timetable import timetable
from service.report.render import print_table
from service.store import alterations
from service.store.demotion import demotions_now
from service.store.engine import reading
from service.wiring import Ground


def status_of(ground: Ground) -> dict[str, Any]:
    """The status as the API would answer it, as plain JSON values. No cloud is needed for it."""
    context = AppContext(
        engine=ground.engine,
        clock=ground.clock,
        auth_clock=WallClock(),
        policy_source=ground.policy,
        jobs=timetable(ground.settings, providers_named(ground.settings)),
        open_reads=False,
        access=Access(),
    )
    with reading(ground.engine) as connection:
        status = read_status(connection, context)
        given_up = demotions_now(connection)
        altering = alterations.list_alterations(connection, states=alterations.LIVE)
    answer: dict[str, Any] = json.loads(status.model_dump_json())
    answer["autopilot_given_up"] = [
        {
            "provider": one.provider,
            "rule": one.rule,
            "detail": one.detail,
            "since": iso(one.demoted_at),
        }
        for one in given_up
    ]
    answer["alterations"] = [
        {
            "alteration": one.order.intent,
            "kind": one.order.alteration.value,
            "sources": list(one.order.sources),
            "state": one.state.value,
            "version": one.version,
            "reason": one.reason,
        }
        for one in altering
    ]
    return answer


def print_status(status: Mapping[str, Any]) -> None:
    """The parts of the status that fit a terminal."""
    policy, halt = status["policy"], status["halt"]
    rows: list[tuple[str, object]] = [
        ("now", status["now"]),
        ("policy", policy["problem"] or f"{policy['name']} ({policy['mode']})"),
        ("buying", f"halted: {halt['detail']}" if halt["halted"] else "running"),
        ("executor", (status["executor"] or {"holder": "nobody"})["holder"]),
    ]
    rows += [
        (f"{one['provider']} data", f"through {one['through']}, {one['age_hours']} h old")
        for one in status["data"]
    ]
    rows += [
        (f"{one['provider']} hours", f"estimated from daily rows on {one['estimated_days']} days")
        for one in status["data"]
        if one["estimated_days"]
    ]
    if status["performance"] is not None:
        names = ("effective_savings_rate", "coverage_ratio", "utilization_ratio")
        rows += [(name.replace("_", " "), status["performance"][name]) for name in names]
        rows.append(("realised USD", status["performance"]["realised_usd"]))
        rows.append(("promised USD", status["performance"]["promised_usd"]))
    rows.append(("unknown outcomes", len(status["unknown_purchases"])))
    rows += [
        (f"autopilot in {one['provider']}", f"asks a person since {one['since']}: {one['rule']}")
        for one in status["autopilot_given_up"]
    ]
    rows.append(("alterations under way", len(status["alterations"])))
    print_table("Tenor", ("what", "value"), rows)
    jobs = [
        (job["name"], job["last_state"] or "", job["last_detail"], job["next_due_at"] or "")
        for job in status["jobs"]
    ]
    print_table("Jobs", ("job", "last", "what it said", "next due"), jobs)
