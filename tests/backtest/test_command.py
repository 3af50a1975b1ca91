"""``tenor backtest`` as programs outside read it, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from service.backtest.compare import EVERY
from service.cli import main
from service.domain.hours import HOUR, iso
from tests.backtest.series import BEGIN, WEEK, wavy

FIGURES = {
    *("hours", "on_demand_usd", "cost_usd", "hindsight_usd", "capture_ratio", "coverage_ratio"),
    *("effective_savings_rate", "utilization_ratio", "worst_12_month_savings_ratio"),
}


@pytest.fixture(scope="module")
def demand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two regions of two SKUs each, 40 weeks."""
    lines = ["hour,region,sku,quantity"]
    for seed, region in enumerate(("east", "west")):
        series = wavy(40, growth=0.005, seed=seed)
        for index, amount in enumerate(series):
            hour = iso(BEGIN + index * HOUR)
            lines += [f"{hour},{region},a,{amount / 4:.4f}", f"{hour},{region},b,{amount / 2:.4f}"]
    path = tmp_path_factory.mktemp("backtest") / "demand.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def _json(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert main(["backtest", *arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert isinstance(answer, dict)
    return answer


def test_answers_in_the_shape_of_the_contract(
    demand: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = _json(
        capsys, "--demand", str(demand), "--strategy", "tenor", "--strategy", "provider-30d"
    )
    assert [(one["region"], one["strategy"]) for one in answer["pools"]] == [
        *(("east", "tenor"), ("east", "provider-30d")),
        *(("west", "tenor"), ("west", "provider-30d")),
    ]
    assert set(answer["total"]) == {"tenor", "provider-30d"}
    for one in [*answer["pools"], *answer["total"].values()]:
        assert set(one) >= FIGURES
        saved, possible = (
            one["on_demand_usd"] - one["cost_usd"],
            one["on_demand_usd"] - one["hindsight_usd"],
        )
        assert one["capture_ratio"] == pytest.approx(saved / possible)
        assert one["hindsight_usd"] <= one["cost_usd"] + 1e-6
    first = answer["pools"][0]
    assert first["hours"] == 27 * WEEK
    assert set(first["purchases"][0]) >= {"hour", "offer", "quantity"}
    assert first["purchases"][0]["hour"] == iso(BEGIN + 13 * WEEK * HOUR)


def test_the_cost_can_be_replayed_from_the_purchases(
    demand: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = _json(capsys, "--demand", str(demand))
    for seed, one in enumerate(answer["pools"]):
        series = wavy(40, growth=0.005, seed=seed)
        spend = np.round(series / 4, 4) + np.round(series / 2, 4)
        owned = np.zeros(spend.size)
        starts = {iso(BEGIN + index * HOUR): index for index in range(spend.size)}
        for buy in one["purchases"]:
            owned[starts[buy["hour"]] :][:8736] += buy["quantity"]
        window = slice(13 * WEEK, None)
        cost = np.maximum(spend - owned, 0)[window].sum() + 0.73 * owned[window].sum()
        assert one["cost_usd"] == pytest.approx(cost, rel=1e-6)


def test_all_runs_ours_and_every_baseline(demand: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = _json(
        capsys, "--demand", str(demand), "--strategy", "all", "--step-hours", str(8 * WEEK)
    )
    assert list(answer["total"]) == list(EVERY)


def test_a_menu_offers_several_terms(
    demand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    menu = tmp_path / "menu.csv"
    menu.write_text("offer,term_months,rate\none,12,0.73\nthree,36,0.53\n")
    answer = _json(capsys, "--demand", str(demand), "--menu", str(menu))
    offers = {buy["offer"] for one in answer["pools"] for buy in one["purchases"]}
    assert "three" in offers


def test_a_planned_end_stops_the_buying(
    demand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes = tmp_path / "changes.yaml"
    changes.write_text("- {what: closes, scope: east, date: 2024-08-01, ratio: 0}\n")
    answer = _json(capsys, "--demand", str(demand), "--changes", str(changes))
    hours = {one["region"]: [buy["hour"] for buy in one["purchases"]] for one in answer["pools"]}
    # once its date has passed the change is history, and history says that east goes on
    assert min(hours["east"]) >= "2024-08-01"
    assert min(hours["west"]) < "2024-05-01"


def test_a_quiet_week_that_the_calendar_names_is_not_taken_for_a_fall(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    series = wavy(16)
    feast = range(12 * 7, 13 * 7 - 1)
    series[feast.start * 24 : feast.stop * 24] *= 0.3
    lines = [f"{iso(BEGIN + n * HOUR)},east,a,{amount}" for n, amount in enumerate(series)]
    demand, calendar = tmp_path / "demand.csv", tmp_path / "holidays.yaml"
    demand.write_text("\n".join(["hour,region,sku,quantity", *lines]) + "\n")
    days = ", ".join(str((BEGIN + day * 24 * HOUR).date()) for day in feast)
    bought = []
    for scope in ("west", "east"):
        calendar.write_text(f"- {{name: feast, scope: {scope}, dates: [{days}]}}\n")
        answer = _json(capsys, "--demand", str(demand), "--holidays", str(calendar))
        bought.append(answer["pools"][0]["purchases"][0]["quantity"])
    assert bought[1] > 1.5 * bought[0]


def test_ablations_name_what_was_taken_out(
    demand: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = _json(capsys, "--demand", str(demand), "--ablate", "--step-hours", str(8 * WEEK))
    assert {
        "tenor",
        "tenor-by-bounds-without-drift",
        "tenor-blind-to-drift",
        "tenor-with-pacing-half",
    } <= set(answer["total"])


def test_stress_calibration_and_pictures(
    demand: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "pictures"
    answer = _json(
        capsys,
        *("--demand", str(demand), "--stress", "--calibration"),
        *("--picture", str(folder), "--step-hours", str(26 * WEEK)),
    )
    assert set(answer["families"]) >= {"grow", "decline", "drop", "surge", "seasonal", "pooled"}
    assert answer["stress"]["tenor"]["worst_capture_ratio"] <= 1
    assert [one["horizon_weeks"] for one in answer["calibration"]] == [1, 4, 13, 26, 52]
    assert (folder / "east.tenor.png").stat().st_size > 10_000


def test_a_table_for_people_names_every_pool(
    demand: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rare = ("--step-hours", str(26 * WEEK))
    assert main(["backtest", "--demand", str(demand), "--stress", *rare]) == 0
    shown = capsys.readouterr().out
    assert "east" in shown
    assert "Goal families" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--strategy", "provider-30"], "Did you mean provider-30d"),
        (["--step-hours", "0"], "--step-hours"),
        (["--warmup-hours", "99999"], "do not outlast"),
        (["--menu", "none.csv"], "no such file"),
        (["--holidays", "none.yaml"], "no such file"),
    ],
)
def test_refuses_what_cannot_be_run(
    demand: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str
) -> None:
    assert main(["backtest", "--demand", str(demand), *arguments, "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert says in printed.err


def test_refuses_to_run_on_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backtest"]) == 2
    assert "--demand" in capsys.readouterr().err
