"""Google's descriptions of what it sells, as its price list writes them."""

from __future__ import annotations

from decimal import Decimal

import pytest
from google.cloud.billing_v1.types import Sku as Listed

from service.domain.errors import ProviderError
from service.domain.usage import SkuKey
from service.providers.gcp.price_list import price_list
from service.providers.gcp.words import ResourceTerms, gcp_tables


def listed(
    description: str, nanos: int = 20_000_000, *, usage_type: str = "OnDemand", free: int = 0
) -> Listed:
    """One SKU of two regions; ``free``: so many units cost nothing first."""
    tiers = [{"start_usage_amount": free, "unit_price": {"currency_code": "USD", "nanos": nanos}}]
    if free:
        tiers.insert(0, {"start_usage_amount": 0, "unit_price": {"currency_code": "USD"}})
    return Listed(
        {
            "description": description,
            "category": {"usage_type": usage_type},
            "service_regions": ["us-central1", "us-east1"],
            "pricing_info": [
                {"pricing_expression": {"usage_unit": "h", "tiered_rates": tiers}},
            ],
        }
    )


@pytest.mark.parametrize(
    ("description", "family", "resource", "months"),
    [
        ("Commitment v1: Cpu in Americas for 1 Year", "n1", "vcpu", 12),
        ("Commitment v1: Ram in Americas for 3 Year", "n1", "ram", 36),
        ("Commitment v1: N2 Cpu in Americas for 1 Year", "n2", "vcpu", 12),
        ("Commitment v1: N2D AMD Ram in Netherlands for 3 Year", "n2d", "ram", 36),
        ("Commitment v1: E2 Cpu in Sao Paulo for 1 Year", "e2", "vcpu", 12),
        ("Commitment: Compute optimized Core running in Iowa for 1 Year", "c2", "vcpu", 12),
        ("Commitment: Compute optimized Ram running in Iowa for 3 Year", "c2", "ram", 36),
        ("Commitment v1: C3 Cpu in Columbus for 3 Years", "c3", "vcpu", 36),
        ("Commitment v1: C4D Cpu in Americas for 1 Year", "c4d", "vcpu", 12),
    ],
)
def test_a_commitment_is_known_by_its_description(
    description: str, family: str, resource: str, months: int
) -> None:
    usage_type = "Commit1Yr" if months == 12 else "Commit3Yr"
    found = price_list([listed(description, usage_type=usage_type)])
    for region in ("us-central1", "us-east1"):
        terms = ResourceTerms(region, family, resource, months)
        assert found.rate_usd(terms) == Decimal("0.02")
    assert found.on_demand == {}
    assert family in gcp_tables().sold_types


@pytest.mark.parametrize(
    "description",
    [
        "Commitment v1: Local SSD in Americas for 3 Year",
        "Commitment v1: Nvidia L4 GPU running in Americas for 1 Year",
        "Commitment - dollar based v1: Cloud SQL database for 1 year",
        "Commitment v1: N2 Cpu in Americas for 5 Year",
        "Committed use",
    ],
)
def test_what_is_no_commitment_of_machines_is_passed_over(description: str) -> None:
    found = price_list([listed(description, usage_type="Commit1Yr")])
    assert found.commitments_usd == {}


@pytest.mark.parametrize(
    ("description", "sku"),
    [
        ("N1 Predefined Instance Core running in Americas", "N1 vCPU"),
        ("Custom Instance Ram running in Americas", "N1 Custom RAM"),
        ("N2 Instance Core running in Americas", "N2 vCPU"),
        ("Compute optimized Core running in Americas", "C2 vCPU"),
        ("N2D AMD Custom Instance Ram running in Americas", "N2D Custom RAM"),
        ("Spot Preemptible E2 Instance Core running in Americas", "E2 Spot vCPU"),
    ],
)
def test_a_machines_price_is_under_the_name_that_bills_have(description: str, sku: str) -> None:
    found = price_list([listed(description)])
    assert found.price_usd(SkuKey("gcp", "us-east1", sku)) == Decimal("0.02")


def test_of_tiers_the_first_that_costs_anything_counts_and_what_is_free_has_no_price() -> None:
    key = SkuKey("gcp", "us-east1", "N2 vCPU")
    tiered = price_list([listed("N2 Instance Core running in Americas", 31_611_000, free=100)])
    assert tiered.price_usd(key) == Decimal("0.031611")
    assert price_list([listed("N2 Instance Core running in Americas", 0)]).price_usd(key) is None
    assert price_list([Listed({"description": "N2 Instance Core running in X"})]).on_demand == {}


def test_two_prices_for_one_thing_are_an_error_only_for_who_asks_for_it() -> None:
    twice = [listed("N2 Instance Core running in A", n) for n in (1_000, 2_000)]
    sold = [
        listed("Commitment v1: E2 Cpu in A for 1 Year", n, usage_type="Commit1Yr")
        for n in (1_000, 2_000)
    ]
    found = price_list([*twice, *sold, listed("N2 Instance Ram running in A")])
    assert found.price_usd(SkuKey("gcp", "us-east1", "N2 RAM")) == Decimal("0.02")
    with pytest.raises(ProviderError, match="ambiguous_price"):
        found.price_usd(SkuKey("gcp", "us-east1", "N2 vCPU"))
    with pytest.raises(ProviderError, match="ambiguous_price"):
        found.rate_usd(ResourceTerms("us-east1", "e2", "vcpu", 12))
