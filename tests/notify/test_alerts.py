"""What is worth an alert, and when it may go out."""

from __future__ import annotations

import string
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from service.domain.errors import InputError
from service.notify.about import About, words_of
from service.notify.alerts import (
    _OF_EVENT,
    Alert,
    AlertKind,
    Severity,
    of_event,
)
from service.notify.config import AlertsConfig, Limits, Target, load_alerts, revealed
from service.notify.standing import (
    CapUsed,
    Expiring,
    Standing,
    Waiting,
    WaitingChange,
    of_standing,
)
from service.notify.timing import due_at, next_attempt_at, wants
from service.observe.events import CATALOGUE

NOW = datetime(2026, 3, 2, 21, 30, tzinfo=UTC)
CALM = Standing(NOW, (), (), (), {"aws": Decimal(40)}, Decimal("0.97"), NOW)
LIMITS = Limits().thresholds()


def test_every_rule_is_of_an_event_that_exists_and_names_its_fields() -> None:
    for kind, rule in _OF_EVENT.items():
        known = {one.name for one in fields(CATALOGUE[kind])}
        asked = {name for _, name, _, _ in string.Formatter().parse(rule.body) if name}
        assert asked <= known | {"what", "saves"}, kind


def test_an_event_that_matters_becomes_an_alert_with_its_facts() -> None:
    payload = {"intent": "i-1", "detail": "no answer"}
    alert = of_event("purchase.unknown", 12, NOW, payload)
    assert alert is not None
    assert (alert.kind, alert.severity) == (AlertKind.PURCHASE_UNKNOWN, Severity.CRITICAL)
    assert "i-1" in alert.body
    assert alert.key == "event:12"
    assert of_event("cycle.started", 13, NOW, {}) is None


OFFERED = About(
    "Azure reservation, Dsv5 Series in westeurope, 12 months, account acme",
    "/proposals/p-1",
    Decimal("0.18003"),
    12,
)
RATE = "0.4023698630136986301369863014"


def test_a_proposal_is_told_in_words_and_round_amounts_while_its_data_stays_exact() -> None:
    payload = {
        "proposal": "p-1",
        "commit_usd_per_hour": RATE,
        "upfront_usd": "4747.925",
        "expires_at": "2026-03-29T11:30:00Z",
    }
    alert = of_event(
        "proposal.recorded", 3, NOW, payload, about=OFFERED, address="https://tenor.example"
    )
    assert alert is not None
    assert alert.body == (
        "Azure reservation, Dsv5 Series in westeurope, 12 months, account acme: $0.4024/h, "
        "$4,747.92 upfront. It is expected to save $0.1800/h, $1,577.06 over its term. It waits "
        "until 2026-03-29 11:30 UTC (p-1). https://tenor.example/proposals/p-1"
    )
    assert alert.data["commit_usd_per_hour"] == RATE
    bare = of_event("proposal.recorded", 3, NOW, payload)
    assert bare is not None
    assert bare.body.startswith("Proposal p-1: $0.4024/h")
    assert "http" not in bare.body


def test_how_things_stand_is_told_in_words_and_round_amounts() -> None:
    soon, rate = NOW + timedelta(hours=5), Decimal(RATE)
    standing = replace(
        CALM,
        waiting=(Waiting("p-1", soon, rate, OFFERED),),
        expiring=(Expiring("sp-1", NOW + timedelta(hours=5), rate),),
        caps=(CapUsed("day", "commit_usd_per_hour", Decimal("0.41"), rate),),
        data_age_hours={"azure": Decimal(74)},
    )
    limits = replace(LIMITS, expiry_days=(1,))
    told = list(of_standing(standing, limits, address="https://tenor.example"))
    bodies = " ".join(f"{one.title}. {one.body}" for one in told)
    assert RATE not in bodies
    for words in (
        "account acme: $0.4024/h. It is expected to save $0.1800/h",
        "https://tenor.example/proposals/p-1",
        "A commitment ends within 1 day. sp-1, $0.4024/h, ends at",
        "Hourly commitment in 24 hours: $0.4024/h of $0.41/h is spent",
        "The newest usage of Azure",
    ):
        assert words in bodies, words
    assert [one.data["commit_usd_per_hour"] for one in told[:2]] == [RATE, RATE]


def test_what_is_known_by_its_id_alone_is_told_by_it() -> None:
    assert words_of({"commitment": "sp-1", "intent": "i-1"}, None)["what"] == "Commitment sp-1"
    assert words_of({}, None)["what"] == "-"


def test_what_could_not_be_judged_is_told_once_a_day_for_each_cause() -> None:
    def key(sequence: int, commitment: str, detail: str, day: int) -> str:
        at = NOW + timedelta(days=day)
        payload = {"commitment": commitment, "detail": detail}
        alert = of_event("undo.not_judged", sequence, at, payload)
        assert alert is not None
        assert (alert.kind, alert.severity) == (AlertKind.UNDO_NOT_JUDGED, Severity.WARNING)
        assert detail in alert.body
        return alert.key

    first = key(1, "sp-1", "the register is gone", 0)
    assert key(2, "sp-2", "the register is gone", 0) == first
    others = {key(3, "sp-1", "no prices", 0), key(4, "sp-1", "the register is gone", 1)}
    assert first not in others
    assert len(others) == 2


def test_a_calm_service_tells_nothing() -> None:
    assert list(of_standing(CALM, LIMITS)) == []


