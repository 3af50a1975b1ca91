"""The policies we ship: sound for pydantic and for JSON Schema, and what each lets through."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from service.domain.commitments import Kind, Payment
from service.domain.plans import Decision, Verdict
from service.guard.policy import policy_schema, schema_text
from service.guard.rules import judge, would_be
from tests.guard.cases import POLICIES, SOUND, context, line, refusing, shipped

FILES = sorted(POLICIES.glob("*.yaml"))
EC2 = Kind.AWS_EC2_INSTANCE_SP


def verdict(name: str, **bent: Any) -> Verdict:  # noqa: ANN401 - the keywords of line()
    asked = line(**bent)
    facts = replace(context(asked, pool_usd_per_hour="60"), data_age_hours=Decimal(50))
    (found,) = judge([asked], policy=shipped(name), context=facts)
    return found


def as_json(text: str) -> object:
    return json.loads(json.dumps(yaml.safe_load(text), default=str))


def validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(
        policy_schema(), format_checker=jsonschema.FormatChecker()
    )


def test_the_published_schema_is_the_one_the_models_give() -> None:
    published = (POLICIES / "policy.schema.json").read_text(encoding="utf-8")
    assert published == schema_text()
    jsonschema.Draft202012Validator.check_schema(json.loads(published))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_shipped_policies_are_sound_for_the_reader_and_for_the_schema(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=policy.schema.json\n")
    assert shipped(path.name).name == path.stem
    validator().validate(as_json(text))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mode: autopilot", "mode: autopilt"),
        ("caps:", "capps:"),
        ("max: 0.9}", "max: 90}"),
        ("upfront_usd: 15000, ", ""),
        ("[12, 36]", "[24]"),
        ("[12, 36]", "12"),
        ('"111122223333"', "111122223333"),
        ("max_data_age_hours: 72", "max_data_age_hours: 0"),
        ("version: 1", "version: 2"),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(old: str, new: str) -> None:
    assert old in SOUND
    assert validator().is_valid(as_json(SOUND))
    assert not validator().is_valid(as_json(SOUND.replace(old, new, 1)))


def test_default_buys_nothing_but_says_what_it_would_have_bought() -> None:
    found = verdict("default.yaml", commit="4", saving="1.6")
    assert found.decision is Decision.REFUSE
    assert refusing(found) == {"mode"}
    assert would_be(found) is Decision.ALLOW


def test_default_would_not_have_bought_three_years() -> None:
    found = verdict("default.yaml", term_months=36)
    assert would_be(found) is Decision.REFUSE
    assert "term" in refusing(found)


@pytest.mark.parametrize(
    ("bent", "rule"),
    [
        ({"commit": "2.51", "saving": "1"}, "line_commit"),
        ({"kind": EC2}, "kind"),
        ({"family": "m5"}, "family"),
        ({"region": "us-east-1"}, "region"),
        ({"term_months": 36}, "term"),
        ({"payment": Payment.ALL_UPFRONT, "upfront": "8760"}, "payment"),
        ({"utilization": "0.89"}, "line_utilization"),
        ({"break_even": "9.5"}, "break_even"),
        ({"saving": "0.17"}, "saving"),
        ({"account": "999900001111"}, "account"),
    ],
)
def test_copilot_cautious_refuses_what_its_comments_say(bent: dict[str, Any], rule: str) -> None:
    assert rule in refusing(verdict("copilot-cautious.yaml", **bent))


def test_copilot_cautious_asks_a_person_for_everything_else() -> None:
    assert verdict("copilot-cautious.yaml").decision is Decision.NEEDS_SIGN_OFF
    assert verdict("copilot-cautious.yaml", commit="0.01", saving="0.01").decision == (
        Decision.NEEDS_SIGN_OFF
    )


def test_copilot_cautious_rests_from_friday_afternoon_to_sunday_night() -> None:
    asked = line()
    for instant, blacked_out in (
        (datetime(2026, 3, 6, 13, 59, tzinfo=UTC), False),
        (datetime(2026, 3, 6, 14, 0, tzinfo=UTC), True),
        (datetime(2026, 3, 7, 12, 0, tzinfo=UTC), True),
        (datetime(2026, 3, 8, 22, 59, tzinfo=UTC), True),
        (datetime(2026, 3, 8, 23, 0, tzinfo=UTC), False),
    ):
        facts = replace(context(asked), now=instant)
        (found,) = judge([asked], policy=shipped("copilot-cautious.yaml"), context=facts)
        assert ("blackout" in refusing(found)) is blacked_out, instant


def test_small_steps_buys_a_step_at_once_and_no_more_than_one_a_run() -> None:
    lines = [line("a", commit="0.75"), line("b", commit="0.5")]
    first, second = judge(
        lines,
        policy=shipped("autopilot-small-steps.yaml"),
        context=context(*lines, pool_usd_per_hour="60"),
    )
    assert first.decision is Decision.ALLOW
    assert refusing(second) == {"run_commit", "run_obligation"}


def test_small_steps_asks_a_person_before_paying_cash_and_locks_in_no_old_family() -> None:
    cash = verdict(
        "autopilot-small-steps.yaml", payment=Payment.PARTIAL_UPFRONT, upfront="2001", commit="0.9"
    )
    assert cash.decision is Decision.NEEDS_SIGN_OFF
    old = verdict("autopilot-small-steps.yaml", kind=EC2, region="us-east-1", family="m4")
    assert refusing(old) == {"family"}
    elsewhere = verdict("autopilot-small-steps.yaml", kind=EC2, region="us-west-2", family="m5")
    assert refusing(elsewhere) == {"region"}


def test_multi_account_gives_each_part_its_own_mode() -> None:
    name = "multi-account-sign-off.yaml"
    assert verdict(name).decision is Decision.ALLOW
    assert verdict(name, commit="3.2", saving="1.2").decision is Decision.NEEDS_SIGN_OFF
    three = verdict(name, term_months=36, commit="0.5", break_even="17")
    assert three.decision is Decision.NEEDS_SIGN_OFF
    here = verdict(name, kind=EC2, region="us-east-1", family="m5")
    assert here.decision is Decision.NEEDS_SIGN_OFF
    watched = verdict(name, kind=EC2, region="us-west-2", family="m5")
    assert refusing(watched) == {"mode"}
    fenced = verdict(name, kind=EC2, region="us-east-1", family="m5", commit="2.5", saving="1")
    assert refusing(fenced) == {"line_commit[instance-plans]"}
    assert "region" in refusing(verdict(name, kind=EC2, region="us-gov-west-1", family="m5"))
