"""Decides, every day, which recent purchases should not have been made, and takes those back.

A purchase is regretted when two things are so on the newest evidence: billed again with and
without it, it loses more than the policy's margin; and the whole decision, made anew as if it had
never been bought, would not buy even half of it. One of the two alone is noise: taking back what
would be bought again next week is churn, and quotas for returns are small.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from service.domain.alterations import (
    Alteration,
    AlterationKind,
    AlterationOrder,
    AlterationState,
)
from service.domain.commitments import CommitmentState
from service.domain.errors import LeaseLostError, TenorError
from service.domain.hours import DAY_HOURS, HOUR, iso
from service.domain.ids import ClientToken, CommitmentId, CycleId, IntentId
from service.domain.plans import Plan
from service.domain.purchases import InventoryItem
from service.guard.alterations import mode_of_item
from service.guard.fields import Mode
from service.observe.events import UndoNotJudged
from service.operate import exchanging
from service.operate.altering import TURNED, Standing, do_decided, said, withdraw_turned
from service.operate.deciding import forecast_and_plan
from service.operate.exchanging import ask_for_exchanges
from service.operate.pending import EXCHANGES, once_done, without
from service.operate.reconciling import reconcile
from service.operate.replaying import REPLAY_HOURS, as_proven, saving_usd_per_hour
from service.operate.situation import Situation, read_situation
from service.purchase.checks import NO_FACTS
from service.purchase.desk import Declined
from service.purchase.written_alterations import ask
from service.store import alterations, demotion, holdings, ledger
from service.store.engine import reading, writing
from service.store.holdings import Holding
from service.store.lease import Lease
from service.store.states import Origin
from service.wiring import Parts

REASON = "regret"
"""How the reason of each alteration begins that this check asks for."""

BOUGHT_AGAIN_RATIO = Decimal("0.5")
"""What the new decision would buy of a purchase for it to stay: half of its hourly commitment."""

FREE_WAYS = (AlterationKind.CANCEL_QUEUED, AlterationKind.RETURN)
"""Ways back that cost nothing, the one without a quota first."""


@dataclass(frozen=True, slots=True)
class Regret:
    """Why one purchase should not have been made: what it loses, and what would be bought now."""

    item: InventoryItem
    loses_usd_per_hour: Decimal
    bought_again_usd_per_hour: Decimal

    @property
    def reason(self) -> str:
        """Both numbers, in words."""
        return (
            f"{REASON}: loses {self.loses_usd_per_hour:.4f} USD/h on the newest {REPLAY_HOURS} "
            f"hours; decided anew without it, {self.bought_again_usd_per_hour:.4f} of its "
            f"{Decimal(self.item.commit_usd_per_hour):.4f} USD/h would be bought"
        )


def undo(parts: Parts, *, lease: Lease) -> str:
    """Check each recent purchase, and give back, or ask a person to give back, what is regretted.

    Raises what reading the facts raises: without facts nothing is given back.
    """
    if parts.cloud.alterer is None:
        return "nothing can be taken back here"
    done = reconcile(parts, lease=lease)
    situation = read_situation(parts, inventory_read_at=done.read_at)
    moved = ask_for_exchanges(parts, situation)
    back = give_back(parts, situation, lease=lease)
    return f"{back}; {moved} exchanges asked for" if moved else back


def give_back(parts: Parts, situation: Situation, *, lease: Lease) -> str:
    """Give back, or ask a person to give back, what ``situation`` says should not be owned."""
    ways = _ways_back(parts, situation)
    unjudged: set[CommitmentId] = set()
    regrets = regrets_that_stand(parts, situation, ways, unjudged)
    regretted = {one.item.commitment.commitment for one in regrets}
    withdraw_turned(parts, REASON, lambda one: _stands(one, regretted, unjudged) is not TURNED)
    asked = sum(_ask(parts, situation, one, ways) for one in regrets)
    acted = do_decided(
        parts,
        lease=lease,
        inventory_read_at=situation.inventory_read_at,
        stands=lambda one: (
            _stands(one, regretted, unjudged) or exchanging.standing(parts, situation, one)
        ),
    )
    if acted:
        reconcile(parts, lease=lease)
    return (
        f"{len(ways)} can be taken back, {len(regrets)} regretted, {asked} asked for{said(acted)}"
    )


def standing(parts: Parts, *, inventory_read_at: datetime) -> Standing:
    """Judges what this check asked for again, on the facts of now, before it is done.

    The facts are read when the first that a person approved is to be done. While they cannot be
    had it waits. What autopilot may do by itself is judged, and done, once a day.
    """
    read: list[Situation] = []
    judged: list[tuple[set[CommitmentId], set[CommitmentId]]] = []

    def stands(one: Alteration) -> Declined | None:
        if not one.reason.startswith((REASON, exchanging.REASON)):
            return None
        if one.state is not AlterationState.APPROVED:
            return Declined("evidence", "it is judged again once a day", final=False)
        try:
            if not read:
                read.append(read_situation(parts, inventory_read_at=inventory_read_at))
            if one.reason.startswith(exchanging.REASON):
                return exchanging.standing(parts, read[0], one)
            if not judged:
                judged.append(_judged(parts, read[0]))
        except LeaseLostError:
            raise
        except TenorError as error:
            return Declined(NO_FACTS, f"it cannot be judged again: {error}", final=False)
        return _stands(one, *judged[0])

    return stands


def _judged(parts: Parts, situation: Situation) -> tuple[set[CommitmentId], set[CommitmentId]]:
    """What is regretted, and what cannot be judged."""
    unjudged: set[CommitmentId] = set()
    ways = _ways_back(parts, situation)
    regrets = regrets_that_stand(parts, situation, ways, unjudged)
    return {one.item.commitment.commitment for one in regrets}, unjudged


def _stands(
    one: Alteration, regretted: set[CommitmentId], unjudged: set[CommitmentId]
) -> Declined | None:
    if not one.reason.startswith(REASON) or regretted & set(one.order.sources):
        return None
    if unjudged & set(one.order.sources):
        return Declined(NO_FACTS, "it could not be judged again", final=False)
    return TURNED


def _ways_back(parts: Parts, situation: Situation) -> Mapping[CommitmentId, AlterationKind]:
    """What we bought, is owned, and may be taken back for nothing, with the way."""
    alterer, now = parts.cloud.alterer, parts.clock.now()
    if alterer is None:
        return {}
    with reading(parts.engine) as connection:
        mirrored = holdings.list_holdings(connection, provider=parts.cloud.provider)
        given_up = demotion.demoted(connection)
        approved = alterations.list_alterations(
            connection, states=(AlterationState.APPROVED,), provider=parts.cloud.provider
        )
    # What a person said yes to while it was recent is judged until it is done or turned.
    kept = {name for one in approved for name in one.order.sources}
    ours = {one.item.commitment.commitment: one for one in mirrored if one.origin is Origin.TENOR}
    found: dict[CommitmentId, AlterationKind] = {}
    for item in situation.inventory:
        name = item.commitment.commitment
        watched = mode_of_item(item, situation.policy, given_up) is not Mode.OBSERVE
        if name not in ours or not item.commitment.state.is_owned or not watched:
            continue
        open_ways = alterer.ways(item, now) & set(situation.policy.alterations.allowed)
        if name not in kept and not _is_recent(ours[name], situation, now):
            open_ways -= {AlterationKind.RETURN}
        for way in FREE_WAYS:
            if way in open_ways and name not in found:
                found[name] = way
    return found


def _is_recent(one: Holding, situation: Situation, now: datetime) -> bool:
    """True while the check may still find that the purchase was wrong, not that the world moved.

    Where returns have a common quota, old commitments would use up what the new ones need.
    """
    bought_at = min(one.first_seen_at, one.item.commitment.start)
    days = float(situation.policy.alterations.undo_within_days)
    return now - bought_at <= timedelta(days=days)


def regrets_that_stand(
    parts: Parts,
    situation: Situation,
    ways: Mapping[CommitmentId, AlterationKind],
    unjudged: set[CommitmentId],
) -> list[Regret]:
    """What should not be owned whether or not the exchanges that were asked for are done.

    An exchange may be refused by a person or by the guard: nothing is given back for its sake. And
    what loses only beside what is to be exchanged stays, or both would go.
    """
    now = once_done(parts, situation, EXCHANGES, begun=True)
    then = once_done(parts, situation, EXCHANGES)
    regrets = find_regrets(parts, now, ways, unjudged)
    if not regrets or then.commitments == now.commitments:
        return regrets
    left = {one.item.commitment.commitment for one in regrets}
    kept = {name: way for name, way in ways.items() if name in left}
    still = {one.item.commitment.commitment for one in find_regrets(parts, then, kept, unjudged)}
    return [one for one in regrets if one.item.commitment.commitment in still]


def find_regrets(
    parts: Parts,
    situation: Situation,
    ways: Mapping[CommitmentId, AlterationKind],
    unjudged: set[CommitmentId],
) -> list[Regret]:
    """What should not be owned, the worst first; each judged as if those before it were gone.

    What loses and cannot be judged is added to ``unjudged``.

    Of two that cover the same usage each loses beside the other, and only one should go. What a
    decision would buy again stays: with others gone it would buy no less of it.
    """
    situation = as_proven(situation)
    regrets: list[Regret] = []
    stay: set[CommitmentId] = set()
    while True:
        losing = [
            (loses, item)
            for item in situation.inventory
            if item.commitment.commitment in ways
            and item.commitment.commitment not in stay
            and (loses := _loses(situation, item, unjudged)) is not None
        ]
        if not losing:
            return regrets
        loses, worst = max(losing, key=lambda one: one[0])
        regret = _regret(parts, situation, worst, loses, unjudged)
        if regret is None:
            stay.add(worst.commitment.commitment)
        else:
            regrets.append(regret)
            situation = without(situation, worst.commitment.commitment)


def _loses(
    situation: Situation, item: InventoryItem, unjudged: set[CommitmentId]
) -> Decimal | None:
    """What ``item`` loses in USD an hour, if that is more than the policy's margin."""
    name = item.commitment.commitment
    estimated = situation.estimated_days > 0 and not item.kind.is_spend
    if name not in situation.owned or estimated:
        unjudged.add(name)  # on estimates it would not be decided either: service.plan.estimated
        return None
    loses = -saving_usd_per_hour(situation, name)
    margin_ratio = situation.policy.alterations.churn_margin_ratio
    return loses if loses > Decimal(item.commit_usd_per_hour) * margin_ratio else None


