"""Money that no decision asked for stops everything until a person looks."""

from __future__ import annotations

from decimal import Decimal

from service.operate.demo import Demo
from service.operate.reconciling import reconcile
from service.operate.settling import tie_loose_ends
from service.pipeline import run_cycle
from service.store.engine import reading
from service.store.halt import read_halt
from service.store.lease import Lease
from tests.operate.test_cycle import a_cycle


def test_an_intent_with_two_commitments_halts_all_buying(demo: Demo, lease: Lease) -> None:
    run_cycle(demo.parts, a_cycle(), lease=lease)
    demo.cloud.advance(2)
    tie_loose_ends(demo.parts, lease=lease)
    with reading(demo.parts.engine) as connection:
        assert not read_halt(connection).halted
    _buy_again_behind_its_back(demo)
    reconcile(demo.parts, lease=lease)
    with reading(demo.parts.engine) as connection:
        halt = read_halt(connection)
    assert halt.halted
    assert halt.changed_by == "tenor"
    assert "was bought 2 times" in halt.reason


def _buy_again_behind_its_back(demo: Demo) -> None:
    """A second plan with the tag of the first intent, under a token of its own."""
    client = demo.cloud.clients().purchasing("savingsplans")
    owned = client.describe_savings_plans()["savingsPlans"][0]  # type: ignore[attr-defined]
    assert Decimal(owned["commitment"]) > 0
    arguments = {"savingsPlanOfferingId": owned["offeringId"], "commitment": owned["commitment"]}
    if owned["paymentOption"] == "Partial Upfront":
        arguments["upfrontPaymentAmount"] = owned["upfrontPaymentAmount"]
    client.create_savings_plan(  # type: ignore[attr-defined]
        **arguments, tags=owned["tags"], clientToken="not-the-one-that-was-minted"
    )
    client.close()
