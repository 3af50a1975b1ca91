"""Decides whether a purchase may go on: who we are, what it costs now, what the guard says now.

Provider questions come before any transaction; everything that another process could change is
asked inside the one that writes the intent.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_CEILING, Decimal

from sqlalchemy import Connection

from service.domain.errors import InvariantError, ProviderError
from service.domain.hours import TERM_HOURS
from service.domain.ids import IntentId
from service.domain.money import CommitUsdPerHour, from_nano, nano
from service.domain.plans import Decision, PlanLine, Verdict
from service.domain.purchases import PurchaseOrder, Quote
from service.purchase.budget import spent
from service.purchase.desk import Declined, Desk, Facts, Request
from service.store import holdings, intents, records
from service.store.halt import read_halt
from service.store.intents import Scope
from service.store.states import VerdictStage

PASSING_RULES = frozenset({"blackout", "data_age", "price_age", "inventory_age"})
"""Rules of the guard that time alone satisfies: an approval outlives them, until it expires."""


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
    return None


def check_guard(
    connection: Connection,
    desk: Desk,
    request: Request,
    *,
    quote: Quote,
    besides: IntentId | None = None,
) -> Declined | None:
    """``None`` when the guard allows the line now; its verdict is recorded either way."""
    now, line = desk.clock.now(), request.line
    signed_off = request.proposal is not None
    counted = intents.list_intents(connection, states=intents.COUNTED)
    facts = Facts(
        now=now,
        plan=request.plan,
        cycle=request.cycle,
        quote=quote,
        signed_off=signed_off,
        intents=tuple(one for one in counted if one.order.intent != besides),
        holdings=holdings.owed(connection, now=now),
        spent=spent(connection, now=now, cycle=request.cycle, besides=besides),
    )
    verdict = desk.judge(line, facts)
    if verdict.line != line.line:
        msg = f"the guard judged {verdict.line} when asked about {line.line}"
        raise InvariantError(msg)
    records.record_verdict(connection, request.plan, verdict, stage=VerdictStage.EXECUTION, now=now)
    if verdict.decision is Decision.ALLOW:
        return None
    if verdict.decision is Decision.NEEDS_SIGN_OFF and signed_off:
        return None
    return _guard_declines(verdict)


def _guard_declines(verdict: Verdict) -> Declined:
    against = [one for one in verdict.results if one.decision is verdict.decision]
    if not against:
        return Declined("guard", f"the guard says {verdict.decision} and not why", final=True)
    lasting = [one for one in against if one.rule not in PASSING_RULES]
    first = (lasting or against)[0]
    detail = f"{first.detail} (limit {first.limit}, actual {first.actual})"
    return Declined(first.rule, detail, final=bool(lasting))
