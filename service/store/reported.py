"""Reads the newest report of a subject: a provider, or the whole estate."""

from __future__ import annotations

from sqlalchemy import Connection, select

from service.store.records import ReportRow
from service.store.schema import reports


def newest(connection: Connection, subject: str) -> ReportRow | None:
    """The report on ``subject`` whose period ends last, or ``None``."""
    row = (
        connection.execute(
            select(reports)
            .where(reports.c.subject == subject)
            .order_by(reports.c.period_end.desc(), reports.c.made_at.desc(), reports.c.report_id)
            .limit(1)
        )
        .mappings()
        .one_or_none()
    )
    if row is None:
        return None
    names = [field for field in ReportRow.__slots__ if field != "report"]
    return ReportRow(report=row["report_id"], **{field: row[field] for field in names})
