"""An Azure reservation of a family that nobody uses any more becomes one that is used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from service.domain.alterations import (
    AlterationKind,
    AlterationOrder,
    AlterationQuote,
    Altered,
)
from service.domain.commitments import CommitmentState, Kind, Payment
from service.domain.ids import CommitmentId
from service.domain.plans import Decision
from service.guard.alterations import AlterationFacts, judge_alteration
from service.operate.demo import Demo, prepared
from service.operate.exchanging import ask_for_exchanges, moves
from service.operate.ingesting import ingest
from service.operate.reconciling import reconcile
from service.operate.situation import Situation, read_situation
from service.providers.port import always_wanted
from service.store import alterations
from service.store import lease as leases
from service.store.engine import reading, writing
from service.wiring import Parts
from tests.sandbox.azure.clouds import owned, reservation_id

GONE = "Standard_D"
D4 = reservation_id(payment=Payment.NO_UPFRONT)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    folder = tmp_path / "demo"
    with prepared(
        seed=7, port=0, folder=folder, history_days=45, providers=("aws", "azure")
    ) as made:
        for script in made.estate.faults.values():
            script.clear()
        ingest(made.parts.about("azure"))
        yield made


def fallen(parts: Parts, held: leases.Lease) -> Situation:
    """The facts of now without the family's usage; exchanges are allowed."""
    done = reconcile(parts, lease=held)
    situation = read_situation(parts, inventory_read_at=done.read_at)
    policy = situation.policy
    kinds = (*policy.allowed.kinds, Kind.AZURE_RESERVATION)
    allowed = policy.allowed.model_copy(update={"kinds": kinds})
    changes = policy.alterations.model_copy(
        update={"allowed": (AlterationKind.EXCHANGE,), "max_pay_usd_per_run": Decimal(10_000)}
    )
    quantity = situation.usage.quantity.copy()
    gone = np.array([GONE in str(one.sku) for one in situation.usage.lines])
    assert gone.any()
    quantity[:, gone] = 0
    return replace(
        situation,
        usage=replace(situation.usage, quantity=quantity),
        policy=policy.model_copy(update={"allowed": allowed, "alterations": changes}),
    )


def ratchet_of(situation: Situation, order: AlterationOrder, quote: AlterationQuote) -> Decision:
    """What the guard's rule on the value says of ``order`` as it is quoted."""
    facts = AlterationFacts(
        now=situation.now,
        halted=False,
        holds_lease=True,
        inventory_age_hours=Decimal(0),
        sources=situation.inventory,
        others=(),
        open_outcome=False,
        obligation_usd=Decimal(0),
        run="run",
        approved=True,
        demoted=frozenset(),
    )
    verdict = judge_alteration(order, quote, policy=situation.policy, facts=facts)
    (said,) = (one.decision for one in verdict.results if one.rule == "value_ratchet")
    return said


def test_an_azure_exchange_is_planned_and_is_never_worth_less(demo: Demo) -> None:
    azure, parts = demo.estate.azure, demo.parts.about("azure")
    assert azure is not None
    with writing(parts.engine) as connection:
        held = leases.acquire(connection, holder="a", lifetime=parts.lease_lifetime)
    assert held is not None
    source = owned(azure, D4, quantity="4")
    situation = fallen(parts, held)
    (item,) = situation.inventory
    best, *_ = moves(situation, item)
    assert GONE not in best.target.offering
    assert ask_for_exchanges(parts, situation) == 1
    with reading(parts.engine) as connection:
        (asked,) = alterations.list_alterations(connection)
    alterer = parts.cloud.alterer
    assert alterer is not None
    quote = alterer.quote_alteration(asked.order)
    assert quote.allowed
    assert asked.quoted_usd_per_hour == quote.usd_per_hour
    assert quote.target_value_usd >= quote.source_value_usd > 0

    # One step fewer is worth less: Azure says no, and so does the guard, each by itself.
    fewest = asked.order.targets[0]
    fewer = replace(asked.order, targets=(replace(fewest, quantity=fewest.quantity - 1),))
    assert fewest.quantity > 1
    low = alterer.quote_alteration(fewer)
    assert not low.allowed
    assert low.target_value_usd < low.source_value_usd
    ratchet = ratchet_of(situation, fewer, low)
    assert ratchet is Decision.REFUSE
    assert ratchet_of(situation, asked.order, quote) is Decision.ALLOW

    done = alterer.alter(
        replace(asked.order, reference=quote.reference), still_wanted=always_wanted
    )
    assert isinstance(done, Altered)
    states = {
        CommitmentId(one.commitment.commitment): one.commitment.state
        for one in reconcile(parts, lease=held).inventory
    }
    assert not states.pop(source).is_owned
    assert set(states.values()) <= {CommitmentState.ACTIVE, CommitmentState.PAYMENT_PENDING}
    assert len(states) == 1
