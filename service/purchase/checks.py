"""Decides whether a purchase may go on: who we are, what it costs now, what the guard says now.

Provider questions and the guard's thinking come before any transaction; inside the one that writes
the intent, everything that another process could change is read again and must be the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import ROUND_CEILING, Decimal
from enum import Enum

from sqlalchemy import Connection

from service.domain.alterations import OBLIGING, AlterationKind
from service.domain.errors import InvariantError, ProviderError
from service.domain.hours import TERM_HOURS
from service.domain.ids import IntentId
from service.domain.money import CommitUsdPerHour, from_nano, nano
from service.domain.plans import Companion, Decision, PlanLine, Verdict
from service.domain.purchases import PurchaseOrder, Quote
from service.guard.context import Spend
from service.purchase.desk import Declined, Desk, Facts, Request
from service.store import alterations, demotion, holdings, intents, proposals, records, unlisted
from service.store.codec import from_document
from service.store.engine import reading
from service.store.halt import read_halt
from service.store.intents import Scope
from service.store.states import VerdictStage

NO_FACTS = "facts"
"""The rule of a guard that cannot say anything, because the facts cannot be had now."""

PASSING_RULES = frozenset({"blackout", "data_age", "price_age", "inventory_age", NO_FACTS})
"""Rules of the guard that time alone satisfies: an approval outlives them, until it expires."""

JUDGED_AT_MOST = 20
"""How often a line is judged again because the facts changed under the verdict."""

HOLDS_FOR = timedelta(minutes=1)
"""How old a verdict may be when the intent is written; ages and windows are judged at its now.
One from later than now is as little of now: a clock was set back."""


def check_identity(desk: Desk, line: PlanLine) -> Declined | None:
    """``None`` when the credentials are those of the account that the line buys in."""
    if line.provider != desk.provider:
        msg = f"line {line.line} is for {line.provider}, this is the desk of {desk.provider}"
        raise InvariantError(msg)
    try:
        who = desk.reader.identity()
    except ProviderError as error:
        return Declined("identity", f"the provider does not say who we are: {error}", final=False)
    if (who.provider, who.account) != (line.provider, line.account):
        detail = (
            f"the credentials are for {who.provider} {who.account}, "
            f"the line is for {line.provider} {line.account}"
        )
        return Declined("identity", detail, final=False)
    return None


def price_now(desk: Desk, line: PlanLine, order: PurchaseOrder) -> Quote | Declined:
    """The order's price now, unless it cannot be had or has risen past the tolerance."""
    try:
        quote = desk.buyer.quote(order)
    except ProviderError as error:
        return Declined("no_quote", f"the provider quotes no price: {error}", final=False)
    if (quote.offering, quote.quantity) != (order.offering, order.quantity):
        detail = (
            f"asked for {order.quantity} of {order.offering}, "
            f"quoted {quote.quantity} of {quote.offering}"
        )
        return Declined("wrong_quote", detail, final=True)
    if not _brings(quote.companion, order.companion):
        detail = f"asked for {_told(order.companion)} beside it, quoted {_told(quote.companion)}"
        return Declined("wrong_quote", detail, final=True)
    amounts = (
        ("commit_usd_per_hour", Decimal(quote.commit_usd_per_hour), line.commit_usd_per_hour),
        ("upfront_usd", quote.upfront_usd, line.upfront_usd),
    )
    for name, actual, promised in amounts:
        if not actual.is_finite() or actual < 0:
            return Declined("wrong_quote", f"{name} is quoted as {actual}", final=True)
        # Cash due in part is asked for in whole dollars, rounded up.
        limit = max(promised * (1 + desk.price_tolerance_ratio), _whole(name, promised))
        if actual > limit:
            detail = f"{name} is {actual} now, at most {limit} was planned"
            return Declined("price_moved", detail, final=True)
    return quote


def _brings(quoted: Companion | None, ordered: Companion | None) -> bool:
    """Whether the same comes beside it, at a part of the price that is an amount of money."""
    if quoted is None or ordered is None:
        return quoted is ordered
    usd = quoted.commit_usd_per_hour
    same = (quoted.offering, quoted.quantity) == (ordered.offering, ordered.quantity)
    return same and usd.is_finite() and usd >= 0


def _told(companion: Companion | None) -> str:
    return "nothing" if companion is None else f"{companion.quantity} of {companion.offering}"


def _whole(name: str, promised: Decimal) -> Decimal:
    return promised.to_integral_value(ROUND_CEILING) if name == "upfront_usd" else promised


def at_price(line: PlanLine, quote: Quote) -> PlanLine:
    """``line`` with its obligation, cash and savings at the quoted price, whole nano-dollars."""
    commit = from_nano(nano(quote.commit_usd_per_hour))
    upfront = from_nano(nano(quote.upfront_usd))
    dearer = commit - line.commit_usd_per_hour
    return replace(
        line,
        commit_usd_per_hour=CommitUsdPerHour(commit),
        upfront_usd=upfront,
        companion=quote.companion,
        total_usd=line.total_usd + dearer * TERM_HOURS[line.term_months],
        expected_savings_usd_per_hour=line.expected_savings_usd_per_hour - dearer,
        expected_savings_low_usd_per_hour=line.expected_savings_low_usd_per_hour - dearer,
        expected_savings_high_usd_per_hour=line.expected_savings_high_usd_per_hour - dearer,
    )


