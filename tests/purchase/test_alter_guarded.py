"""What the guard asks of an alteration: worth, caps, sign-off, refund, and whose it is."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine

from service.domain.alterations import (
    AlterationKind,
    AlterationOrder,
    AlterationState,
)
from service.domain.commitments import Kind
from service.domain.ids import ClientToken, CommitmentId, IntentId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import PurchaseOrder
from service.guard.policy import Policy
from service.purchase.alter import AlterationDone, alter
from service.purchase.desk import Declined
from service.purchase.execute import execute
from service.purchase.propose import Obstacle
from service.purchase.written_alterations import (
    approve_alteration,
)
from service.store import alterations, proposals
from service.store.demotion import restore
from service.store.engine import reading, writing
from tests.purchase.altering import (
    Bent,
    altered_states,
    ask_for,
    make_order,
    open_bench,
    rules,
    target,
    worth,
)
from tests.purchase.cloud import PROVIDER
from tests.purchase.shop import Shop
from tests.purchase.world import (
    CYCLE,
    PLAN,
    START,
    make_line,
)


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> Shop:
    return Shop(engine, tmp_path)


def yes(shop: Shop, order: AlterationOrder, by: str) -> Obstacle | None:
    with writing(shop.engine) as connection:
        found = alterations.find(connection, order.intent)
        assert found is not None
        refused = approve_alteration(
            connection, order.intent, version=found.version, by=by, comment="", now=START
        )
    return None if refused is None else refused.obstacle


def exchange(shop: Shop, *, most: str = "1000") -> AlterationOrder:
    order = make_order(shop.owned, kind=AlterationKind.EXCHANGE, targets=(target(),), most=most)
    ask_for(shop.engine, order)
    return order


def denying(place: str, **denied: tuple[object, ...]) -> Policy:
    policy = rules(pay="10")
    part = getattr(policy, place).model_copy(update=denied)
    return policy.model_copy(update={place: part})


@pytest.mark.parametrize(
    ("policy", "bent", "rule"),
    [
        (denying("denied", families=("p4d",)), {"family": "p4d"}, "family"),
        (denying("denied", kinds=(Kind.AWS_COMPUTE_SP,)), {}, "kind"),
        (denying("denied", terms_months=(12,)), {}, "term"),
        (denying("allowed", regions=("us-east-1",)), {}, "region"),
        (rules(pay="10"), {"expected_savings_usd_per_hour": Decimal("0.01")}, "saving"),
        (
            rules(pay="10"),
            {
                "commit_usd_per_hour": CommitUsdPerHour(Decimal("5.5")),
                "expected_savings_usd_per_hour": Decimal("2.5"),
            },
            "line_commit",
        ),
    ],
)
def test_what_an_exchange_makes_is_judged_as_a_purchase_is(
    shop: Shop, policy: Policy, bent: Bent, rule: str
) -> None:
    """An exchange is no way round what the policy denies, nor round its caps."""
    order = exchange(shop)
    bench = open_bench(shop.desk, shop.alterer, policy, partial(worth, **bent))
    declined = alter(bench, order.intent)
    assert isinstance(declined, Declined)
    assert (declined.rule, declined.final) == (rule, True)
    assert shop.alterer.calls == []


def test_an_exchange_of_which_nothing_is_known_waits(shop: Shop) -> None:
    order = exchange(shop)
    nothing_known = open_bench(
        shop.desk, shop.alterer, rules(pay="10"), lambda _order, _quote: None
    )
    declined = alter(nothing_known, order.intent)
    assert isinstance(declined, Declined)
    assert (declined.rule, declined.final) == ("target", False)
    assert altered_states(shop.engine) == [AlterationState.WAITING]


def test_what_obliges_to_much_waits_for_a_person_on_autopilot_too(shop: Shop) -> None:
    order = exchange(shop)
    shop.alterer.target_value_usd = Decimal(95_000)
    bench = open_bench(shop.desk, shop.alterer, rules(pay="10"))
    waits = alter(bench, order.intent)
    assert isinstance(waits, Declined)
    assert (waits.rule, waits.final) == ("sign_off_obligation", False)
    assert yes(shop, order, "ana") is None
    assert isinstance(alter(bench, order.intent), AlterationDone)


def test_two_people_must_say_yes_to_an_exchange_above_the_amount(shop: Shop) -> None:
    order = exchange(shop)
    shop.alterer.target_value_usd = Decimal(2_000)
    policy = rules("copilot", pay="10")
    sign_off = policy.sign_off.model_copy(update={"two_person_above_usd": Decimal(1_000)})
    bench = open_bench(shop.desk, shop.alterer, policy.model_copy(update={"sign_off": sign_off}))
    assert yes(shop, order, "ana") is None
    declined = alter(bench, order.intent)
    assert isinstance(declined, Declined)
    assert declined.rule == "sign_off"
    assert altered_states(shop.engine) == [AlterationState.WAITING]
    assert yes(shop, order, " Ana ") is Obstacle.SAME_PERSON
    assert yes(shop, order, "bea") is None
    assert isinstance(alter(bench, order.intent), AlterationDone)


@pytest.mark.parametrize(
    ("quoted", "done"), [("1", True), ("0.5", True), ("1.001", False), ("5", False)]
)
def test_no_more_is_exchanged_for_than_was_asked_for(
    shop: Shop, quoted: str, *, done: bool
) -> None:
    order = exchange(shop)
    shop.alterer.targets = (target(quantity=quoted),)
    ended = alter(open_bench(shop.desk, shop.alterer, rules(pay="10")), order.intent)
    assert isinstance(ended, AlterationDone) is done
    if isinstance(ended, Declined):
        assert ended.rule == "count_moved"


@pytest.mark.parametrize(
    ("refund", "rule"), [("0", "refund"), ("97.9", "refund"), ("98.1", None), ("100", None)]
)
def test_a_return_must_bring_back_the_cash_for_the_time_that_is_left(
    shop: Shop, refund: str, rule: str | None
) -> None:
    order = make_order(shop.owned)
    ask_for(shop.engine, order)
    shop.alterer.refund_usd = Decimal(refund)
    ended = alter(open_bench(shop.desk, shop.alterer, rules()), order.intent)
    assert (ended.rule if isinstance(ended, Declined) else None) == rule
    if rule is None:
        # The adapter, which asks again just before it sends, must get as much.
        assert shop.alterer.calls[0].most_to_pay_usd == -Decimal(refund) * Decimal("0.999")


def test_autopilot_gives_back_one_a_day_and_a_person_may_give_back_more(shop: Shop) -> None:
    execute(shop.desk, line=make_line(2), plan=PLAN, cycle=CYCLE)
    shop.read()
    other = next(name for name in shop.listed() if name != shop.owned)
    orders = [make_order(shop.owned), make_order(CommitmentId(other), number=2)]
    bench = open_bench(shop.desk, shop.alterer, rules())
    for order in orders:
        ask_for(shop.engine, order)
    assert isinstance(alter(bench, orders[0].intent), AlterationDone)
    shop.read()
    declined = alter(bench, orders[1].intent)
    assert isinstance(declined, Declined)
    assert (declined.rule, declined.final) == ("returns_today", False)
    assert yes(shop, orders[1], "ana") is None
    assert isinstance(alter(bench, orders[1].intent), AlterationDone)


@pytest.mark.parametrize("kind", [AlterationKind.RETURN, AlterationKind.CANCEL_QUEUED])
def test_what_was_given_back_is_held_for_a_while(shop: Shop, kind: AlterationKind) -> None:
    ask_for(shop.engine, make_order(shop.owned, kind=kind))
    alter(open_bench(shop.desk, shop.alterer, rules()), make_order(shop.owned).intent)
    with reading(shop.engine) as connection:
        [hold] = proposals.holding(connection, now=START + timedelta(days=6))
        assert proposals.holding(connection, now=START + timedelta(days=8)) == ()
        assert proposals.holding(connection, now=START, given_back=False) == ()
    assert hold.covers(make_line(1), make_line(1).account)


def test_what_others_bought_is_altered_at_a_persons_word_alone(shop: Shop) -> None:
    foreign = shop.cloud.sell_to_somebody(
        PurchaseOrder(
            intent=IntentId(""),
            token=ClientToken("console"),
            account=make_line(2).account,
            offering=make_line(2).offering,
            kind=Kind.AWS_COMPUTE_SP,
            term_months=12,
            payment=make_line(2).payment,
            quantity=Decimal(1),
            upfront_usd=Decimal(0),
        )
    )
    shop.read()
    with writing(shop.engine) as connection:
        restore(connection, PROVIDER, by="ana", reason="it is hers", now=START)
    order = make_order(foreign)
    ask_for(shop.engine, order)
    bench = open_bench(shop.desk, shop.alterer, rules())
    waits = alter(bench, order.intent)
    assert isinstance(waits, Declined)
    assert (waits.rule, waits.final) == ("origin", False)
    assert yes(shop, order, "ana") is None
    assert isinstance(alter(bench, order.intent), AlterationDone)
