"""Lines, facts and policies to draw from, and every way to make a policy tighter."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import yaml
from hypothesis import strategies as st

from service.domain.commitments import Kind, Payment
from service.domain.ids import LineId
from service.domain.plans import PlanLine, Shortfall
from service.guard.context import GuardContext, PoolSize, Spend, Target
from service.guard.policy import Policy
from tests.guard.cases import NOW, PAYER, SOUND, context, line

Raw = dict[str, Any]
Draw = Callable[[st.SearchStrategy[Any]], Any]
FAMILIES = ("m5", "c6i", None)
KINDS = (Kind.AWS_COMPUTE_SP, Kind.AWS_EC2_INSTANCE_SP)
MODES = ("observe", "copilot", "autopilot")
SPANS = ("per_line", "per_run", "per_day", "in_total")
AMOUNTS = ("commit_usd_per_hour", "upfront_usd", "obligation_usd")
BOUNDS = ("coverage_ratio", "utilization_ratio", "line_utilization_ratio")

money = st.decimals(0, 12, places=2)
tenths = st.decimals(0, 1, places=1)


def exact(value: object) -> object:
    """YAML's floats as decimals and its lists as tuples, as the policy reader gives them."""
    if isinstance(value, dict):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return tuple(exact(item) for item in value)
    return Decimal(str(value)) if isinstance(value, float) else value


def sound() -> Raw:
    raw: Raw = yaml.safe_load(SOUND)
    raw["allowed"]["families"] = ["m5", "c6i", "unbound"]
    raw["risk"] |= {
        "expected_shortfall_usd_per_pool": 900,
        "expected_shortfall_usd_total": 2500,
        "expected_shortfall_tail_ratio": 0.1,
    }
    raw["alterations"] = {
        "allowed": ["return", "exchange", "set_renewal", "upgrade_term"],
        "max_pay_usd_per_run": 10,
        "max_pay_usd_per_day": 20,
        "max_pay_usd_in_total": 30,
        "max_returns_per_year": 4,
        "return_loss_ratio": 0.5,
    }
    raw["scopes"] = [
        {"name": "m5", "match": {"families": ["m5"]}, "mode": "autopilot"},
        {
            "name": "plans",
            "match": {"kinds": ["aws_compute_sp"]},
            "mode": "copilot",
            "caps": copy.deepcopy(raw["caps"]),
        },
    ]
    return raw


def parsed(raw: Raw) -> Policy:
    return Policy.model_validate(exact(raw))


@st.composite
def loose_policies(draw: st.DrawFn) -> Raw:
    raw = sound()
    if draw(st.booleans()):
        # Caps of a few lines, all on autopilot: which line is refused hangs on the others.
        raw["scopes"][1]["mode"] = raw["mode"] = "autopilot"
        for span in SPANS[1:]:
            raw["caps"][span]["commit_usd_per_hour"] = draw(st.integers(2, 7))
        return raw
    raw["mode"] = draw(st.sampled_from(MODES))
    for scope in raw["scopes"]:
        scope["mode"] = draw(st.sampled_from(MODES))
    for span in SPANS:
        raw["caps"][span] = {
            "commit_usd_per_hour": draw(money),
            "upfront_usd": draw(money) * 1000,
            "obligation_usd": draw(money) * 10000,
        }
    return raw


