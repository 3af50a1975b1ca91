"""How buying on AWS went wrong elsewhere, one test each; the number is in the docstring."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from botocore.client import BaseClient

from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.errors import InputError, ProviderError
from service.domain.ids import AccountId, IntentId
from service.domain.purchases import Absent, Bought, Idempotency, PurchaseOrder, Refused, Unknown
from service.domain.usage import SkuKey, Usage
from service.providers.aws.clients import PAGES_MAX, AwsAccess, AwsClients, invoke_all
from service.providers.aws.cost_explorer import CostExplorerUsage
from service.providers.aws.credentials import Keys
from service.providers.aws.node_services import SERVICES
from service.providers.aws.nodes import own_name
from service.providers.aws.reader import AwsReader
from service.providers.aws.reservation_terms import ReservationTerms
from service.providers.aws.reservations import NOT_LISTED_YET
from service.providers.aws.words import PAYMENTS, known, term_months
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.world import World
from tests.providers.aws.orders import (
    bought,
    buyer_of,
    item_of,
    plan_order,
    reader_of,
    reservation_order,
    terms,
)
from tests.sandbox.clouds import database_cloud, offer, strike

EC2_BUY = "ec2.PurchaseReservedInstancesOffering"


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxCloud]:
    with database_cloud() as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: SandboxCloud) -> SandboxCloud:
    """The same server for all tests, its ledgers emptied."""
    world = shared.world
    world.faults.clear()
    world.savings_plans.plans.clear()
    world.reservations.reservations.clear()
    world.nodes.nodes.clear()
    shared.server.calls.clear()
    return shared


def node_order(cloud: SandboxCloud, kind: Kind, name: str) -> PurchaseOrder:
    keys = sorted({line.key for line in cloud.world.usage.lines if line.region == "us-east-1"})
    sold = next(one for one in reader_of(cloud).offerings(keys) if one.kind is kind)
    return plan_order(cloud, sold, "2", name=name)


def test_a_reservation_is_tagged_after_the_purchase_and_found_by_its_tag(
    cloud: SandboxCloud,
) -> None:
    """Pitfall 1: EC2 takes no client token; tag afterwards, also when tags lag, and look first."""
    order = reservation_order(cloud, terms(), name="p1")
    assert buyer_of(cloud).idempotency(order.kind) is Idempotency.LOOKUP
    strike(cloud, Fault("ec2.CreateTags", FaultKind.REFUSE, code=NOT_LISTED_YET))
    outcome = buyer_of(cloud).buy(order)
    assert isinstance(outcome, Bought)
    assert buyer_of(cloud).look_up(order) == outcome
    assert item_of(cloud, outcome.commitment).intent == order.intent


@pytest.mark.parametrize("queued", [False, True])
def test_an_order_is_sent_with_the_same_words_at_any_time(
    cloud: SandboxCloud, *, queued: bool
) -> None:
    """Pitfall 2: a purchase time of now differs on every attempt, and the token then mismatches."""
    sent: list[dict[str, Any]] = []
    client = cloud.clients().purchasing("savingsplans")
    client.meta.events.register_first(
        "provide-client-params.savingsplans.CreateSavingsPlan",
        lambda params, **_: sent.append(dict(params)),
        unique_id="sent",
    )
    start = cloud.world.after_hours(72) if queued else None
    order = plan_order(cloud, offer(cloud.world), name=f"p2-{queued}", start_at=start)
    first = buyer_of(cloud).buy(order)
    cloud.advance(3)
    assert buyer_of(cloud).buy(order) == first
    assert sent[0] == sent[1]
    assert ("purchaseTime" in sent[0]) == queued
    client.meta.events.unregister(
        "provide-client-params.savingsplans.CreateSavingsPlan", unique_id="sent"
    )


def test_a_name_not_found_is_the_first_purchase_and_one_that_exists_is_compared(
    cloud: SandboxCloud,
) -> None:
    """Pitfall 3: the own id is the key; not found is no error, existing no success by itself."""
    order = node_order(cloud, Kind.AWS_RDS_RI, "p3")
    assert isinstance(buyer_of(cloud).look_up(order), Absent)
    first = buyer_of(cloud).buy(order)
    assert isinstance(first, Bought)
    assert buyer_of(cloud).buy(order) == first
    other = replace(order, quantity=Decimal(1), upfront_usd=order.upfront_usd / 2)
    assert isinstance(buyer_of(cloud).buy(other), Unknown)
    assert own_name(IntentId("p3")) == own_name(IntentId("p3"))


def test_redshift_is_found_by_what_appeared_in_the_inventory(cloud: SandboxCloud) -> None:
    """Pitfall 4: Redshift has no id, token, tag or AlreadyExists: compare the inventories."""
    order = node_order(cloud, Kind.AWS_REDSHIFT_RI, "p4")
    before = {item.commitment.commitment for item in reader_of(cloud).inventory()}
    strike(cloud, Fault("redshift.PurchaseReservedNodeOffering", FaultKind.TIMEOUT_AFTER))
    assert isinstance(buyer_of(cloud).buy(order), Unknown)
    assert cloud.server.calls["redshift.PurchaseReservedNodeOffering"] == 1
    (new,) = (
        item for item in reader_of(cloud).inventory() if item.commitment.commitment not in before
    )
    assert (new.commitment.offering, new.commitment.quantity) == (order.offering, order.quantity)


def test_opensearch_is_known_by_its_name_since_it_carries_no_tags(cloud: SandboxCloud) -> None:
    """Pitfall 5: tagging OpenSearch reservations is undocumented; the name says whose it is."""
    order = node_order(cloud, Kind.AWS_OPENSEARCH_RI, "p5")
    name = bought(cloud, order)
    assert item_of(cloud, name).intent == "intent-p5"
    (record,) = cloud.world.nodes.nodes.values()
    assert record.tags == {}


class EndlessClient:
    """A service that never runs out of empty pages."""

    meta = SimpleNamespace(service_model=SimpleNamespace(service_name="endless"))
    pages = 0

    def describe(self, **_: object) -> dict[str, object]:
        """One more page with nothing on it."""
        self.pages += 1
        return {"Items": [], "nextToken": "more"}


def test_a_listing_that_never_ends_is_an_error_and_no_short_list() -> None:
    """Pitfalls 6 and 13: endless empty pages end in an error; a page cap never truncates."""
    endless = EndlessClient()
    with pytest.raises(ProviderError, match="endless_listing"):
        invoke_all(cast("BaseClient", endless), "describe", {}, items="Items")
    assert endless.pages == PAGES_MAX


def test_every_client_that_buys_sends_once(cloud: SandboxCloud) -> None:
    """Pitfall 7: the SDK's own retries resend a purchase; buying clients have one attempt."""
    for service in ("savingsplans", "ec2", *(one.client for one in SERVICES)):
        config = cast("Any", cloud.clients().purchasing(service).meta.config)
        assert config.retries["total_max_attempts"] == 1
    strike(cloud, Fault(EC2_BUY, FaultKind.ERROR_AFTER))
    order = reservation_order(cloud, terms(), name="p7")
    assert isinstance(buyer_of(cloud).buy(order), Unknown)
    assert cloud.server.calls[EC2_BUY] == 1


