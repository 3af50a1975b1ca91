"""Azure: reservations, then savings plans, then pay as you go.

Reservations: the narrowest scope first, flexible in size within a flexibility group by ratio. Which
of several sizes a reservation takes first Azure does not say ("first come, first served"); here the
smallest comes first, as with AWS, and machines of one size share. Source: Microsoft Cost
Management, "Virtual machine size flexibility with Reserved VM Instances" and "How the Azure
reservation discount is applied to virtual machines" (an hour of capacity fills up with parts of
hours of several machines).

Savings plans: the more restrictively scoped plan first, then the three-year plan before the
one-year plan; within a plan the greatest discount first. Where the customer pays less on demand
than at the plan's rate, usage is charged, and taken from the commitment, at the lower rate. Source:
Microsoft Cost Management, "How saving plan discount is applied".

Of usage whose hours are estimated, reservations take the part that is proven (level) first: so what
is left of that part is no more than what is left of it whatever the other part did. What is judged
by level usage alone comes after all that is owned, or it would drive that onto estimates.

A scope is a list of resource groups (the narrowest), or of subscriptions (one of them, or those of
a management group: the fewer, the narrower), or everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from service.billing.capacity import matched
from service.billing.moves import Match, Room, Scene, cost_ratio, scope_width
from service.billing.spend import Rated


def matches(
    scene: Scene, rooms: Sequence[tuple[int, Room]], lines: Sequence[int], at: datetime
) -> Iterator[Match]:
    """Every (commitment, line) that may meet, with its place in the order."""
    rated = Rated(scene, lines)
    for index, room in rooms:
        name, width = room.commitment.commitment, scope_width(room.commitment)
        if not room.offering.kind.is_spend:
            after = int(bool(room.offering.level_only))
            for line, size, flexible in matched(scene, lines, room, at):
                other = int(not scene.lines[line].level)
                filled = (after, width, other, size if flexible else 0, int(flexible), name)
                yield Match(index, line, size, filled, "reservation")
            continue
        term = -room.offering.term_months
        for line, plan_rate, _ in rated.lines(room):
            price = scene.sku(line).on_demand_usd
            rate = min(plan_rate, price)
            spent = (2, width, term, cost_ratio(rate, price), rate, name)
            yield Match(index, line, rate, spent, "savings plan")
