"""The support table says what was seen in the sandbox, product by product, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.domain.commitments import CommitmentState, Kind, Offering, Payment
from service.domain.purchases import Bought, InventoryItem, PurchaseOrder
from service.providers.aws.reader import AwsReader
from service.sandbox.cloud import SandboxCloud
from tests.providers.aws.orders import alterer_of, buyer_of, plan_order
from tests.sandbox.clouds import database_cloud

SUPPORT = Path(__file__).parents[3] / "docs" / "support.md"
NAMES = {
    Kind.AWS_COMPUTE_SP: "Compute Savings Plan",
    Kind.AWS_EC2_INSTANCE_SP: "EC2 Instance Savings Plan",
    Kind.AWS_DATABASE_SP: "Database Savings Plan",
    Kind.AWS_SAGEMAKER_SP: "SageMaker Savings Plan",
    Kind.AWS_RDS_RI: "RDS reserved DB instance",
    Kind.AWS_ELASTICACHE_RI: "ElastiCache reserved node",
    Kind.AWS_MEMORYDB_RI: "MemoryDB reserved node",
    Kind.AWS_OPENSEARCH_RI: "OpenSearch Reserved Instance",
    Kind.AWS_REDSHIFT_RI: "Redshift reserved node",
}
SCOPES = {Kind.AWS_RI_REGIONAL: "regional", Kind.AWS_RI_ZONAL: "zonal"}
NEVER_SOLD = "DynamoDB reserved capacity"


@pytest.fixture(scope="module")
def cloud() -> Iterator[SandboxCloud]:
    with database_cloud(page_size=100) as cloud:
        yield cloud


def product(offering: Offering) -> str:
    if offering.kind in NAMES:
        return NAMES[offering.kind]
    offering_class = offering.offering.split("/")[5]
    return f"EC2 Reserved Instance, {offering_class}, {SCOPES[offering.kind]}"


def one_of_each(cloud: SandboxCloud) -> dict[str, Offering]:
    keys = sorted({line.key for line in cloud.world.usage.lines if line.region == "us-east-1"})
    found = AwsReader(cloud.clients(), zones=["us-east-1a"]).offerings(keys)
    return {product(one): one for one in found if one.payment is Payment.NO_UPFRONT}


def is_bought(cloud: SandboxCloud, order: PurchaseOrder) -> bool:
    return isinstance(buyer_of(cloud).buy(order), Bought)


def seen_in_the_sandbox(cloud: SandboxCloud) -> dict[str, tuple[str, str, str, str]]:
    """What each product can do: bought once at once and once queued, then read and asked about."""
    offers = one_of_each(cloud)
    at_once, queued = {}, {}
    later = cloud.world.after_hours(100)
    for number, (name, sold) in enumerate(offers.items()):
        at_once[name] = is_bought(cloud, plan_order(cloud, sold, "1", name=f"now{number}"))
        queued[name] = is_bought(
            cloud, plan_order(cloud, sold, "1", name=f"later{number}", start_at=later)
        )
    cloud.advance(1)
    items: dict[str, list[InventoryItem]] = {}
    for item in AwsReader(cloud.clients()).inventory():
        name = next(n for n, sold in offers.items() if sold.offering == item.commitment.offering)
        items.setdefault(name, []).append(item)
    now = cloud.world.now()
    rows = {}
    for name in offers:
        owned = items.get(name, [])
        active = [one.commitment.state for one in owned].count(CommitmentState.ACTIVE)
        ways = {way for one in owned for way in alterer_of(cloud).ways(one, now)}
        rows[name] = (
            "yes" if active == 1 else "no",
            "yes",
            "yes, queued too" if queued[name] else "yes" if at_once[name] else "no",
            ", ".join(sorted(ways)) or "no",
        )
    return rows


def test_the_table_is_what_the_sandbox_shows(cloud: SandboxCloud) -> None:
    section = SUPPORT.read_text("utf-8").partition("## AWS")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (?!product)(.+) \|$", section, re.MULTILINE)
    rows = [row.split(" | ") for row in cells]
    written = {row[0]: tuple(row[1:5]) for row in rows}
    assert len(written) == len(rows)
    seen = seen_in_the_sandbox(cloud)
    assert written == {**seen, NEVER_SOLD: ("from exports", "no", "no", "no")}


def test_every_test_that_the_table_names_is_there() -> None:
    section = SUPPORT.read_text("utf-8").partition("## AWS")[2].partition("\n## ")[0]
    named = set(re.findall(r"`((?:providers|usage)/[^`]+)`", section))
    assert named
    assert all((SUPPORT.parents[1] / "tests" / name).is_file() for name in named)


def test_dynamodb_is_read_as_usage_and_never_offered(cloud: SandboxCloud) -> None:
    used = sorted(
        {
            line.key
            for line in cloud.world.usage.lines
            if cloud.world.catalog.skus[line.key].service == "dynamodb"
        }
    )
    assert used
    found = AwsReader(cloud.clients()).offerings(used)
    assert {one.kind for one in found} == {Kind.AWS_DATABASE_SP}