def _regret(
    parts: Parts,
    situation: Situation,
    item: InventoryItem,
    loses: Decimal,
    unjudged: set[CommitmentId],
) -> Regret | None:
    """``item`` as regretted; ``None`` when it would be bought again, or cannot be judged."""
    name = item.commitment.commitment
    run = CycleId(f"undo@{iso(situation.now)}/{name}")
    try:
        plan = forecast_and_plan(parts, without(situation, name), run)
    except LeaseLostError:
        raise
    except TenorError as error:
        event = UndoNotJudged(commitment=name, detail=str(error))
        with writing(parts.engine) as connection:
            ledger.append(connection, event, now=parts.clock.now())
        unjudged.add(name)
        return None
    again = bought_again_usd_per_hour(plan, item)
    if again >= Decimal(item.commit_usd_per_hour) * BOUGHT_AGAIN_RATIO:
        return None
    return Regret(item, loses, again)


def bought_again_usd_per_hour(plan: Plan, item: InventoryItem) -> Decimal:
    """How much of what ``item`` commits ``plan`` buys for the same usage, in USD per hour.

    A plan that is tied to no region or family covers any.
    """
    return sum(
        (
            line.commit_usd_per_hour
            for line in plan.lines
            if line.account == item.commitment.account
            and _same(line.region, item.region)
            and _same(line.family, item.family)
        ),
        Decimal(0),
    )


