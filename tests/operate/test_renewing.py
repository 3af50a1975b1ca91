"""What renews is sized as owned beyond its term: nothing is bought on top of the renewal."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from service.domain.hours import HOUR
from service.operate.deciding import forecast_and_plan
from service.operate.demo import Demo
from service.operate.situation import with_inventory
from service.pipeline import run_cycle
from service.store.lease import Lease
from tests.operate.test_cycle import a_cycle
from tests.operate.test_queueing import delayed
from tests.operate.test_undoing import facts


def test_what_renews_in_the_lead_time_is_not_bought_again_and_what_ends_is(
    demo: Demo, lease: Lease
) -> None:
    delayed(demo)
    policy = demo.parts.settings.policy_file
    text = policy.read_text(encoding="utf-8").replace("  purchase_delay_hours: 72\n", "")
    policy.write_text(text.replace("lead_time_hours: 0", "lead_time_hours: 48"), encoding="utf-8")
    assert run_cycle(demo.parts, a_cycle(), lease=lease).acted.bought > 0
    demo.cloud.advance(24)
    owned = facts(demo, lease)

    def wanted(end: datetime | None, *, renews: bool) -> dict[str, Decimal]:
        inventory = tuple(
            replace(
                item,
                commitment=replace(item.commitment, end=end or item.commitment.end),
                renews=renews,
            )
            for item in owned.inventory
        )
        situation = with_inventory(demo.parts, owned, inventory, owned.inventory_read_at)
        plan = forecast_and_plan(demo.parts, situation, a_cycle(3).cycle)
        return {line.offering: line.quantity for line in plan.lines}

    soon = owned.now + 12 * HOUR
    assert soon < owned.now + timedelta(hours=48)
    renewed = wanted(soon, renews=True)
    assert renewed == wanted(soon + timedelta(days=365), renews=False)
    assert renewed != wanted(soon, renews=False)
