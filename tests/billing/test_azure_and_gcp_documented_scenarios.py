"""Microsoft's and Google's own worked examples, page by page."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from service.billing.bill import Bill, SkuUse, bill
from service.billing.legacy_cud import commit_usd_per_hour, legacy_rule
from service.domain.commitments import Kind, Offering
from service.domain.errors import InvariantError
from service.domain.ids import CommitmentId
from service.domain.usage import Sku
from tests.billing.worlds import held, offer, sku, used, world

DSV2 = {"Standard_DS1_v2": "1", "Standard_DS2_v2": "2", "Standard_DS3_v2": "4",
        "Standard_DS4_v2": "8", "Standard_DS5_v2": "16"}  # fmt: skip
DSV3 = {f"Standard_D{2 * ratio}s_v3": str(ratio) for ratio in (1, 2, 4, 8, 16, 32)}


def of(result: Bill, name: str) -> SkuUse:
    return next(use for use in result.by_sku if use.key.sku == name)


def vm(name: str, price: str = "1", ratio: str | None = None, group: str = "DSv2") -> Sku:
    return sku(name, price, provider="azure", service="vm", family=group, size=ratio, tenancy=None)


@pytest.mark.parametrize(
    ("running", "covered"),
    [
        ({"Standard_DS1_v2": 8}, {"Standard_DS1_v2": "8"}),
        (
            {"Standard_DS2_v2": 2, "Standard_DS3_v2": 1},
            {"Standard_DS2_v2": "2", "Standard_DS3_v2": "1"},
        ),
        ({"Standard_DS5_v2": 1}, {"Standard_DS5_v2": "0.5"}),
    ],
    ids=["scenario 1", "scenario 2", "scenario 3"],
)
def test_a_ds4_v2_reservation_of_ratio_8_covers_ratios_that_add_up_to_8(
    running: dict[str, float], covered: dict[str, str]
) -> None:
    """Page "Virtual machine size flexibility with Reserved VM Instances", DSv2 series."""
    result = bill(
        world(
            [vm(name, ratio=ratio) for name, ratio in DSV2.items()],
            [used(name, number, provider="azure") for name, number in running.items()],
            [offer("ri", Kind.AZURE_RESERVATION, {"Standard_DS4_v2": "0.6"}, region="us-east-1",
                   flexible=True)],
            [held("ri", "ri", "1")],
        )
    )  # fmt: skip
    for name, quantity in covered.items():
        assert of(result, name).covered_quantity == Decimal(quantity)
    assert result.utilization_ratio == 1


@pytest.mark.parametrize("name", list(DSV3))
def test_a_d2s_v3_reservation_covers_its_ratio_of_each_larger_machine(name: str) -> None:
    """Page "General availability of instance size flexibility": 1, 1/2, 1/4 … of the DSv3."""
    result = bill(
        world(
            [vm(one, ratio=ratio, group="DSv3") for one, ratio in DSV3.items()],
            [used(name, 1, provider="azure")],
            [offer("ri", Kind.AZURE_RESERVATION, {"Standard_D2s_v3": "0.6"}, region="us-east-1",
                   flexible=True)],
            [held("ri", "ri", "1")],
        )
    )  # fmt: skip
    assert of(result, name).covered_quantity == 1 / Decimal(DSV3[name])


def test_parts_of_an_hour_of_several_machines_fill_one_reserved_hour() -> None:
    """Page "How the Azure reservation discount is applied": concurrent machines fill the hour."""
    result = bill(
        world(
            [vm("Standard_DS1_v2", ratio="1")],
            [used("Standard_DS1_v2", 0.4, provider="azure", account="one"),
             used("Standard_DS1_v2", 0.5, provider="azure", account="two")],
            [offer("ri", Kind.AZURE_RESERVATION, {"Standard_DS1_v2": "0.6"}, region="us-east-1")],
            [held("ri", "ri", "1")],
        )
    )  # fmt: skip
    assert result.on_demand_usd == 0
    assert result.utilization_ratio == Decimal("0.9")


PLANS = [
    offer("one-year", Kind.AZURE_SAVINGS_PLAN, {"X": "0.8", "Y": "0.7"}, term_months=12),
    offer("three-year", Kind.AZURE_SAVINGS_PLAN, {"X": "0.6", "Y": "0.5"}, term_months=36),
]


def test_reservations_then_the_three_year_plan_then_the_one_year_plan() -> None:
    """Page "How saving plan discount is applied": reservations first; the three-year plan first."""
    result = bill(
        world(
            [vm("X"), vm("Y")],
            [used("X", 3, provider="azure"), used("Y", 1, provider="azure")],
            [*PLANS, offer("ri", Kind.AZURE_RESERVATION, {"X": "0.5"}, region="us-east-1")],
            [held("a-one", "one-year", "1"), held("b-three", "three-year", "0.8"),
             held("ri", "ri", "1")],
        )
    )  # fmt: skip
    used_usd = {name: use.used_usd for name, use in result.commitments.items()}
    # The reservation has one X; the three-year plan all of Y (0.5) and half an X (0.3); the
    # one-year plan 1.25 of the 1.5 X that are left.
    assert used_usd == {"a-one": 1, "b-three": Decimal("0.8"), "ri": Decimal("0.5")}
    assert of(result, "Y").on_demand_quantity == 0
    assert of(result, "X").on_demand_quantity == Decimal("0.25")


def test_the_more_restrictively_scoped_plan_comes_first() -> None:
    """The same page, "Utilize multiple savings plans"."""
    result = bill(
        world(
            [vm("X"), vm("Y")],
            [used("X", 1, provider="azure", account="mine")],
            PLANS,
            [held("a-shared", "three-year", "1"), held("b-mine", "one-year", "1", scope=["mine"])],
        )
    )
    assert result.commitments[CommitmentId("b-mine")].used_usd == Decimal("0.8")
    assert result.commitments[CommitmentId("a-shared")].used_usd == 0


def test_a_negotiated_rate_below_the_plans_is_charged_to_the_commitment_instead() -> None:
    """The same page, "Savings plan and Azure consumption discounts"."""
    result = bill(
        world(
            [vm("X", "0.75")],
            [used("X", 1, provider="azure")],
            PLANS,
            [held("sp", "one-year", "1")],
        )
    )
    assert result.commitments[CommitmentId("sp")].used_usd == Decimal("0.75")
    assert result.on_demand_usd == 0


# --- Google Cloud --------------------------------------------------------------------------------


def core(name: str = "n2-core", price: str = "0.04", unit: str = "vCPU-Hours") -> Sku:
    return sku(
        name, price, provider="gcp", service="compute", family="n2", size="1", platform=None,
        tenancy=None, unit=unit,
    )  # fmt: skip


def resource(name: str, unit: str) -> Offering:
    return offer(
        name, Kind.GCP_RESOURCE_CUD, {unit: "0.025"}, region="us-east-1", family="n2", flexible=True
    )


def test_two_commitments_of_80_cores_cover_160_of_200_cores_over_all_projects() -> None:
    """Compute Engine, "Share resource-based CUDs across projects"."""
    result = bill(
        world(
            [core()],
            [used("n2-core", 120, provider="gcp", account="one"),
             used("n2-core", 80, provider="gcp", account="two")],
            [resource("cud", "n2-core")],
            [held("first", "cud", "80", account="one"), held("second", "cud", "80", account="two")],
        )
    )  # fmt: skip
    assert of(result, "n2-core").covered_quantity == 160
    assert of(result, "n2-core").on_demand_quantity == 40


def test_without_sharing_a_commitment_stays_in_its_project() -> None:
    """The same page: by default only the project that bought it."""
    result = bill(
        world(
            [core()],
            [used("n2-core", 10, provider="gcp", account="one"),
             used("n2-core", 80, provider="gcp", account="two")],
            [resource("cud", "n2-core")],
            [held("cud", "cud", "80", account="one", scope=["one"])],
        )
    )  # fmt: skip
    assert of(result, "n2-core").covered_quantity == 10


def test_cores_and_memory_are_committed_apart() -> None:
    result = bill(
        world(
            [core(), core("n2-ram", "0.005", unit="GB-Hours")],
            [used("n2-core", 4, provider="gcp"), used("n2-ram", 16, provider="gcp")],
            [resource("cores", "n2-core"), resource("ram", "n2-ram")],
            [held("cores", "cores", "8"), held("ram", "ram", "4")],
        )
    )
    assert of(result, "n2-core").covered_quantity == 4
    assert of(result, "n2-ram").covered_quantity == 4


def test_equal_discounts_share_in_proportion_75_to_25() -> None:
    """Cloud Billing, "Attribution of committed use discount fees and credits"."""
    result = bill(
        world(
            [core("a-core", "0.75"), core("b-core", "0.25")],
            [used("a-core", 100, provider="gcp"), used("b-core", 100, provider="gcp")],
            [offer("flex", Kind.GCP_FLEXIBLE_CUD, {"a-core": "0.54", "b-core": "0.18"})],
            [held("flex", "flex", "36")],
        )
    )
    assert of(result, "a-core").covered_quantity == 50
    assert of(result, "b-core").covered_quantity == 50
    assert of(result, "a-core").on_demand_usd == 3 * of(result, "b-core").on_demand_usd


def test_resource_commitments_come_before_flexible_ones() -> None:
    """Compute Engine, "Compute flexible committed use discounts"."""
    result = bill(
        world(
            [core(price="0.05")],
            [used("n2-core", 100, provider="gcp")],
            [resource("cud", "n2-core"),
             offer("flex", Kind.GCP_FLEXIBLE_CUD, {"n2-core": "0.036"})],
            [held("a-flex", "flex", "1.8"), held("b-cud", "cud", "80")],
        )
    )  # fmt: skip
    assert result.commitments[CommitmentId("b-cud")].utilization_ratio == 1
    assert result.commitments[CommitmentId("a-flex")].used_usd == Decimal("0.72")


BEFORE, SINCE = datetime(2026, 1, 20, tzinfo=UTC), datetime(2026, 1, 21, tzinfo=UTC)


@pytest.mark.parametrize(
    ("stated", "discount", "fee"), [("100", "0.46", "54"), ("50", "0.25", "37.50")]
)
def test_a_commitment_stated_at_on_demand_prices_is_its_fee_since_2026(
    stated: str, discount: str, fee: str
) -> None:
    """Page "Spend-based CUD program improvements": $100 at 46% is now $54."""
    assert commit_usd_per_hour(Decimal(stated), Decimal(discount), BEFORE) == Decimal(fee)
    assert commit_usd_per_hour(Decimal(fee), Decimal(discount), SINCE) == Decimal(fee)
    with pytest.raises(InvariantError):
        commit_usd_per_hour(Decimal(stated), Decimal(46), BEFORE)


def test_the_discounts_of_old_commitments_are_those_of_the_page() -> None:
    """Compute Engine, "Compute flexible committed use discounts": 28 % and 46 %."""
    rule = legacy_rule()
    assert rule.discounted_since == SINCE
    for kind, term, ratio in (
        (Kind.GCP_FLEXIBLE_CUD, 12, Decimal("0.28")),
        (Kind.GCP_FLEXIBLE_CUD, 36, Decimal("0.46")),
        (Kind.GCP_FLEXIBLE_CUD, 60, None),
        (Kind.AZURE_SAVINGS_PLAN, 36, None),
    ):
        assert rule.discount_ratio(offer("o", kind, {"x": "1"}, term_months=term)) == ratio


@pytest.mark.parametrize(("usage", "total"), [("50", "37.50"), ("80", "67.50"), ("20", "37.50")])
def test_both_models_cost_the_same(usage: str, total: str) -> None:
    """Page "Analyze spend-based CUDs": 37.50 + 50 − 50; and our bill in discounted dollars."""
    fee = commit_usd_per_hour(Decimal(50), Decimal("0.25"), BEFORE)
    credit = min(Decimal(usage), Decimal(50))
    assert fee + Decimal(usage) - credit == Decimal(total)
    result = bill(
        world(
            [core(price="1")],
            [used("n2-core", float(usage), provider="gcp")],
            [offer("flex", Kind.GCP_FLEXIBLE_CUD, {"n2-core": "0.75"})],
            [held("flex", "flex", "37.50")],
        )
    )
    assert result.total_usd == Decimal(total)
