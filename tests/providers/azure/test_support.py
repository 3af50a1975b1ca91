"""The support table says of Azure what was seen in the sandbox, and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from service.domain.commitments import Kind, Offering, Payment
from service.domain.ids import IntentId
from service.domain.purchases import Bought, PurchaseOrder
from service.plan.estimated import on_level
from service.sandbox.azure.cloud import AzureSandbox
from tests.sandbox.azure.clouds import (
    alterer,
    buyer,
    order,
    plan_order,
    quoted,
    reader,
    small_cloud,
)
from tests.support import products, require_named_tests

NAMES = {
    Kind.AZURE_RESERVATION: "Reservation of virtual machines",
    Kind.AZURE_SAVINGS_PLAN: "Compute savings plan",
}
NEVER = "Reservations of other things (databases, disks, App Service, …)"
WAYS_TO_PAY = {Payment.NO_UPFRONT: "monthly", Payment.ALL_UPFRONT: "upfront"}


def test_the_table_is_what_the_sandbox_shows() -> None:
    with small_cloud() as cloud:
        assert products("Azure") == {**seen(cloud), NEVER: ("no", "no", "no", "no")}


def test_every_test_that_the_table_names_is_there() -> None:
    require_named_tests("Azure")


def seen(cloud: AzureSandbox) -> dict[str, tuple[str, str, str, str]]:
    """One of each term and payment of each product, bought, read and asked about."""
    keys = sorted({line.key for line in cloud.world.usage.lines})
    offers = list(reader(cloud).offerings(keys))
    one_of_each = {(one.kind, one.term_months, one.payment): one for one in offers}
    bought = {
        which: buyer(cloud).buy(an_order(cloud, sold, f"0b5e6f1c-1111-4000-8000-00000000000{n}"))
        for n, (which, sold) in enumerate(one_of_each.items())
    }
    items = {item.commitment.commitment: item for item in reader(cloud).inventory()}
    rows = {}
    for kind, name in NAMES.items():
        made = {
            which: outcome.commitment
            for which, outcome in bought.items()
            if which[0] is kind and isinstance(outcome, Bought)
        }
        owned = [items[one] for one in made.values() if one in items]
        ways = {way for item in owned for way in alterer(cloud).ways(item, cloud.world.now())}
        rows[name] = (
            "yes" if made and len(owned) == len(made) else "no",
            proposed([one for one in offers if one.kind is kind]),
            f"yes, {either(WAYS_TO_PAY[payment] for _, _, payment in made)}" if made else "no",
            ", ".join(sorted(ways)) or "no",
        )
    return rows


def an_order(cloud: AzureSandbox, sold: Offering, intent: str) -> PurchaseOrder:
    if sold.kind is Kind.AZURE_SAVINGS_PLAN:
        made = plan_order(cloud, months=sold.term_months, payment=sold.payment)
        return replace(made, intent=IntentId(intent))
    return quoted(cloud, order(cloud, sold.offering, intent=IntentId(intent)))


def proposed(offers: list[Offering]) -> str:
    """Which terms are on offer, and whether they are decided on where hours are estimated."""
    years = " and ".join(str(one // 12) for one in sorted({sold.term_months for sold in offers}))
    known = {sold.offering: sold for sold in offers}
    on_proof = any(one.level_only for one in on_level(known, list(known)).values())
    return f"yes, {years} years" + (", of level usage where rows are daily" if on_proof else "")


def either(words: Iterable[str]) -> str:
    return " or ".join(sorted(set(words)))
