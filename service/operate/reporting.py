"""Decides what is reported: what commitments saved lately, each purchase against its promise.

Realised amounts come from the billing code on the usage of the newest hours, with the commitments
that were really owned in them. Reports are kept; a later one on the same period replaces it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection

from service.billing.bill import bill
from service.domain.alterations import AlterationKind, AlterationState
from service.domain.commitments import CommitmentState
from service.domain.hours import iso
from service.domain.ids import CommitmentId
from service.domain.purchases import Intent, IntentState, is_part_id
from service.domain.usage import Dataset
from service.observe.events import ReportRecorded
from service.observe.tracing import traced
from service.operate.situation import Situation, billed, last_hours
from service.report.estate import whole_estate
from service.report.promise import (
    Promise,
    Promises,
    Recast,
    carried,
    held_against,
    promise_of,
    renewed,
)
from service.report.savings import Realised, realised
from service.store import alterations, demotion, holdings, intents, ledger, records, reported
from service.store.engine import reading, writing
from service.store.records import ReportRow
from service.wiring import Parts

REPORT_HOURS = 28 * 24
WHOLE_ESTATE = "all"

SAME_CAPACITY = frozenset(
    {
        AlterationKind.SPLIT,
        AlterationKind.MERGE,
        AlterationKind.MODIFY,
        AlterationKind.UPGRADE_TERM,
    }
)
"""After these the same is owned in other parcels, for as long or longer: promises go on. What is
exchanged is something else, of which nothing was promised: its worth was a mean over the weeks
before, without the ends that a promise is held to. The source's promise ends with the source."""


@dataclass(frozen=True, slots=True)
class Reported:
    """The newest report: savings over its hours, and promises held against them."""

    realised: Realised
    promises: Promises
    since_restored: Promises
    """The promises over the hours since a person restored autopilot; the same where none did."""


@traced("report")
def report(parts: Parts, situation: Situation) -> Reported:
    """Bill the newest four weeks as they were owned, compare with the promises, keep the result."""
    dataset = _as_owned(situation)
    with reading(parts.engine) as connection:
        bought = intents.list_intents(
            connection, states=(IntentState.BOUGHT,), provider=parts.cloud.provider
        )
        restored_at = demotion.restored_at(connection, parts.cloud.provider)
        promised = promises_now(connection, bought, parts.cloud.provider, situation.now)
    promises = held_against(dataset, promised)
    since = _since(dataset, restored_at)
    result = Reported(
        realised=realised(
            bill(dataset),
            commitments=dataset.commitments,
            offerings=dataset.offerings,
            as_of=situation.now,
            scope="eligible usage",
        ),
        promises=promises,
        since_restored=promises if since is dataset else held_against(since, promised),
    )
    _keep(parts, result, situation.now)
    _keep_estate(parts, situation.now)
    return result


def _as_owned(situation: Situation) -> Dataset:
    """The newest hours with what the provider listed: nothing that is only in flight.

    What is retired because its term is over was active until then.
    """
    listed = billed(situation.inventory, situation.owned)
    return replace(
        situation.dataset(REPORT_HOURS),
        commitments=tuple(
            replace(one, state=CommitmentState.ACTIVE)
            if one.state is CommitmentState.RETIRED and one.end <= situation.now
            else one
            for one in listed
        ),
    )


def _since(dataset: Dataset, instant: datetime | None) -> Dataset:
    """``dataset`` without the hours that began before ``instant``."""
    hours = dataset.usage.hours
    if instant is None or instant <= hours.start:
        return dataset
    first, last = hours.clip(instant, max(instant, hours.end))
    return replace(dataset, usage=last_hours(dataset.usage, last - first))


def promises_now(
    connection: Connection, bought: tuple[Intent, ...], provider: str, now: datetime
) -> tuple[Promise, ...]:
    """What ``bought`` promised, on what has become of it since: split, merged, renewed."""
    promised = tuple(
        promise_of(intent.line, intent.commitment)
        for intent in bought
        if intent.commitment is not None
    )
    mirror = [one.item for one in holdings.list_holdings(connection, provider=provider)]
    moved = carried(
        promised,
        _recasts(connection, provider),
        commit_usd_per_hour={one.commitment.commitment: one.commit_usd_per_hour for one in mirror},
        owned={one.commitment.commitment for one in mirror if one.commitment.state.is_owned},
    )
    return renewed(moved, holdings.next_terms(connection, provider=provider, now=now))