def _same(one: str | None, other: str | None) -> bool:
    return one is None or other is None or one == other


def _ask(
    parts: Parts,
    situation: Situation,
    regret: Regret,
    ways: Mapping[CommitmentId, AlterationKind],
) -> bool:
    item, now = regret.item, parts.clock.now()
    name = item.commitment.commitment
    order = AlterationOrder(
        intent=IntentId(parts.new_key()),
        token=ClientToken(parts.new_key()),
        alteration=ways[name],
        account=item.commitment.account,
        kind=item.kind,
        sources=(name,),
        targets=(),
        most_to_pay_usd=Decimal(0),
    )
    with writing(parts.engine) as connection:
        asked = ask(
            connection,
            order,
            provider=parts.cloud.provider,
            run=f"undo@{iso(situation.now)}",
            reason=regret.reason,
            expires_at=_expires_at(item, situation, now),
            now=now,
        )
    return asked is not None


def _expires_at(item: InventoryItem, situation: Situation, now: datetime) -> datetime:
    """Until when it may be decided: while the way back is open, at most a proposal's lifetime."""
    lifetime = now + timedelta(hours=int(situation.policy.timing.proposal_lifetime_hours))
    queued = item.commitment.state is CommitmentState.QUEUED
    window = item.commitment.start if queued else item.returnable_until or now + DAY_HOURS * HOUR
    return max(min(lifetime, window), now + HOUR)
