"""Whose usage gets a discount, and whose gets it first.

AWS Billing user guide, "Reserved Instances and Savings Plans discount sharing", sharing modes.
"""

from __future__ import annotations

import pytest

from service.billing.bill import bill
from service.billing.sharing import Sharing, SharingMode
from service.domain.commitments import Kind
from service.domain.errors import InvariantError
from service.domain.ids import AccountId
from service.domain.usage import Dataset
from tests.billing.worlds import held, offer, sku, used, world

GROUPS = (frozenset({AccountId("owner"), AccountId("friend")}),)


def three_accounts(quantity: str) -> Dataset:
    """One SKU for each account, told apart by name: the stranger saves most, the owner least."""
    prices = {"owner": "1.0", "friend": "1.1", "stranger": "1.2"}
    return world(
        [sku(name, price, family="m5", size="1") for name, price in prices.items()],
        [used(name, 1, account=name) for name in prices],
        [
            offer("plan", Kind.AWS_COMPUTE_SP, dict.fromkeys(prices, "0.5")),
            offer("ri", Kind.AWS_RI_REGIONAL, {"owner": "0.5"}, flexible=True),
        ],
        [held("one", quantity.split(maxsplit=1)[0], quantity.split()[1], account="owner")],
    )


def covered(dataset: Dataset, mode: SharingMode) -> list[str]:
    result = bill(dataset, sharing=Sharing(mode, GROUPS))
    return sorted(use.key.sku for use in result.by_sku if use.covered_quantity == 1)


@pytest.mark.parametrize("commitment", ["plan {}", "ri {}"])
@pytest.mark.parametrize(
    ("mode", "first_two", "all_three"),
    [
        (SharingMode.PRIORITISED, ["friend", "owner"], ["friend", "owner", "stranger"]),
        (SharingMode.RESTRICTED, ["friend", "owner"], ["friend", "owner"]),
        (SharingMode.OFF, ["owner"], ["owner"]),
    ],
)
def test_the_owner_then_the_group_then_the_others(
    commitment: str, mode: SharingMode, first_two: list[str], all_three: list[str]
) -> None:
    unit = 0.5 if commitment.startswith("plan") else 1
    assert covered(three_accounts(commitment.format(1 * unit)), mode) == ["owner"]
    assert covered(three_accounts(commitment.format(2 * unit)), mode) == first_two
    assert covered(three_accounts(commitment.format(3 * unit)), mode) == all_three


def test_over_the_whole_organisation_the_largest_saving_follows_the_owner() -> None:
    dataset = three_accounts("plan 1")
    assert covered(dataset, SharingMode.ORGANISATION) == ["owner", "stranger"]


def test_a_list_of_accounts_keeps_a_commitment_to_them_whatever_is_shared() -> None:
    dataset = world(
        [sku("m5.large", "1")],
        [used("m5.large", 1, account=name) for name in ("owner", "friend", "stranger")],
        [offer("plan", Kind.AWS_COMPUTE_SP, {"m5.large": "0.5"})],
        [held("sp", "plan", "5", account="owner", scope=["owner", "stranger"])],
    )
    assert bill(dataset).on_demand_usd == 1


def test_an_account_in_two_groups_is_a_contradiction() -> None:
    with pytest.raises(InvariantError):
        Sharing(SharingMode.RESTRICTED, (*GROUPS, frozenset({AccountId("friend")})))
