"""What the guard must be told besides the lines and the policy. ``None`` means not known.

Not known is never taken for harmless: every rule refuses where its fact is ``None``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

from service.domain.commitments import Kind
from service.domain.hours import TERM_HOURS, require_utc
from service.domain.ids import CommitmentId, LineId, PlanId
from service.domain.plans import PlanLine
from service.domain.purchases import (
    Intent,
    IntentState,
    InventoryItem,
    is_part_of,
)
from service.guard.holds import Hold

DAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Target:
    """What a purchase is for. ``None`` in ``region`` and ``family``: not tied to one."""

    provider: str
    account: str
    region: str | None
    family: str | None
    kind: Kind
    term_months: int

    def overlaps(self, other: Target) -> bool:
        """True when both could discount the same usage: same account, no two known parts differ.

        A plan that is tied to no region or family overlaps every region or family.
        """
        pairs = ((self.region, other.region), (self.family, other.family))
        return (self.provider, self.account) == (other.provider, other.account) and all(
            None in pair or pair[0] == pair[1] for pair in pairs
        )


def target_of(line: PlanLine) -> Target:
    """What ``line`` is for."""
    return Target(
        line.provider, line.account, line.region, line.family, line.kind, line.term_months
    )


NOT_A_NUMBER = Decimal("NaN")


def term_hours(term_months: int) -> int:
    """Hours of a term; a term that is not sold counts as the longest that is."""
    return TERM_HOURS.get(term_months, max(TERM_HOURS.values()))


def obligation_usd(commit_usd_per_hour: Decimal, term_months: int, stated_usd: Decimal) -> Decimal:
    """Dollars owed over a term: what was stated, or hourly commitment × hours if that is more.

    Not a number when either is not one.
    """
    if not (commit_usd_per_hour.is_finite() and stated_usd.is_finite()):
        return NOT_A_NUMBER
    return max(stated_usd, commit_usd_per_hour * term_hours(term_months))


def loss_usd(line: PlanLine) -> Decimal:
    """Dollars lost against on demand over the term in the bad (10%) case; 0 if it still saves."""
    low = line.expected_savings_low_usd_per_hour
    if not low.is_finite():
        return NOT_A_NUMBER
    return max(Decimal(0), -low) * term_hours(line.term_months)


@dataclass(frozen=True, slots=True)
class Spend:
    """One purchase that counts against the caps: made, in flight, or of unknown outcome.

    ``loss_usd`` is what it may lose over its term (see ``loss_usd``); ``at`` is when its money
    moved or may have moved, now where it is still to (UTC). ``live``: still owed, so it counts in
    total.
    ``in_run``: asked for earlier in the run that is being judged.
    """

    target: Target
    commit_usd_per_hour: Decimal
    upfront_usd: Decimal
    obligation_usd: Decimal
    loss_usd: Decimal
    at: datetime
    live: bool
    in_run: bool


@dataclass(frozen=True, slots=True)
class PoolSize:
    """The pool that a line buys in, and its on-demand-equivalent cost now in USD/h."""

    pool: str
    on_demand_usd_per_hour: Decimal


@dataclass(frozen=True, slots=True)
class GuardContext:
    """The facts at the moment of judging. Ages are hours; ratios 0–1; ``now`` aware UTC.

    ``halted``: the halt flag of the store. ``holds_lease``: this process is the executor.
    ``gap_ratio``: the plan's proven gap. Coverage and utilization are those expected after
    every line asked for is bought. ``spent`` lists all purchases that count (see
    ``spent_so_far``). ``open_unknown`` lists the targets whose outcome is not known.
    ``pools`` gives each line's pool. ``signed_off`` names the lines that a person approved,
    ``holds`` what people rejected, and until when that holds. ``approvals`` counts the people who
    approved a line that is signed off; one where it is left out. ``demoted`` names the providers in
    which autopilot has given itself up: there it asks a person, as copilot does.
    ``starts_decided_at``: when it was decided when the lines start; ``None``: that is still to be.
    ``inventory_age_hours`` is that of the oldest reading of any cloud; ``inventory_detail`` says
    whose, where another cloud's is too old.
    """

    now: datetime
    halted: bool | None
    holds_lease: bool | None
    data_age_hours: Decimal | None
    prices_age_hours: Decimal | None
    inventory_age_hours: Decimal | None
    gap_ratio: Decimal | None
    coverage_ratio_after: Decimal | None
    utilization_ratio_after: Decimal | None
    spent: tuple[Spend, ...] | None
    open_unknown: tuple[Target, ...] | None
    pools: Mapping[LineId, PoolSize] = field(default_factory=lambda: MappingProxyType({}))
    signed_off: frozenset[LineId] = frozenset()
    holds: tuple[Hold, ...] = ()
    approvals: Mapping[LineId, int] = field(default_factory=lambda: MappingProxyType({}))
    demoted: frozenset[str] = frozenset()
    starts_decided_at: datetime | None = None
    inventory_detail: str = ""

    def __post_init__(self) -> None:
        require_utc(self.now)


COUNTED = frozenset(
    {IntentState.RECORDED, IntentState.CALLING, IntentState.UNKNOWN, IntentState.BOUGHT}
)
OPEN = frozenset({IntentState.CALLING, IntentState.UNKNOWN})


def spent_so_far(
    intents: Sequence[Intent],
    inventory: Sequence[InventoryItem],
    *,
    now: datetime,
    run: PlanId | None,
    beside: frozenset[PlanId] = frozenset(),
    excluding: frozenset[LineId] = frozenset(),
) -> tuple[Spend, ...]:
    """Every purchase that counts against the caps, each once.

    Intents count from the moment they are written down until they are refused; an item of the
    inventory counts unless it is what one of these intents stands for: a second commitment of the
    same intent counts too, and what is listed at more than it was bought for counts at that.
    What renews counts twice, with the term that it will be bought for again.
    Purchases made outside Tenor count: the cap is on what is owed, whoever bought it. ``run`` is
    the plan being judged, ``beside`` those of other providers in the same run; ``excluding`` are
    its lines judged again now, which must not count against themselves, in whatever form.
    """
    live = [intent for intent in intents if intent.state in COUNTED]
    judged = [one for one in live if one.line.line in excluding and run in {None, one.plan}]
    counted = [one for one in live if one not in judged]
    items = {item.commitment.commitment: item for item in inventory}
    runs = beside if run is None else beside | {run}
    became = {intent.order.intent: _stands_for(intent, inventory) for intent in live}
    spends = [
        _of_intent(intent, _named(intent, became[intent.order.intent], items), now=now, runs=runs)
        for intent in counted
    ]
    stood_for = {one for found in became.values() for one in found}
    spends += [
        _of_item(item, now=now) for item in inventory if item.commitment.commitment not in stood_for
    ]
    spends += [_of_renewal(item, now=now) for item in inventory if item.renews]
    return tuple(spends)


def _stands_for(intent: Intent, inventory: Sequence[InventoryItem]) -> tuple[CommitmentId, ...]:
    """The commitment that ``intent`` became: by its own word, else the first with its tag.

    With it what was bought beside it, whose money the intent's line has as well.
    """
    became = intent.commitment
    if became is None:
        tagged = (item for item in inventory if item.intent == intent.order.intent)
        became = min((item.commitment.commitment for item in tagged), default=None)
    if became is None:
        return ()
    if intent.line.companion is None:
        return (became,)
    wholes = [item for item in inventory if item.commitment.commitment == became]
    parts = [
        item.commitment.commitment
        for item in inventory
        if item.commitment.offering == intent.line.companion.offering
        and any(is_part_of(item, whole) for whole in wholes)
    ]
    return (became, *parts)


def unknown_targets(intents: Sequence[Intent]) -> tuple[Target, ...]:
    """The targets of purchases whose outcome is not known: called and not answered, or unknown."""
    return tuple(target_of(intent.line) for intent in intents if intent.state in OPEN)


def _named(
    intent: Intent,
    became: Sequence[CommitmentId],
    items: Mapping[CommitmentId, InventoryItem],
) -> tuple[InventoryItem, ...]:
    """What is listed of the commitment that ``intent`` names, itself first; nothing if unlisted."""
    if intent.commitment is None or intent.commitment not in items:
        return ()
    return tuple(items[one] for one in became)


def if_bought(line: PlanLine, *, at: datetime) -> Spend:
    """What ``line`` would count as, were it bought whole at ``at``: owed, and in no run."""
    return Spend(
        target=target_of(line),
        commit_usd_per_hour=Decimal(line.commit_usd_per_hour),
        upfront_usd=line.upfront_usd,
        obligation_usd=line.total_usd,
        loss_usd=loss_usd(line),
        at=at,
        live=True,
        in_run=False,
    )


def _of_intent(
    intent: Intent,
    listed: Sequence[InventoryItem],
    *,
    now: datetime,
    runs: frozenset[PlanId],
) -> Spend:
    line, months = intent.line, intent.line.term_months
    # Not listed any more: taken as owed until its term must be over. Never listed: for good.
    at = _paid_at(intent, now)
    over = at + timedelta(hours=term_hours(months))
    commit, upfront = Decimal(line.commit_usd_per_hour), line.upfront_usd
    if listed:
        # The line's money is of all parts; a term may have been lengthened since.
        commit = _dearer(commit, [one.commit_usd_per_hour for one in listed])
        upfront = _dearer(upfront, [one.upfront_usd for one in listed])
        months = max(months, listed[0].term_months, key=term_hours)
    return Spend(
        target=target_of(line),
        commit_usd_per_hour=commit,
        upfront_usd=upfront,
        obligation_usd=obligation_usd(commit, months, line.total_usd),
        loss_usd=loss_usd(line),
        at=at,
        live=_is_live(listed[0], now) if listed else not intent.ever_listed or now < over,
        in_run=intent.plan in runs,
    )


def _paid_at(intent: Intent, now: datetime) -> datetime:
    """When the purchase's money moves: at its call, which may come a day after it was written.

    What is still to be called counts now. What was bought without a call that the ledger knows of
    counts from when that was seen: not before the money moved.
    """
    if intent.called_at is not None:
        return intent.called_at
    return now if intent.state is IntentState.RECORDED else intent.updated_at


def _dearer(bought_for: Decimal, listed: Sequence[Decimal]) -> Decimal:
    """The greater of an amount and the sum of others; not a number when any is not one."""
    if not all(amount.is_finite() for amount in (bought_for, *listed)):
        return NOT_A_NUMBER
    return max(bought_for, sum(listed, Decimal(0)))


def _of_item(item: InventoryItem, *, now: datetime) -> Spend:
    owned = item.commitment
    return Spend(
        target=Target(
            provider=provider_of(item),
            account=owned.account,
            region=item.region,
            family=item.family,
            kind=item.kind,
            term_months=item.term_months,
        ),
        commit_usd_per_hour=item.commit_usd_per_hour,
        upfront_usd=item.upfront_usd,
        obligation_usd=obligation_usd(item.commit_usd_per_hour, item.term_months, item.upfront_usd),
        loss_usd=Decimal(0),
        at=owned.start,
        live=_is_live(item, now),
        in_run=False,
    )


def _of_renewal(item: InventoryItem, *, now: datetime) -> Spend:
    """The term that ``item`` will be bought for again, owed since that was switched on.

    However long ago ``item`` ended: a reading shows the next term, the clock alone does not.
    """
    return replace(_of_item(item, now=now), live=item.commitment.state.is_owned)


def provider_of(item: InventoryItem) -> str:
    """The cloud that sold ``item``: kinds begin with it."""
    return item.kind.value.split("_", 1)[0]


def _is_live(item: InventoryItem, now: datetime) -> bool:
    return item.commitment.state.is_owned and item.commitment.end > now
