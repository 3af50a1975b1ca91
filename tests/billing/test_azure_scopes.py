"""Azure scopes down to the resource group: who is reached, in what order, and how it is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from service.billing.bill import bill
from service.cli import main
from service.domain.commitments import Kind
from service.domain.errors import InputError
from service.domain.ids import AccountId, CommitmentId, OfferingId
from service.usage.dataset import load_dataset
from tests.billing.dataset_files import TABLES, write
from tests.billing.worlds import held, offer, sku, used, world

SCOPES: Mapping[str, tuple[str, ...] | None] = {
    "group": ("sub/web",),
    "subscription": ("sub",),
    "management": ("sub", "other"),
    "shared": None,
}


@pytest.mark.parametrize("kind", [Kind.AZURE_RESERVATION, Kind.AZURE_SAVINGS_PLAN])
@pytest.mark.parametrize("names", list(permutations("abcd"))[::5])
def test_the_narrowest_scope_comes_first_whatever_the_ids(
    kind: Kind, names: tuple[str, ...]
) -> None:
    """Microsoft Cost Management: resource group, subscription, management group, shared."""
    prices = [sku("X", "1", provider="azure", service="vm", family="D", tenancy=None)]
    offers = [offer("o", kind, {"X": "0.5"}, region="us-east-1")]
    per_machine = "1" if kind is Kind.AZURE_RESERVATION else "0.5"
    holdings = [
        held(name, "o", per_machine, account="sub", scope=scope)
        for name, scope in zip(names, SCOPES.values(), strict=True)
    ]
    for machines in range(1, 5):
        usage = [used("X", machines, provider="azure", account="sub", group="web")]
        result = bill(world(prices, usage, offers, holdings))
        taken = [result.commitments[CommitmentId(name)].utilization_ratio for name in names]
        assert taken == [1] * machines + [0] * (4 - machines)


def test_a_group_is_reached_only_in_its_own_subscription() -> None:
    result = bill(
        world(
            [sku("X", "1", provider="azure", service="vm", family="D", tenancy=None)],
            [
                used("X", 1, provider="azure", account="sub", group="web"),
                used("X", 1, provider="azure", account="sub", group="data"),
                used("X", 1, provider="azure", account="sub"),
                used("X", 1, provider="azure", account="other", group="web"),
            ],
            [offer("o", Kind.AZURE_RESERVATION, {"X": "0.5"}, region="us-east-1")],
            [held("ri", "o", "4", account="sub", scope=["sub/web"])],
        )
    )
    assert result.commitments[CommitmentId("ri")].utilization_ratio == Decimal("0.25")
    assert result.on_demand_usd == 3


HEADS = {name: text.splitlines()[0] for name, text in TABLES.items()}
HOUR0 = "2026-03-01T00:00:00Z"


def tables(scope: str, *, provider: str = "azure", column: bool = True) -> dict[str, str]:
    """Two resource groups (one of them spelt in two ways) of one subscription, one machine size."""
    kind = {"azure": "azure_reservation", "aws": "aws_ri_regional"}[provider]
    groups = ("Web", "data", "WEB") if column else ("", "", "")
    rows = "".join(
        f"{HOUR0},{provider},sub,westeurope,,X,1,m{index},{f',{group}' if column else ''}\n"
        for index, group in enumerate(groups)
    )
    return {
        "usage": f"{HEADS['usage']}{',resource_group' if column else ''}\n{rows}",
        "skus": f"{HEADS['skus']}\n{provider},westeurope,X,vm,D,1,,,Hrs,1,1\n",
        "offers": f"{HEADS['offers']}\n"
        f"ri,{provider},{kind},12,no_upfront,westeurope,,,,,false,X,0.6,0,1,1\n",
        "holdings": f"{HEADS['holdings']}\nri-1,ri,sub,{scope},,3,2026-01-01T00:00:00Z,"
        "2027-01-01T00:00:00Z,active\n",
    }


def answer(
    folder: Path, capsys: pytest.CaptureFixture[str], given: Mapping[str, str]
) -> dict[str, Any]:
    data = str(write(folder, given))
    assert main(["bill", "--data", data, "--explain", HOUR0, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_a_holding_of_one_resource_group_covers_that_group(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = answer(tmp_path, capsys, tables("sub/wEB"))
    assert (found["on_demand_usd"], found["commitments"]["ri-1"]["used_usd"]) == ("1", "1.2")
    (cover,) = found["explanation"]["covers"]
    assert (cover["account"], cover["resource_group"], cover["quantity"]) == ("sub", "web", "2")
    assert [line["resource_group"] for line in found["explanation"]["on_demand"]] == ["data"]


def test_groups_are_told_apart_only_where_a_scope_names_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (line,) = load_dataset(write(tmp_path / "whole", tables("sub"))).usage.lines
    assert line.resource_group == ""
    lines = load_dataset(write(tmp_path / "split", tables("sub/web"))).usage.lines
    assert [one.resource_group for one in lines] == ["data", "web"]
    without = answer(tmp_path / "without", capsys, tables("sub", column=False))
    assert answer(tmp_path / "with", capsys, tables("sub")) == without
    assert "resource_group" not in without["explanation"]["covers"][0]


def test_rows_that_differ_in_their_group_alone_are_no_duplicates(tmp_path: Path) -> None:
    given = tables("sub")
    usage = "".join(
        line.replace(f",m{index},", ",,") + "\n"
        for index, line in enumerate(given["usage"].splitlines()[:3], start=-1)
    )
    dataset = load_dataset(write(tmp_path, {**given, "usage": usage}))
    assert dataset.usage.quantity.tolist() == [[2.0]]


@pytest.mark.parametrize(
    ("given", "file", "column"),
    [
        (tables("sub/web", column=False), "usage.csv", "resource_group"),
        (tables("sub/web", provider="aws"), "holdings.csv", "scope"),
        (tables("sub/"), "holdings.csv", "scope"),
        (tables("sub/web/more"), "holdings.csv", "scope"),
    ],
    ids=["no column", "not Azure's", "no group", "three parts"],
)
def test_groups_that_cannot_be_told_are_refused(
    given: Mapping[str, str], file: str, column: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        load_dataset(write(tmp_path, given))
    assert (caught.value.file, caught.value.column) == (file, column)


def test_usage_of_others_has_no_resource_group(tmp_path: Path) -> None:
    given = tables("sub/web")
    foreign = f"{HOUR0},aws,1,us-east-1,,Y,1,,,web\n"
    price = "aws,us-east-1,Y,ec2,m5,,linux,shared,Hrs,1,1\n"
    both = {**given, "usage": given["usage"] + foreign, "skus": given["skus"] + price}
    with pytest.raises(InputError, match="only Azure has resource groups") as caught:
        load_dataset(write(tmp_path, both))
    assert caught.value.row == 4


def test_an_account_that_is_a_path_is_an_account(tmp_path: Path) -> None:
    (one,) = load_dataset(write(tmp_path, tables("/subscriptions/sub"))).commitments
    assert one.scope == frozenset({AccountId("/subscriptions/sub")})


def test_what_is_proven_of_usage_is_covered_first_and_what_may_be_bought_takes_no_other() -> None:
    """What an owned reservation leaves of the level part is all that one on offer may take.

    Nor does that drive the owned one onto what is only estimated.
    """
    prices = [
        sku(name, usd, provider="azure", service="vm", family="D", size=size, tenancy=None)
        for name, usd, size in (("X", "1", "1"), ("Y", "2", "2"))
    ]
    owned = offer("owned", Kind.AZURE_RESERVATION, {"X": "0.6"}, region="us-east-1", flexible=True)
    on_offer = replace(owned, offering=OfferingId("a candidate"), level_only=True)
    usage = [
        used("X", 4, provider="azure"),
        used("X", 3, provider="azure", level=True),
        used("Y", 2, provider="azure", level=True),
    ]
    holdings = [held("owned", "owned", "5"), held("a candidate", "a candidate", "9")]
    result = bill(world(prices, usage, [owned, on_offer], holdings))
    assert result.commitments[CommitmentId("owned")].utilization_ratio == 1
    candidate = result.commitments[CommitmentId("a candidate")]
    assert candidate.used_usd == Decimal("0.6") * (3 + 2 * 2 - 5)
    assert result.on_demand_usd == 4
