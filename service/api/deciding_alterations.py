"""Takes a person's word on an alteration of something owned, from the API and the pages alike.

As with a proposal it binds to the version that was seen, and what is not of the caller's accounts
does not exist for them. How many people must say yes depends on what the provider quotes, so that
is looked at when it is about to be done: where another must, it waits again, at a new version.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from functools import partial

from sqlalchemy import Connection

from service.api import models, reads_alterations
from service.api.context import AppContext
from service.api.problems import Kind, ProblemError
from service.api.reads_alterations import People
from service.api.tokens import Caller
from service.domain.alterations import Alteration, AlterationState
from service.domain.errors import InvariantError, PolicyError
from service.domain.ids import IntentId
from service.guard.obliging import obliges
from service.observe.log import get_logger
from service.purchase.lifecycle import Word
from service.purchase.people import may_have_altered
from service.purchase.written_alterations import approve_alteration, withdraw
from service.store import alterations, ledger
from service.store.engine import writing

REJECTED = "rejected"
DECIDABLE = (AlterationState.WAITING, AlterationState.APPROVED)
"""States in which a person may still say no."""


class AlterationVerb(StrEnum):
    """What a person can do with an alteration."""

    APPROVE = "approve"
    REJECT = "reject"


def decide_alteration(
    context: AppContext,
    caller: Caller,
    alteration_id: str,
    verb: AlterationVerb,
    *,
    version: int,
    said: str,
) -> models.Alteration:
    """Do ``verb`` with the version that ``caller`` saw; a problem when it cannot be done."""
    with writing(context.engine) as connection:
        ledger.lock(connection)
        found = alterations.find(connection, IntentId(alteration_id))
        if found is None or not caller.sees(found.order.account):
            raise ProblemError(Kind.NOT_FOUND, f"There is no alteration {alteration_id}.")
        _require(context, caller, found, verb, version)
        _say(connection, context, caller, found, verb, said=said)
        decided = reads_alterations.alteration(
            connection, alteration_id, people=people_for_alterations(context)
        )
    if decided is None:
        msg = f"alteration {alteration_id} went away while it was decided"
        raise InvariantError(msg)
    get_logger("tenor.api").info(
        "alteration.decided",
        alteration=alteration_id,
        verb=verb.value,
        state=decided.state.value,
        by=caller.actor,
    )
    return decided


def people_for_alterations(context: AppContext) -> People | None:
    """How many people must say yes by the policy in force; ``None`` without a policy."""
    try:
        above_usd = two_above_usd(context)
    except PolicyError:
        return None
    return partial(people_needed, above_usd=above_usd)


def two_above_usd(context: AppContext) -> Decimal | None:
    """The dollars above which the policy in force wants two people; ``None``: one is enough."""
    return context.policy_source().policy.sign_off.two_person_above_usd


def people_needed(found: Alteration, *, above_usd: Decimal | None) -> int | None:
    """How many people must say yes to ``found``, where two must above ``above_usd``.

    ``None`` while nobody knows: that is judged on the provider's quote, which is asked for after
    the first yes. What obliges to nothing new, one person may decide.
    """
    given = len(found.approved_by)
    if found.state is AlterationState.WAITING and given:
        return given + 1
    if above_usd is None or not obliges(found.order):
        return 1
    return None if found.state in DECIDABLE else max(1, given)


def _require(
    context: AppContext, caller: Caller, found: Alteration, verb: AlterationVerb, version: int
) -> None:
    """A problem unless ``verb`` is possible now, to this version, for this person."""
    approves = verb is AlterationVerb.APPROVE
    states = (AlterationState.WAITING,) if approves else DECIDABLE
    if found.state not in states:
        raise ProblemError(Kind.CONFLICT, f"It is {found.state.value} already.")
    if found.expires_at <= context.clock.now():
        raise ProblemError(Kind.CONFLICT, "Its lifetime is over.")
    if found.version != version:
        raise ProblemError(
            Kind.STALE_VERSION, f"It is at version {found.version}; you decided on {version}."
        )
    if approves and may_have_altered(found, person=caller.person, label=caller.label):
        raise ProblemError(Kind.CONFLICT, "You approved it already; another person must.")


def _say(
    connection: Connection,
    context: AppContext,
    caller: Caller,
    found: Alteration,
    verb: AlterationVerb,
    *,
    said: str,
) -> None:
    now = context.clock.now()
    if verb is AlterationVerb.APPROVE:
        refused = approve_alteration(
            connection,
            found.order.intent,
            version=found.version,
            by=caller.actor,
            person=caller.person,
            label=caller.label,
            comment=said,
            now=now,
        )
        taken = refused is None
    else:
        taken = withdraw(
            connection,
            found,
            rule=REJECTED,
            detail=said,
            word=Word.PERSON,
            now=now,
            by=caller.actor,
        )
    if not taken:
        msg = f"alteration {found.order.intent} moved under the ledger's lock"
        raise InvariantError(msg)
