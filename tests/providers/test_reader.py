"""The AWS reader against the sandbox: every answer complete, and equal to what the world holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import cast

import pytest

from service.domain.commitments import Commitment, CommitmentState, Kind, Offering, Payment
from service.domain.errors import InputError, ProviderError
from service.domain.ids import AccountId, CommitmentId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import InventoryItem
from service.domain.usage import SkuKey
from service.providers.aws.reader import AwsReader
from service.providers.aws.reservation_terms import ReservationTerms
from service.providers.aws.reservations import owned_offering
from service.providers.aws.words import RESERVED_OPERATIONS, STATES, known, term_months
from service.providers.port import ProviderReader
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from service.usage.aws_sku import describe_sku
from tests.sandbox.clouds import Sdk, create_plan, offer, sdk, small_cloud, strike

NOW = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture
def cloud() -> Iterator[SandboxCloud]:
    with small_cloud() as cloud:
        yield cloud


@pytest.fixture
def reader(cloud: SandboxCloud) -> ProviderReader:
    return AwsReader(cloud.clients())


def plans(offerings: Sequence[Offering]) -> list[Offering]:
    return [one for one in offerings if one.kind.is_spend]


def used_keys(cloud: SandboxCloud) -> list[SkuKey]:
    return sorted({line.key for line in cloud.world.usage.lines})


def test_knows_the_account_behind_the_credentials(
    cloud: SandboxCloud, reader: ProviderReader
) -> None:
    who = reader.identity()
    assert (who.provider, who.account) == ("aws", cloud.world.payer)
    assert who.principal.endswith("user/tenor")


def test_lists_every_account(cloud: SandboxCloud, reader: ProviderReader) -> None:
    assert sorted(reader.accounts()) == sorted(cloud.world.accounts.values())


def test_prices_are_the_price_lists_for_every_used_sku(
    cloud: SandboxCloud, reader: ProviderReader
) -> None:
    keys = used_keys(cloud)
    prices = reader.prices(keys, {})
    assert [sku.key for sku in prices] == keys
    assert {sku.key: sku for sku in prices} == {key: cloud.world.catalog.skus[key] for key in keys}


def test_a_price_that_is_not_listed_is_named_in_the_error(reader: ProviderReader) -> None:
    unknown = SkuKey("aws", "us-east-1", "USE1-BoxUsage:m9.large/RunInstances")
    with pytest.raises(InputError, match=r"m9\.large"):
        reader.prices([unknown], {})
    unpriced = SkuKey("aws", "us-east-1", "USE1-NatGateway-Hours/NatGateway")
    with pytest.raises(InputError, match="NatGateway"):
        reader.prices([unpriced], {})


def test_a_price_that_the_list_lacks_is_taken_from_what_the_bills_show(
    reader: AwsReader,
) -> None:
    unpriced = SkuKey("aws", "us-east-1", "USE1-BoxUsage:u-6tb1.metal/RunInstances")
    (sku,) = reader.prices([unpriced], {unpriced: ("Hrs", Decimal("54.6"))})
    assert (sku.key, sku.unit) == (unpriced, "Hrs")
    assert sku.on_demand_usd == sku.list_usd == Decimal("54.6")


def test_offerings_carry_the_rates_of_the_used_skus_and_no_others(
    cloud: SandboxCloud, reader: ProviderReader
) -> None:
    keys = used_keys(cloud)
    names = {key.sku for key in keys}
    offerings = {one.offering: one for one in plans(reader.offerings(keys))}
    expected = {
        one.offering: replace(
            one, rates_usd={sku: rate for sku, rate in one.rates_usd.items() if sku in names}
        )
        for one in cloud.world.catalog.offerings.values()
        if one.kind.is_spend and names & set(one.rates_usd)
    }
    assert offerings == expected
    kinds = {(one.kind, one.term_months, one.payment) for one in offerings.values()}
    assert len(kinds) == 12


def test_offerings_of_one_family_and_region_do_not_include_others(
    reader: ProviderReader,
) -> None:
    key = SkuKey("aws", "eu-west-1", "EU-BoxUsage:c6i.large/RunInstances")
    found = plans(reader.offerings([key]))
    scopes = {(one.kind, one.region, one.family) for one in found}
    assert scopes == {
        (Kind.AWS_COMPUTE_SP, None, None),
        (Kind.AWS_EC2_INSTANCE_SP, "eu-west-1", "c6i"),
    }
    assert all(set(one.rates_usd) == {key.sku} for one in found)


def test_nothing_used_asks_for_nothing(cloud: SandboxCloud, reader: ProviderReader) -> None:
    assert list(reader.offerings([])) == []
    assert list(reader.prices([], {})) == []
    assert sum(cloud.server.calls.values()) == 0


def test_upfront_follows_the_payment(cloud: SandboxCloud, reader: ProviderReader) -> None:
    for one in plans(reader.offerings(used_keys(cloud)[:1])):
        hours = {12: 8_760, 36: 26_280}[one.term_months]
        share = {
            Payment.NO_UPFRONT: Decimal(0),
            Payment.PARTIAL_UPFRONT: Decimal("0.5"),
            Payment.ALL_UPFRONT: Decimal(1),
        }
        assert one.upfront_usd == hours * share[one.payment]


def test_inventory_reads_all_pages_in_every_state(
    cloud: SandboxCloud, reader: ProviderReader
) -> None:
    plans = sdk(cloud, "savingsplans")
    world = cloud.world
    for number in range(9):
        create_plan(
            plans, offer(world), clientToken=f"t{number}", tags={"tenor:intent": f"i{number}"}
        )
    strike(cloud, Fault("savingsplans.CreateSavingsPlan", FaultKind.PAYMENT_FAILS))
    create_plan(plans, offer(world), clientToken="fails")
    cloud.advance(1)
    queued = create_plan(
        plans, offer(world), clientToken="queued", purchaseTime=world.after_hours(48)
    )
    deleted = create_plan(
        plans, offer(world), clientToken="deleted", purchaseTime=world.after_hours(48)
    )
    plans.delete_queued_savings_plan(savingsPlanId=deleted)
    pending = create_plan(plans, offer(world), clientToken="pending")
    returned = next(iter(world.savings_plans.plans))
    plans.return_savings_plan(savingsPlanId=returned)
    items = {str(item.commitment.commitment): item for item in reader.inventory()}
    assert set(items) == set(world.savings_plans.plans)
    states = {name: item.commitment.state for name, item in items.items()}
    assert states[queued] is CommitmentState.QUEUED
    assert states[pending] is CommitmentState.PAYMENT_PENDING
    assert states[deleted] is CommitmentState.FAILED
    assert states[returned] is CommitmentState.RETURNED
    assert sorted(states.values()).count(CommitmentState.ACTIVE) == 8
    assert sorted(states.values()).count(CommitmentState.FAILED) == 2
    assert {item.intent for item in items.values()} == {None, *(f"i{n}" for n in range(9))}


def test_inventory_says_what_each_commitment_is(
    cloud: SandboxCloud, reader: ProviderReader
) -> None:
    family = offer(cloud.world, Kind.AWS_EC2_INSTANCE_SP, 3, Payment.PARTIAL_UPFRONT)
    create_plan(sdk(cloud, "savingsplans"), family, commitment="2.5", upfrontPaymentAmount="40000")
    cloud.advance(1)
    (item,) = reader.inventory()
    assert (item.kind, item.term_months, item.payment) == (family.kind, 36, family.payment)
    assert (item.region, item.family) == (family.region, family.family)
    assert (item.commit_usd_per_hour, item.upfront_usd) == (Decimal("2.5"), Decimal(40_000))
    assert item.commitment.offering == family.offering
    assert item.commitment.account == cloud.world.payer
    assert item.commitment.start.tzinfo is not None
    assert item.returnable_until is not None
    assert item.returnable_until > cloud.world.now()


def test_inventory_holds_reservations_of_every_region(
    cloud: SandboxCloud, reader: ProviderReader
) -> None:
    for region in ("us-east-1", "eu-west-1"):
        ec2 = cast("Sdk", cloud.clients().reading("ec2", region))
        offered = ec2.describe_reserved_instances_offerings(
            InstanceType="c5.large", OfferingType="All Upfront", OfferingClass="standard"
        )["ReservedInstancesOfferings"][0]
        ec2.purchase_reserved_instances_offering(
            ReservedInstancesOfferingId=offered["ReservedInstancesOfferingId"], InstanceCount=3
        )
    items = reader.inventory()
    assert {item.region for item in items} == {"us-east-1", "eu-west-1"}
    for item in items:
        assert item.kind is Kind.AWS_RI_REGIONAL
        assert item.commitment.quantity == 3
        hours = {12: 8_760, 36: 26_280}[item.term_months]
        assert float(item.commit_usd_per_hour) * hours == pytest.approx(float(item.upfront_usd))
        assert item.commitment.offering.startswith(f"aws_ri/{item.region}/c5.large/Linux-UNIX/")


def test_a_read_survives_throttles_and_a_lost_answer(
    cloud: SandboxCloud, reader: ProviderReader
) -> None:
    create_plan(sdk(cloud, "savingsplans"), offer(cloud.world))
    listing = "savingsplans.DescribeSavingsPlans"
    strike(cloud, Fault(listing, FaultKind.THROTTLE, times=1))
    strike(cloud, Fault(listing, FaultKind.TIMEOUT_BEFORE, times=1))
    assert len(reader.inventory()) == 1


def test_a_broken_answer_is_an_error_and_not_an_empty_inventory(
    cloud: SandboxCloud, reader: ProviderReader
) -> None:
    create_plan(sdk(cloud, "savingsplans"), offer(cloud.world))
    for operation in ("savingsplans.DescribeSavingsPlans", "ec2.DescribeReservedInstances"):
        cloud.world.faults.clear()
        strike(cloud, Fault(operation, FaultKind.BROKEN_AFTER, times=9))
        with pytest.raises(ProviderError):
            reader.inventory()


def test_a_page_that_cannot_be_read_is_an_error_and_not_a_short_list(
    cloud: SandboxCloud, reader: ProviderReader
) -> None:
    plans = sdk(cloud, "savingsplans")
    for number in range(9):
        create_plan(plans, offer(cloud.world), clientToken=f"t{number}")
    code = "AccessDeniedException"
    listing = "savingsplans.DescribeSavingsPlans"
    strike(cloud, Fault(listing, FaultKind.REFUSE, after_calls=1, code=code, status=403))
    with pytest.raises(ProviderError) as caught:
        reader.inventory()
    assert caught.value.code == code


def test_reading_all_prices_and_offers_takes_few_calls(
    cloud: SandboxCloud, reader: ProviderReader
) -> None:
    pages = cloud.world.options.page_size
    keys = used_keys(cloud)
    reader.prices(keys, {})
    # Asked by usage type, for three services: no call for each SKU.
    usage_types = {key.sku.partition("/")[0] for key in keys}
    products = sum(key.sku.partition("/")[0] in usage_types for key in cloud.world.catalog.skus)
    assert cloud.server.calls["pricing.GetProducts"] <= products // pages + 3
    cloud.server.calls.clear()
    offerings = plans(reader.offerings(keys))
    rates = sum(len(one.rates_usd) for one in offerings)
    # Linux and Windows share a usage type, so some rates are listed that are not asked for.
    asked = cloud.server.calls["savingsplans.DescribeSavingsPlansOfferingRates"]
    assert asked <= 2 * rates // pages + 2


def test_what_is_owned_is_known_at_the_rates_it_was_bought_at(
    cloud: SandboxCloud, reader: ProviderReader
) -> None:
    offering = offer(cloud.world)
    create_plan(sdk(cloud, "savingsplans"), offering)
    ec2 = sdk(cloud, "ec2")
    sold = ec2.describe_reserved_instances_offerings(
        InstanceType="m5.large",
        OfferingType="Partial Upfront",
        OfferingClass="standard",
        ProductDescription="Windows",
    )["ReservedInstancesOfferings"][0]["ReservedInstancesOfferingId"]
    ec2.purchase_reserved_instances_offering(ReservedInstancesOfferingId=sold, InstanceCount=4)
    bought_at = cloud.world.catalog.offerings[sold]
    for name in (offering.offering, bought_at.offering):
        cloud.world.change_price(name, Decimal("1.5"))
    cloud.advance(1)
    keys = used_keys(cloud)
    aws = AwsReader(cloud.clients())
    plan, reservation = aws.owned_offerings(reader.inventory(), keys)
    names = {key.sku for key in keys}
    assert plan.rates_usd == {s: rate for s, rate in offering.rates_usd.items() if s in names}
    assert plan.upfront_usd == offering.upfront_usd
    (sku,) = bought_at.rates_usd
    assert float(reservation.rates_usd[sku]) == pytest.approx(float(bought_at.rates_usd[sku]))
    assert reservation.upfront_usd == bought_at.upfront_usd
    assert (reservation.platform, reservation.size_flexible) == ("windows", False)


@pytest.mark.parametrize("description", sorted(RESERVED_OPERATIONS))
def test_a_reservation_of_any_platform_covers_usage_that_we_can_name(description: str) -> None:
    listed = {
        "InstanceType": "m5.large",
        "ProductDescription": description,
        "InstanceTenancy": "default",
        "OfferingClass": "standard",
        "Duration": 31_536_000,
        "OfferingType": "No Upfront",
    }
    terms = ReservationTerms.of_listed(listed, "us-east-1")
    assert ReservationTerms.of_offering(terms.offering) == terms
    item = InventoryItem(
        commitment=Commitment(
            commitment=CommitmentId("ri"),
            offering=terms.offering,
            account=AccountId("111111111111"),
            scope=None,
            zone=None,
            quantity=Decimal(2),
            start=NOW,
            end=NOW + timedelta(days=365),
            state=CommitmentState.ACTIVE,
        ),
        kind=Kind.AWS_RI_REGIONAL,
        term_months=12,
        payment=Payment.NO_UPFRONT,
        region="us-east-1",
        family="m5",
        commit_usd_per_hour=CommitUsdPerHour(Decimal(1)),
        upfront_usd=Decimal(0),
        intent=None,
        returnable_until=None,
    )
    [sku] = owned_offering(item).rates_usd
    assert describe_sku(sku).platform is not None


def test_a_word_that_appeared_later_stops_the_reading() -> None:
    with pytest.raises(ProviderError, match="half-active"):
        known(STATES, "half-active")
    assert known(STATES, "active") is CommitmentState.ACTIVE


def test_what_was_left_of_a_term_belongs_to_that_term() -> None:
    assert [term_months(days * 86_400) for days in (30, 365, 366, 367, 1_095)] == [
        12, 12, 12, 36, 36,
    ]  # fmt: skip
