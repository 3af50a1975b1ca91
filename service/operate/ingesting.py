"""Keeps the usage store in step with the exports; the unusable is told and changes nothing."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from service.domain.errors import InputError, ProviderError, RefusedError, TenorError
from service.observe.events import UsageIngested, UsageRefused
from service.providers.bringing import kept_in
from service.store import ledger
from service.store.engine import writing
from service.usage.day_shapes import DISAGREE
from service.usage.hourly_charges import shaping_for
from service.usage.refresh import Refreshed, refresh
from service.wiring import Parts


def ingest(parts: Parts, *, provider: str | None = None) -> str:
    """Fetch the exports of every cloud that keeps them, and read what has changed; a sentence.

    Of ``provider`` alone where one is named.

    One cloud's trouble does not keep the others' usage out: whatever was unusable or not to be
    had is raised at the end, after writing it down.
    """
    problems: list[TenorError] = []
    changed, waiting, cost_usd = 0, 0, Decimal(0)
    for one in parts.each():
        if provider not in {None, one.cloud.provider}:
            continue
        source = one.settings.exports
        try:
            if one.cloud.exports is not None:
                source = source / one.cloud.provider
                with kept_in(source, named_by="TENOR_EXPORTS"):
                    cost_usd += one.cloud.exports.fetch(source).cost_usd
            elif len(parts.clouds) > 1 and (source / one.cloud.provider).is_dir():
                source = source / one.cloud.provider
            done = _ingest_from(one, source)
            changed += done.summary.added + done.summary.replaced
            waiting += len(done.unshaped)
            _refuse_contradicted(one, source, done)
        except (InputError, RefusedError, ProviderError) as error:
            problems.append(error)
    if problems:
        raise problems[0]
    said = f"{changed} {_days(changed)} changed"
    if waiting:
        said = f"{said}; {waiting} {_days(waiting)} without hourly charges so far"
    return f"{said}; asking for them costs {cost_usd} USD" if cost_usd else said


def _days(count: int) -> str:
    return "day" if count == 1 else "days"


def _ingest_from(parts: Parts, source: Path) -> Refreshed:
    """What reading ``source`` for the provider came to."""
    now, settings = parts.clock.now(), parts.settings
    try:
        done = refresh(
            parts.usage,
            source,
            now=now,
            providers=(parts.cloud.provider,),
            shaping=shaping_for(
                source if source.is_dir() else source.parent,
                daily_rows=settings.azure_daily_rows,
                tolerance_ratio=settings.azure_shape_tolerance_ratio,
            ),
        )
    except (InputError, RefusedError) as error:
        rule = error.rule if isinstance(error, RefusedError) else "unusable"
        _note_refusal(parts, source, rule, str(error))
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
    return done


def _refuse_contradicted(parts: Parts, source: Path, done: Refreshed) -> None:
    """Raise ``RefusedError`` for days that their hourly charges contradict; others are stored."""
    against = [one for one in done.unshaped if one.rule == DISAGREE]
    if against:
        first = min(against, key=lambda one: one.day)
        detail = (
            f"{len(against)} days are not what their hourly charges say, the first is "
            f"{first.day}: {first.detail} (TENOR_AZURE_SHAPE_TOLERANCE_RATIO)"
        )
        _note_refusal(parts, source, DISAGREE, detail)
        raise RefusedError(rule=DISAGREE, detail=detail)


def _note_refusal(parts: Parts, source: Path, rule: str, detail: str) -> None:
    refused = UsageRefused(source=source.name, rule=rule, detail=detail)
    with writing(parts.engine) as connection:
        ledger.append(connection, refused, now=parts.clock.now())