shortfalls = st.builds(
    Shortfall,
    pool_usd=st.one_of(st.decimals(-100, 1200, places=0), st.just(Decimal("NaN"))),
    total_usd=st.decimals(-100, 3000, places=0),
    tail_ratio=st.sampled_from((Decimal("0.01"), Decimal("0.05"), Decimal("0.1"))),
)
sound_lines = st.builds(
    lambda kind, family, commit: line(
        kind=kind,
        family=family,
        commit=str(commit),
        saving=str(commit * Decimal("0.4")),
    ),
    kind=st.sampled_from(KINDS),
    family=st.sampled_from(FAMILIES),
    commit=st.decimals("0.5", "3.5", places=1),
)
wild_lines = st.builds(
    line,
    kind=st.sampled_from(KINDS),
    family=st.sampled_from(FAMILIES),
    region=st.sampled_from(("us-east-1", None)),
    term_months=st.sampled_from((12, 36)),
    payment=st.sampled_from(Payment),
    commit=st.one_of(money.map(str), st.sampled_from(("NaN", "Infinity"))),
    upfront=money.map(lambda value: str(value * 1000)),
    saving=st.decimals(-1, 5, places=2).map(str),
    low=st.decimals(-1, 1, places=2).map(str),
    utilization=st.one_of(tenths.map(str), st.just("NaN")),
    break_even=money.map(str),
    shortfall=st.one_of(st.none(), shortfalls),
)
lines_of_a_run = st.one_of(
    st.lists(sound_lines, min_size=2, max_size=4),
    st.lists(st.one_of(sound_lines, wild_lines), min_size=1, max_size=5),
).map(lambda lines: [replace(item, line=LineId(f"l{i}")) for i, item in enumerate(lines)])

spends = st.lists(
    st.builds(
        Spend,
        target=st.builds(
            Target,
            provider=st.just("aws"),
            account=st.just(PAYER),
            region=st.just(None),
            family=st.sampled_from(FAMILIES),
            kind=st.sampled_from(KINDS),
            term_months=st.just(12),
        ),
        commit_usd_per_hour=money,
        upfront_usd=money,
        obligation_usd=money,
        loss_usd=money,
        at=st.integers(0, 50).map(lambda hours: NOW - timedelta(hours=hours)),
        live=st.booleans(),
        in_run=st.booleans(),
    ),
    max_size=3,
).map(tuple)


@st.composite
def facts(draw: st.DrawFn, lines: list[PlanLine]) -> GuardContext:
    sound = context(*lines, pool_usd_per_hour="100")
    if draw(st.booleans()):
        return sound
    found = replace(
        sound,
        spent=draw(st.one_of(st.none(), spends)),
        coverage_ratio_after=draw(st.one_of(st.none(), tenths)),
        utilization_ratio_after=draw(st.one_of(st.just(Decimal("0.95")), tenths)),
        data_age_hours=draw(st.one_of(st.just(Decimal(50)), st.just(Decimal("NaN")), money)),
        signed_off=frozenset(item.line for item in lines if draw(st.booleans())),
        pools={
            item.line: PoolSize(draw(st.sampled_from("ab")), Decimal(draw(st.integers(0, 40))))
            for item in lines
        },
    )
    if draw(st.booleans()):
        unknown = Target("aws", PAYER, "us-east-1", draw(st.sampled_from(FAMILIES)), KINDS[0], 12)
        found = replace(found, open_unknown=(unknown,))
    return found


def lower(place: Raw, key: str, share: Decimal) -> None:
    place[key] = Decimal(str(place[key])) * share


def tighten_caps(raw: Raw, draw: Draw) -> None:
    where = [raw["caps"], *(scope["caps"] for scope in raw["scopes"] if scope.get("caps"))]
    lower(
        draw(st.sampled_from(where))[draw(st.sampled_from(SPANS))],
        draw(st.sampled_from(AMOUNTS)),
        draw(tenths),
    )


def tighten_sign_off(raw: Raw, draw: Draw) -> None:
    lower(raw["sign_off"]["above"], draw(st.sampled_from(AMOUNTS)), draw(tenths))


def tighten_bounds(raw: Raw, draw: Draw) -> None:
    bounds = raw["after_purchase"][draw(st.sampled_from(BOUNDS))]
    low, high = Decimal(str(bounds["min"])), Decimal(str(bounds["max"]))
    bounds["min"] = low + (high - low) * draw(tenths)
    bounds["max"] = high - (high - bounds["min"]) * draw(tenths)


def tighten_worth(raw: Raw, draw: Draw) -> None:
    least = Decimal(str(raw["worth"]["min_saving_ratio"]))
    raw["worth"]["min_saving_ratio"] = least + (1 - least) * draw(tenths)
    lower(raw["worth"], "max_break_even_months", draw(tenths))


