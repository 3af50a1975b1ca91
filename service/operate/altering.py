"""Does what has been asked of commitments that are owned, as far as policy and provider allow."""

from __future__ import annotations

from datetime import datetime

from service.domain.alterations import Alteration, AlterationState, Altered
from service.domain.errors import InvariantError
from service.domain.plans import PlanLine, Verdict
from service.guard.alterations import judge_alteration, mode_of_item
from service.guard.fields import Mode
from service.purchase.alter import AlterationDone, Bench, alter, resume_alterations
from service.purchase.desk import Declined, Desk, Facts
from service.store import alterations, demotion, holdings
from service.store.engine import reading
from service.store.lease import Lease
from service.wiring import Parts


def bench_of(parts: Parts, lease: Lease, *, inventory_read_at: datetime) -> Bench | None:
    """Where alterations are done; ``None`` where this deployment cannot alter anything."""
    if parts.cloud.alterer is None:
        return None
    desk = Desk(
        provider=parts.cloud.provider,
        engine=parts.engine,
        reader=parts.cloud.reader,
        buyer=parts.cloud.buyer,
        clock=parts.clock,
        lease=lease,
        judge=_buys_nothing,
    )
    return Bench(
        desk=desk,
        alterer=parts.cloud.alterer,
        judge=lambda order, quote, facts: judge_alteration(
            order, quote, policy=parts.policy().policy, facts=facts
        ),
        inventory_read_at=inventory_read_at,
    )


def _buys_nothing(line: PlanLine, facts: Facts) -> Verdict:
    msg = f"{line.line} of {facts.plan} was brought to where nothing is bought"
    raise InvariantError(msg)


def do_decided(
    parts: Parts, *, lease: Lease, inventory_read_at: datetime
) -> tuple[AlterationDone | Declined, ...]:
    """Take up what was left half done, then do what a person approved or autopilot may do."""
    bench = bench_of(parts, lease, inventory_read_at=inventory_read_at)
    if bench is None:
        return ()
    resumed = resume_alterations(bench)
    with reading(parts.engine) as connection:
        asked = alterations.list_alterations(
            connection,
            states=(AlterationState.WAITING, AlterationState.APPROVED),
            provider=parts.cloud.provider,
        )
    decided = [one for one in asked if one.state is AlterationState.APPROVED]
    if len(decided) < len(asked):
        decided += [one for one in asked if one not in decided and _may(parts, one)]
    return (*resumed, *(alter(bench, one.order.intent) for one in decided))


def _may(parts: Parts, one: Alteration) -> bool:
    """True when every source lies where autopilot acts by itself."""
    policy = parts.policy().policy
    with reading(parts.engine) as connection:
        given_up = demotion.demoted(connection)
        listed = holdings.inventory(connection, provider=parts.cloud.provider)
    sources = [item for item in listed if item.commitment.commitment in one.order.sources]
    return bool(sources) and all(
        mode_of_item(item, policy, given_up) is Mode.AUTOPILOT for item in sources
    )


def said(done: tuple[AlterationDone | Declined, ...]) -> str:
    """How alterations ended, in words; empty when there was none."""
    finished = [one for one in done if isinstance(one, AlterationDone)]
    altered = sum(isinstance(one.outcome, Altered) for one in finished)
    return f", {altered} of {len(done)} alterations done" if done else ""
