"""What a decision may not be made on: another account, what is not priced, what is not listed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain.errors import RefusedError
from service.operate.demo import Demo
from service.operate.situation import Situation, read_situation
from service.providers.aws.clients import AwsClients
from service.providers.aws.reader import AwsReader
from service.providers.port import ProviderReader
from service.wiring import Parts


def with_reader(parts: Parts, reader: ProviderReader) -> Parts:
    return replace(parts, cloud=replace(parts.cloud, reader=reader))


def situation_of(parts: Parts) -> Situation:
    return read_situation(parts, inventory_read_at=parts.clock.now())


def another_account(demo: Demo) -> str:
    payer = demo.cloud.world.payer
    return next(str(one) for one in demo.parts.cloud.reader.accounts() if one != payer)


def test_another_accounts_inventory_is_no_ground_for_a_decision(demo: Demo) -> None:
    clients = AwsClients(demo.cloud.access(account=another_account(demo)))
    elsewhere = with_reader(demo.parts, AwsReader(clients))
    try:
        assert situation_of(demo.parts).account == demo.cloud.world.payer
        with pytest.raises(RefusedError, match="identity"):
            situation_of(elsewhere)
    finally:
        clients.close()


def test_the_purchase_account_of_the_settings_binds_the_policy(demo: Demo) -> None:
    payer = demo.cloud.world.payer
    same = demo.parts.settings.model_copy(update={"purchase_account": payer})
    other = demo.parts.settings.model_copy(update={"purchase_account": another_account(demo)})
    assert situation_of(replace(demo.parts, settings=same)).account == payer
    with pytest.raises(RefusedError, match="purchase_account"):
        situation_of(replace(demo.parts, settings=other))
