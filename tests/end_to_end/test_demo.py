"""The demo as a stranger runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path


def test_a_headless_demo_buys_exactly_once_and_saves(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "service.cli", "demo", "--once", "--days", "3", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    result = json.loads(done.stdout)
    assert done.stdout.count("\n") == 1
    assert set(result) >= {
        *("days", "cycles", "purchases", "proposals", "double_purchases"),
        *("guardrail_refusals", "commitments_active", "on_demand_equivalent_usd"),
        *("total_usd", "effective_savings_rate", "coverage_ratio", "utilization_ratio"),
        "unknown_outcomes_open",
    }
    assert result["purchases"] > 0
    assert result["proposals"] > 0
    assert result["double_purchases"] == 0
    assert result["unknown_outcomes_open"] == 0
    assert result["commitments_active"] == result["sandbox_commitments_active"]
    assert Decimal(result["effective_savings_rate"]) > 0
    assert Decimal(result["total_usd"]) < Decimal(result["on_demand_equivalent_usd"])
