"""How values look on a page, and the one template environment.

Everything is escaped unless a function here built it. Dollars keep the cents that matter; the
exact amount stands in the element's title.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from service.domain.hours import TERM_HOURS, iso
from service.domain.money import text
from service.domain.plans import Decision, RuleResult
from service.domain.wording import (
    ABSENT,
    cents,
    counted,
    kind_name,
    provider_name,
    unit_name,
    usd,
)
from service.web import charts, hours_chart

TEMPLATES = Path(__file__).parent / "templates"
STATIC = Path(__file__).parent / "static"
_MEASURES = {
    "commit_usd_per_hour": "commitment, $/h",
    "upfront_usd": "upfront, $",
    "obligation_usd": "owed over the term, $",
}
_SPANS = {"day": "Last 24 hours", "total": "All that is live"}
_FRESH_HOURS = 96

_TELLING = 12
"""Characters of an id's end that no other is likely to have."""

_OUTCOMES = {
    "lines": "lines",
    "bought": "bought",
    "proposed": "proposed",
    "refused": "refused",
    "declined": "declined",
    "unknown": "unknown at first",
}


def whole(amount: Decimal) -> str:
    """A sum of dollars without its cents, for a column that is compared."""
    return usd(amount.quantize(Decimal(1))).removesuffix(".00")


def percent(ratio: Decimal | None) -> str:
    """A ratio 0-1 as per cent with one decimal."""
    if ratio is None:
        return ABSENT
    shown = f"{abs(ratio) * 100:.1f} %"
    return f"−{shown}" if ratio < 0 and shown != "0.0 %" else shown


def number(value: Decimal | None) -> str:
    """A plain exact number."""
    return ABSENT if value is None else text(value)


def instant(moment: datetime | None) -> Markup | str:
    """An instant to the minute, with the exact one for machines."""
    if moment is None:
        return ABSENT
    shown = moment.strftime("%Y-%m-%d %H:%M")
    return Markup('<time datetime="{}">{} <abbr title="UTC">Z</abbr></time>').format(
        iso(moment), shown
    )


def span(length: timedelta) -> str:
    """How long, in the largest two units that say it."""
    minutes = int(abs(length.total_seconds()) // 60)
    days, rest = divmod(minutes, 24 * 60)
    hours, minutes = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h" if days < 30 else f"{days} d"  # noqa: PLR2004 - a month
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def relative(moment: datetime | None, now: datetime) -> str:
    """How far ``moment`` is from ``now``, in words."""
    if moment is None:
        return ABSENT
    if abs(moment - now) < timedelta(minutes=1):
        return "just now"
    distance = span(moment - now)
    return f"in {distance}" if moment > now else f"{distance} ago"


def outcome(summary: Mapping[str, Any]) -> Markup:
    """What a cycle came to, in the order in which things happen; its plan as a link."""
    told = {**_OUTCOMES, "lines": "line" if summary.get("lines") == 1 else "lines"}
    counts = [f"{summary[name]} {word}" for name, word in told.items() if name in summary]
    shown = escape(", ".join(counts))
    plan = summary.get("plan")
    if plan is not None:
        shown += Markup(' (<a href="/plans/{}">plan</a>)').format(quote(str(plan), safe=""))
    rest = {name: summary[name] for name in summary if name not in {*_OUTCOMES, "plan"}}
    return shown + "".join(f", {words(name)}: {value}" for name, value in rest.items())


def rule_limit(result: RuleResult) -> str:
    """What a rule allows, in words where it is not an amount."""
    asks = result.rule == "mode" and result.decision is not Decision.ALLOW
    return f"only {result.limit} buys without asking" if asks else result.limit


def rule_actual(result: RuleResult) -> str:
    """How a line stands to a rule, in words where it is not an amount."""
    asks = result.rule == "mode" and result.decision is not Decision.ALLOW
    return f"it is in {result.actual}" if asks else result.actual


def rule_told(result: RuleResult) -> str:
    """A rule's limit and how a line stands to it, as one phrase."""
    if result.rule == "mode":
        return f"{rule_actual(result)}, {rule_limit(result)}"
    return f"{words(result.rule)}: {result.actual}, limit {result.limit}"


def cap_name(span_name: str, measure: str) -> str:
    """One ceiling of the policy in words."""
    return f"{_SPANS[span_name]}: {_MEASURES[measure]}"


def age(hours: Decimal) -> str:
    """How old data is: hours while they matter, days after that."""
    return f"{text(hours)} h" if hours <= _FRESH_HOURS else f"{hours / 24:.0f} d"


def over_term(usd_per_hour: Decimal, term_months: int) -> Decimal:
    """Dollars over a whole term of so many months, at so much an hour."""
    return usd_per_hour * TERM_HOURS[term_months]


def tenths(value: Decimal) -> str:
    """A number to one decimal, for what is an estimate anyway."""
    return f"{value:.1f}"


def sentences(reason: str) -> list[str]:
    """An explanation cut where its author separated one thought from the next."""
    return [part.strip() for part in reason.split("; ") if part.strip()]


def day(moment: datetime | None) -> Markup | str:
    """The day of an instant, with the exact one for machines."""
    if moment is None:
        return ABSENT
    return Markup('<time datetime="{}">{}</time>').format(iso(moment), moment.strftime("%Y-%m-%d"))


def words(name: object) -> str:
    """A name of the program as words for people."""
    return str(name).replace("_", " ").replace("-", " ")


def ident(name: str | None) -> Markup | str:
    """An id as code. Of a path only its end, enough to tell it by; the whole is in the title."""
    if name is None:
        return ABSENT
    before = [part for part in name.split("/") if part] or [name]
    last = before.pop()
    while before and len(last) < _TELLING:
        last = f"{before.pop()}/{last}"
    if not before:
        return Markup("<code>{}</code>").format(name)
    return Markup('<code title="{}">…/{}</code>').format(name, last)


@cache
def environment() -> Environment:
    """The templates with their filters. Undefined names are errors, never empty text.

    One for the process: templates do not change while it runs, and compiling them takes longer
    than filling them.
    """
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        usd=usd,
        cents=cents,
        whole=whole,
        unit_name=unit_name,
        rule_limit=rule_limit,
        rule_actual=rule_actual,
        rule_told=rule_told,
        outcome=outcome,
        percent=percent,
        number=number,
        instant=instant,
        words=words,
        span=span,
        kind_name=kind_name,
        age=age,
        tenths=tenths,
        sentences=sentences,
        provider_name=provider_name,
        day=day,
        ident=ident,
    )
    made.globals.update(
        relative=relative,
        cap_name=cap_name,
        counted=counted,
        over_term=over_term,
        ladder_chart=charts.ladder,
        interval_chart=charts.interval,
        hours_chart=hours_chart,
    )
    return made