def check_switches(
    connection: Connection, line: PlanLine, *, besides: IntentId | None = None
) -> Declined | None:
    """``None`` when buying is not halted and no outcome is open where the line buys."""
    halt = read_halt(connection)
    if halt.halted:
        return Declined("halt", f"halted by {halt.changed_by}: {halt.reason}", final=False)
    scope = Scope(line.provider, line.account)
    if scope in intents.open_scopes(connection, besides=besides):
        detail = f"a purchase in {scope.provider} {scope.account} has no known outcome yet"
        return Declined("open_unknown", detail, final=False)
    if scope in alterations.open_scopes(connection):
        detail = f"something owned in {scope.provider} {scope.account} is being altered"
        return Declined("open_alteration", detail, final=False)
    if scope in unlisted.unlisted(connection).values():
        detail = f"what was altered in {scope.provider} {scope.account} is not listed yet"
        return Declined("open_alteration", detail, final=False)
    return None


def check_bought_elsewhere(connection: Connection, request: Request) -> Declined | None:
    """``None`` unless others bought the line's very offer after the line was decided.

    What it was decided for is then covered already, by a person at the console or by this service
    before its database was restored: the next cycle decides anew. Final, for the same reason.
    """
    line = request.line
    decided_at = records.decided_at(connection, request.plan)
    found = holdings.bought_elsewhere(
        connection, line.provider, line.account, line.offering, since=decided_at
    )
    if found is None:
        return None
    detail = f"{found} of the same offer was bought elsewhere since this was decided"
    return Declined("bought_elsewhere", detail, final=True)


@dataclass(frozen=True, slots=True)
class Judged:
    """The guard's verdict, with all that it was given on: it holds only while that is unchanged."""

    facts: Facts
    policy: str
    verdict: Verdict


class Stale(Enum):
    """The one answer of a check whose verdict was given on facts that have changed since."""

    STALE = "stale"


def judge_ahead(
    desk: Desk, request: Request, *, quote: Quote, besides: IntentId | None = None
) -> Judged | None:
    """The guard's verdict on the facts of now; ``None`` while halt or an open outcome forbids.

    No transaction is open while the guard thinks: valuing a line takes long, and the ledger's
    other writers would wait. ``check_guard`` verifies inside the transaction that it still holds.
    """
    with reading(desk.engine) as connection:
        if check_switches(connection, request.line, besides=besides) is not None:
            return None
        facts = _facts(connection, desk, request, quote=quote, besides=besides)
    policy = desk.policy_digest()
    verdict = desk.judge(request.line, facts)
    if verdict.line != request.line.line:
        msg = f"the guard judged {verdict.line} when asked about {request.line.line}"
        raise InvariantError(msg)
    return Judged(facts, policy, verdict)


def check_guard(
    connection: Connection,
    desk: Desk,
    request: Request,
    judged: Judged | None,
    *,
    besides: IntentId | None = None,
) -> Declined | Stale | None:
    """``None`` when the guard allows the line, on facts that are those of this transaction.

    The verdict is recorded, unless it is stale: then judge again and come back.
    """
    if judged is None:
        return Stale.STALE
    facts = _facts(connection, desk, request, quote=judged.facts.quote, besides=besides)
    age = facts.now - judged.facts.now
    same = replace(facts, now=judged.facts.now) == judged.facts
    if not same or abs(age) > HOLDS_FOR or desk.policy_digest() != judged.policy:
        return Stale.STALE
    verdict, now = judged.verdict, facts.now
    records.record_verdict(connection, request.plan, verdict, stage=VerdictStage.EXECUTION, now=now)
    if verdict.decision is Decision.ALLOW:
        return None
    if verdict.decision is Decision.NEEDS_SIGN_OFF and facts.signed_off:
        return None
    return _guard_declines(verdict)


def _facts(
    connection: Connection,
    desk: Desk,
    request: Request,
    *,
    quote: Quote,
    besides: IntentId | None,
) -> Facts:
    now = desk.clock.now()
    counted = intents.list_intents(connection, states=intents.COUNTED)
    return Facts(
        now=now,
        plan=request.plan,
        cycle=request.cycle,
        quote=quote,
        signed_off=request.proposal is not None,
        intents=tuple(one for one in counted if one.order.intent != besides),
        holdings=holdings.owed(connection, now=now),
        run=records.plans_of_run(connection, request.cycle),
        demoted=demotion.demoted(connection),
        holds=proposals.holding(connection, now=now),
        approvals=_approvals(connection, request),
        altering=altering(connection),
        starts_decided_at=request.starts_decided_at,
    )


def altering(
    connection: Connection,
    kinds: Iterable[AlterationKind] = OBLIGING,
    *,
    run: str | None = None,
) -> tuple[Spend, ...] | None:
    """What alterations of every account count as while it is in no listing that shows it.

    Beside what they give, which is listed still: that errs towards refusing. What is listed counts
    on in ``run``, and where it was done in place in its day. ``None``: not known.
    """
    counted: list[Spend] = []
    for documents in unlisted.obliged(connection, kinds, run=run).values():
        if documents is None:
            return None
        counted += [from_document(Spend, one) for one in documents]
    return tuple(counted)


def _approvals(connection: Connection, request: Request) -> int:
    if request.proposal is None:
        return 0
    return len(proposals.approvals_of(connection, request.proposal))


def _guard_declines(verdict: Verdict) -> Declined:
    against = [one for one in verdict.results if one.decision is verdict.decision]
    if not against:
        return Declined("guard", f"the guard says {verdict.decision} and not why", final=True)
    lasting = [one for one in against if one.rule not in PASSING_RULES]
    first = (lasting or against)[0]
    detail = f"{first.detail} (limit {first.limit}, actual {first.actual})"
    return Declined(first.rule, detail, final=bool(lasting))
