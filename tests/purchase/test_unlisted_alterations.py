"""What was altered and is not listed yet: no cap can count it, so nothing is bought beside it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from service.domain.alterations import AlterationKind, Altered
from service.domain.commitments import CommitmentState
from service.domain.ids import AccountId, PlanId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Decision, PlanLine, Verdict
from service.domain.purchases import RENEWAL_SHOWN_WITHIN, Bought, InventoryItem, owned_until
from service.guard.caps import used
from service.guard.context import spent_so_far
from service.guard.policy import Policy
from service.guard.rules import judge
from service.purchase.alter import AlterationDone, alter
from service.purchase.checks import altering
from service.purchase.desk import Declined, Executed, Execution, Facts, Judge
from service.purchase.execute import execute
from service.store import holdings, unlisted
from service.store.alteration_tables import alterations
from service.store.engine import reading, writing
from tests.guard.cases import context
from tests.purchase.altering import (
    altered_states,
    ask_for,
    make_order,
    open_bench,
    rules,
    target,
    worth,
)
from tests.purchase.cloud import Fault, FileCloud
from tests.purchase.shop import Shop
from tests.purchase.world import CYCLE, PLAN, cap, make_line, open_desk, store_plan, verdict

ROOM = Decimal(3)
"""In USD per hour: for what is owned, twice; not for what it is exchanged for and another."""


@pytest.fixture
def shop(engine: Engine, tmp_path: Path) -> Shop:
    made = Shop(engine, tmp_path)
    made.desk = replace(made.desk, judge=cap(ROOM))
    return made


def exchange_for_more(shop: Shop, *, number: int = 1) -> AlterationDone | Declined:
    order = make_order(
        shop.owned, kind=AlterationKind.EXCHANGE, targets=(target(quantity="3"),), number=number
    )
    ask_for(shop.engine, order)
    counted = partial(worth, commit_usd_per_hour=CommitUsdPerHour(ROOM))
    bench = open_bench(shop.desk, shop.alterer, rules(pay="10"), evidence=counted)
    return alter(bench, order.intent)


def buy(shop: Shop) -> Execution:
    return execute(shop.desk, line=make_line(2), plan=PLAN, cycle=CYCLE)


def rule_of(execution: Execution | AlterationDone) -> str:
    assert isinstance(execution, Declined)
    return execution.rule


def owned_usd_per_hour(shop: Shop) -> Decimal:
    items = shop.cloud.inventory()
    return sum(
        (one.commit_usd_per_hour for one in items if one.commitment.state.is_owned), Decimal(0)
    )


def test_what_an_exchange_grew_to_is_counted_before_anything_more_is_bought(shop: Shop) -> None:
    assert isinstance(exchange_for_more(shop), AlterationDone)
    declined = buy(shop)
    assert rule_of(declined) == "open_alteration"
    assert isinstance(declined, Declined)
    assert not declined.final
    shop.read()
    assert rule_of(buy(shop)) == "total_cap"
    assert owned_usd_per_hour(shop) == ROOM


def test_an_exchange_that_is_known_before_what_it_made_is_listed_is_waited_for(shop: Shop) -> None:
    shop.alterer.fault = Fault.TIMEOUT_AFTER
    exchange_for_more(shop)
    shop.alterer.fault = Fault.NONE
    (made,) = {one.commitment.commitment for one in shop.cloud.inventory()} - {shop.owned}
    shop.cloud.hidden.add(made)
    shop.read()
    assert [state.value for state in altered_states(shop.engine)] == ["altered"]
    assert rule_of(buy(shop)) == "open_alteration"
    shop.cloud.hidden.clear()
    shop.read()
    assert rule_of(buy(shop)) == "total_cap"


def test_after_the_grace_a_listing_is_believed_whatever_it_leaves_out(shop: Shop) -> None:
    exchange_for_more(shop)
    (made,) = {one.commitment.commitment for one in shop.cloud.inventory()} - {shop.owned}
    shop.cloud.hidden.add(made)
    shop.read()
    assert rule_of(buy(shop)) == "open_alteration"
    shop.clock.pass_time(timedelta(hours=1))
    shop.read()
    assert not isinstance(buy(shop), Declined)


def test_of_two_exchanges_the_second_waits_until_the_first_is_listed(shop: Shop) -> None:
    exchange_for_more(shop)
    waits = exchange_for_more(shop, number=2)
    assert rule_of(waits) == "open_unknown"


OTHER = AccountId("210987654321")
OTHER_PLAN = PlanId("plan-elsewhere")


@pytest.mark.parametrize("answer", [Fault.NONE, Fault.TIMEOUT_AFTER])
def test_what_an_exchange_obliges_to_counts_in_every_account_before_it_is_listed(
    shop: Shop, tmp_path: Path, answer: Fault
) -> None:
    line = make_line(1, account=OTHER)
    store_plan(shop.engine, line, plan=OTHER_PLAN)
    cloud = FileCloud(tmp_path / "cloud.db", shop.clock, account=OTHER)
    room_for_both = cap(ROOM + 1)
    elsewhere = open_desk(shop.engine, cloud, shop.desk.lease, shop.clock, judge=room_for_both)

    def buy_elsewhere() -> Execution:
        return execute(elsewhere, line=line, plan=OTHER_PLAN, cycle=CYCLE)

    shop.alterer.fault = answer
    exchange_for_more(shop)
    # What is given is listed still, so that both count: it is waited for, not passed.
    assert rule_of(buy_elsewhere()) == "total_cap"
    shop.read()
    assert not isinstance(buy_elsewhere(), Declined)


def without_amounts(shop: Shop) -> None:
    """The rows of alterations as an older version left them."""
    with writing(shop.engine) as connection:
        (before,) = unlisted.obliged(connection).values()
        assert before
        (kept,) = connection.execute(select(alterations.c.made)).scalars()
        made = {key: value for key, value in kept.items() if key != "obliged"}
        connection.execute(update(alterations).values(made=made))


def real_guard(line: PlanLine, facts: Facts) -> Verdict:
    """The guard itself, under a policy that has room for everything."""
    spent = spent_so_far(facts.intents, facts.holdings, now=facts.now, run=facts.plan)
    known = replace(
        context(line),
        now=facts.now,
        spent=None if facts.altering is None else (*spent, *facts.altering),
    )
    policy = rules()
    accounts = policy.purchase_accounts.model_copy(update={"aws": str(OTHER)})
    policy = policy.model_copy(update={"purchase_accounts": accounts})
    return judge((line,), policy=policy, context=known)[0]


@pytest.mark.parametrize("written", [True, False])
def test_nothing_is_bought_beside_an_exchange_whose_amounts_were_not_written_down(
    shop: Shop, tmp_path: Path, *, written: bool
) -> None:
    line = replace(make_line(1, account=OTHER), region="us-east-1", family="m5")
    store_plan(shop.engine, line, plan=OTHER_PLAN)
    cloud = FileCloud(tmp_path / "cloud.db", shop.clock, account=OTHER)
    desk = open_desk(shop.engine, cloud, shop.desk.lease, shop.clock, judge=real_guard)
    shop.alterer.fault = Fault.TIMEOUT_AFTER
    exchange_for_more(shop)
    if not written:
        without_amounts(shop)
    done = execute(desk, line=line, plan=OTHER_PLAN, cycle=CYCLE)
    if written:
        assert isinstance(done, Executed)
        assert isinstance(done.outcome, Bought)
    else:
        assert isinstance(done, Declined)
        assert done.detail.endswith("actual not known)")
        assert len(cloud.sales()) == 2, "the first purchase and what it was exchanged for"


def switch_renewal_on(shop: Shop) -> AlterationDone | Declined:
    order = make_order(shop.owned, kind=AlterationKind.SET_RENEWAL, targets=(target(),))
    ask_for(shop.engine, replace(order, renew=True))
    counted = partial(worth, commit_usd_per_hour=CommitUsdPerHour(Decimal(1)))
    bench = open_bench(shop.desk, shop.alterer, rules(kinds="set_renewal"), evidence=counted)
    return alter(bench, order.intent)


@pytest.mark.parametrize("renews", [True, False])
def test_the_next_term_of_what_renews_counts_from_its_switching_on(
    shop: Shop, *, renews: bool
) -> None:
    shop.desk = replace(shop.desk, judge=cap(Decimal("2.5")))
    if not renews:
        assert not isinstance(buy(shop), Declined)
        return
    done = switch_renewal_on(shop)
    assert isinstance(done, AlterationDone)
    assert isinstance(done.outcome, Altered)
    # Until it is shown it would seem to end: it is waited for.
    assert rule_of(buy(shop)) == "open_alteration"
    shop.read()
    assert rule_of(buy(shop)) == "total_cap"
    with reading(shop.engine) as connection:
        (day,) = altering(connection) or ()
    # Beside what it renews it counts in its day alone.
    assert (day.live, day.commit_usd_per_hour) == (False, Decimal(1))


def day_cap(obligation_usd: Decimal) -> Judge:
    """A guard that holds what is newly owed within a day at or below a cap."""

    def decide(line: PlanLine, facts: Facts) -> Verdict:
        spent = spent_so_far(facts.intents, facts.holdings, now=facts.now, run=facts.plan)
        (day,) = [
            already
            for name, _, already in used(
                rules().caps, (*spent, *(facts.altering or ())), now=facts.now
            )
            if name == "day"
        ]
        assert day is not None
        fits = day.obligation_usd + line.total_usd <= obligation_usd
        return verdict(line, Decision.ALLOW if fits else Decision.REFUSE, "day_cap")

    return decide


def oblige_in_place(
    shop: Shop, kind: AlterationKind, policy: Policy, *, number: int = 1, run: str = "run-1"
) -> AlterationDone | Declined:
    renew = True if kind is AlterationKind.SET_RENEWAL else None
    wanted = replace(target(), term_months=12 if renew else 36)
    order = make_order(shop.owned, kind=kind, targets=(wanted,), number=number)
    ask_for(shop.engine, replace(order, renew=renew), now=shop.clock.now(), run=run)
    return alter(open_bench(shop.desk, shop.alterer, policy), order.intent)


LENGTHEN, RENEW = AlterationKind.UPGRADE_TERM, AlterationKind.SET_RENEWAL


@pytest.mark.parametrize("kind", [LENGTHEN, RENEW])
def test_what_was_renewed_or_lengthened_counts_on_in_its_day_once_it_is_listed(
    shop: Shop, kind: AlterationKind
) -> None:
    shop.clock.pass_time(timedelta(days=30))
    shop.read()
    room = make_line(2).total_usd * Decimal("1.5")
    shop.desk = replace(shop.desk, judge=day_cap(room))
    policy = rules(kinds=kind.value)
    assert isinstance(oblige_in_place(shop, kind, policy), AlterationDone)
    shop.read()
    (item,) = holdings_of(shop)
    assert item.renews or item.term_months == 36
    today, tomorrow = PlanId("today"), PlanId("tomorrow")
    for plan in (today, tomorrow):
        store_plan(shop.engine, make_line(2), plan=plan)
    declined = execute(shop.desk, line=make_line(2), plan=today, cycle=CYCLE)
    assert rule_of(declined) == "day_cap"
    shop.clock.pass_time(timedelta(hours=25))
    done = execute(shop.desk, line=make_line(2), plan=tomorrow, cycle=CYCLE)
    assert isinstance(done, Executed)


def holdings_of(shop: Shop) -> tuple[InventoryItem, ...]:
    with reading(shop.engine) as connection:
        return holdings.inventory(connection)


@pytest.mark.parametrize(("kind", "for_one_usd"), [(LENGTHEN, 40_000), (RENEW, 13_000)])
@pytest.mark.parametrize(
    ("cap", "run", "rule"),
    [
        ("per_run", "run-1", "run_obligation"),
        ("per_run", "run-2", None),
        ("per_day", "run-2", "day_obligation"),
    ],
)
def test_two_renewed_or_lengthened_in_place_pass_no_cap_of_a_run_or_a_day(
    shop: Shop, kind: AlterationKind, for_one_usd: int, *, cap: str, run: str, rule: str | None
) -> None:
    shop.clock.pass_time(timedelta(days=30))
    shop.read()
    policy = rules(kinds=kind.value)
    once = getattr(policy.caps, cap).model_copy(update={"obligation_usd": Decimal(for_one_usd)})
    policy = policy.model_copy(
        update={
            "caps": policy.caps.model_copy(update={cap: once}),
            "sign_off": policy.sign_off.model_copy(update={"above": policy.caps.in_total}),
        }
    )
    shop.alterer.target_value_usd = Decimal(30_000)
    assert isinstance(oblige_in_place(shop, kind, policy), AlterationDone)
    shop.read()
    done = oblige_in_place(shop, kind, policy, number=2, run=run)
    if rule is None:
        assert isinstance(done, AlterationDone), done
    else:
        assert rule_of(done) == rule


def test_a_renewal_that_another_switched_on_counts_too(shop: Shop) -> None:
    shop.desk = replace(shop.desk, judge=cap(Decimal("2.5")))
    shop.cloud.renewing.add(shop.owned)
    shop.read()
    assert rule_of(buy(shop)) == "total_cap"


@pytest.mark.parametrize("vanishes", [True, False])
def test_between_two_terms_what_renews_is_owned_on_until_the_next_must_be_listed(
    shop: Shop, *, vanishes: bool
) -> None:
    buy(shop)  # something else is listed still
    shop.cloud.renewing.add(shop.owned)
    shop.read()
    shop.clock.pass_time(timedelta(days=365, hours=1))
    shop.cloud.set_state(shop.owned, CommitmentState.RETIRED)
    if vanishes:
        shop.cloud.forget(shop.owned)
    shop.read()

    def owned() -> list[bool]:
        with reading(shop.engine) as connection:
            owed = holdings.owed(connection, now=shop.clock.now())
        return [
            one.commitment.state.is_owned and owned_until(one) > shop.clock.now()
            for one in owed
            if one.commitment.commitment == shop.owned
        ]

    assert owned() == [True]
    shop.clock.pass_time(RENEWAL_SHOWN_WITHIN)
    assert owned() == [True], "nothing was read since"
    shop.read()
    assert not any(owned())
