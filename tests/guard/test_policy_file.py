"""Policy files are read strictly: the line, the key, and how to mend it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.domain.errors import PolicyError
from service.guard.language import Policy
from service.guard.policy import load_policy, load_problems, parse_policy, problems_of
from service.guard.yaml_lines import MAX_DEPTH, read_yaml
from tests.guard.cases import SOUND, policy

FAULTS = [
    ("mode: autopilot", "mode: autopilt", "line 3, key mode: autopilt is not allowed", "mean"),
    ("caps:", "capps:", "key capps: unknown key capps", "Did you mean caps?"),
    ("upfront_usd: 15000, ", "", "key caps.per_run.upfront_usd: upfront_usd is missing", "Add"),
    ("name: sound\n", "", "line 1, key name: name is missing", "Add"),
    ("max: 0.9}", "max: 90}", "max: 90 is above 1", "never per cent"),
    ("min: 0.9, max: 1}", "min: 0.9, max: 0.5}", "max is below min", "Correct one"),
    ("max_data_age_hours: 72", "max_data_age_hours: 3d", "3d must be a plain number", "unit"),
    ("max_data_age_hours: 72", "max_data_age_hours: 0", "must be above 0", "docs/policy.md"),
    ("max_data_age_hours: 72", "max_data_age_hours: .nan", "plain number", "unit"),
    ("max_data_age_hours: 72", "max_data_age_hours: 1e9", "plain number", "unit"),
    ("max_data_age_hours: 72", "max_data_age_hours: -1", "must be above 0", "docs/policy.md"),
    ("max_data_age_hours: 72", "max_data_age_hours: true", "true must be a plain number", "unit"),
    ("budget_usd_per_run: 5000", "budget_usd_per_run:", "an empty value must be", "unit"),
    ("[12, 36]", "12", "12 must be a list", "[a, b]"),
    ("[12, 36]", "[12, 24]", "24 must be 12, 36 or 60 months", "docs/policy.md"),
    ("[12, 36]", "[]", "is an empty list", "at least one"),
    ('"111122223333"', "111122223333", "111122223333 must be text", "quotes"),
    ("version: 1", "version: 2", "2 must be 1", "docs/policy.md"),
    ("version: 1", 'version: "1"', "1 must be 1", "docs/policy.md"),
    ("mode: autopilot", "mode: autopilot\nmode: observe", "given twice, first on line 3", "Keep"),
    ("mode: autopilot", "mode: autopilot\nhalt: yes", "yes must be true or false", "true or false"),
    ("sign_off:\n", "sign_off: 5\n#", "5 must be a mapping", "indented"),
    ("allowed:", "allowed: &all", "line 5: an alias or anchor", "Write the value out"),
    ("name: sound", "name: !!str sound", "line 2: the tag", "Write the value out"),
    ("name: sound", "name: [sound", "not YAML", "quotes"),
    ("name: sound", "name: ''", "must be text without spaces", "docs/policy.md"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "said", "remedy"), FAULTS)
def test_names_the_line_the_key_and_the_remedy(old: str, new: str, said: str, remedy: str) -> None:
    assert old in SOUND
    with pytest.raises(PolicyError) as caught:
        parse_policy(SOUND.replace(old, new, 1), file="p.yaml")
    assert str(caught.value).startswith("p.yaml, line ")
    assert said in str(caught.value)
    assert remedy in caught.value.remedy


def test_the_line_is_that_of_the_key_itself() -> None:
    text = SOUND.replace("max_price_age_hours: 24", "max_price_age_hours: 240000")
    with pytest.raises(PolicyError) as caught:
        parse_policy(text, file="p.yaml")
    lines = text.splitlines()
    assert caught.value.row is not None
    assert "240000" in lines[caught.value.row - 1]


def test_several_problems_give_the_first_and_how_many_more() -> None:
    text = SOUND.replace("mode: autopilot", "mode: auto").replace("max: 0.9}", "max: 9}")
    with pytest.raises(PolicyError, match=r"line 3, .*\(1 more problem below\)"):
        parse_policy(text, file="p.yaml")
    assert [one.line for one in problems_of(text, file="p.yaml")] == [3, 14]


def test_a_misspelt_required_key_is_one_problem_not_two() -> None:
    assert len(problems_of(SOUND.replace("caps:", "capps:"), file="p.yaml")) == 1


@pytest.mark.parametrize("key", [name for name, one in Policy.model_fields.items()])
def test_every_part_is_required_unless_leaving_it_out_permits_nothing_that_costs(key: str) -> None:
    optional = {"halt", "mode", "scopes", "denied", "alterations", "blackouts"}
    document = read_yaml(SOUND, file="p.yaml")
    lines = SOUND.splitlines(keepends=True)
    if key not in (document.value or {}):  # type: ignore[operator]
        assert key in optional
        return
    start = document.lines[key,] - 1
    tops = [
        line - 1 for path, line in document.lines.items() if len(path) == 1 and line - 1 > start
    ]
    end = min(tops, default=len(lines))
    text = "".join(lines[:start] + lines[end:])
    problems = problems_of(text, file="p.yaml")
    assert [one.problem for one in problems] == ([] if key in optional else [f"{key} is missing"])


def test_a_policy_that_names_no_mode_observes() -> None:
    assert policy("mode: autopilot\n", "").mode.value == "observe"


def test_numbers_are_exact_decimals_and_never_floats() -> None:
    found = policy("budget_usd_per_run: 5000", "budget_usd_per_run: 0.1234567890123456789")
    assert found.risk.budget_usd_per_run == Decimal("0.1234567890123456789")


def test_yaml_does_not_guess() -> None:
    document = read_yaml("a: yes\nb: 010\nc: 22:00\nd: 2026-01-01\ne: 0x10\nf: 1_0", file="p.yaml")
    assert document.value == {
        "a": "yes",
        "b": "010",
        "c": "22:00",
        "d": "2026-01-01",
        "e": "0x10",
        "f": "1_0",
    }


def test_the_digest_is_of_what_a_policy_says_not_of_how_it_is_written() -> None:
    assert policy("max: 0.9}", "max: 0.90}   # a comment").digest == policy().digest
    assert policy("mode: autopilot", "mode: autopilot\nhalt: false").digest == policy().digest
    assert policy("max: 0.9}", "max: 0.91}").digest != policy().digest
    assert policy("mode: autopilot", "mode: copilot").digest != policy().digest


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ('{name: w, timezone: Mars/Base, days: [mon], start: "01:00", end: "02:00"}', "IANA"),
        ('{name: w, timezone: UTC, days: [mon], start: "25:00", end: "02:00"}', "time of day"),
        ('{name: w, timezone: UTC, days: [mon], start: "02:00", end: "02:00"}', "empty"),
        ('{name: w, timezone: UTC, days: [monday], start: "02:00", end: "03:00"}', "not allowed"),
    ],
)
def test_a_blackout_that_could_not_hold_is_an_error(window: str, said: str) -> None:
    text = SOUND + f"blackouts:\n  weekly:\n  - {window}\n"
    (problem,) = problems_of(text, file="p.yaml")
    assert said in problem.problem
    assert problem.line == len(text.splitlines())


def test_dates_out_of_order_and_days_that_do_not_exist_are_errors() -> None:
    dates = "blackouts:\n  dates:\n  - {name: x, timezone: UTC, first_day: %s, last_day: %s}\n"
    swapped = problems_of(SOUND + dates % ("2026-02-02", "2026-02-01"), file="p.yaml")
    missing = problems_of(SOUND + dates % ("2026-02-29", "2026-03-01"), file="p.yaml")
    assert "before first_day" in swapped[0].problem
    assert "day of the calendar" in missing[0].problem


def test_a_scope_that_matches_everything_or_shares_a_name_is_an_error() -> None:
    empty = SOUND + "scopes:\n- {name: a, match: {}, mode: observe}\n"
    twice = (
        SOUND + "scopes:\n" + "- {name: a, match: {kinds: [aws_compute_sp]}, mode: observe}\n" * 2
    )
    assert "matches everything" in problems_of(empty, file="p.yaml")[0].problem
    assert "same name" in problems_of(twice, file="p.yaml")[0].problem


def test_files_that_cannot_be_read_as_a_policy_are_policy_errors(tmp_path: Path) -> None:
    for name, content in (
        ("binary", b"\xff\xfe\x00"),
        ("empty", b""),
        ("list", b"- 1\n"),
        ("long", b"#" * 1_000_001),
        ("control", b"a: \x00"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PolicyError):
            load_policy(tmp_path / name)
        assert len(load_problems(tmp_path / name)) == 1
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path / "absent.yaml")
    with pytest.raises(PolicyError, match="cannot be read"):
        load_policy(tmp_path)


@pytest.mark.parametrize("piece", ["[", "{", "- ", "? ", "a: [\n"])
def test_what_is_nested_too_deeply_is_refused_where_it_begins_to_be(piece: str) -> None:
    (problem,) = problems_of(piece * 20_000, file="p.yaml")
    assert problem.problem == f"nested more than {MAX_DEPTH} deep"
    deepest = "a: " + "[" * (MAX_DEPTH - 1) + "]" * (MAX_DEPTH - 1)
    assert "nested" not in str(problems_of(deepest, file="p.yaml"))


def test_a_number_of_thousands_of_digits_is_no_number() -> None:
    found = problems_of(SOUND.replace("hours: 72", f"hours: {'7' * 5000}"), file="p.yaml")
    assert [one.key for one in found] == ["freshness.max_data_age_hours"]


@given(st.text(max_size=200))
def test_any_text_is_a_policy_or_a_policy_error(text: str) -> None:
    with pytest.raises(PolicyError):
        parse_policy(text, file="p.yaml")


@given(st.integers(0, len(SOUND) - 1), st.characters(min_codepoint=32, max_codepoint=126))
def test_one_wrong_character_is_read_or_refused_but_never_breaks(at: int, letter: str) -> None:
    for problem in problems_of(SOUND[:at] + letter + SOUND[at + 1 :], file="p.yaml"):
        assert 1 <= problem.line <= SOUND.count("\n") + 1
