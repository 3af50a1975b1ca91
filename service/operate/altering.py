"""Does what has been asked of commitments that are owned, as far as policy and provider allow."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

from service.domain.alterations import (
    Alteration,
    AlterationOrder,
    AlterationQuote,
    AlterationState,
    Altered,
)
from service.domain.errors import (
    InputError,
    InvariantError,
    PolicyError,
    ProviderError,
    RefusedError,
)
from service.domain.plans import PlanLine, Verdict
from service.guard.alterations import judge_alteration, mode_of_item
from service.guard.fields import Mode
from service.guard.obliging import TargetEvidence
from service.observe.log import get_logger
from service.operate.demoting import may_act_alone
from service.operate.guarding import too_old
from service.operate.obliging import evidence_for
from service.operate.reconciling import read_elsewhere
from service.operate.risking import risks
from service.operate.situation import Situation, read_situation
from service.purchase.alter import AlterationDone, Bench, Valuer, alter, resume_alterations
from service.purchase.desk import Declined, Desk, Facts
from service.purchase.lifecycle import Word
from service.purchase.written_alterations import withdraw
from service.store import alterations, demotion, holdings
from service.store.engine import reading, writing
from service.store.lease import Lease
from service.wiring import Parts

log = get_logger(__name__)

Standing = Callable[[Alteration], Declined | None]
"""Whether what was asked for may still be done on the evidence of now; ``None``: it may."""

TURNED = Declined("evidence", "the newest evidence no longer speaks for it", final=True)
"""What was asked for would not be asked for now."""


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
        policy_halts=lambda: parts.policy().policy.halt,
        acts_alone=partial(may_act_alone, parts),
    )
    return Bench(
        desk=desk,
        alterer=parts.cloud.alterer,
        judge=lambda order, quote, facts: judge_alteration(
            order, quote, policy=parts.policy().policy, facts=facts
        ),
        inventory_read_at=inventory_read_at,
        evidence=_valuer(parts, lease, inventory_read_at),
        rebuy_held_for=timedelta(hours=float(parts.policy().policy.alterations.rebuy_holds_hours)),
    )


def _valuer(parts: Parts, lease: Lease, inventory_read_at: datetime) -> Valuer:
    """Values targets on the facts of now, read when the first one is to be valued."""
    read: list[Situation] = []

    def value(order: AlterationOrder, quote: AlterationQuote) -> TargetEvidence | None:
        try:
            if not read:
                read_elsewhere(parts, lease=lease)
                read.append(read_situation(parts, inventory_read_at=inventory_read_at))
        except (RefusedError, ProviderError, InputError):
            return None  # the guard refuses what is not known
        if too_old(read[0]):
            return None  # its caps count what another cloud may own by now
        try:
            return evidence_for(read[0], order, quote, risks=partial(risks, parts))
        except InputError:
            return None  # the register of planned changes cannot be read

    return value


def _buys_nothing(line: PlanLine, facts: Facts) -> Verdict:
    msg = f"{line.line} of {facts.plan} was brought to where nothing is bought"
    raise InvariantError(msg)


def do_decided(
    parts: Parts, *, lease: Lease, inventory_read_at: datetime, stands: Standing
) -> tuple[AlterationDone | Declined, ...]:
    """Take up what was left half done, then do what a person approved or autopilot may do.

    ``stands`` is asked before each: what it declines for good is withdrawn, else it waits.
    """
    try:
        bench = bench_of(parts, lease, inventory_read_at=inventory_read_at)
    except PolicyError:
        return ()  # under a policy that cannot be read nothing is altered; it waits
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
    done: list[AlterationDone | Declined] = list(resumed)
    for one in decided:
        declined = stands(one)
        if declined is not None and declined.final:
            _withdraw(parts, one, declined)
        elif declined is not None:
            told = {"alteration": one.order.intent, "rule": declined.rule}
            log.warning("alteration.waits", **told, detail=declined.detail)
        done.append(declined or alter(bench, one.order.intent))
    return tuple(done)


def _withdraw(parts: Parts, one: Alteration, declined: Declined) -> None:
    now = parts.clock.now()
    with writing(parts.engine) as connection:
        withdraw(
            connection,
            one,
            rule=declined.rule,
            detail=declined.detail,
            word=Word.TENOR,
            now=now,
        )


def withdraw_turned(parts: Parts, reason: str, stands: Callable[[Alteration], bool]) -> None:
    """Take back what was asked for with ``reason``, waits, and does not stand any more."""
    now = parts.clock.now()
    with writing(parts.engine) as connection:
        for one in alterations.list_alterations(
            connection, states=(AlterationState.WAITING,), provider=parts.cloud.provider
        ):
            if one.reason.startswith(reason) and not stands(one):
                withdraw(
                    connection,
                    one,
                    rule=TURNED.rule,
                    detail=TURNED.detail,
                    word=Word.TENOR,
                    now=now,
                )


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
