"""What is paid by the month: as it began, of what is left, and nothing for what was given back."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path

import pyarrow.compute as pc
import pytest

from service.domain.alterations import AlterationKind, Altered
from service.domain.commitments import CommitmentState, Payment
from service.domain.ids import CommitmentId
from service.sandbox.azure.cloud import AzureSandbox
from tests.sandbox.azure.clouds import (
    alteration,
    alterer,
    owned,
    reader,
    reservation_id,
    small_cloud,
    target,
)
from tests.sandbox.azure.test_world import exported

MONTHLY = reservation_id(payment=Payment.NO_UPFRONT)
MONTH_HOURS = 31 * 24


def give_back(cloud: AzureSandbox, source: CommitmentId, *, left: str = "0") -> None:
    targets = (target(int(left), MONTHLY),) if Decimal(left) else ()
    change = alteration(AlterationKind.RETURN, (source,), *targets, account=cloud.world.payer)
    assert isinstance(alterer(cloud).alter(change), Altered)


def schedule(cloud: AzureSandbox) -> Counter[tuple[str, Decimal]]:
    """How many payments of the one order are in which state, and of how many dollars."""
    (order,) = cloud.clients().reservations.reservation_order.list()
    plan = order.as_dict()["properties"]["planInformation"]
    return Counter(
        (one["status"], Decimal(str(one["pricingCurrencyTotal"]["amount"])))
        for one in plan["transactions"]
    )


@pytest.mark.parametrize("left", ["0", "2"])
def test_what_is_given_back_is_paid_for_no_further(tmp_path: Path, left: str) -> None:
    with small_cloud(tmp_path) as cloud:
        source = owned(cloud, MONTHLY, quantity="6")
        (item,) = reader(cloud).inventory()
        ((_, monthly),) = {one for one in schedule(cloud) if one[0] == "Scheduled"}
        cloud.advance(MONTH_HOURS)
        assert schedule(cloud) == {("Succeeded", monthly): 2, ("Scheduled", monthly): 10}
        give_back(cloud, source, left=left)
        rest = (
            ("Scheduled", (monthly * Decimal(left) / 6).quantize(Decimal("0.01")))
            if Decimal(left)
            else ("Cancelled", monthly)
        )
        assert schedule(cloud) == {("Succeeded", monthly): 2, rest: 10}
        cloud.advance(MONTH_HOURS + 4 * 24)
        table = exported(tmp_path)
        bought = table.filter(pc.equal(table["ChargeCategory"], "Purchase"))
        charged = bought["BilledCost"].to_pylist()
        months = [item.commit_usd_per_hour * 730] * 2
        months += [months[0] * Decimal(left) / 6] * bool(Decimal(left))
        assert sorted(charged, reverse=True) == pytest.approx(months, rel=Decimal("0.0001"))
        # The service's books: what was given back is owed no more, what is left at its old price.
        (now,) = reader(cloud).inventory()
        if Decimal(left):
            assert now.commit_usd_per_hour == pytest.approx(
                item.commit_usd_per_hour * Decimal(left) / 6, rel=Decimal("0.0001")
            )
        else:
            assert now.commitment.state is CommitmentState.RETURNED
            assert not now.commitment.state.is_owned
