from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path

import pytest

from service.usage.azure_sku import azure_sku, describe_sku, family_of, flexibility
from service.usage.azure_sku import resource_group_of as group_of


def machine(meter: str, group: str = "Dsv5 Series", size: str = "Standard_D4s_v5") -> str:
    return azure_sku(
        meter_category="Virtual Machines",
        meter_subcategory=group,
        meter_name=meter,
        arm_sku_name=size,
    )


def test_a_machine_is_named_by_its_size() -> None:
    assert machine("D4s v5") == "Standard_D4s_v5"
    facts = describe_sku("Standard_D4s_v5")
    assert (facts.service, facts.platform, facts.unit) == ("vm", "linux", "Hrs")
    assert (facts.family, facts.size_units) == ("Dsv5 Series", Decimal(4))


def test_a_licence_in_the_price_makes_another_sku() -> None:
    assert machine("D4s v5", "Dsv5 Series Windows") == "Standard_D4s_v5 windows"
    assert describe_sku("Standard_D4s_v5 windows").platform == "windows"


def test_bills_and_the_price_list_name_one_machine_alike() -> None:
    assert machine("D4s v5", "Virtual Machines Dsv5 Series") == machine("D4s v5")


@pytest.mark.parametrize(
    ("meter", "capacity"), [("D4s v5 Spot", "spot"), ("D4s v5 Low Priority", "low priority")]
)
def test_capacity_that_can_be_taken_away_is_told(meter: str, capacity: str) -> None:
    sku = machine(meter, "Dsv5 Series Windows")
    assert sku == f"Standard_D4s_v5 windows {capacity}"
    assert describe_sku(sku).capacity == capacity


def test_a_size_that_is_not_told_is_read_from_the_meter() -> None:
    assert machine("D2 v2/DS2 v2", "Dv2/DSv2 Series", "") == "Standard_D2_v2"
    assert machine("B2s Spot", "BS Series", "") == "Standard_B2s spot"


def test_what_is_no_machine_is_named_by_its_meter() -> None:
    licence = azure_sku(
        meter_category="Virtual Machines Licenses",
        meter_subcategory="Windows Server",
        meter_name="4 vCPU VM License",
        arm_sku_name="Standard_D4s_v5",
    )
    assert licence == "Virtual Machines Licenses/Windows Server/4 vCPU VM License"
    assert describe_sku(licence).service is None
    host = machine("Dsv3 Type1", "Dsv3 Series Dedicated Host", "Dsv3_Type1")
    assert describe_sku(host).service == "dedicated_host"
    assert family_of(host) is None
    assert describe_sku("SQL Database/Single Basic/B DTU").service == "sql"


@pytest.mark.parametrize(
    ("size", "group", "weight"),
    [
        ("Standard_DS4_v2", "DSv2 Series", "8"),
        ("Standard_DS12_v2", "DSv2 Series High Memory", "2"),
        ("Standard_E64s_v3", "ESv3 Series", "28.8"),
        ("Standard_B2s", "BS Series", "4"),
        ("Standard_D16ds_v5", "Ddsv5 Series", "16"),
        ("Standard_E4-2s_v5", "Esv5 Series", "4"),
        ("Standard_F72s_v2", "Fsv2 Series", "72"),
        ("Standard_NC16as_T4_v3", "NCasv3 T4 Series", "16"),
    ],
)
def test_sizes_weigh_by_the_documented_tables_or_their_vcpus(
    size: str, group: str, weight: str
) -> None:
    assert flexibility(size) == (group, Decimal(weight))


def test_a_name_that_tells_no_size_has_no_group() -> None:
    assert flexibility("Standard_Custom") == (None, None)
    assert flexibility("Basic_A1") == (None, None)


def test_the_resource_group_is_read_from_a_path_whatever_its_case() -> None:
    path = "/subscriptions/1/resourceGroups/Win-Test/providers/Microsoft.Compute/virtualMachines/a"
    assert group_of(path) == "win-test"
    assert group_of("/subscriptions/1/providers/Microsoft.Capacity") is None


SAMPLE = Path(__file__).resolve().parents[3] / "shared" / "data" / "azure_ea_amortized_sample.csv"


@pytest.mark.shared
@pytest.mark.skipif(not SAMPLE.exists(), reason="no amortised sample beside the checkout")
def test_the_machines_of_a_real_amortised_export_are_named_by_their_sizes() -> None:
    with SAMPLE.open(encoding="utf-8-sig") as lines:
        rows = list(csv.DictReader(lines))
    names = set()
    for row in rows:
        details = json.loads(row["AdditionalInfo"]) if row["AdditionalInfo"] else {}
        sku = azure_sku(
            meter_category=row["MeterCategory"],
            meter_subcategory=row["MeterSubCategory"],
            meter_name=row["MeterName"],
            arm_sku_name=details.get("ServiceType", ""),
        )
        if describe_sku(sku).service == "vm":
            names.add((sku, details.get("RINormalizationRatio")))
        assert group_of(row["ResourceId"]) in {row["ResourceGroup"].lower(), None}
    # The reservation of a DS1_v2 says itself that a DS2_v2 has a ratio of 2.
    assert names == {("Standard_DS2_v2", 2.0), ("Standard_B2s", None), ("Standard_D2s_v3", None)}
    assert flexibility("Standard_DS2_v2") == ("DSv2 Series", Decimal(2))
