"""A convertible reservation of a family that nobody uses any more becomes one that is used."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial

import numpy as np

from service.domain.alterations import (
    AlterationKind,
    AlterationOrder,
    AlterationQuote,
    AlterationState,
    Target,
)
from service.domain.commitments import Kind, Payment
from service.domain.ids import AccountId, ClientToken, IntentId, OfferingId
from service.domain.purchases import Bought, PurchaseOrder
from service.operate.altering import TURNED
from service.operate.demo import Demo
from service.operate.exchanging import ask_for_exchanges, moves, standing
from service.operate.obliging import evidence_for
from service.operate.pending import once_done, without
from service.operate.reconciling import reconcile
from service.operate.replaying import saving_usd_per_hour
from service.operate.risking import risks
from service.operate.settling import tie_loose_ends
from service.operate.situation import Situation, read_situation
from service.operate.undoing import find_regrets, regrets_that_stand
from service.providers.aws.reservation_terms import ReservationTerms
from service.providers.port import always_wanted
from service.purchase.written_alterations import approve_alteration, ask
from service.store import alterations, demotion
from service.store.engine import reading, writing
from service.store.lease import Lease

FAMILY = "m5"


def own(
    demo: Demo, lease: Lease, name: str, offering: OfferingId, kind: Kind, *, much: str
) -> None:
    """So much of an offering, for a year and without upfront, adopted."""
    order = PurchaseOrder(
        intent=IntentId(name),
        token=ClientToken(name),
        account=AccountId(demo.cloud.world.payer),
        offering=offering,
        kind=kind,
        term_months=12,
        payment=Payment.NO_UPFRONT,
        quantity=Decimal(much),
        upfront_usd=Decimal(0),
    )
    quote = demo.parts.cloud.buyer.quote(order)
    order = replace(order, commit_usd_per_hour=quote.commit_usd_per_hour)
    assert isinstance(demo.parts.cloud.buyer.buy(order, still_wanted=always_wanted), Bought)
    demo.cloud.advance(2)
    reconcile(demo.parts, lease=lease)


def own_convertible(demo: Demo, lease: Lease, name: str = "somebody", machines: str = "2") -> None:
    """Large machines of the family, reserved as convertible, and adopted."""
    terms = ReservationTerms(
        "us-east-1", f"{FAMILY}.large", "Linux/UNIX", "default", "convertible", 12,
        Payment.NO_UPFRONT, None,
    )  # fmt: skip
    own(demo, lease, name, terms.offering, terms.kind, much=machines)


def facts(demo: Demo, lease: Lease, *, without_family: bool) -> Situation:
    """The facts of now, exchanges allowed; without the family's usage when asked for."""
    done = reconcile(demo.parts, lease=lease)
    situation = read_situation(demo.parts, inventory_read_at=done.read_at)
    policy = situation.policy
    allowed = policy.allowed.model_copy(
        update={"kinds": (*policy.allowed.kinds, Kind.AWS_RI_REGIONAL)}
    )
    changes = policy.alterations.model_copy(
        update={"allowed": (AlterationKind.EXCHANGE,), "max_pay_usd_per_run": Decimal(1_000)}
    )
    policy = policy.model_copy(update={"allowed": allowed, "alterations": changes})
    quantity = situation.usage.quantity.copy()
    if without_family:
        gone = np.array([f":{FAMILY}." in str(one.sku) for one in situation.usage.lines])
        quantity[:, gone] = 0
    usage = replace(situation.usage, quantity=quantity)
    return replace(situation, usage=usage, policy=policy)


