"""The daemon's log tells of every event, with the ids that tie it to its cycle, plan and intent."""

from __future__ import annotations

import io
import json
from typing import Any

from service.observe.log import configure_logging
from service.operate.daemon import executor_of
from service.operate.demo import Demo


def test_the_log_tells_each_event_once_with_its_ids(demo: Demo) -> None:
    stream = io.StringIO()
    configure_logging("INFO", stream)
    executor = executor_of(demo.parts)
    executor.ring_all()
    executor.ring_all()
    lines: list[dict[str, Any]] = [json.loads(line) for line in stream.getvalue().splitlines()]
    told = [line for line in lines if "sequence" in line]
    numbers = [line["sequence"] for line in told]
    assert numbers == sorted(set(numbers))
    kinds = {line["event"] for line in told}
    assert kinds >= {"cycle.started", "plan.decided", "purchase.called", "purchase.bought"}
    called = next(line for line in told if line["event"] == "purchase.called")
    assert called["intent_id"]
    decided = next(line for line in told if line["event"] == "plan.decided")
    assert decided["cycle_id"].startswith("cycle-aws@")
    assert decided["plan_id"]
    executor.release()
    configure_logging("WARNING")
