"""Keeps the usage store in step with the exports; the unusable is told and changes nothing."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from service.domain.errors import InputError, ProviderError, RefusedError, TenorError
from service.observe.events import UsageIngested, UsageRefused
from service.store import ledger
from service.store.engine import writing
from service.usage.refresh import refresh
from service.wiring import Parts


def ingest(parts: Parts) -> str:
    """Fetch the exports of every cloud that keeps them, and read what has changed; a sentence.

    One cloud's trouble does not keep the others' usage out: whatever was unusable or not to be
    had is raised at the end, after writing it down.
    """
    problems: list[TenorError] = []
    changed, cost_usd = 0, Decimal(0)
    for one in parts.each():
        source = one.settings.exports
        try:
            if one.cloud.exports is not None:
                source = source / one.cloud.provider
                cost_usd += one.cloud.exports.fetch(source).cost_usd
            elif len(parts.clouds) > 1 and (source / one.cloud.provider).is_dir():
                source = source / one.cloud.provider
            changed += _ingest_from(one, source)
        except (InputError, RefusedError, ProviderError) as error:
            problems.append(error)
    if problems:
        raise problems[0]
    said = f"{changed} days changed"
    return f"{said}; asking for them costs {cost_usd} USD" if cost_usd else said


def _ingest_from(parts: Parts, source: Path) -> int:
    """How many of the provider's days ``source`` changed."""
    now = parts.clock.now()
    try:
        done = refresh(parts.usage, source, now=now, providers=(parts.cloud.provider,))
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
    return changed
