"""Showback adds up to the bill, whatever the rule, and shows what belongs to nobody."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.billing.bill import bill
from service.cli import main
from service.domain.commitments import Kind
from service.domain.ids import AccountId
from service.domain.usage import Dataset
from service.report.showback import UNALLOCATED, Method, Showback, UnusedRule, showback
from tests.billing.worlds import held, offer, sku, used, world
from tests.report.test_savings import two_accounts

ACCOUNTS = ("A", "B", "C")


def paid(found: Showback) -> dict[str, Decimal]:
    return {share.owner: share.effective_usd for share in found.shares}


def test_each_account_pays_for_what_the_provider_applied_to_it() -> None:
    found = showback(two_accounts())
    assert paid(found) == {"A": Decimal("3.0"), "B": Decimal("1.6")}
    alpha, beta = found.shares
    assert (alpha.used_usd, alpha.unused_usd) == (Decimal("2.4"), Decimal("0.6"))
    assert (beta.on_demand_usd, beta.used_usd) == (Decimal(1), Decimal("0.6"))
    assert (alpha.savings_usd, beta.savings_usd) == (Decimal(1), Decimal("0.4"))


def test_the_unused_part_goes_where_the_rule_sends_it() -> None:
    users = showback(two_accounts(), unused_rule=UnusedRule.USERS)
    central = showback(two_accounts(), unused_rule=UnusedRule.CENTRAL)
    assert paid(users) == {"A": Decimal("2.88"), "B": Decimal("1.72")}
    assert paid(central) == {
        UNALLOCATED: Decimal("0.6"),
        "A": Decimal("2.4"),
        "B": Decimal("1.6"),
    }


def test_shared_benefit_gives_all_eligible_usage_the_same_rate() -> None:
    found = showback(two_accounts(), method=Method.SHARED_BENEFIT)
    rates = {share.effective_usd / share.on_demand_equivalent_usd for share in found.shares}
    assert max(rates) - min(rates) < Decimal("0.000000001")
    assert sum(paid(found).values()) == Decimal("4.6")


def test_shared_benefit_leaves_usage_that_nothing_may_cover_at_its_own_price() -> None:
    dataset = world(
        [sku("m5", "1"), sku("gpu", "10")],
        [used("m5", 1, 1, account="A"), used("gpu", 1, 1, account="B")],
        [offer("plan", Kind.AWS_COMPUTE_SP, {"m5": "0.6"})],
        [held("sp", "plan", "0.6", account="A")],
    )
    found = showback(dataset, method=Method.SHARED_BENEFIT)
    assert paid(found) == {"A": Decimal("1.2"), "B": Decimal(20)}


def test_accounts_without_a_team_are_shown_as_unallocated() -> None:
    found = showback(two_accounts(), teams={AccountId("A"): "web"})
    assert paid(found) == {"web": Decimal("3.0"), UNALLOCATED: Decimal("1.6")}


def test_a_commitment_that_nobody_used_falls_to_its_owner() -> None:
    dataset = world(
        [sku("m5", "1")],
        [used("m5", 0, 0, account="B")],
        [offer("plan", Kind.AWS_COMPUTE_SP, {"m5": "0.6"})],
        [held("sp", "plan", "0.5", account="A")],
    )
    for method in Method:
        found = showback(dataset, method=method, unused_rule=UnusedRule.USERS)
        assert paid(found)["A"] == 1


amounts = st.lists(st.integers(0, 300).map(lambda n: n / 100), min_size=6, max_size=6)


@st.composite
def datasets(draw: st.DrawFn) -> Dataset:
    lines = [
        used(name, *draw(amounts), account=account)
        for account in ACCOUNTS[: draw(st.integers(1, 3))]
        for name in ("m5", "c6i")
    ]
    holdings = [
        held(
            f"c{index}",
            draw(st.sampled_from(("plan", "m5-plan"))),
            str(draw(st.decimals(0, 3, places=3))),
            account=draw(st.sampled_from(ACCOUNTS)),
            first_hour=draw(st.integers(0, 4)),
        )
        for index in range(draw(st.integers(0, 3)))
    ]
    offers = [
        offer("plan", Kind.AWS_COMPUTE_SP, {"m5": "0.61", "c6i": "0.13"}),
        offer("m5-plan", Kind.AWS_EC2_INSTANCE_SP, {"m5": "0.53"}, region="us-east-1"),
    ]
    prices = [sku("m5", "0.9600000001"), sku("c6i", "0.17")]
    return world(prices, lines, offers, holdings)


@settings(max_examples=60, deadline=None)
@given(
    datasets(),
    st.sampled_from(Method),
    st.sampled_from(UnusedRule),
    st.sampled_from((None, {AccountId("A"): "x", AccountId("B"): "x"})),
)
def test_every_column_adds_up_to_the_bill_to_the_nano_dollar(
    dataset: Dataset, method: Method, rule: UnusedRule, teams: dict[AccountId, str] | None
) -> None:
    found = showback(dataset, teams=teams, method=method, unused_rule=rule)
    whole = bill(dataset)
    unused = sum((use.unused_usd for use in whole.commitments.values()), Decimal(0))
    columns = {
        "on_demand_equivalent_usd": whole.on_demand_equivalent_usd,
        "on_demand_usd": whole.on_demand_usd,
        "used_usd": whole.commitment_usd - unused,
        "unused_usd": unused,
        "effective_usd": whole.total_usd,
        "savings_usd": whole.on_demand_equivalent_usd - whole.total_usd,
    }
    for name, expected in columns.items():
        assert sum(getattr(share, name) for share in found.shares) == expected, name


def write(folder: Path) -> Path:
    tables = {
        "usage": "hour,provider,account,region,zone,sku,quantity\n"
        + "".join(
            f"2026-03-01T0{hour}:00:00Z,aws,{account},us-east-1,,m5,1\n"
            for account, hours in (("A", 4), ("B", 2))
            for hour in range(hours)
        ),
        "skus": "provider,region,sku,service,family,size_units,platform,tenancy,unit,"
        "on_demand_usd,list_usd\naws,us-east-1,m5,ec2,m5,,linux,shared,Hrs,1,1\n",
        "offers": "offer,provider,kind,term_months,payment,region,family,platform,tenancy,zone,"
        "size_flexible,sku,rate_usd,upfront_usd,min_quantity,step\n"
        "plan,aws,aws_compute_sp,12,no_upfront,,,,,,,m5,0.6,0,0.001,0.001\n",
        "holdings": "commitment,offer,account,scope,zone,quantity,start,end,state\n"
        "sp,plan,A,shared,,0.9,2026-03-01T00:00:00Z,2027-03-01T00:00:00Z,active\n",
    }
    for name, content in tables.items():
        (folder / f"{name}.csv").write_text(content, encoding="utf-8")
    return folder


def test_the_command_prints_one_object_with_savings_lock_in_and_shares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--data", str(write(tmp_path)), "--json", "--contracts"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["savings_usd"] == "1.4"
    assert answer["effective_savings_rate"] == "0.233333333333333"
    assert answer["commitments_active"] == 1
    assert 11 < float(answer["lock_in_months"]) < 12
    shares = {one["owner"]: one["effective_usd"] for one in answer["showback"]["shares"]}
    assert shares == {"A": "3", "B": "1.6"}
    (record,) = answer["contract_commitments"]
    assert record["ContractCommitmentLifecycleStatus"] == "Active"


def test_the_command_shows_back_by_team_and_names_a_bad_row_of_the_teams(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, teams = str(write(tmp_path)), tmp_path / "teams.csv"
    teams.write_text("account,team\nA,web\nB,web\n", encoding="utf-8")
    assert main(["report", "--data", data, "--teams", str(teams)]) == 0
    assert "web" in capsys.readouterr().out
    teams.write_text("account,team\nA,web\nA,ops\n", encoding="utf-8")
    assert main(["report", "--data", data, "--teams", str(teams), "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "teams.csv, row 2" in printed.err
