"""Pytest plugin for CI: a skipped test is a failure, unless what it needs cannot be had here.

The only thing CI may lack is the public demand data beside the checkout (marker ``shared``);
where that data is present its tests run, and a skip of theirs fails like any other.
"""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
skipped: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect every skip that this machine could have run."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return
    if "shared" in report.keywords and not SHARED_DATA.is_dir():
        return
    skipped.append(f"{report.nodeid}: {report.longrepr}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Name the skips that fail the run."""
    for line in skipped:
        terminalreporter.write_line(f"FORBIDDEN SKIP {line}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the session when anything runnable was skipped."""
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
