"""What each mode needs: exactly the calls that the adapters make, each proven without acting."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from service.clouds import access_of
from service.domain.alterations import AlterationKind, Altered, Target
from service.domain.commitments import Kind, Payment
from service.domain.errors import InputError
from service.domain.purchases import Bought
from service.providers.aws import organisation
from service.providers.aws.clients import AwsClients
from service.providers.aws.cost_explorer import CostExplorerUsage
from service.providers.aws.exports import AwsExports, S3Location
from service.providers.aws.permission_table import (
    FREE,
    MODES,
    NEEDED,
    TAGGING,
    needed_for,
    policy_document,
)
from service.providers.aws.permissions import AwsPermissions
from service.providers.aws.reader import AwsReader
from service.providers.aws.usage_source import granted_on, needed_by
from service.providers.port import PermissionProof, ProviderPermissions
from service.sandbox.cloud import SandboxCloud
from service.sandbox.wire.s3 import BUCKET
from service.settings import Settings
from tests.providers.aws.orders import (
    alteration,
    alterer_of,
    bought,
    buyer_of,
    item_of,
    plan_order,
    reservation_order,
    target,
    terms,
)
from tests.sandbox.clouds import database_cloud, offer

POLICIES = Path(__file__).parents[3] / "docs" / "permissions"
WORDS = {"s3.ListObjectsV2": "s3:ListBucket"}


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxCloud]:
    with database_cloud(page_size=100) as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: SandboxCloud) -> SandboxCloud:
    """One cloud for all questions: they change nothing in it. What is granted is granted anew."""
    shared.world.denied.clear()
    return shared


@pytest.fixture
def used(tmp_path: Path) -> Iterator[SandboxCloud]:
    """A cloud of its own, with an export, for those who buy in it."""
    with database_cloud(exports=tmp_path / "bucket", page_size=100) as cloud:
        cloud.advance(24 * 3)
        yield cloud


def actions_called(cloud: SandboxCloud) -> set[str]:
    """IAM actions of every call that the sandbox was asked for, with those of tags at purchase."""
    called = {WORDS.get(name, name.replace(".", ":")) for name in cloud.server.calls}
    return (called | {TAGGING[name] for name in called if name in TAGGING}) - FREE


def read_everything(cloud: SandboxCloud, folder: Path) -> None:
    reader = AwsReader(cloud.clients(), zones=["us-east-1a"])
    keys = sorted({line.key for line in cloud.world.usage.lines})
    reader.identity()
    reader.accounts()
    reader.prices(keys, {})
    reader.offerings(keys)
    reader.owned_offerings(reader.inventory(), keys)
    organisation.committed_usd(cloud.clients(), cloud.world.now().date())
    AwsExports(cloud.clients(), S3Location(BUCKET, "")).fetch(folder / "here")
    clock = cloud.world.clock
    CostExplorerUsage(cloud.clients(), clock=clock, requests_max=99).fetch(folder / "ce")
    AwsPermissions(cloud.clients()).permissions("observe")


def change_everything(cloud: SandboxCloud) -> None:
    buyer, alterer, world = buyer_of(cloud), alterer_of(cloud), cloud.world
    keys = sorted({line.key for line in world.usage.lines})
    cheapest = {
        one.kind: one
        for one in AwsReader(cloud.clients()).offerings(keys)
        if one.payment is Payment.NO_UPFRONT
    }
    for kind, sold in cheapest.items():
        assert isinstance(
            buyer.buy(plan_order(cloud, sold, "2", name=kind.replace("_", "-"))), Bought
        )
    cloud.advance(1)
    plan = bought(cloud, plan_order(cloud, offer(world), name="back"))
    kind = Kind.AWS_COMPUTE_SP
    back = alteration(cloud, AlterationKind.RETURN, plan, of=kind)
    assert isinstance(alterer.alter(back), Altered)
    later = world.after_hours(48)
    queued = bought(cloud, plan_order(cloud, offer(world), name="queued", start_at=later))
    cancel = alteration(cloud, AlterationKind.CANCEL_QUEUED, queued, of=kind)
    assert isinstance(alterer.alter(cancel), Altered)
    waiting = bought(cloud, reservation_order(cloud, terms(), 1, name="wait", start_at=later))
    cancel = alteration(cloud, AlterationKind.CANCEL_QUEUED, waiting)
    assert isinstance(alterer.alter(cancel), Altered)
    paid = terms("m5.xlarge", "standard", Payment.ALL_UPFRONT)
    source = bought(cloud, reservation_order(cloud, paid, 1, name="mod"))
    parts = (Target(None, Decimal(1), "us-east-1b", 12, paid.payment),)
    modify = alteration(cloud, AlterationKind.MODIFY, source, targets=parts, name="m")
    alterer.alter(modify)
    cloud.advance(1)
    made = alterer.alter(modify)
    assert isinstance(made, Altered)
    # What a modification made shows no upfront of its own: its parents are asked for.
    assert item_of(cloud, made.made[0]).commit_usd_per_hour > 0
    convertible = bought(cloud, reservation_order(cloud, terms(), 1, name="ex"))
    order = alteration(
        cloud, AlterationKind.EXCHANGE, convertible, targets=(target(terms("m6i.large")),)
    )
    order = replace(order, targets=alterer.quote_alteration(order).targets)
    assert isinstance(alterer.alter(order), Altered)


def granted(mode: str) -> set[str]:
    document = json.loads((POLICIES / f"aws-{mode}.json").read_text("utf-8"))
    statements = document["Statement"]
    assert all(one["Effect"] == "Allow" for one in statements)
    return {action for one in statements for action in one["Action"]}


def test_reading_calls_what_observe_grants_and_nothing_else(
    used: SandboxCloud, tmp_path: Path
) -> None:
    # Something of everything is owned, so that every listing and rate is looked at.
    change_everything(used)
    used.server.calls.clear()
    read_everything(used, tmp_path)
    quotes = {"ec2:GetReservedInstancesExchangeQuote"}
    assert actions_called(used) - quotes == granted("observe") - quotes
    assert not any(one.buys for one in needed_for("observe"))


def test_buying_and_undoing_call_what_their_modes_grant_and_nothing_else(
    used: SandboxCloud, tmp_path: Path
) -> None:
    change_everything(used)
    read_everything(used, tmp_path)
    assert actions_called(used) == granted("copilot") == granted("autopilot")


@pytest.mark.parametrize("mode", MODES)
def test_the_documents_are_those_of_the_table_and_hold_no_wildcard(mode: str) -> None:
    document = json.loads((POLICIES / f"aws-{mode}.json").read_text("utf-8"))
    assert document == policy_document(mode)
    assert granted(mode) == {one.action for one in needed_for(mode)}
    assert not any("*" in action for action in granted(mode))
    assert not any(action.endswith("Listing") for action in granted(mode))


def proofs(
    cloud: SandboxCloud, mode: str, exports: AwsExports | None = None
) -> dict[str, PermissionProof]:
    asked: ProviderPermissions = AwsPermissions(
        cloud.clients(), optional=needed_by(exports), granted_on=granted_on(exports)
    )
    return {one.action: one for one in asked.permissions(mode)}


def owned(cloud: SandboxCloud) -> int:
    world = cloud.world
    ledgers = (world.savings_plans.plans, world.reservations.reservations, world.nodes.nodes)
    return sum(len(ledger) for ledger in ledgers)


@pytest.mark.parametrize("mode", MODES)
def test_everything_granted_is_proven_and_nothing_is_bought(cloud: SandboxCloud, mode: str) -> None:
    found = proofs(cloud, mode)
    assert set(found) == {one.action for one in needed_for(mode) if not one.optional}
    assert {action for action, one in found.items() if one.allowed is not True} == set()
    assert owned(cloud) == 0


@pytest.mark.parametrize("action", [one.action for one in NEEDED if not one.optional])
def test_each_permission_that_is_missing_is_named_with_its_mend(
    cloud: SandboxCloud, action: str
) -> None:
    cloud.world.denied.add(action)
    found = proofs(cloud, "autopilot")
    assert [one.action for one in found.values() if one.allowed is False] == [action]
    assert action in found[action].mend
    assert "aws-autopilot.json" in found[action].mend
    assert owned(cloud) == 0


def test_without_iams_judgement_purchases_are_unproven_and_not_tried(cloud: SandboxCloud) -> None:
    cloud.world.denied.add("iam:SimulatePrincipalPolicy")
    found = proofs(cloud, "autopilot")
    create = found["savingsplans:CreateSavingsPlan"]
    assert create.allowed is None
    assert "iam:SimulatePrincipalPolicy" in create.detail
    assert "iam:SimulatePrincipalPolicy" in create.mend
    assert create.prover_failed
    assert not any(one.prover_failed for one in proofs(cloud, "observe").values())
    # What can be proven otherwise still is.
    assert found["ec2:PurchaseReservedInstancesOffering"].allowed is True
    assert found["savingsplans:DescribeSavingsPlans"].allowed is True
    assert owned(cloud) == 0


def test_what_a_source_of_usage_needs_is_asked_only_where_it_is_used(cloud: SandboxCloud) -> None:
    assert "s3:GetObject" not in proofs(cloud, "observe")
    exports = AwsExports(cloud.clients(), S3Location(BUCKET, "focus/"))
    found = proofs(cloud, "observe", exports)
    assert found["s3:ListBucket"].allowed is found["s3:GetObject"].allowed is True
    cloud.world.denied.add("s3:GetObject")
    found = proofs(cloud, "observe", exports)
    assert found["s3:ListBucket"].allowed is True
    assert found["s3:GetObject"].allowed is False


def test_a_bucket_is_asked_about_by_its_name(cloud: SandboxCloud) -> None:
    # The documents grant S3 on the exports alone: asked of everything, IAM denies it.
    other = AwsExports(cloud.clients(), S3Location("another-bucket", ""))
    found = proofs(cloud, "observe", other)
    assert found["s3:ListBucket"].allowed is found["s3:GetObject"].allowed is False
    documented = {
        one["Action"][0]: one["Resource"].replace("EXPORT-BUCKET", BUCKET)
        for one in json.loads((POLICIES / "aws-observe.json").read_text("utf-8"))["Statement"]
        if one["Action"][0].startswith("s3:")
    }
    assert documented == cloud.world.granted_on


def test_a_roles_own_permissions_are_asked_for_in_its_session(cloud: SandboxCloud) -> None:
    member = cloud.world.accounts["web"]
    with closing(AwsClients(cloud.access(account=member))) as clients:
        found = {one.action: one for one in AwsPermissions(clients).permissions("autopilot")}
    assert found["savingsplans:CreateSavingsPlan"].allowed is True
    # Only the payer may list the organisation.
    assert found["organizations:ListAccounts"].allowed is False


def test_a_word_that_is_no_mode_is_refused(cloud: SandboxCloud) -> None:
    with pytest.raises(InputError, match="is not a mode"):
        AwsPermissions(cloud.clients()).permissions("everything")


def test_a_profile_beside_a_sandbox_is_refused_and_a_role_is_assumed(cloud: SandboxCloud) -> None:
    member = cloud.world.accounts["web"]
    role = f"arn:aws:iam::{member}:role/tenor"
    settings = Settings(aws_endpoint_url=cloud.endpoint_url, aws_role_arn=role)
    with closing(AwsClients(access_of(settings))) as clients:
        assert AwsReader(clients).identity().account == member
    with pytest.raises(InputError, match="TENOR_AWS_PROFILE"):
        access_of(Settings(aws_endpoint_url=cloud.endpoint_url, aws_profile="work"))