def test_an_exchange_is_asked_for_only_when_the_family_fell(demo: Demo, lease: Lease) -> None:
    own_convertible(demo, lease)
    used = facts(demo, lease, without_family=False)
    [item] = [one for one in used.inventory if one.exchangeable]
    assert moves(used, item) == []
    assert ask_for_exchanges(demo.parts, used) == 0

    fallen = facts(demo, lease, without_family=True)
    best, *_ = moves(fallen, item)
    assert best.saves_usd_per_hour > 0
    assert best.target.family != FAMILY
    assert ask_for_exchanges(demo.parts, fallen) == 1
    with reading(demo.parts.engine) as connection:
        [asked] = alterations.list_alterations(connection)
    quote = demo.parts.cloud.alterer
    assert quote is not None
    now = quote.quote_alteration(asked.order)
    assert now.target_value_usd >= now.source_value_usd  # the ratchet, in the provider's words
    assert asked.order.most_to_pay_usd == now.pay_usd
    assert asked.quoted_usd_per_hour == now.usd_per_hour
    assert asked.reason.startswith("exchange: saves ")
    with reading(demo.parts.engine) as connection:
        assert demotion.demoted(connection) == frozenset()

    # The guard is told what it would be worth: the same replay, beside all that would be left.
    evidence = evidence_for(fallen, asked.order, now, risks=partial(risks, demo.parts))
    assert evidence is not None
    [line] = evidence.lines
    assert (line.offering, line.quantity) == (best.target.offering, now.targets[0].quantity)
    [rate_usd] = best.target.rates_usd.values()
    assert line.commit_usd_per_hour == rate_usd * line.quantity
    assert now.usd_per_hour is not None
    assert abs(now.usd_per_hour - line.commit_usd_per_hour) < Decimal("1e-9")
    if line.quantity == best.quantity:
        kept = saving_usd_per_hour(fallen, item.commitment.commitment)
        better = line.expected_savings_usd_per_hour - kept
        assert abs(better - best.saves_usd_per_hour) < Decimal("1e-9")
        assert line.expected_utilization_ratio == best.utilization_ratio
    assert line.line in evidence.pools
    assert line.shortfall is None  # nothing limits it
    risk_is_measured_where_it_is_limited(demo, fallen, asked.order, now)
    # What the policy denies is never a candidate, and what waits is withdrawn when it turns.
    denied = fallen.policy.denied.model_copy(update={"families": (best.target.family,)})
    policy = fallen.policy.model_copy(update={"denied": denied})
    denying = replace(fallen, policy=policy)
    assert best.target.family not in {one.target.family for one in moves(denying, item)}
    assert ask_for_exchanges(demo.parts, fallen) == 0  # it is asked for already
    assert waiting(demo) == [asked.order.intent]
    assert ask_for_exchanges(demo.parts, used) == 0
    assert waiting(demo) == []


def risk_is_measured_where_it_is_limited(
    demo: Demo, fallen: Situation, order: AlterationOrder, quote: AlterationQuote
) -> None:
    risk = fallen.policy.risk.model_copy(update={"expected_shortfall_usd_total": Decimal(100)})
    limited = replace(fallen, policy=fallen.policy.model_copy(update={"risk": risk}))

    def shortfall_usd(targets: tuple[Target, ...]) -> Decimal:
        found = evidence_for(
            limited,
            replace(order, targets=targets),
            replace(quote, targets=targets),
            risks=partial(risks, demo.parts),
        )
        assert found is not None
        [line] = found.lines
        assert line.shortfall is not None
        assert line.shortfall.pool_usd == line.shortfall.total_usd
        assert line.shortfall.tail_ratio == risk.expected_shortfall_tail_ratio
        return line.shortfall.pool_usd

    # What is steadily used saves in every scenario; far more than is used loses in the worst.
    assert shortfall_usd(quote.targets) < 0
    assert shortfall_usd((replace(quote.targets[0], quantity=Decimal(500)),)) > 100


def waiting(demo: Demo) -> list[IntentId]:
    with reading(demo.parts.engine) as connection:
        found = alterations.list_alterations(connection, states=(AlterationState.WAITING,))
    return [one.order.intent for one in found]


def test_the_shipped_policy_asks_for_no_exchange(demo: Demo, lease: Lease) -> None:
    own_convertible(demo, lease)
    fallen = facts(demo, lease, without_family=True)
    shipped = replace(fallen, policy=demo.parts.policy().policy)
    assert ask_for_exchanges(demo.parts, shipped) == 0


def two_for_the_usage_of_one(demo: Demo, lease: Lease) -> Situation:
    """Two alike, and of their family only what one of them covers is used."""
    own_convertible(demo, lease, "one")
    own_convertible(demo, lease, "two")
    known = facts(demo, lease, without_family=True)
    quantity = known.usage.quantity.copy()
    covered = next(
        number
        for number, line in enumerate(known.usage.lines)
        if f":{FAMILY}.xlarge" in str(line.sku) and line.region == "us-east-1"
    )
    quantity[:, covered] = 1
    allowed = known.policy.allowed.model_copy(update={"kinds": (Kind.AWS_RI_REGIONAL,)})
    return replace(
        known,
        usage=replace(known.usage, quantity=quantity),
        policy=known.policy.model_copy(update={"allowed": allowed}),
    )


