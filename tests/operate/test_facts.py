"""What a decision may not be made on: another account, what is not priced, what is not listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from service.clouds import clouds_of
from service.domain.commitments import Commitment, CommitmentState
from service.domain.errors import RefusedError
from service.domain.hours import HOUR
from service.domain.ids import AccountId, CommitmentId, CycleId, OfferingId
from service.domain.plans import Decision
from service.domain.purchases import InventoryItem, Quote
from service.operate.acting import desk_of
from service.operate.demo import Demo
from service.operate.reconciling import reconcile
from service.operate.reporting import REPORT_HOURS, report
from service.operate.situation import Situation, names_groups, negotiated, read_situation
from service.pipeline import Cycle, run_cycle
from service.providers.aws.clients import AwsClients
from service.providers.aws.reader import AwsReader
from service.providers.port import ProviderReader
from service.purchase.desk import Facts
from service.reconcile.findings import Vanished
from service.store import holdings
from service.store.engine import reading
from service.store.lease import Lease
from service.usage.days import ObservedPrice
from service.wiring import Parts


def a_cycle(day: int = 2) -> Cycle:
    due = datetime(2026, 3, day, 6, tzinfo=UTC)
    return Cycle(CycleId(f"cycle@{due.isoformat()}"), "cycle", due)


def with_reader(parts: Parts, reader: ProviderReader) -> Parts:
    return replace(parts, cloud=replace(parts.cloud, reader=reader))


def situation_of(parts: Parts) -> Situation:
    return read_situation(parts, inventory_read_at=parts.clock.now())


def another_account(demo: Demo) -> str:
    payer = demo.cloud.world.payer
    return next(str(one) for one in demo.parts.cloud.reader.accounts() if one != payer)


def test_another_accounts_inventory_is_no_ground_for_a_decision(demo: Demo) -> None:
    clients = AwsClients(demo.cloud.access(account=another_account(demo)))
    elsewhere = with_reader(demo.parts, AwsReader(clients))
    try:
        assert situation_of(demo.parts).account == demo.cloud.world.payer
        with pytest.raises(RefusedError, match="identity"):
            situation_of(elsewhere)
    finally:
        clients.close()


def test_the_purchase_account_of_the_settings_binds_the_policy(demo: Demo) -> None:
    def bound_to(account: str) -> Parts:
        settings = demo.parts.settings.model_copy(update={"aws_purchase_account": account})
        (cloud,) = clouds_of(settings, demo.parts.clock)
        bound = replace(demo.parts.cloud, bound_account=cloud.bound_account)
        cloud.close()
        return replace(demo.parts, settings=settings, cloud=bound)

    payer = demo.cloud.world.payer
    assert situation_of(bound_to(payer)).account == payer
    with pytest.raises(RefusedError, match="purchase_account"):
        situation_of(bound_to(another_account(demo)))


def test_what_the_provider_stopped_listing_still_counts_as_owned(demo: Demo, lease: Lease) -> None:
    run_cycle(demo.parts, a_cycle(), lease=lease)
    reconcile(demo.parts, lease=lease)
    before = situation_of(demo.parts)
    forgetful = with_reader(demo.parts, _Forgetful(demo.parts.cloud.reader))
    done = reconcile(forgetful, lease=lease)
    after = situation_of(forgetful)
    assert {type(one) for one in done.findings} == {Vanished}
    assert after.inventory == ()
    assert len(before.commitments) > 0
    assert owned(after) == owned(before)


def test_a_price_once_paid_above_the_public_one_makes_no_saving(demo: Demo) -> None:
    [key, *_] = sorted({line.key for line in situation_of(demo.parts).usage.lines})
    [public] = demo.parts.cloud.reader.prices([key], {})
    for factor, expected in (("0.9", "0.9"), ("1000", "1")):
        paid = public.on_demand_usd * Decimal(factor)
        seen = ObservedPrice(*key, public.unit, public.on_demand_usd, paid)
        [now] = negotiated({key: public}, [seen]).values()
        assert now.on_demand_usd == public.on_demand_usd * Decimal(expected)


def owned(situation: Situation) -> Decimal:
    return sum((one.quantity for one in situation.commitments if one.state.is_owned), Decimal(0))


class _Forgetful:
    """A provider whose listing comes back empty, as an inconsistent one may."""

    def __init__(self, real: ProviderReader) -> None:
        self.identity = real.identity
        self.accounts = real.accounts
        self.prices = real.prices
        self.offerings = real.offerings
        self.owned_offerings = real.owned_offerings

    def inventory(self) -> Sequence[InventoryItem]:
        return ()


def test_a_term_that_ended_within_the_report_is_billed_until_its_end(
    demo: Demo, lease: Lease
) -> None:
    run_cycle(demo.parts, a_cycle(), lease=lease)
    situation = situation_of(demo.parts)
    [item, *_] = situation.inventory
    end = situation.usage_through - 100 * HOUR
    reports = []
    for state in (CommitmentState.RETIRED, CommitmentState.RETURNED):
        term = replace(item.commitment, state=state, start=end - 8_760 * HOUR, end=end)
        only = replace(item, commitment=term)
        seen = replace(situation, inventory=(only,), commitments=(term,))
        reports.append(report(demo.parts, seen).realised)
    ended, returned = reports
    hours = REPORT_HOURS - 100
    assert ended.commitment_usd == hours * item.commit_usd_per_hour
    assert returned.commitment_usd == 0


def test_what_came_to_be_owned_since_and_cannot_be_priced_stops_a_purchase(
    demo: Demo, lease: Lease
) -> None:
    result = run_cycle(demo.parts, a_cycle(), lease=lease)
    [line, *_] = result.plan.lines
    situation = situation_of(demo.parts)
    desk = desk_of(demo.parts, situation, lease, plans=[result.plan])
    now = demo.parts.clock.now()
    with reading(demo.parts.engine) as connection:
        listed = holdings.owed(connection, now=now)
    [item, *_] = listed
    foreign = replace(
        item.commitment, commitment=CommitmentId("ri-1"), offering=OfferingId("aws_ri/elsewhere")
    )
    rules = []
    for more in ((), (replace(item, commitment=foreign, intent=None),)):
        quote = Quote(line.offering, line.quantity, line.commit_usd_per_hour, line.upfront_usd, now)
        facts = Facts(
            now=now,
            plan=result.plan.plan,
            cycle=result.plan.cycle,
            quote=quote,
            signed_off=True,
            intents=(),
            holdings=(*listed, *more),
        )
        verdict = desk.judge(line, facts)
        rules.append({one.rule for one in verdict.results if one.decision is Decision.REFUSE})
    assert "unpriced_commitment" not in rules[0]
    assert rules[1] == {"unpriced_commitment"}


@pytest.mark.parametrize(
    ("scope", "state", "grouped"),
    [
        (None, CommitmentState.ACTIVE, False),
        ({"s-1"}, CommitmentState.ACTIVE, False),
        ({"s-1/web"}, CommitmentState.ACTIVE, True),
        ({"s-1/web"}, CommitmentState.RETURNED, False),
    ],
)
def test_usage_tells_resource_groups_apart_where_something_owned_is_limited_to_one(
    scope: set[str] | None,
    state: CommitmentState,
    grouped: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Else a reservation of one group would seem to cover the whole subscription's usage."""
    start = datetime(2026, 3, 1, tzinfo=UTC)
    one = Commitment(
        commitment=CommitmentId("r-1"),
        offering=OfferingId("o"),
        account=AccountId("s-1"),
        scope=None if scope is None else frozenset(map(AccountId, scope)),
        zone=None,
        quantity=Decimal(1),
        start=start,
        end=start + 100 * HOUR,
        state=state,
    )
    assert names_groups([one], start) is grouped
    assert not names_groups([one], one.end)
