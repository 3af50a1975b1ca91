"""Reserved nodes of five services: found on sale, bought once under our own name, found again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from service.domain.commitments import CommitmentState, Kind, Offering, Payment
from service.domain.errors import InputError, ProviderError
from service.domain.ids import IntentId, OfferingId
from service.domain.purchases import Absent, Bought, Idempotency, PurchaseOrder, Refused, Unknown
from service.domain.usage import SkuKey
from service.providers.aws import nodes
from service.providers.aws.node_services import BY_KIND, SERVICES
from service.providers.aws.outcome import is_retryable
from service.providers.port import ProviderFinder
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from tests.providers.aws.orders import buyer_of, item_of, plan_order, reader_of
from tests.sandbox.clouds import database_cloud, emptied, strike

KINDS = [service.kind for service in SERVICES]
NAMED = [kind for kind in KINDS if kind is not Kind.AWS_REDSHIFT_RI]
BUY = {
    Kind.AWS_RDS_RI: "rds.PurchaseReservedDBInstancesOffering",
    Kind.AWS_ELASTICACHE_RI: "elasticache.PurchaseReservedCacheNodesOffering",
    Kind.AWS_MEMORYDB_RI: "memorydb.PurchaseReservedNodesOffering",
    Kind.AWS_OPENSEARCH_RI: "es.PurchaseReservedInstanceOffering",
    Kind.AWS_REDSHIFT_RI: "redshift.PurchaseReservedNodeOffering",
}
LOST = [FaultKind.TIMEOUT_AFTER, FaultKind.ERROR_AFTER, FaultKind.BROKEN_AFTER]


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxCloud]:
    with database_cloud() as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: SandboxCloud) -> SandboxCloud:
    return emptied(shared)


def keys(cloud: SandboxCloud, service: str) -> list[SkuKey]:
    skus = cloud.world.catalog.skus
    used = sorted({line.key for line in cloud.world.usage.lines})
    return [key for key in used if skus[key].service == service]


def offering(
    cloud: SandboxCloud, kind: Kind, years: int = 1, payment: Payment = Payment.PARTIAL_UPFRONT
) -> Offering:
    return next(
        one
        for one in reader_of(cloud).offerings(keys(cloud, BY_KIND[kind].name))
        if (one.kind, one.term_months, one.payment) == (kind, 12 * years, payment)
        and one.region == "us-east-1"
    )


def ordered(cloud: SandboxCloud, kind: Kind, name: str = "1") -> PurchaseOrder:
    return plan_order(cloud, offering(cloud, kind), "3", name=name)


@pytest.mark.parametrize("kind", KINDS)
def test_everything_on_sale_is_listed_at_its_amortised_price(
    cloud: SandboxCloud, kind: Kind
) -> None:
    used = keys(cloud, BY_KIND[kind].name)
    found = {one.offering: one for one in nodes.offerings(cloud.clients(), used)}
    names = {key.sku for key in used}
    sold = {
        f"{kind}/{one.region}/{one.offering}": one
        for one in cloud.world.catalog.offerings.values()
        if one.kind is kind and names & set(one.rates_usd)
    }
    assert set(found) == set(sold)
    for name, theirs in sold.items():
        ours = found[OfferingId(name)]
        ((sku, rate),) = ours.rates_usd.items()
        assert float(rate) == pytest.approx(float(theirs.rates_usd[sku]))
        assert ours.upfront_usd == theirs.upfront_usd
        assert (ours.term_months, ours.payment) == (theirs.term_months, theirs.payment)
        assert (ours.region, ours.family) == (theirs.region, theirs.family)


def test_a_database_reservation_is_of_one_engine_and_deployment(cloud: SandboxCloud) -> None:
    found = nodes.offerings(cloud.clients(), keys(cloud, "rds"))
    skus = {sku for one in found for sku in one.rates_usd}
    assert "USE1-Multi-AZUsage:db.m5.large/CreateDBInstance:0014" in skus
    assert "USE1-InstanceUsage:db.m5.large/CreateDBInstance:0014" in skus
    assert "USE1-InstanceUsage:db.m5.large/CreateDBInstance:0012" in skus
    by_platform = {one.platform for one in found}
    assert by_platform == {"postgresql", "mysql", "sqlserver-se-li", "aurora-postgresql"}
    no_upfront = {one.term_months for one in found if one.payment is Payment.NO_UPFRONT}
    assert no_upfront == {12}


def test_prices_of_managed_nodes_come_from_the_price_list(cloud: SandboxCloud) -> None:
    used = sorted({line.key for line in cloud.world.usage.lines})
    prices = reader_of(cloud).prices(used, {})
    assert {one.key: one for one in prices} == {key: cloud.world.catalog.skus[key] for key in used}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_bought_is_found_again_in_every_word(cloud: SandboxCloud, kind: Kind) -> None:
    order = ordered(cloud, kind)
    outcome = buyer_of(cloud).buy(order)
    assert isinstance(outcome, Bought)
    pending = item_of(cloud, outcome.commitment)
    assert pending.commitment.state is CommitmentState.PAYMENT_PENDING
    cloud.advance(1)
    item = item_of(cloud, outcome.commitment)
    assert item.commitment.state is CommitmentState.ACTIVE
    assert item.commitment.offering == order.offering
    assert (item.kind, item.term_months, item.payment) == (kind, 12, Payment.PARTIAL_UPFRONT)
    assert item.commitment.quantity == 3
    assert abs(item.upfront_usd - order.upfront_usd) < 1
    quoted = buyer_of(cloud).quote(order)
    assert float(item.commit_usd_per_hour) == pytest.approx(float(quoted.commit_usd_per_hour))
    assert item.intent == (None if kind is Kind.AWS_REDSHIFT_RI else order.intent)
    sold = offering(cloud, kind)
    (owned,) = reader_of(cloud).owned_offerings([item], keys(cloud, BY_KIND[kind].name))
    assert set(owned.rates_usd) == set(sold.rates_usd)
    assert (owned.family, owned.platform, owned.size_flexible) == (
        sold.family,
        sold.platform,
        sold.size_flexible,
    )
    (unused,) = reader_of(cloud).owned_offerings([item], [])
    assert set(unused.rates_usd) == set(sold.rates_usd)


@pytest.mark.parametrize("kind", NAMED)
def test_a_second_purchase_for_one_intent_is_the_first_one(cloud: SandboxCloud, kind: Kind) -> None:
    buyer, order = buyer_of(cloud), ordered(cloud, kind)
    assert buyer.idempotency(kind) is Idempotency.NATIVE
    first = buyer.buy(order)
    assert isinstance(first, Bought)
    assert buyer.buy(order) == first
    assert len(cloud.world.nodes.nodes) == 1
    assert cloud.snapshot().paid_by_intent == {"intent-1": (first.commitment,)}


def test_redshift_buys_again_on_every_call_and_says_so(cloud: SandboxCloud) -> None:
    buyer, order = buyer_of(cloud), ordered(cloud, Kind.AWS_REDSHIFT_RI)
    assert buyer.idempotency(order.kind) is Idempotency.LOOKUP
    assert buyer.buy(order) != buyer.buy(order)
    assert len(cloud.world.nodes.nodes) == 2


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize("change", ["count", "offering"])
def test_a_name_that_exists_as_something_else_is_no_success(
    cloud: SandboxCloud, kind: Kind, change: str
) -> None:
    first = ordered(cloud, kind)
    assert isinstance(buyer_of(cloud).buy(first), Bought)
    other = offering(cloud, kind, payment=Payment.ALL_UPFRONT)
    second = (
        replace(first, quantity=Decimal(2), upfront_usd=first.upfront_usd * 2 / 3)
        if change == "count"
        else plan_order(cloud, other, "3")
    )
    outcome = buyer_of(cloud).buy(second)
    assert isinstance(outcome, Unknown)
    assert "not as ordered" in outcome.detail
    assert len(cloud.world.nodes.nodes) == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_answer_is_unknown_and_the_listing_knows(
    cloud: SandboxCloud, kind: Kind, fault: FaultKind
) -> None:
    order, finder = ordered(cloud, kind), buyer_of(cloud)
    strike(cloud, Fault(BUY[kind], fault))
    assert isinstance(finder.buy(order), Unknown)
    assert cloud.server.calls[BUY[kind]] == 1
    (record,) = cloud.world.nodes.nodes.values()
    found: ProviderFinder = finder
    looked = found.look_up(order)
    if kind is Kind.AWS_REDSHIFT_RI:
        assert isinstance(looked, Absent)
    else:
        assert looked == Bought(record.identity)


@pytest.mark.parametrize("kind", KINDS)
def test_before_the_effect_nothing_is_bought_and_the_finder_does_not_guess(
    cloud: SandboxCloud, kind: Kind
) -> None:
    order = ordered(cloud, kind)
    strike(cloud, Fault(BUY[kind], FaultKind.TIMEOUT_BEFORE))
    assert isinstance(buyer_of(cloud).buy(order), Unknown)
    assert cloud.world.nodes.nodes == {}
    assert isinstance(buyer_of(cloud).look_up(order), Absent)


@pytest.mark.parametrize("kind", KINDS)
def test_refusals_and_throttles_are_told_apart(cloud: SandboxCloud, kind: Kind) -> None:
    order = ordered(cloud, kind)
    strike(cloud, Fault(BUY[kind], FaultKind.REFUSE, code="ReservedNodeQuotaExceeded"))
    refused = buyer_of(cloud).buy(order)
    assert isinstance(refused, Refused)
    assert not is_retryable(refused)
    strike(cloud, Fault(BUY[kind], FaultKind.THROTTLE))
    throttled = buyer_of(cloud).buy(order)
    assert isinstance(throttled, Refused)
    assert is_retryable(throttled)
    assert cloud.world.nodes.nodes == {}


@pytest.mark.parametrize("kind", NAMED)
def test_a_listing_that_lags_proves_nothing(cloud: SandboxCloud, kind: Kind) -> None:
    order = ordered(cloud, kind)
    strike(cloud, Fault(BUY[kind], FaultKind.LISTING_LAG, lag_reads=2))
    assert isinstance(buyer_of(cloud).buy(order), Bought)
    assert isinstance(buyer_of(cloud).look_up(order), Absent)
    assert isinstance(buyer_of(cloud).buy(order), Unknown)
    assert isinstance(buyer_of(cloud).look_up(order), Bought)
    assert len(cloud.world.nodes.nodes) == 1


@pytest.mark.parametrize("kind", NAMED)
def test_a_payment_that_fails_is_found_as_not_bought(cloud: SandboxCloud, kind: Kind) -> None:
    order = ordered(cloud, kind)
    strike(cloud, Fault(BUY[kind], FaultKind.PAYMENT_FAILS))
    outcome = buyer_of(cloud).buy(order)
    assert isinstance(outcome, Bought)
    cloud.advance(1)
    assert item_of(cloud, outcome.commitment).commitment.state is CommitmentState.FAILED
    looked = buyer_of(cloud).look_up(order)
    assert isinstance(looked, Refused)
    assert looked.code == "payment_failed"


@pytest.mark.parametrize("kind", KINDS)
def test_a_dearer_offering_is_refused(cloud: SandboxCloud, kind: Kind) -> None:
    order = ordered(cloud, kind)
    theirs = OfferingId(order.offering.rpartition("/")[2])
    cloud.world.change_price(theirs, Decimal("1.5"))
    outcome = buyer_of(cloud).buy(order)
    assert isinstance(outcome, Refused)
    assert outcome.code == "upfront"
    assert cloud.server.calls[BUY[kind]] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_an_offering_that_is_dearer_by_the_hour_alone_is_refused(
    cloud: SandboxCloud, kind: Kind
) -> None:
    order = plan_order(cloud, offering(cloud, kind, payment=Payment.NO_UPFRONT), "50")
    assert order.upfront_usd == 0
    cloud.world.change_price(OfferingId(order.offering.rpartition("/")[2]), Decimal("1.001"))
    outcome = buyer_of(cloud).buy(order)
    assert isinstance(outcome, Refused)
    assert outcome.code == "hourly"
    undecided = buyer_of(cloud).buy(replace(order, commit_usd_per_hour=None))
    assert isinstance(undecided, Refused)
    assert cloud.server.calls[BUY[kind]] == 0
    quote = buyer_of(cloud).quote(order)
    at_new_price = replace(order, commit_usd_per_hour=quote.commit_usd_per_hour)
    assert isinstance(buyer_of(cloud).buy(at_new_price), Bought)


def test_orders_that_cannot_be_sent_are_refused(cloud: SandboxCloud) -> None:
    order = ordered(cloud, Kind.AWS_RDS_RI)
    for changed, code in (
        (replace(order, quantity=Decimal("1.5")), "quantity"),
        (replace(order, start_at=cloud.world.after_hours(5)), "queue"),
        (replace(order, intent=IntentId("Not A Name")), "name"),
        (replace(order, term_months=36), "not_on_sale"),
    ):
        outcome = buyer_of(cloud).buy(changed)
        assert isinstance(outcome, Refused)
        assert outcome.code == code
    with pytest.raises(ProviderError, match="NotFound"):
        buyer_of(cloud).quote(replace(order, offering=OfferingId("aws_rds_ri/us-east-1/none")))
    with pytest.raises(InputError, match="does not name"):
        buyer_of(cloud).quote(replace(order, offering=OfferingId("none")))


def test_reservations_that_others_named_are_owned_all_the_same(cloud: SandboxCloud) -> None:
    theirs = offering(cloud, Kind.AWS_RDS_RI).offering.rpartition("/")[2]
    rds = cloud.clients().purchasing("rds", "us-east-1")
    rds.purchase_reserved_db_instances_offering(  # type: ignore[attr-defined]
        ReservedDBInstancesOfferingId=theirs, ReservedDBInstanceId="by-hand", DBInstanceCount=1
    )
    (item,) = reader_of(cloud).inventory()
    assert item.intent is None
    assert item.commitment.quantity == 1


def test_dynamodb_is_priced_and_never_sold_as_a_reservation(cloud: SandboxCloud) -> None:
    used = keys(cloud, "dynamodb")
    assert used
    found = reader_of(cloud).offerings(used)
    assert {one.kind for one in found} == {Kind.AWS_DATABASE_SP}
    assert reader_of(cloud).prices(used, {})[0].on_demand_usd > 0
