"""Alerts on a real database, sent to a real server on loopback."""

from __future__ import annotations

import base64
import hashlib
import hmac
import io
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog

from service.notify.config import AlertsConfig, Target, load_alerts
from service.observe.events import CycleFailed, HaltCleared, HaltSet
from service.observe.log import configure_logging
from service.operate.alerting import collect, deliver, tell, trial
from service.sandbox.clock import VirtualClock
from service.settings import Settings
from service.store import alerts, ledger
from service.store.alert_tables import DeliveryState
from service.store.engine import writing
from service.wiring import Parts, build
from tests.notify.receiver import Receiver, receiver

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SECRET = "not-for-the-log"  # noqa: S105 - a trial key

FILE = """\
version: 1
targets:
  - name: program
    webhook: WEBHOOK
    secret_env: HOOK_KEY
  - name: people
    url: json://${PEOPLE}
    least: warning
    digest: {at: "18:00"}
attempts_max: 3
"""


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def people() -> Iterator[Receiver]:
    with receiver() as made:
        yield made


@pytest.fixture
def parts(
    database_url: str,
    tmp_path: Path,
    hook: Receiver,
    people: Receiver,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Parts]:
    file = tmp_path / "alerts.yaml"
    file.write_text(FILE.replace("WEBHOOK", f"{hook.url}/in"))
    monkeypatch.setenv("HOOK_KEY", SECRET)
    monkeypatch.setenv("PEOPLE", people.url.removeprefix("http://"))
    settings = Settings(
        database_url=database_url,
        data_dir=tmp_path,
        alerts_file=file,
        aws_endpoint_url="http://127.0.0.1:9",
    )
    made = build(settings, clock=VirtualClock(NOW))
    yield made
    made.close()


def _halt(parts: Parts, reason: str = "drill") -> None:
    with writing(parts.engine) as connection:
        ledger.append(connection, HaltSet(by="ann", reason=reason), now=parts.clock.now())


def _advance(parts: Parts, **step: float) -> None:
    assert isinstance(parts.clock, VirtualClock)
    parts.clock.advance(timedelta(**step))


def test_a_webhook_gets_a_signed_cloud_event_once(parts: Parts, hook: Receiver) -> None:
    _halt(parts)
    assert tell(parts).startswith("1 raised, 2 sent")
    assert tell(parts).startswith("0 raised, 0 sent")
    ((headers, body),) = hook.got
    event = json.loads(body)
    assert (event["specversion"], event["type"]) == ("1.0", "tenor.alert.halt")
    assert event["id"] == headers["webhook-id"]
    assert event["data"]["reason"] == "drill"
    assert headers["content-type"].startswith("application/cloudevents+json")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mac = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(mac).decode()


def test_a_refusing_receiver_is_tried_again_and_then_given_up(
    parts: Parts, hook: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    hook.status = 500
    _halt(parts)
    config = load_alerts(parts.settings.alerts_file)
    collect(parts, config)
    assert deliver(parts, config) == (1, 1)
    assert deliver(parts, config) == (0, 0)  # not due yet
    for minutes in (1, 2):
        _advance(parts, minutes=minutes)
        assert deliver(parts, config) == (0, 1)
    _advance(parts, hours=12)
    assert deliver(parts, config) == (0, 0)
    with writing(parts.engine) as connection:
        (dead,) = alerts.list_deliveries(connection, states=(DeliveryState.DEAD,))
        assert (dead.target, dead.attempts, dead.error) == ("program", 3, "answered 500")
        assert alerts.revive(connection, target=None, now=parts.clock.now()) == 1
    hook.status = 204
    assert deliver(parts, config) == (1, 0)
    assert len({json.loads(body)["id"] for _, body in hook.got}) == 1
    assert SECRET not in caplog.text


def test_a_digest_is_one_message_at_its_hour(parts: Parts, people: Receiver) -> None:
    with writing(parts.engine) as connection:
        for cycle in ("c-1", "c-2"):
            event = CycleFailed(cycle=cycle, error="ProviderError", detail="away")  # type: ignore[arg-type]
            ledger.append(connection, event, now=NOW)
        ledger.append(connection, HaltCleared(by="ann", reason="done"), now=NOW)
    tell(parts)
    assert people.got == []
    _advance(parts, hours=6, minutes=1)
    tell(parts)
    ((_, body),) = people.got
    message = json.loads(body)
    assert message["title"] == "Tenor: 2 things to know"
    assert "c-1" in message["message"]
    assert "c-2" in message["message"]


def test_what_a_dead_process_was_sending_is_sent_by_the_next(parts: Parts, hook: Receiver) -> None:
    _halt(parts)
    config = load_alerts(parts.settings.alerts_file)
    collect(parts, config)
    with writing(parts.engine) as connection:
        taken = alerts.claim_due(
            connection, now=parts.clock.now(), stuck_after=timedelta(minutes=15)
        )
    assert len(taken) == 2
    assert deliver(parts, config) == (0, 0)
    _advance(parts, minutes=16)
    assert deliver(parts, config) == (2, 0)
    assert len(hook.got) == 1


def test_a_receiver_that_left_the_file_goes_to_the_dead_list(parts: Parts) -> None:
    _halt(parts)
    config = load_alerts(parts.settings.alerts_file)
    collect(parts, config)
    without = config.model_copy(update={"targets": config.targets[1:]})
    assert deliver(parts, without) == (1, 1)
    with writing(parts.engine) as connection:
        (dead,) = alerts.list_deliveries(connection, states=(DeliveryState.DEAD,))
    assert "no such receiver" in dead.error


def test_a_trial_names_the_receiver_that_did_not_take_it(parts: Parts, hook: Receiver) -> None:
    hook.status = 403
    assert trial(parts, None) == {"program": "answered 403", "people": None}


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """What is logged, at the level that tells most."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    configure_logging("DEBUG", stream)
    yield stream
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


PATH_SECRET = "T0K3N/B0A7/" + "xoxunguessable"


def test_the_log_never_holds_the_url_that_a_receiver_is_reached_by(
    parts: Parts,
    hook: Receiver,
    people: Receiver,
    written: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH_SECRET", PATH_SECRET)
    targets = (
        Target(name="program", webhook=f"{hook.url}/in/${{PATH_SECRET}}", secret_env="HOOK_KEY"),  # noqa: S106 - a variable's name
        Target(name="people", url="json://${PEOPLE}/${PATH_SECRET}"),
        Target(name="nowhere", url="nothing-of-the-kind://${PATH_SECRET}/"),
        Target(name="garbled", url="slack://${PATH_SECRET}"),
    )
    _halt(parts)
    config = AlertsConfig(targets=targets)
    collect(parts, config)
    assert deliver(parts, config) == (2, 2)
    hook.status = people.status = 500
    _halt(parts, "another")
    collect(parts, config)
    assert deliver(parts, config)[0] == 0
    assert len(hook.got) == 2
    assert len(people.got) == 2
    logged = written.getvalue()
    assert "alert.not_delivered" in logged  # the log is read, not an empty stream
    assert [part for part in PATH_SECRET.split("/") if part in logged] == []
    assert "error=500" in logged  # what is no URL of apprise's warnings is still told