def test_of_two_that_lose_only_beside_each_other_one_is_exchanged_and_the_other_stays(
    demo: Demo, lease: Lease
) -> None:
    known = two_for_the_usage_of_one(demo, lease)
    first, second = [item for item in known.inventory if item.exchangeable]
    assert moves(known, first)
    assert moves(known, second)
    assert ask_for_exchanges(demo.parts, known) == 1
    with reading(demo.parts.engine) as connection:
        [asked] = alterations.list_alterations(connection)
    [other] = {item.commitment.commitment for item in (first, second)} - set(asked.order.sources)
    assert saving_usd_per_hour(known, other) < 0
    exchanged = once_done(demo.parts, known, {AlterationKind.EXCHANGE})
    assert saving_usd_per_hour(exchanged, other) > 0
    # The next day it is the same: the one waits on, and the other is not asked for beside it.
    assert ask_for_exchanges(demo.parts, known) == 0
    assert waiting(demo) == [asked.order.intent]

    # Nor does the check of recent purchases regret the other one, or take what is asked for so.
    ways = dict.fromkeys((*asked.order.sources, other), AlterationKind.RETURN)
    assert regrets_that_stand(demo.parts, known, ways, set()) == []
    assert [one.item.commitment.commitment for one in find_regrets(demo.parts, known, ways, set())]

    # Should the other go after all, the exchange would not be asked for now: it is not done.
    assert standing(demo.parts, known, asked) is None
    turned = without(known, other)
    assert standing(demo.parts, turned, asked) is TURNED
    waits = standing(demo.parts, replace(known, owned={}), asked)
    assert waits is not None
    assert not waits.final
    assert ask_for_exchanges(demo.parts, turned) == 0
    assert waiting(demo) == []


def test_nothing_is_given_back_for_an_exchange_that_was_only_asked_for(
    demo: Demo, lease: Lease
) -> None:
    own_convertible(demo, lease, machines="10")
    on_sale = read_situation(
        demo.parts, inventory_read_at=reconcile(demo.parts, lease=lease).read_at
    ).prices.offerings.values()
    plan = next(
        one.offering
        for one in on_sale
        if (one.kind, one.term_months, one.payment) == (Kind.AWS_COMPUTE_SP, 12, Payment.NO_UPFRONT)
    )
    own(demo, lease, "plan", plan, Kind.AWS_COMPUTE_SP, much="0.8")
    known = facts(demo, lease, without_family=True)
    quantity = np.zeros_like(known.usage.quantity)
    used = next(
        number
        for number, line in enumerate(known.usage.lines)
        if ":r5.4xlarge" in str(line.sku) and line.region == "us-east-1"
    )
    quantity[:, used] = 1.45
    allowed = known.policy.allowed.model_copy(update={"kinds": (Kind.AWS_RI_REGIONAL,)})
    known = replace(
        known,
        usage=replace(known.usage, quantity=quantity),
        policy=known.policy.model_copy(update={"allowed": allowed}),
    )
    [good] = [one.commitment.commitment for one in known.inventory if one.kind.is_spend]
    ways = {good: AlterationKind.RETURN}
    assert saving_usd_per_hour(known, good) > 0
    assert ask_for_exchanges(demo.parts, known) == 1
    # Were the exchange done, the plan would lose: but a person may say no to that yet.
    exchanged = once_done(demo.parts, known, {AlterationKind.EXCHANGE})
    assert [
        one.item.commitment.commitment for one in find_regrets(demo.parts, exchanged, ways, set())
    ] == [good]
    assert regrets_that_stand(demo.parts, known, ways, set()) == []


def test_beside_a_return_that_is_asked_for_nothing_is_exchanged(demo: Demo, lease: Lease) -> None:
    known = two_for_the_usage_of_one(demo, lease)
    item, _ = [one for one in known.inventory if one.exchangeable]
    order = AlterationOrder(
        intent=IntentId("return"),
        token=ClientToken("return"),
        alteration=AlterationKind.RETURN,
        account=item.commitment.account,
        kind=item.kind,
        sources=(item.commitment.commitment,),
        targets=(),
        most_to_pay_usd=Decimal(0),
    )
    now = demo.parts.clock.now()
    with writing(demo.parts.engine) as connection:
        ask(
            connection,
            order,
            provider="aws",
            run="run",
            reason="by a person",
            expires_at=now + timedelta(days=1),
            now=now,
        )
    assert ask_for_exchanges(demo.parts, known) == 0


def test_an_approved_exchange_is_judged_again_before_it_is_done(demo: Demo, lease: Lease) -> None:
    own_convertible(demo, lease)
    assert ask_for_exchanges(demo.parts, facts(demo, lease, without_family=True)) == 1
    [intent] = waiting(demo)
    with writing(demo.parts.engine) as connection:
        obstacle = approve_alteration(
            connection, intent, version=1, by="ana", comment="", now=demo.parts.clock.now()
        )
    assert obstacle is None
    told = tie_loose_ends(demo.parts, lease=lease)  # of the family as much is used as ever
    assert "0 of 1 alterations done" in told
    with reading(demo.parts.engine) as connection:
        [one] = alterations.list_alterations(connection)
    assert (one.state, one.detail.split(":")[0]) == (AlterationState.WITHDRAWN, TURNED.rule)