def test_a_family_plan_is_bought_for_its_own_family_and_region(cloud: SandboxCloud) -> None:
    """Pitfall 8: the first family by alphabet was bought, in the wrong region."""
    key = SkuKey("aws", "eu-west-1", "EU-BoxUsage:r5.xlarge/RunInstances")
    sold = [
        one for one in reader_of(cloud).offerings([key]) if one.kind is Kind.AWS_EC2_INSTANCE_SP
    ]
    assert {(one.region, one.family) for one in sold} == {("eu-west-1", "r5")}
    name = bought(cloud, plan_order(cloud, sold[0], name="p8"))
    item = item_of(cloud, name)
    assert (item.region, item.family) == ("eu-west-1", "r5")
    assert item.commitment.offering == sold[0].offering


def test_each_apis_words_for_tenancy_and_scope_mean_the_same_here(cloud: SandboxCloud) -> None:
    """Pitfall 10: one API says shared and region, another default and Region."""
    of = terms()
    assert of.tenancy == "default"
    sold = of.sold(Decimal(1), Decimal(0))
    assert (sold.tenancy, sold.zone) == ("shared", None)
    name = bought(cloud, reservation_order(cloud, of, name="p10"))
    assert item_of(cloud, name).kind is Kind.AWS_RI_REGIONAL


def test_words_that_are_missing_or_new_stop_the_reading() -> None:
    """Pitfall 11: engine, platform, payment or term defaulted silently."""
    with pytest.raises(ProviderError, match="unknown_word"):
        known(PAYMENTS, "Heavy Utilization")
    strange = replace(terms(), product_description="Plan 9")
    with pytest.raises(ProviderError, match="Plan 9"):
        strange.sold(Decimal(1), Decimal(0))
    with pytest.raises(InputError):
        ReservationTerms.of_offering(terms().offering.rpartition("/")[0])  # type: ignore[arg-type]


def test_plans_beyond_the_first_page_are_owned(cloud: SandboxCloud) -> None:
    """Pitfall 12: DescribeSavingsPlans paginates; the first page only means buying again."""
    count = cloud.world.options.page_size + 3
    for number in range(count):
        bought(cloud, plan_order(cloud, offer(cloud.world), "0.5", name=f"p12-{number}"), hours=0)
    assert len(reader_of(cloud).inventory()) == count


