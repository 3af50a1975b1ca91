"""Whose credentials speak: the role of each payer with its external id, and nobody else's, ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import pytest

from service.domain.errors import InputError, ProviderError
from service.domain.purchases import Refused
from service.providers.aws.buyer import AwsBuyer
from service.providers.aws.clients import AwsAccess, AwsClients
from service.providers.aws.reader import AwsReader
from service.sandbox.access import sandbox_access
from service.sandbox.cloud import SandboxCloud
from service.sandbox.faults import Fault, FaultKind
from service.sandbox.world import World
from tests.providers.aws.orders import plan_order
from tests.sandbox.clouds import offer, small_world, strike


@pytest.fixture(scope="module")
def shared() -> Iterator[SandboxCloud]:
    small = small_world()
    options = replace(small.options, external_id="between-us")
    with SandboxCloud(World(options, small.catalog, small.usage)) as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: SandboxCloud) -> SandboxCloud:
    shared.world.faults.clear()
    shared.server.calls.clear()
    return shared


@contextmanager
def speaking_for(cloud: SandboxCloud, name: str, external_id: str | None) -> Iterator[AwsClients]:
    account = cloud.world.accounts[name]
    access = sandbox_access(cloud.endpoint_url, account=account, external_id=external_id)
    with closing(AwsClients(access)) as clients:
        yield clients


@pytest.mark.parametrize("name", ["web", "shop", "payer"])
def test_each_account_is_spoken_for_by_its_own_role(cloud: SandboxCloud, name: str) -> None:
    with speaking_for(cloud, name, "between-us") as clients:
        who = AwsReader(clients).identity()
    assert who.account == cloud.world.accounts[name]
    assert ":assumed-role/tenor/" in who.principal


@pytest.mark.parametrize("external_id", [None, "", "guessed"])
def test_a_wrong_external_id_opens_nothing_and_nothing_else_is_tried(
    cloud: SandboxCloud, external_id: str | None
) -> None:
    order = plan_order(cloud, offer(cloud.world))
    with speaking_for(cloud, "payer", external_id) as clients:
        with pytest.raises(ProviderError):
            AwsReader(clients).identity()
        outcome = AwsBuyer(clients, clock=cloud.world.clock).buy(order)
    assert isinstance(outcome, Refused)
    assert outcome.code == "not_sent"
    # The source's own keys would have been good in this very account.
    assert cloud.server.calls["savingsplans.CreateSavingsPlan"] == 0


def test_a_role_that_stops_to_be_granted_stops_everything(cloud: SandboxCloud) -> None:
    strike(cloud, Fault("sts.AssumeRole", FaultKind.REFUSE, code="AccessDenied", times=9))
    with (
        speaking_for(cloud, "web", "between-us") as clients,
        pytest.raises(ProviderError, match="AccessDenied"),
    ):
        AwsReader(clients).inventory()
    assert set(cloud.server.calls) == {"sts.AssumeRole"}


def test_one_session_serves_many_questions(cloud: SandboxCloud) -> None:
    with speaking_for(cloud, "web", "between-us") as clients:
        reader = AwsReader(clients, regions=["us-east-1"])
        for _ in range(3):
            reader.inventory()
    assert cloud.server.calls["sts.AssumeRole"] == 1


def test_a_profile_that_is_not_there_is_named() -> None:
    with pytest.raises(InputError, match="no-such-profile"):
        AwsClients(AwsAccess(region="us-east-1", profile="no-such-profile"))