def tighten_risk(raw: Raw, draw: Draw) -> None:
    key = draw(st.sampled_from(sorted(raw["risk"])))
    least = "0.1" if key == "expected_shortfall_tail_ratio" else "0"  # no tail is nothing
    lower(raw["risk"], key, draw(st.decimals(least, 1, places=1)))


def tighten_freshness(raw: Raw, draw: Draw) -> None:
    share = draw(st.decimals("0.1", 1, places=1))
    lower(raw["freshness"], draw(st.sampled_from(sorted(raw["freshness"]))), share)


def tighten_choice(raw: Raw, draw: Draw) -> None:
    allowed = raw["allowed"]
    key = draw(st.sampled_from([key for key in sorted(allowed) if len(allowed[key]) > 1]))
    gone = draw(st.sampled_from(allowed[key]))
    if draw(st.booleans()):
        allowed[key] = [item for item in allowed[key] if item != gone]
    else:
        raw.setdefault("denied", {})[key] = [gone]


def tighten_stop(raw: Raw, draw: Draw) -> None:
    if draw(st.booleans()):
        raw["halt"] = True
    else:
        raw["purchase_accounts"] = {}


def tighten_time(raw: Raw, draw: Draw) -> None:
    window = {"name": "w", "timezone": "UTC", "start": "09:00", "end": "11:00"}
    raw["blackouts"] = {"weekly": [{**window, "days": [draw(st.sampled_from(("wed", "thu")))]}]}


def tighten_delay(raw: Raw, draw: Draw) -> None:
    raw["timing"] |= {"purchase_delay_hours": draw(st.integers(25, 48))}


def add_scope_caps(raw: Raw, draw: Draw) -> None:
    first = raw["scopes"][0]
    first.setdefault("caps", copy.deepcopy(raw["caps"]))
    lower(first["caps"]["per_run"], "commit_usd_per_hour", draw(tenths))


def to_copilot(raw: Raw, draw: Draw) -> None:
    place = draw(st.sampled_from([raw, *raw["scopes"]]))
    place["mode"] = "copilot" if place["mode"] == "autopilot" else place["mode"]


def to_observe(raw: Raw, draw: Draw) -> None:
    draw(st.sampled_from([raw, *raw["scopes"]]))["mode"] = "observe"


def tighten_alterations(raw: Raw, draw: Draw) -> None:
    place = raw["alterations"]
    kinds = place["allowed"]
    if draw(st.booleans()):
        place["allowed"] = [kind for kind in kinds if kind != draw(st.sampled_from(kinds))]
    else:
        lower(place, draw(st.sampled_from(sorted(place.keys() - {"allowed"}))), draw(tenths))


def tighten_for_some(raw: Raw, draw: Draw) -> None:
    """Refuses some lines of a run and not the others, which is where room could be freed."""
    if draw(st.booleans()):
        raw["denied"] = {"families": [draw(st.sampled_from(("m5", "c6i", "unbound")))]}
    else:
        cap = raw["caps"]["per_line"]
        most = draw(st.decimals("0.5", "3.5", places=1))
        cap["commit_usd_per_hour"] = min(Decimal(str(cap["commit_usd_per_hour"])), most)


LIMITS: tuple[Callable[[Raw, Draw], None], ...] = (
    tighten_caps,
    tighten_sign_off,
    tighten_bounds,
    tighten_worth,
    tighten_risk,
    tighten_freshness,
    tighten_choice,
    tighten_stop,
    tighten_time,
    tighten_delay,
    add_scope_caps,
    to_copilot,
    tighten_alterations,
)


def tightened(raw: Raw, draw: Draw, *, observe: bool) -> Raw:
    tight = copy.deepcopy(raw)
    ways = (*LIMITS, to_observe) if observe else LIMITS
    several = st.lists(st.sampled_from(ways), min_size=1, max_size=4)
    for way in draw(st.one_of(st.just([tighten_for_some]), several)):
        way(tight, draw)
    return tight