def test_what_waits_for_its_payment_is_owned(cloud: SandboxCloud) -> None:
    """Pitfall 14: payment-pending not counted as owned is bought again by the next run."""
    name = bought(cloud, plan_order(cloud, offer(cloud.world), name="p14"), hours=0)
    state = item_of(cloud, name).commitment.state
    assert state is CommitmentState.PAYMENT_PENDING
    assert state.is_owned


def test_a_series_of_zeros_is_no_usage(cloud: SandboxCloud, tmp_path: Path) -> None:
    """Pitfall 15: a wrong word in a question gives a complete series of 0."""
    world = cloud.world
    nothing = Usage(world.usage.hours, world.usage.lines, np.zeros_like(world.usage.quantity))
    with SandboxCloud(World(world.options, world.catalog, nothing)) as idle:
        idle.advance(24 * 3)
        source = CostExplorerUsage(idle.clients(), clock=idle.world.clock, requests_max=999)
        with pytest.raises(ProviderError, match="empty_series"):
            source.fetch(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("quantity", ["1.237", "0.001", "99.999"])
def test_the_amount_approved_is_the_amount_bought(cloud: SandboxCloud, quantity: str) -> None:
    """Pitfall 22: rounding to cents changes what was approved."""
    name = bought(cloud, plan_order(cloud, offer(cloud.world), quantity, name=f"p22-{quantity}"))
    assert item_of(cloud, name).commitment.quantity == Decimal(quantity)


def test_no_other_credentials_are_tried_when_a_role_fails(
    cloud: SandboxCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pitfall 41: a failed role fell back to ambient credentials, in the wrong account."""
    keys = cloud.access().keys
    assert keys is not None
    # The machine's own credentials would be good ones.
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys.secret_key)
    access = AwsAccess(
        region="us-east-1",
        role_arn="arn:aws:iam::200000000025:role/nobody",
        keys=keys,
        endpoint_url=cloud.endpoint_url,
    )
    wrong = replace(access, role_arn=None, keys=Keys("AKIANOBODYNOBODY0000", "x"))
    for tried, why in (
        (access, "AccessDenied"),
        (wrong, "InvalidClientTokenId|UnrecognizedClient"),
    ):
        with closing(AwsClients(tried)) as clients, pytest.raises(ProviderError, match=why):
            AwsReader(clients).identity()


def test_an_order_without_the_right_account_is_not_sent(cloud: SandboxCloud) -> None:
    """Pitfall 42: an account left out and the same one named gave two purchases."""
    order = plan_order(cloud, offer(cloud.world), name="p42")
    for account in ("", "200000000025"):
        refused = buyer_of(cloud).buy(replace(order, account=AccountId(account)))
        assert isinstance(refused, Refused)
        assert refused.code == "wrong_account"
    assert cloud.world.savings_plans.plans == {}


def test_years_are_no_months(cloud: SandboxCloud) -> None:
    """Pitfall 47: years read as months sold a reservation at a fraction of its value."""
    assert [term_months(seconds) for seconds in (31_536_000, 94_608_000)] == [12, 36]
    three = bought(cloud, reservation_order(cloud, terms(years=3), 1, name="p47"))
    item = item_of(cloud, three)
    assert item.term_months == 36
    assert item.commitment.end - item.commitment.start == timedelta(hours=3 * 8_760)


def test_a_sandbox_run_reaches_nothing_but_the_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pitfall 56: a local mode that still called the real purchase API."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://savingsplans.amazonaws.com")
    for url in ("https://savingsplans.amazonaws.com", "http://localhost:1", "http://10.0.0.1"):
        with pytest.raises(InputError, match="loopback"):
            AwsAccess(region="us-east-1", keys=Keys("a", "b"), endpoint_url=url)
    access = AwsAccess(region="us-east-1", keys=Keys("a", "b"), endpoint_url="http://127.0.0.1:9")
    with closing(AwsClients(access)) as clients:
        for service in ("savingsplans", "ec2", "s3", "iam", *(one.client for one in SERVICES)):
            assert clients.purchasing(service).meta.endpoint_url == "http://127.0.0.1:9"
            assert clients.reading(service).meta.endpoint_url == "http://127.0.0.1:9"


def test_all_payments_are_told_apart(cloud: SandboxCloud) -> None:
    """Pitfall 11, payments: each is bought as ordered, never as another."""
    for payment in Payment:
        of = terms("c5.large", "standard", payment)
        name = bought(
            cloud, reservation_order(cloud, of, 1, name=f"pay-{payment.replace('_', '-')}")
        )
        assert item_of(cloud, name).payment is payment
