"""Keys that are renewed while a purchase is signed: a halt set in that time stops it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from service.domain.purchases import Bought, Outcome, Refused
from service.providers.aws.buyer import AwsBuyer
from service.providers.aws.clients import AwsClients
from service.providers.aws.credentials import session_renewed_by
from service.sandbox.access import sandbox_access
from service.sandbox.cloud import SandboxCloud
from service.sandbox.identity import ROOT_ACCESS_KEY, ROOT_SECRET_KEY
from tests.providers.aws.orders import plan_order
from tests.sandbox.clouds import offer, small_cloud

HALTED = Refused("halt", "halted while the keys were renewed")
BUY = "savingsplans.CreateSavingsPlan"


class ShortKeys:
    """Keys that run out so soon that every signature has them renewed; while it waits, time passes.

    ``halts``: buying is halted while the purchase itself is signed, not before.
    """

    def __init__(self, *, halts: bool) -> None:
        self.halts = halts
        self.spending = self.halted = False

    def sign(self, **_: object) -> None:
        """What is renewed from here on is renewed to sign the purchase."""
        self.spending = True

    def ask(self) -> Mapping[str, Any]:
        self.halted = self.halts and self.spending
        return {
            "AccessKeyId": ROOT_ACCESS_KEY,
            "SecretAccessKey": ROOT_SECRET_KEY,
            "SessionToken": "",
            "Expiration": datetime.now(UTC) + timedelta(minutes=5),
        }

    def still_wanted(self) -> Refused | None:
        return HALTED if self.halted else None


@pytest.fixture(scope="module")
def cloud() -> Iterator[SandboxCloud]:
    with small_cloud() as opened:
        yield opened


@contextmanager
def buyer_with(keys: ShortKeys, cloud: SandboxCloud) -> Iterator[AwsBuyer]:
    with closing(AwsClients(sandbox_access(cloud.endpoint_url))) as clients:
        clients._session = session_renewed_by(keys.ask)  # noqa: SLF001 - a role, without STS
        # the SDK announces what it signs, and only then fetches the keys
        clients._session.events.register(f"before-sign.{BUY}", keys.sign)  # noqa: SLF001
        yield AwsBuyer(clients, clock=cloud.world.clock)


def buy(keys: ShortKeys, cloud: SandboxCloud) -> tuple[Outcome, int]:
    """What came of a purchase, and how many calls it took."""
    before = cloud.server.calls[BUY]
    order = plan_order(cloud, offer(cloud.world))
    with buyer_with(keys, cloud) as buyer:
        outcome = buyer.buy(order, still_wanted=keys.still_wanted)
    return outcome, cloud.server.calls[BUY] - before


def test_a_halt_set_while_the_keys_are_renewed_stops_the_purchase(cloud: SandboxCloud) -> None:
    assert buy(ShortKeys(halts=True), cloud) == (HALTED, 0)


def test_keys_that_are_renewed_for_every_call_buy_while_nothing_is_halted(
    cloud: SandboxCloud,
) -> None:
    outcome, calls = buy(ShortKeys(halts=False), cloud)
    assert isinstance(outcome, Bought)
    assert calls == 1
