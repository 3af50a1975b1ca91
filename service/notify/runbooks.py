"""Decides which page says what to do about an alert."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from service.notify.alerts import Alert, AlertKind, Severity

FOLDER = "docs/runbooks"

PAGES: Mapping[AlertKind, str] = {
    AlertKind.PURCHASE_REFUSED: "purchase-refused.md",
    AlertKind.PURCHASE_UNKNOWN: "unknown-outcome.md",
    AlertKind.CHANGE_UNKNOWN: "unknown-outcome.md",
    AlertKind.UNDO_NOT_JUDGED: "returning-a-purchase.md",
    AlertKind.DRIFT: "drift.md",
    AlertKind.DATA_LATE: "expired-credentials.md",
    AlertKind.UTILIZATION_LOW: "low-utilization.md",
    AlertKind.BUDGET_REACHED: "budget-reached.md",
    AlertKind.AUTOPILOT_DEMOTED: "drift.md",
    AlertKind.POLICY_UNREADABLE: "policy-unreadable.md",
    AlertKind.HALT: "halt.md",
    AlertKind.CYCLE_FAILED: "cycle-failed.md",
}
"""The page of each kind that asks somebody to do something about Tenor itself."""


def with_page(alert: Alert) -> Alert:
    """``alert`` with its page, as ``runbook`` in its data and at the end of its text.

    What only says that all is well again has none.
    """
    page = PAGES.get(alert.kind)
    if page is None or alert.severity is Severity.INFO:
        return alert
    named = f"{FOLDER}/{page}"
    body = alert.body if named in alert.body else f"{alert.body} See {named}."
    return replace(alert, body=body, data={**alert.data, "runbook": named})
