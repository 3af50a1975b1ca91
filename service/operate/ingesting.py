"""Keeps the usage store in step with the exports; the unusable is told and changes nothing."""

from __future__ import annotations

from service.domain.errors import InputError, RefusedError
from service.observe.events import UsageIngested, UsageRefused
from service.store import ledger
from service.store.engine import writing
from service.usage.refresh import refresh
from service.wiring import Parts


def ingest(parts: Parts) -> str:
    """Read the export files that have changed; returns a sentence.

    ``InputError`` and ``RefusedError`` when something is unusable, after writing that down.
    """
    source, now = parts.settings.exports, parts.clock.now()
    try:
        done = refresh(parts.usage, source, now=now)
    except (InputError, RefusedError) as error:
        rule = error.rule if isinstance(error, RefusedError) else "unusable"
        refused = UsageRefused(source=source.name, rule=rule, detail=str(error))
        with writing(parts.engine) as connection:
            ledger.append(connection, refused, now=now)
        raise
    changed = done.summary.added + done.summary.replaced
    if changed:
        event = UsageIngested(
            source=source.name,
            days=changed,
            rows=done.summary.rows,
            through=done.summary.newest_hour,
        )
        with writing(parts.engine) as connection:
            ledger.append(connection, event, now=now)
    return f"{changed} days changed"
