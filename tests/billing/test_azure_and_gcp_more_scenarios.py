"""More of the providers' examples: groups by name, negotiated rates, Google's model since 2026."""

from __future__ import annotations

from decimal import Decimal

import pytest

from service.billing.bill import Bill, SkuUse, bill
from service.domain.commitments import Kind
from service.domain.usage import Sku
from service.usage.azure_sku import describe_sku
from service.usage.gcp_sku import describe_sku as describe_google
from tests.billing.worlds import held, offer, sku, used, world


def of(result: Bill, name: str) -> SkuUse:
    return next(use for use in result.by_sku if use.key.sku == name)


def machine(name: str, usd: str = "1") -> Sku:
    """A machine's price with the group and the ratio that its name has in the documented tables."""
    facts = describe_sku(name)
    return sku(
        name, usd, provider="azure", service="vm", family=facts.family,
        size=str(facts.size_units), platform=facts.platform, tenancy=None,
    )  # fmt: skip


SIZES = [f"Standard_{size}" for size in (
    "B1ms", "B2ms", "B4ms", "B8ms", "B1s", "B2s", "DS1_v2", "DS5_v2", "DS11_v2", "DS12_v2",
    "DS14_v2", "DS15_v2", "E2s_v3", "E64s_v3",
)]  # fmt: skip


@pytest.mark.parametrize(
    ("reserved", "running", "covered"),
    [
        # Older text of the page: a B8ms reservation applies to the four sizes of its own table,
        # and not to B1s or B2s.
        ("B8ms", {"B1ms": 16}, "16"),
        ("B8ms", {"B2ms": 5}, "4"),
        ("B8ms", {"B4ms": 2}, "2"),
        ("B8ms", {"B1s": 1}, "0"),
        ("B8ms", {"B2s": 1}, "0"),
        # A DSv2 reservation does not apply to the DSv2 Series High Memory.
        ("DS5_v2", {"DS1_v2": 17}, "16"),
        ("DS5_v2", {"DS11_v2": 1}, "0"),
        ("DS5_v2", {"DS12_v2": 1}, "0"),
        # The largest ones are no round multiples: ratios 10 and 28.8.
        ("DS14_v2", {"DS15_v2": 1}, "0.8"),
        ("E64s_v3", {"E2s_v3": 30}, "28.8"),
    ],
)
def test_a_reservation_floats_within_its_group_by_the_ratios_of_the_tables(
    reserved: str, running: dict[str, float], covered: str
) -> None:
    """Page "Virtual machine size flexibility with Reserved VM Instances", its tables of ratios."""
    result = bill(
        world(
            [machine(name) for name in SIZES],
            [used(f"Standard_{name}", count, provider="azure") for name, count in running.items()],
            [offer("ri", Kind.AZURE_RESERVATION, {f"Standard_{reserved}": "0.5"},
                   region="us-east-1", flexible=True)],
            [held("ri", "ri", "1")],
        )
    )  # fmt: skip
    (name,) = running
    assert of(result, f"Standard_{name}").covered_quantity == Decimal(covered)


BLOG = {  # size: (machines, list price, price after the customer's negotiated 5 %)
    "Standard_B20ms": (3, "0.832", "0.790"),
    "Standard_A8m_v2": (5, "0.475", "0.451"),
    "Standard_DC32as_v5": (4, "1.514", "1.438"),
}


def blog_world(plan: dict[str, str], commitment: str) -> Bill:
    return bill(
        world(
            [
                sku(name, own, provider="azure", service="vm", tenancy=None, list_usd=listed)
                for name, (_, listed, own) in BLOG.items()
            ],
            [used(name, count, provider="azure") for name, (count, _, _) in BLOG.items()],
            [offer("plan", Kind.AZURE_SAVINGS_PLAN, plan, term_months=36)],
            [held("sp", "plan", commitment)],
        )
    )


def test_an_hour_without_a_plan_costs_what_the_customer_negotiated() -> None:
    """Azure blog, "Azure savings plan for compute: How the benefit is applied", step 1."""
    result = blog_world({"Standard_B20ms": "0.4"}, "0")
    assert result.total_usd == result.on_demand_equivalent_usd == Decimal("10.377")


def test_the_greatest_discount_comes_first_and_what_is_left_is_pay_as_you_go() -> None:
    """The same post, the order that it tells.

    The plan's rates are ours: 55 % off B20ms, 52 % off A8m v2, 51 % off DC32as v5, of what is paid.
    """
    plan = {
        "Standard_B20ms": "0.3555", "Standard_A8m_v2": "0.21648", "Standard_DC32as_v5": "0.70462",
    }  # fmt: skip
    # All of B20ms (3 x 0.3555) and of A8m v2 (5 x 0.21648), and one DC32as v5.
    result = blog_world(plan, "2.85352")
    assert of(result, "Standard_B20ms").on_demand_quantity == 0
    assert of(result, "Standard_A8m_v2").on_demand_quantity == 0
    assert of(result, "Standard_DC32as_v5").on_demand_quantity == 3
    assert result.total_usd == Decimal("2.85352") + 3 * Decimal("1.438")


# --- Google Cloud --------------------------------------------------------------------------------


def vcpu(series: str, usd: str) -> Sku:
    facts = describe_google(f"{series} vCPU")
    return sku(
        f"{series} vCPU", usd, provider="gcp", service="compute", family=facts.family,
        size=str(facts.size_units), platform=None, tenancy=None, unit=facts.unit or "",
    )  # fmt: skip


def flexible(spent: float, commitment: str, *, rate: str = "0.7") -> Bill:
    """An hour of ``spent`` dollars at on-demand prices, one dollar a vCPU, at 30 % off."""
    return bill(
        world(
            [vcpu("N2", "1")],
            [used("N2 vCPU", spent, provider="gcp")],
            [offer("flex", Kind.GCP_FLEXIBLE_CUD, {"N2 vCPU": rate}, term_months=36)],
            [held("flex", "flex", commitment)],
        )
    )


def test_100_dollars_at_30_percent_off_need_a_commitment_of_70() -> None:
    """Page "Choose the correct amount of CUD to buy": $100 on demand is $70 in the new model."""
    result = flexible(100, "70")
    assert result.on_demand_usd == 0
    assert result.total_usd == 70
    assert result.utilization_ratio == 1


def test_a_commitment_of_185_on_demand_dollars_at_46_percent_is_one_of_about_100() -> None:
    """What Google's change of 2026-01-21 does to a $185 commitment: 185 x 0.54 = 99.90."""
    result = flexible(185, "99.90", rate="0.54")
    assert result.on_demand_usd == 0
    assert result.total_usd == Decimal("99.90")


@pytest.mark.parametrize(
    ("spent", "on_demand", "unused"), [(130, "30", "0"), (100, "0", "0"), (60, "0", "28")]
)
def test_what_exceeds_a_commitment_is_billed_at_the_standard_rate_and_what_is_left_is_paid_for(
    spent: float, on_demand: str, unused: str
) -> None:
    """Page "Spend-based committed use discounts": overutilised and underutilised commitments."""
    result = flexible(spent, "70")
    assert result.on_demand_usd == Decimal(on_demand)
    assert result.total_usd == Decimal(on_demand) + 70
    (use,) = result.commitments.values()
    assert use.unused_usd == Decimal(unused)
