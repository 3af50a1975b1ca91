"""Commitments and proposals in the shape of FOCUS ContractCommitment."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.ids import AccountId, LineId, OfferingId, PlanId, ProposalId
from service.domain.money import CommitUsdPerHour
from service.domain.plans import Companion, Decision, PlanLine, Verdict
from service.domain.purchases import Proposal, ProposalState
from service.report.contracts import COLUMNS, commitment_records, proposal_records
from service.report.render import to_json
from tests.billing.worlds import START, held, offer

YEAR = 8760
PLAN = offer("plan", Kind.AWS_COMPUTE_SP, {"m5": "0.6"})
OFFERS = {PLAN.offering: PLAN}
NOW = START + timedelta(hours=100)


def proposal(state: ProposalState) -> Proposal:
    line = PlanLine(
        line=LineId("l"),
        offering=PLAN.offering,
        provider="aws",
        kind=PLAN.kind,
        account=AccountId("A"),
        region=None,
        family=None,
        term_months=12,
        payment=Payment.NO_UPFRONT,
        quantity=Decimal(2),
        commit_usd_per_hour=CommitUsdPerHour(Decimal(2)),
        upfront_usd=Decimal(0),
        total_usd=Decimal(2 * YEAR),
        expected_savings_usd_per_hour=Decimal(1),
        expected_savings_low_usd_per_hour=Decimal(0),
        expected_savings_high_usd_per_hour=Decimal(1),
        expected_utilization_ratio=Decimal(1),
        break_even_months=Decimal(8),
        reason="",
    )
    verdict = Verdict(line.line, Decision.NEEDS_SIGN_OFF, ())
    end = NOW + timedelta(hours=72)
    return Proposal(
        ProposalId("p"), PlanId("plan"), line, verdict, state, NOW, end, None, None, "", 1
    )


@pytest.mark.parametrize(
    ("state", "first_hour", "last_hour", "status"),
    [
        (CommitmentState.ACTIVE, 0, YEAR, "Active"),
        (CommitmentState.ACTIVE, 200, YEAR, "Pending"),
        (CommitmentState.QUEUED, 200, YEAR, "Pending"),
        (CommitmentState.PAYMENT_PENDING, 0, YEAR, "Pending"),
        (CommitmentState.ACTIVE, 0, 100, "Expired"),
        (CommitmentState.RETIRED, 0, YEAR, "Expired"),
        (CommitmentState.RETURNED, 0, YEAR, "Canceled"),
    ],
)
def test_tells_where_a_commitment_stands_in_the_standards_words(
    state: CommitmentState, first_hour: int, last_hour: int, status: str
) -> None:
    one = held("sp", "plan", "2", first_hour=first_hour, last_hour=last_hour, state=state)
    (record,) = commitment_records([one], offerings=OFFERS, as_of=NOW)
    assert record["ContractCommitmentLifecycleStatus"] == status
    assert tuple(record) == COLUMNS


def test_what_failed_was_never_a_commitment() -> None:
    failed = held("sp", "plan", "2", state=CommitmentState.FAILED)
    assert commitment_records([failed], offerings=OFFERS, as_of=NOW) == ()


def test_states_the_cost_of_the_term_and_how_it_is_paid() -> None:
    partly = replace(
        offer("partly", Kind.AWS_RI_ZONAL, {"m5": "0.5"}, payment=Payment.PARTIAL_UPFRONT),
        upfront_usd=Decimal("0.25") * YEAR,
        zone="us-east-1a",
        region="us-east-1",
    )
    one = held("ri", "partly", "3", last_hour=YEAR, scope=["B", "A"])
    (record,) = commitment_records([one], offerings={partly.offering: partly}, as_of=NOW)
    assert record["ContractCommitmentCost"] == Decimal("1.5") * YEAR
    assert record["ContractCommitmentPaymentUpfrontPercentage"] == Decimal("0.5")
    assert record["ContractCommitmentPaymentModel"] == "Partial Upfront"
    assert record["ContractCommitmentCategory"] == "Usage"
    assert record["ContractCommitmentUnit"] == "Units"
    assert record["ContractCommitmentBenefitCategory"] == "Availability"
    assert json.loads(str(record["ContractCommitmentApplicability"])) == {
        "Provider": "aws",
        "PurchaseAccount": "A",
        "Accounts": ["A", "B"],
        "Region": "us-east-1",
        "Zone": "us-east-1a",
    }


def test_a_waiting_or_approved_proposal_is_proposed_and_a_decided_one_is_no_record() -> None:
    everything = [proposal(state) for state in ProposalState]
    records = proposal_records(everything, offerings=OFFERS)
    assert len(records) == 2
    assert {record["ContractCommitmentLifecycleStatus"] for record in records} == {"Proposed"}
    assert records[0]["ContractCommitmentCost"] == 2 * YEAR
    assert records[0]["ContractCommitmentUnit"] == "USD/Hour"
    assert records[0]["ContractCommitmentDurationType"] == "1 Year"


def test_what_comes_beside_has_a_record_of_its_own_and_the_costs_add_up() -> None:
    waiting = proposal(ProposalState.WAITING)
    ram = offer("ram", Kind.GCP_RESOURCE_CUD, {"m5": "0.1"})
    beside = Companion(ram.offering, Decimal(4), CommitUsdPerHour(Decimal("0.4")), "GB of memory")
    both = replace(waiting, line=replace(waiting.line, companion=beside))
    offers = {**OFFERS, ram.offering: ram}
    own, other = proposal_records([both], offerings=offers)
    assert other["ContractCommitmentQuantity"] == 4
    assert other["ContractCommitmentCost"] == Decimal("0.4") * YEAR
    assert own["ContractCommitmentQuantity"] == 2
    assert own["ContractCommitmentCost"] == Decimal("1.6") * YEAR
    assert own["ContractCommitmentId"] != other["ContractCommitmentId"]


def test_every_kind_has_a_type_and_every_record_has_a_form_in_json() -> None:
    for kind in Kind:
        one = offer("o", kind, {"m5": "0.5"}, term_months=36)
        owned = held("c", "o", "1")
        (record,) = commitment_records([owned], offerings={OfferingId("o"): one}, as_of=NOW)
        assert json.loads(to_json(record))["ContractCommitmentDurationType"] == "3 Years"
