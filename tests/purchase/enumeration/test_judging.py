"""Negative controls: what is wrong with an exchange, the judge of the enumeration sees."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

import pytest

from service.domain.alterations import AlterationKind, AlterationOrder, Target
from service.domain.commitments import Kind, Payment
from service.domain.ids import ClientToken, CommitmentId, IntentId
from service.domain.money import CommitUsdPerHour
from service.domain.purchases import InventoryItem
from tests.purchase.cloud import ACCOUNT
from tests.purchase.enumeration.judging import judge_ceiling, judge_exchange
from tests.purchase.enumeration.sites import Site
from tests.purchase.world import START, HandClock
from tests.reconcile.listing import listed

GIVEN, MADE = listed(1), listed(2)
ORDER = AlterationOrder(
    intent=IntentId("order"),
    token=ClientToken("key"),
    alteration=AlterationKind.EXCHANGE,
    account=ACCOUNT,
    kind=Kind.AWS_RI_REGIONAL,
    sources=(GIVEN.commitment.commitment,),
    targets=(Target(None, Decimal(1), None, 12, Payment.NO_UPFRONT),),
    most_to_pay_usd=Decimal(100),
)


@dataclass
class Books:
    """A cloud of which only the books and the clock are there."""

    charged_usd: Decimal
    clock: HandClock = field(default_factory=HandClock)
    provider: str = "aws"

    @property
    def cloud(self) -> Any:  # noqa: ANN401 - stands for a sandbox
        return self

    world = cloud

    def upfront_due(self) -> dict[CommitmentId, Decimal]:
        return {MADE.commitment.commitment: self.charged_usd}


def judged(made: InventoryItem, *, charged: str = "10", written: str = "20") -> list[str]:
    before = {GIVEN.commitment.commitment: GIVEN}
    site = cast("Site", Books(Decimal(charged)))
    listings = (before, {made.commitment.commitment: made})
    return judge_exchange(site, ORDER, listings, pay_usd=Decimal(written))


def commitment(*, quantity: str = "1", usd_per_hour: str = "1", end: datetime | None = None) -> Any:  # noqa: ANN401 - an item
    one = replace(MADE.commitment, quantity=Decimal(quantity), end=end or MADE.commitment.end)
    usd = CommitUsdPerHour(Decimal(usd_per_hour))
    return replace(MADE, commitment=one, commit_usd_per_hour=usd)


def test_an_exchange_as_asked_for_is_in_order() -> None:
    assert judged(commitment()) == []


@pytest.mark.parametrize(
    ("made", "charged", "written", "word"),
    [
        (commitment(quantity="2"), "10", "20", "asked for"),
        (commitment(usd_per_hour="0.9"), "10", "20", "left to pay for"),
        (commitment(end=START), "10", "20", "left to pay for"),
        (commitment(), "30", "20", "charged"),
        (commitment(), "10", "200", "allowed"),
    ],
)
def test_what_is_wrong_with_an_exchange_is_seen(
    made: InventoryItem, charged: str, written: str, word: str
) -> None:
    """Negative control."""
    (found,) = judged(made, charged=charged, written=written)
    assert word in found


@pytest.mark.parametrize(("ceiling", "problems"), [("1.5", 1), ("2", 0)])
def test_more_than_was_allowed_is_seen(ceiling: str, problems: int) -> None:
    owned = {
        name: commitment(usd_per_hour=usd)
        for name, usd in ((CommitmentId("one"), "0.5"), (CommitmentId("two"), "1.5"))
    }
    assert len(judge_ceiling(owned, Decimal(ceiling))) == problems
