from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from service.billing.bill import bill
from service.cli import main
from service.domain.commitments import Commitment
from service.domain.ids import AccountId, OfferingId
from service.domain.usage import Dataset
from service.plan.problem import candidate
from service.usage.dataset import load_dataset
from tests.plan.folders import write_folder
from tests.plan.markets import market

FIELDS = {
    "status", "gap_ratio", "lower_bound_usd", "before_usd", "after_usd", "seconds", "buy",
    "refusals",
}  # fmt: skip
POLICY = Path(__file__).parents[2] / "policies" / "default.yaml"


def planned(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, object]]:
    status = main(["plan", *words, "--json"])
    written = capsys.readouterr().out
    assert written.count("\n") == 1
    answer = json.loads(written)
    assert set(answer) >= FIELDS
    return status, answer


def purchases(dataset: Dataset, answer: dict[str, object]) -> list[Commitment]:
    buys = answer["buy"]
    assert isinstance(buys, list)
    return [
        candidate(
            dataset.offerings[OfferingId(one["offer"])],
            dataset.usage.hours,
            AccountId(one["account"]),
            Decimal(one["quantity"]),
        )
        for one in buys
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(market(skus=8, families=2, hours=400, seed=2), tmp_path / "data")


def test_as_given_answers_with_the_bill_that_its_purchases_give(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer = planned(capsys, "--data", str(folder), "--as-given")
    assert status == 0
    dataset = load_dataset(folder)
    added = purchases(dataset, answer)
    assert added
    after = bill(replace(dataset, commitments=tuple(added))).total_usd
    assert Decimal(str(answer["after_usd"])) == after
    assert Decimal(str(answer["lower_bound_usd"])) <= after
    gap = (after - Decimal(str(answer["lower_bound_usd"]))) / bill(dataset).total_usd
    assert Decimal(str(answer["gap_ratio"])) == round(gap, 12)


def test_without_as_given_buys_in_steps_and_says_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, answer = planned(capsys, "--data", str(folder))
    assert status == 0
    buys = answer["buy"]
    assert isinstance(buys, list)
    assert buys
    dataset = load_dataset(folder)
    after = bill(replace(dataset, commitments=tuple(purchases(dataset, answer)))).total_usd
    assert Decimal(str(answer["after_usd"])) == after
    assert Decimal(str(answer["lower_bound_usd"])) <= after
    for one in buys:
        assert Decimal(one["quantity"]) % Decimal("0.001") == 0
        assert "worth owning" in one["reason"]


def test_a_policy_that_allows_nothing_on_offer_refuses_with_exit_status_3(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    strict = tmp_path / "strict.yaml"
    text = POLICY.read_text(encoding="utf-8")
    kinds = "kinds: [aws_compute_sp, aws_ec2_instance_sp]"
    assert kinds in text
    strict.write_text(text.replace(kinds, "kinds: [aws_database_sp]"), encoding="utf-8")
    status, answer = planned(capsys, "--data", str(folder), "--policy", str(strict))
    assert status == 3
    assert answer["status"] == "refused"
    assert answer["buy"] == []
    refusals = answer["refusals"]
    assert isinstance(refusals, list)
    named = {one["offer"] for one in refusals if one["rule"] == "kind"}
    assert named == set(load_dataset(folder).offerings)


def test_a_policy_bounds_what_is_bought(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, free = planned(capsys, "--data", str(folder))
    status, bound = planned(capsys, "--data", str(folder), "--policy", str(POLICY))
    assert status in {0, 3}
    spent = [
        sum((Decimal(one["commit_usd_per_hour"]) for one in answer["buy"]), Decimal(0))  # type: ignore[attr-defined]
        for answer in (bound, free)
    ]
    assert spent[0] <= spent[1]


def test_no_time_at_all_is_bad_usage(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--data", str(folder), "--as-given", "--time-limit", "0"]) == 2
    assert "--time-limit" in capsys.readouterr().err


def test_shows_a_table_to_people(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--data", str(folder), "--as-given"]) == 0
    shown = capsys.readouterr().out
    assert "proven lower bound" in shown
    assert "csp-36" in shown


def test_a_missing_table_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--data", str(tmp_path), "--as-given", "--json"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "skus" in captured.err


@pytest.mark.parametrize("words", [(), ("--as-given",)])
def test_a_broken_policy_is_never_passed_over(
    words: tuple[str, ...], folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "policy.yaml"
    broken.write_text("version: 1\nnonsense: true\n", encoding="utf-8")
    status = main(["plan", "--data", str(folder), "--policy", str(broken), *words, "--json"])
    said = capsys.readouterr()
    assert status == 2
    assert said.out == ""
    assert "policy.yaml" in said.err


def test_a_history_too_short_to_buy_on_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short = write_folder(market(skus=4, families=1, hours=100, seed=2), tmp_path / "short")
    _, answer = planned(capsys, "--data", str(short))
    assert answer["buy"] == []
    refusals = answer["refusals"]
    assert isinstance(refusals, list)
    details = [one["detail"] for one in refusals if one["rule"] == "short_history"]
    assert details
    assert all("nothing is bought on less than 168" in one for one in details)


def test_a_history_of_a_week_is_not_called_short(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, answer = planned(capsys, "--data", str(folder))
    refusals = answer["refusals"]
    assert isinstance(refusals, list)
    assert not [one for one in refusals if one["rule"] == "short_history"]


def test_a_decommission_that_is_planned_shrinks_the_plan(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    end = load_dataset(folder).usage.hours.end + timedelta(days=14)
    register = tmp_path / "changes.yaml"
    register.write_text(f"- {{what: switched off, scope: '*', date: {end.date()}, ratio: 0.2}}\n")
    calendar = tmp_path / "holidays.yaml"
    calendar.write_text("[]\n")
    files = ("--changes", str(register), "--holidays", str(calendar))
    _, before = planned(capsys, "--data", str(folder))
    _, after = planned(capsys, "--data", str(folder), *files)
    assert before["buy"]
    assert sum(_commits(after)) < sum(_commits(before)) / 2


def _commits(answer: dict[str, object]) -> list[Decimal]:
    buys = answer["buy"]
    assert isinstance(buys, list)
    return [Decimal(one["commit_usd_per_hour"]) for one in buys]


@pytest.mark.parametrize("option", ["--changes", "--holidays"])
@pytest.mark.parametrize("as_given", [(), ("--as-given",)])
def test_a_malformed_register_or_calendar_is_one_error(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    option: str,
    as_given: tuple[str, ...],
) -> None:
    broken = tmp_path / "broken.yaml"
    broken.write_text("- 3\n")
    assert main(["plan", "--data", str(folder), option, str(broken), *as_given]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("tenor: ")
    assert "broken.yaml" in printed.err