def _recasts(connection: Connection, provider: str) -> tuple[Recast, ...]:
    """What became other commitments of the same capacity, in the order in which it did."""
    done = alterations.list_alterations(
        connection, states=(AlterationState.ALTERED,), provider=provider
    )
    tied = holdings.made_by_alterations(connection, provider=provider)
    recast = [one for one in done if one.order.alteration in SAME_CAPACITY]
    return tuple(
        Recast(one.order.sources, _wholes(sorted({*one.made, *tied.get(one.order.intent, ())})))
        for one in sorted(recast, key=lambda one: one.called_at or one.updated_at)
    )


def _wholes(made: list[CommitmentId]) -> tuple[CommitmentId, ...]:
    """Those of ``made`` that are no part of another: parts go with what they were bought with."""
    return tuple(one for one in made if not any(is_part_id(one, whole) for whole in made))


def _keep(parts: Parts, result: Reported, now: datetime) -> None:
    row = _row(result, parts.cloud.provider, now)
    event = ReportRecorded(
        through=row.period_end,
        realised_usd=row.realised_usd,
        promised_usd=row.promised_usd,
        effective_savings_rate=result.realised.effective_savings_rate,
    )
    with writing(parts.engine) as connection:
        records.record_report(connection, row)
        ledger.append(connection, event, now=now)


def _keep_estate(parts: Parts, now: datetime) -> None:
    """The newest reports of all clouds as one, over the hours that the last of them spans."""
    with writing(parts.engine) as connection:
        found = (reported.newest(connection, cloud.provider) for cloud in parts.clouds)
        rows = [row for row in found if row is not None]
        start, end = min(one.period_start for one in rows), max(one.period_end for one in rows)
        records.record_report(
            connection,
            ReportRow(
                report=_identity(WHOLE_ESTATE, start, end),
                subject=WHOLE_ESTATE,
                period_start=start,
                period_end=end,
                promised_usd=sum((one.promised_usd for one in rows), Decimal(0)),
                promised_low_usd=sum((one.promised_low_usd for one in rows), Decimal(0)),
                promised_high_usd=sum((one.promised_high_usd for one in rows), Decimal(0)),
                realised_usd=sum((one.realised_usd for one in rows), Decimal(0)),
                made_at=now,
                document=whole_estate([one.document for one in rows]),
            ),
        )


def _identity(subject: str, start: datetime, end: datetime) -> str:
    digest = hashlib.sha256(f"{subject} {iso(start)} {iso(end)}".encode())
    return f"report-{digest.hexdigest()[:20]}"


def _row(result: Reported, subject: str, now: datetime) -> ReportRow:
    seen, promises = result.realised, result.promises
    hours = seen.hours
    return ReportRow(
        report=_identity(subject, hours.start, hours.end),
        subject=subject,
        period_start=hours.start,
        period_end=hours.end,
        promised_usd=promises.promised_usd,
        promised_low_usd=promises.promised_low_usd,
        promised_high_usd=promises.promised_high_usd,
        realised_usd=promises.joint_usd,
        made_at=now,
        document=_document(seen, promises),
    )


def _document(seen: Realised, promises: Promises) -> dict[str, object]:
    amounts: dict[str, Decimal] = {
        "on_demand_equivalent_usd": seen.on_demand_equivalent_usd,
        "on_demand_usd": seen.on_demand_usd,
        "commitment_usd": seen.commitment_usd,
        "total_usd": seen.total_usd,
        "savings_usd": seen.savings_usd,
        "unused_usd": seen.unused_usd,
        "effective_savings_rate": seen.effective_savings_rate,
        "coverage_ratio": seen.coverage_ratio,
        "utilization_ratio": seen.utilization_ratio,
        "lock_in_months": seen.binding.lock_in_months,
        "remaining_usd": seen.binding.remaining_usd,
    }
    return {
        "scope": seen.scope,
        "basis": seen.basis,
        **{name: format(round(amount, 9), "f") for name, amount in amounts.items()},
        "promises": [
            {
                "commitment": str(one.commitment),
                "hours": one.hours,
                "promised_usd": format(round(one.promised_usd, 9), "f"),
                "promised_low_usd": format(round(one.promised_low_usd, 9), "f"),
                "promised_high_usd": format(round(one.promised_high_usd, 9), "f"),
                "realised_usd": format(round(one.realised_usd, 9), "f"),
                "within": one.within,
            }
            for one in promises.kept
        ],
    }