@pytest.mark.parametrize(
    ("standing", "kind", "key"),
    [
        (
            replace(CALM, waiting=(Waiting("p-1", NOW + timedelta(hours=23), Decimal(3)),)),
            AlertKind.PROPOSAL_EXPIRING,
            "expiring:p-1",
        ),
        (
            replace(
                CALM,
                changes=(WaitingChange("a-1", "return", ("sp-1",), NOW + timedelta(hours=23)),),
            ),
            AlertKind.PROPOSAL_EXPIRING,
            "change_expiring:a-1",
        ),
        (
            replace(CALM, expiring=(Expiring("sp-1", NOW + timedelta(days=29), Decimal(1)),)),
            AlertKind.EXPIRY_AHEAD,
            "expiry:sp-1:30",
        ),
        (
            replace(CALM, caps=(CapUsed("total", "upfront_usd", Decimal(100), Decimal(90)),)),
            AlertKind.BUDGET_REACHED,
            "budget:total:upfront_usd:100:2026-03",
        ),
        (
            replace(CALM, data_age_hours={"gcp": Decimal(73)}),
            AlertKind.DATA_LATE,
            "data:gcp:2026-03-02",
        ),
        (
            replace(CALM, awaited_hours={"azure": Decimal(73)}),
            AlertKind.DATA_LATE,
            "data:azure:2026-03-02",
        ),
        (
            replace(CALM, utilization_ratio=Decimal("0.89")),
            AlertKind.UTILIZATION_LOW,
            "utilization:2026-03-02",
        ),
    ],
)
def test_what_passes_a_threshold_is_told_under_a_key_that_stays(
    standing: Standing, kind: AlertKind, key: str
) -> None:
    (alert,) = of_standing(standing, LIMITS)
    assert (alert.kind, alert.key) == (kind, key)
    (again,) = of_standing(replace(standing, now=NOW + timedelta(minutes=5)), LIMITS)
    assert again.key == alert.key


def test_each_threshold_of_an_expiry_is_told_once_as_it_is_passed() -> None:
    def keys(days: float) -> list[str]:
        one = Expiring("sp-1", NOW + timedelta(days=days), Decimal(1))
        return [alert.key for alert in of_standing(replace(CALM, expiring=(one,)), LIMITS)]

    assert [keys(days) for days in (61, 59, 20, 6, -1)] == [
        [],
        ["expiry:sp-1:60"],
        ["expiry:sp-1:30"],
        ["expiry:sp-1:7"],
        [],
    ]


def _alert(severity: Severity) -> Alert:
    return Alert("k", AlertKind.PURCHASE_MADE, severity, "t", "b", NOW)


def test_quiet_hours_hold_back_all_but_what_is_critical() -> None:
    target = Target.model_validate(
        {
            "name": "night",
            "url": "json://127.0.0.1",
            "quiet_hours": {"start": "22:00", "end": "07:00", "timezone": "Europe/Berlin"},
        }
    )
    # 21:30 UTC is 22:30 in Berlin in March.
    assert due_at(target, _alert(Severity.INFO), NOW) == datetime(2026, 3, 3, 6, 0, tzinfo=UTC)
    assert due_at(target, _alert(Severity.CRITICAL), NOW) == NOW
    noon = NOW.replace(hour=12)
    assert due_at(target, _alert(Severity.INFO), noon) == noon


def test_a_digest_gathers_until_its_hour() -> None:
    target = Target.model_validate(
        {"name": "daily", "url": "json://127.0.0.1", "digest": {"at": "09:00"}}
    )
    assert due_at(target, _alert(Severity.WARNING), NOW) == datetime(2026, 3, 3, 9, tzinfo=UTC)
    assert due_at(target, _alert(Severity.CRITICAL), NOW) == NOW


def test_a_receiver_hears_only_what_it_asked_for() -> None:
    target = Target.model_validate(
        {"name": "few", "url": "json://127.0.0.1", "kinds": ("halt",), "least": "warning"}
    )
    halt = replace(_alert(Severity.CRITICAL), kind=AlertKind.HALT)
    assert wants(target, halt)
    assert not wants(target, replace(halt, severity=Severity.INFO))
    assert not wants(target, _alert(Severity.CRITICAL))


def test_waits_double_up_to_six_hours() -> None:
    waits = [next_attempt_at(attempts, NOW) - NOW for attempts in (1, 2, 3, 30)]
    assert [wait.total_seconds() / 60 for wait in waits] == [1, 2, 4, 360]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("version: 1\ntargts: []\n", 2, "Extra inputs"),
        ("targets:\n  - name: a\n", 2, "either url or webhook"),
        ("targets:\n  - {name: a, webhook: 'http://far.example/x', secret_env: S}\n", 2, "https"),
        ("limits:\n  budget_ratio: 90\n", 2, "less than or equal to 1"),
        ("limits:\n  expiry_days: [0]\n", 2, "whole days"),
        (
            "targets:\n  - {name: a, url: 'json://x'}\n  - {name: a, url: 'json://y'}\n",
            1,
            "one name",
        ),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(
    tmp_path: Path, text: str, line: int, said: str
) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as raised:
        load_alerts(path)
    assert raised.value.row == line
    assert raised.value.exit_code == 2


def test_without_a_file_nobody_is_sent_anything() -> None:
    assert load_alerts(None) == AlertsConfig()


def test_a_secret_comes_from_the_environment_or_is_asked_for_by_name() -> None:
    assert revealed("slack://${A}/${B}", {"A": "x", "B": "y"}) == "slack://x/y"
    with pytest.raises(InputError, match="B"):
        revealed("slack://${A}/${B}", {"A": "x"})
