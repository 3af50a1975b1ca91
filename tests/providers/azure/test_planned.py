"""What the reader tells of Azure is enough to plan by: prices, offers, and what is owned."""

from __future__ import annotations

from decimal import Decimal

from service.billing.bill import bill
from service.domain.commitments import Kind, Payment
from service.domain.hours import DAY_HOURS, HourRange
from service.domain.ids import ClientToken, IntentId
from service.domain.purchases import Bought, PurchaseOrder
from service.domain.usage import Dataset, Usage
from service.plan.optimise import optimise
from service.sandbox.azure.cloud import AzureSandbox
from tests.sandbox.azure.clouds import SMALL, buyer, quoted, reader, small_cloud

HISTORY_HOURS = SMALL.history_days * DAY_HOURS


def dataset(cloud: AzureSandbox) -> Dataset:
    """The days before the world began, as the reader prices them, with what is owned."""
    there, usage = reader(cloud), cloud.world.usage
    keys = sorted({line.key for line in usage.lines})
    hours = HourRange(usage.hours.start, HISTORY_HOURS)
    items = there.inventory()
    offered = {one.offering: one for one in there.offerings(keys)}
    offered |= {one.offering: one for one in there.owned_offerings(items, keys)}
    return Dataset(
        Usage(hours, usage.lines, usage.quantity[:HISTORY_HOURS]),
        {sku.key: sku for sku in there.prices(keys, {})},
        offered,
        tuple(item.commitment for item in items),
    )


def test_a_plan_for_azure_saves_and_can_be_bought_as_it_stands() -> None:
    with small_cloud() as cloud:
        known = dataset(cloud)
        menu = [
            one.offering
            for one in known.offerings.values()
            if one.payment is Payment.NO_UPFRONT and one.region in {None, "eastus"}
        ]
        planned = optimise(known, menu=menu, purchase_account=cloud.world.payer, closely=False)
        assert planned.after_usd < planned.before_usd
        kinds = {known.offerings[one.offering].kind for one in planned.purchases}
        assert kinds <= {Kind.AZURE_RESERVATION, Kind.AZURE_SAVINGS_PLAN}
        for number, one in enumerate(planned.purchases):
            offering = known.offerings[one.offering]
            steps = (one.quantity / offering.step).to_integral_value(rounding="ROUND_DOWN")
            order = PurchaseOrder(
                intent=IntentId(f"line-{number}"),
                token=ClientToken(f"token-{number}"),
                account=cloud.world.payer,
                offering=offering.offering,
                kind=offering.kind,
                term_months=offering.term_months,
                payment=offering.payment,
                quantity=steps * offering.step,
                upfront_usd=Decimal(0),
            )
            assert isinstance(buyer(cloud).buy(quoted(cloud, order)), Bought)
        owned = dataset(cloud)
        assert len(owned.commitments) == len(planned.purchases)


def test_what_is_bought_is_billed_at_the_price_that_was_planned_with() -> None:
    with small_cloud() as cloud:
        known = dataset(cloud)
        offering = next(
            one
            for one in known.offerings.values()
            if one.kind is Kind.AZURE_RESERVATION and one.payment is Payment.ALL_UPFRONT
        )
        order = PurchaseOrder(
            intent=IntentId("line-1"),
            token=ClientToken("token-1"),
            account=cloud.world.payer,
            offering=offering.offering,
            kind=offering.kind,
            term_months=offering.term_months,
            payment=offering.payment,
            quantity=Decimal(4),
            upfront_usd=Decimal(0),
        )
        assert isinstance(buyer(cloud).buy(quoted(cloud, order)), Bought)
        cloud.advance(DAY_HOURS)
        (rate,) = offering.rates_usd.values()
        paid = cloud.totals().commitment_usd
        assert abs(paid - 4 * DAY_HOURS * rate) < Decimal("0.000001")
        (use,) = bill(cloud.world.dataset(HourRange(SMALL.start, DAY_HOURS))).commitments.values()
        assert use.utilization_ratio == 1
