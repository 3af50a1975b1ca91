"""A next term that no listing shows yet counts for buying, and against no good purchase."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from service.domain.commitments import CommitmentState
from service.domain.ids import CommitmentId
from service.domain.purchases import InventoryItem
from service.operate.demo import Demo
from service.operate.replaying import as_proven, saving_usd_per_hour
from service.operate.situation import Situation, read_situation
from service.operate.undoing import give_back
from service.pipeline import run_cycle
from service.store import holdings
from service.store.engine import writing
from service.store.lease import Lease
from tests.operate.test_cycle import a_cycle
from tests.operate.test_undoing import asked, facts

TERM = timedelta(days=365)


def renewed(demo: Demo, known: Situation) -> Situation:
    """Beside each of what is owned another like it, whose term was over this morning, renewing."""
    ended = known.now - timedelta(hours=12)
    keys = tuple(sorted({line.key for line in known.usage.lines}))

    def before(item: InventoryItem) -> InventoryItem:
        name = CommitmentId(f"old-{item.commitment.commitment}")
        demo.parts.rates[name, keys] = known.owned[item.commitment.commitment]
        term = replace(
            item.commitment,
            commitment=name,
            start=ended - TERM,
            end=ended,
            state=CommitmentState.RETIRED,
        )
        return replace(item, commitment=term, intent=None, returnable_until=None, renews=True)

    with writing(demo.parts.engine) as connection:
        for item in known.inventory:
            holdings.keep(connection, "aws", before(item), now=known.now)
    both = read_situation(demo.parts, inventory_read_at=known.inventory_read_at)
    assert both.assumed == {
        CommitmentId(f"old-{one.commitment.commitment}"): ended for one in known.inventory
    }
    return replace(both, usage=replace(both.usage, quantity=both.usage.quantity * 0.8))


def test_no_purchase_is_given_back_for_a_term_that_is_only_assumed(
    demo: Demo, lease: Lease
) -> None:
    run_cycle(demo.parts, a_cycle(), lease=lease)
    demo.cloud.advance(2)
    both = renewed(demo, facts(demo, lease))
    counted = {one.commitment for one in both.commitments if one.end > both.now}
    assert both.assumed.keys() <= counted, "it counts for buying"

    proven = as_proven(both)
    left = {one.commitment for one in proven.commitments if one.end > both.now}
    assert left == counted - both.assumed.keys()
    assert proven.set_aside == both.assumed.keys()

    ours = [item.commitment.commitment for item in both.inventory if item.intent]
    listed = replace(both, assumed={})
    assert min(saving_usd_per_hour(both, name) for name in ours) > 0
    assert min(saving_usd_per_hour(listed, name) for name in ours) < 0
    assert "0 regretted" in give_back(demo.parts, both, lease=lease)
    assert asked(demo) == []
