"""Decides which exchangeable commitments are worth more as others, and asks for those exchanges.

When a family's usage fell and another's rose, what covers the first can often become what covers
the second. A candidate is billed over the newest weeks in the source's place; only one that saves
more than the policy's margin, is used well, and pays for what is due at once, is quoted, and only a
quote that does not lower the value (the provider's ratchet) is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal

from service.billing.market import Market, compile_market
from service.domain.alterations import (
    Alteration,
    AlterationKind,
    AlterationOrder,
    AlterationQuote,
    AlterationState,
    Target,
)
from service.domain.commitments import Commitment, CommitmentState, Offering
from service.domain.errors import ProviderError
from service.domain.hours import HOUR, TERM_HOURS, iso
from service.domain.ids import ClientToken, CommitmentId, IntentId
from service.domain.plans import Decision
from service.domain.purchases import InventoryItem
from service.guard.alterations import mode_of_item
from service.guard.checks import choices
from service.guard.fields import Mode
from service.guard.menu import target_for
from service.operate.altering import TURNED, withdraw_turned
from service.operate.pending import GIVING_AWAY, done, once_done
from service.operate.replaying import REPLAY_HOURS, live, saving_usd_per_hour
from service.operate.situation import Situation
from service.providers.port import ProviderAlterer
from service.purchase.checks import NO_FACTS
from service.purchase.desk import Declined
from service.purchase.written_alterations import ask
from service.store import alterations, demotion
from service.store.engine import reading, writing
from service.wiring import Parts

REASON = "exchange"
QUOTED_AT_MOST = 3
"""How many candidates of one source are quoted, the best first."""

_NEW = CommitmentId("the exchange's target")


@dataclass(frozen=True, slots=True)
class Move:
    """One exchange as replayed: per hour of the newest weeks, against keeping the source."""

    target: Offering
    quantity: Decimal
    saves_usd_per_hour: Decimal
    utilization_ratio: Decimal


def ask_for_exchanges(parts: Parts, situation: Situation) -> int:
    """Ask for every exchange that pays, where the policy allows exchanges; how many.

    The best first, each judged as if all that was asked for before it were done.
    """
    alterer = parts.cloud.alterer
    if alterer is None or AlterationKind.EXCHANGE not in situation.policy.alterations.allowed:
        withdraw_turned(parts, REASON, lambda _: False)
        return 0
    with reading(parts.engine) as connection:
        given_up = demotion.demoted(connection)
        waiting = alterations.list_alterations(
            connection, states=(AlterationState.WAITING,), provider=parts.cloud.provider
        )
    turned = {one.order.intent for one in waiting if standing(parts, situation, one) is TURNED}
    withdraw_turned(parts, REASON, lambda one: one.order.intent not in turned)
    facts = once_done(parts, situation, GIVING_AWAY)
    now = parts.clock.now()
    found = [
        (possible, item)
        for item in facts.inventory
        if mode_of_item(item, situation.policy, given_up) is not Mode.OBSERVE
        and AlterationKind.EXCHANGE in alterer.ways(item, now)
        and (possible := moves(facts, item))
    ]
    asked = 0
    for possible, item in sorted(found, key=lambda one: -one[0][0].saves_usd_per_hour):
        # What loses beside another one need not once that is exchanged.
        left = moves(facts, item) if asked else possible
        order = _ask_for_best(parts, facts, item, left, alterer)
        if order is not None:
            asked += 1
            facts = done(facts, order)
    return asked


def standing(parts: Parts, situation: Situation, one: Alteration) -> Declined | None:
    """Whether an exchange that was asked for here would be asked for now; ``None``: it would.

    As if what was asked for before it were done. While its source cannot be judged it waits.
    """
    if not one.reason.startswith(REASON):
        return None
    facts = once_done(parts, situation, GIVING_AWAY, asked=one)
    items = [item for item in facts.inventory if item.commitment.commitment in one.order.sources]
    if len(items) != len(one.order.sources):
        return TURNED
    if not all(_can_be_judged(facts, item) for item in items):
        return Declined(NO_FACTS, "it could not be judged again", final=False)
    wanted = {target.offering for target in one.order.targets}
    good = {move.target.offering for item in items for move in moves(facts, item)}
    return None if wanted & good else TURNED


def _can_be_judged(situation: Situation, item: InventoryItem) -> bool:
    """On estimates it is not known which size ran in which hour: see service.plan.estimated."""
    return item.commitment.commitment in situation.owned and not situation.estimated_days


def moves(situation: Situation, item: InventoryItem) -> list[Move]:
    """Every exchange of ``item`` that would save more than the margin, the best first."""
    name = item.commitment.commitment
    if not _can_be_judged(situation, item):
        return []
    commit = Decimal(item.commit_usd_per_hour)
    margin = commit * situation.policy.alterations.churn_margin_ratio
    if saving_usd_per_hour(situation, name) >= -margin:
        return []
    dataset = situation.dataset(REPLAY_HOURS)
    market = compile_market(dataset.usage, dataset.skus, dataset.offerings)
    owned = live(situation)
    before = market.bill(tuple(owned)).total_usd
    rest = [one for one in owned if one.commitment != name]
    least = situation.policy.after_purchase.line_utilization_ratio.min
    found = [
        _replayed(market, situation, offering, rest=rest, before_usd=before, item=item)
        for offering in _candidates(situation, item)
    ]
    good = [
        move
        for move in found
        if move.saves_usd_per_hour > margin and move.utilization_ratio >= least
    ]
    return sorted(good, key=lambda move: move.saves_usd_per_hour, reverse=True)


def _candidates(situation: Situation, item: InventoryItem) -> Iterator[Offering]:
    """What is on sale, allowed, not denied, and like the source, for a term at least as long.

    Alike are kind, region and payment. Convertible reservations become convertible ones: their
    offerings say so themselves.
    """
    policy, account = situation.policy, item.commitment.account
    own = situation.owned[item.commitment.commitment].offering
    for name in sorted(situation.on_sale):
        one = situation.prices.offerings[name]
        alike = (one.kind, one.region, one.payment) == (item.kind, item.region, item.payment)
        same_class = ("/convertible/" in name) == ("/convertible/" in item.commitment.offering)
        permitted = all(
            result.decision is Decision.ALLOW
            for result in choices(target_for(one, account), one.payment, policy=policy)
        )
        long_enough = one.term_months >= item.term_months
        if alike and same_class and permitted and long_enough and one.offering != own:
            yield one


def _replayed(
    market: Market,
    situation: Situation,
    offering: Offering,
    *,
    rest: list[Commitment],
    before_usd: Decimal,
    item: InventoryItem,
) -> Move:
    quantity = _least_quantity(situation, offering, item)
    hours = situation.dataset(REPLAY_HOURS).usage.hours
    made = Commitment(
        commitment=_NEW,
        offering=offering.offering,
        account=item.commitment.account,
        scope=item.commitment.scope,
        zone=None,
        quantity=quantity,
        start=hours.start,
        end=hours.end,
        state=CommitmentState.ACTIVE,
    )
    bill = market.bill((*rest, made))
    return Move(
        offering,
        quantity,
        (before_usd - bill.total_usd) / hours.count,
        bill.commitments[_NEW].utilization_ratio,
    )


def _least_quantity(situation: Situation, offering: Offering, item: InventoryItem) -> Decimal:
    """The fewest whole steps that are worth as much as what is left of the source."""
    left_hours = Decimal((item.commitment.end - situation.now) / HOUR)
    left_usd = Decimal(item.commit_usd_per_hour) * max(left_hours, Decimal(0))
    (rate_usd,) = (Decimal(1),) if offering.kind.is_spend else tuple(offering.rates_usd.values())
    unit_usd = rate_usd * TERM_HOURS[offering.term_months]
    steps = (left_usd / unit_usd / offering.step).to_integral_value(ROUND_CEILING)
    return max(steps * offering.step, offering.min_quantity)


def _ask_for_best(
    parts: Parts,
    situation: Situation,
    item: InventoryItem,
    possible: Sequence[Move],
    alterer: ProviderAlterer,
) -> AlterationOrder | None:
    for move in possible[:QUOTED_AT_MOST]:
        order = _order(parts, item, move)
        try:
            quote = alterer.quote_alteration(order)
        except ProviderError:
            continue
        if _pays(situation, item, move, quote):
            # Whoever says yes sees how many the provider gives, and gets no more.
            seen = replace(order, most_to_pay_usd=quote.pay_usd, targets=quote.targets)
            asked = _ask(parts, situation, seen, move, quote.usd_per_hour)
            return seen if asked else None
    return None


def _pays(situation: Situation, item: InventoryItem, move: Move, quote: AlterationQuote) -> bool:
    """True when the ratchet holds, the payment is allowed, and the time that is left repays it."""
    left_hours = Decimal((item.commitment.end - situation.now) / HOUR)
    limit = situation.policy.alterations.max_pay_usd_per_run
    given = sum((target.quantity for target in quote.targets), Decimal(0))
    return (
        quote.allowed
        # Nobody says yes to a price that is not told.
        and quote.usd_per_hour is not None
        and quote.target_value_usd >= quote.source_value_usd
        and quote.pay_usd <= limit
        # More than was replayed is not what was found to be used.
        and given <= move.quantity + move.target.step
        and move.saves_usd_per_hour * left_hours > quote.pay_usd
    )


def _order(parts: Parts, item: InventoryItem, move: Move) -> AlterationOrder:
    target = Target(
        offering=move.target.offering,
        quantity=move.quantity,
        zone=move.target.zone,
        term_months=move.target.term_months,
        payment=move.target.payment,
    )
    return AlterationOrder(
        intent=IntentId(parts.new_key()),
        token=ClientToken(parts.new_key()),
        alteration=AlterationKind.EXCHANGE,
        account=item.commitment.account,
        kind=item.kind,
        sources=(item.commitment.commitment,),
        targets=(target,),
        most_to_pay_usd=Decimal(0),
    )


def _ask(
    parts: Parts,
    situation: Situation,
    order: AlterationOrder,
    move: Move,
    usd_per_hour: Decimal | None,
) -> bool:
    now = parts.clock.now()
    lifetime = timedelta(hours=int(situation.policy.timing.proposal_lifetime_hours))
    reason = (
        f"{REASON}: saves {move.saves_usd_per_hour:.4f} USD/h on the newest {REPLAY_HOURS} hours, "
        f"{move.utilization_ratio:.3f} of it used; {order.most_to_pay_usd:.2f} USD due at once"
    )
    with writing(parts.engine) as connection:
        asked = ask(
            connection,
            order,
            provider=parts.cloud.provider,
            run=f"undo@{iso(situation.now)}",
            reason=reason,
            expires_at=now + lifetime,
            now=now,
            quoted_usd_per_hour=usd_per_hour,
        )
    return asked is not None
