from __future__ import annotations

from decimal import Decimal

import pytest

from service.usage.gcp_sku import describe_sku, family_of, gcp_sku, machine_sku


@pytest.mark.parametrize(
    ("description", "sku"),
    [
        ("N2 Instance Core running in Americas", "N2 vCPU"),
        ("N2 Instance Core running in Sao Paulo", "N2 vCPU"),
        ("N2D AMD Instance Ram running in Iowa", "N2D RAM"),
        ("N1 Predefined Instance Core running in Americas", "N1 vCPU"),
        ("Compute optimized Core running in Americas", "C2 vCPU"),
        ("Memory-optimized Instance Ram running in Tokyo", "M1 RAM"),
        ("M3 Memory-optimized Instance Core running in Americas", "M3 vCPU"),
        ("C4A Arm Instance Core running in Frankfurt", "C4A vCPU"),
        ("Custom Instance Core running in Americas", "N1 Custom vCPU"),
        ("E2 Custom Instance Ram running in Frankfurt", "E2 Custom RAM"),
        ("N2 Custom Extended Instance Ram running in Americas", "N2 Custom Extended RAM"),
        ("Spot Preemptible N2 Instance Core running in Americas", "N2 Spot vCPU"),
        ("Preemptible Compute optimized Ram running in Americas", "C2 Spot RAM"),
        ("C2D AMD Sole Tenancy Instance RAM running in Iowa", "C2D Sole Tenancy RAM"),
    ],
)
def test_machines_are_named_by_series_and_resource(description: str, sku: str) -> None:
    assert gcp_sku("Compute Engine", description) == sku


@pytest.mark.parametrize(
    "description",
    [
        "Micro Instance with burstable CPU running in EMEA",
        "Nvidia L4 GPU running in Americas",
        "Memory Optimized Upgrade Premium for Memory-optimized Instance Core running in Americas",
        "Commitment v1: N2 Cpu in Americas for 1 Year",
        "N2 Something New Instance Core running in Americas",
    ],
)
def test_what_is_no_plain_vcpu_or_memory_keeps_its_description(description: str) -> None:
    sku = gcp_sku("Compute Engine", description)
    assert sku == f"Compute Engine/{description}"
    assert family_of(sku) is None
    assert describe_sku(sku).service == "compute"


def test_only_compute_engine_bills_machines_by_these_words() -> None:
    words = "N2 Instance Core running in Americas"
    assert gcp_sku("Cloud Dataproc", words) == f"Cloud Dataproc/{words}"
    assert describe_sku(f"Cloud Dataproc/{words}").service is None


def test_a_sku_tells_its_unit_and_series() -> None:
    core, ram = describe_sku("N2 Custom vCPU"), describe_sku("N2 RAM")
    assert (core.unit, ram.unit) == ("vCPU-Hours", "GB-Hours")
    assert (core.family, core.size_units) == ("n2", Decimal(1))
    assert core.variants == {"custom"}
    assert describe_sku("N2D Custom Spot RAM").spot
    assert not core.spot
    assert machine_sku("n2", "RAM") == "N2 RAM"
