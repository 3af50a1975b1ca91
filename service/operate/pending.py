"""Decides what the facts will be once what has been asked of commitments is done.

Of two commitments that cover the same usage each loses beside the other. Whoever judges one while
an exchange or a return of the other is on its way must judge it as if that were done already, or
both would go.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from service.domain.alterations import (
    Alteration,
    AlterationKind,
    AlterationOrder,
    AlterationState,
)
from service.domain.commitments import Commitment, CommitmentState
from service.domain.hours import HOUR, TERM_HOURS, floor_hour
from service.domain.ids import CommitmentId, IntentId
from service.operate.situation import Situation
from service.store import alterations
from service.store.engine import reading
from service.store.unlisted import unlisted
from service.wiring import Parts

EXCHANGES = frozenset({AlterationKind.EXCHANGE})
GIVING_AWAY = EXCHANGES | frozenset(alterations.GIVING_BACK)
"""Alterations after which something is owned no longer."""


def once_done(
    parts: Parts,
    situation: Situation,
    kinds: Collection[AlterationKind],
    *,
    asked: Alteration | None = None,
    begun: bool = False,
) -> Situation:
    """The facts as if alterations of ``kinds`` that are on their way were done.

    From being asked for until a reading shows what they did; from being called for with ``begun``.
    ``asked`` is judged itself: of the others that were only asked for as well, those that came
    before it.
    """
    with reading(parts.engine) as connection:
        found = alterations.list_alterations(connection, provider=parts.cloud.provider)
        unshown = unlisted(connection)
    for one in sorted(found, key=_turn):
        live = one.state in (alterations.UNDER_WAY if begun else alterations.LIVE) or (
            one.state is AlterationState.ALTERED and one.order.intent in unshown
        )
        if live and one.order.alteration in kinds and _precedes(one, asked):
            situation = done(situation, one.order, made=one.made)
    return situation


def _turn(one: Alteration) -> tuple[datetime, IntentId]:
    return one.asked_at, one.order.intent


def _precedes(one: Alteration, asked: Alteration | None) -> bool:
    if asked is None:
        return True
    if one.order.intent == asked.order.intent:
        return False
    only_asked = one.state in {AlterationState.WAITING, AlterationState.APPROVED}
    return not only_asked or _turn(one) < _turn(asked)


def done(
    situation: Situation, order: AlterationOrder, *, made: Collection[CommitmentId] = ()
) -> Situation:
    """The facts as if ``order`` were done: its sources gone, its targets owned from now on.

    ``made``: what the provider named; where that is owned already, nothing is added.
    """
    sources = {
        one.commitment: one for one in situation.commitments if one.commitment in order.sources
    }
    owned = {one.commitment for one in situation.commitments}
    for name in order.sources:
        situation = without(situation, name)
    if order.alteration not in EXCHANGES or not sources or owned & set(made):
        return situation
    like = next(iter(sources.values()))
    start = floor_hour(situation.now)
    targets = tuple(
        Commitment(
            commitment=CommitmentId(f"{order.intent}/{number}"),
            offering=target.offering,
            account=order.account,
            scope=like.scope,
            zone=target.zone,
            quantity=target.quantity,
            start=start,
            end=start + TERM_HOURS[target.term_months] * HOUR,
            state=CommitmentState.ACTIVE,
        )
        for number, target in enumerate(order.targets)
        if target.offering is not None and target.offering in situation.prices.offerings
    )
    return replace(situation, commitments=(*situation.commitments, *targets))


def without(situation: Situation, name: CommitmentId) -> Situation:
    """The same facts as if ``name`` had never been bought."""
    return replace(
        situation,
        commitments=tuple(one for one in situation.commitments if one.commitment != name),
        inventory=tuple(item for item in situation.inventory if item.commitment.commitment != name),
        owned={key: one for key, one in situation.owned.items() if key != name},
        set_aside=situation.set_aside | {name},
    )
