"""Strategies by name, compared over pools: every run scored against the same hindsight."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches

from service.backtest.families import Case
from service.backtest.hindsight import Hindsight, hindsight
from service.backtest.market import Walk
from service.backtest.ours import ABLATIONS, NAME, Tenor
from service.backtest.rivals import RIVALS
from service.backtest.score import Figures, score, total
from service.backtest.walk import Purchase, Run, Series, StrategyFactory, walk_forward
from service.domain.errors import InputError
from service.forecast.changes import PlannedChange, changes_for
from service.forecast.holidays import Holiday, holidays_for
from service.forecast.phase_out import Kin
from service.plan.ladder_terms import Term

EVERY: Mapping[str, StrategyFactory] = {NAME: Tenor, **RIVALS}
"""Ours first, then every baseline, by name."""

_KNOWN: Mapping[str, StrategyFactory] = {**EVERY, **ABLATIONS}


@dataclass(frozen=True, slots=True)
class Setup:
    """What all runs of one comparison share. ``begin`` is the instant of hour 0."""

    menu: tuple[Term, ...]
    walk: Walk
    begin: datetime
    changes: tuple[PlannedChange, ...] = ()
    holidays: tuple[Holiday, ...] = ()


@dataclass(frozen=True, slots=True)
class Scored:
    """One strategy on one series; ``region`` is where a made series came from."""

    name: str
    strategy: str
    figures: Figures
    run: Run
    best: Hindsight
    region: str = ""

    @property
    def purchases(self) -> tuple[Purchase, ...]:
        """What was bought, in order."""
        return self.run.purchases


def chosen(names: Sequence[str]) -> Mapping[str, StrategyFactory]:
    """The strategies called ``names`` (ours when none is; all for ``all``), in their order.

    Raises ``InputError`` for a name that none has, with the nearest one that exists.
    """
    if "all" in names:
        return EVERY
    for name in names:
        if name not in _KNOWN:
            near = get_close_matches(name, _KNOWN, n=1) or [NAME]
            raise InputError(
                f"no strategy is called {name!r}",
                file="--strategy",
                remedy=f"Did you mean {near[0]}? Use all for every one.",
            )
    return {name: _KNOWN[name] for name in names or (NAME,)}


def compare(
    series: Sequence[tuple[str, Series]],
    strategies: Mapping[str, StrategyFactory],
    setup: Setup,
    *,
    region: str = "",
    kin: Sequence[Kin] = (),
    mine: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> tuple[Scored, ...]:
    """Every strategy over every named series of hourly on-demand dollars.

    ``region`` is where made series came from: its holidays are theirs. ``kin``: the types of
    which the series is ``mine``-th.
    """
    scored: list[Scored] = []
    for name, demand in series:
        best = hindsight(demand, menu=setup.menu, walk=setup.walk)
        for strategy, make in strategies.items():
            run = walk_forward(
                demand,
                make(),
                menu=setup.menu,
                walk=setup.walk,
                begin=setup.begin,
                changes=changes_for(setup.changes, name),
                holidays=holidays_for(setup.holidays, region or name),
                kin=kin,
                mine=mine,
            )
            figures = score(demand, run, first=setup.walk.warmup_hours, hindsight_usd=best.cost_usd)
            scored.append(Scored(name, strategy, figures, run, best, region))
            advance()
    return tuple(scored)


def totals(scored: Sequence[Scored]) -> Mapping[str, Figures]:
    """Each strategy's figures over all series, in order of appearance."""
    by: dict[str, list[Figures]] = {}
    for one in scored:
        by.setdefault(one.strategy, []).append(one.figures)
    return {strategy: total(figures) for strategy, figures in by.items()}


def by_family(
    cases: Sequence[Case],
    strategies: Mapping[str, StrategyFactory],
    setup: Setup,
    *,
    advance: Callable[[], object] = lambda: None,
) -> Mapping[str, Mapping[str, Figures]]:
    """Family → strategy → figures summed over the family's cases."""
    scored = each_case(cases, strategies, setup, advance=advance)
    return {family: totals(ones) for family, ones in scored.items()}


def each_case(
    cases: Sequence[Case],
    strategies: Mapping[str, StrategyFactory],
    setup: Setup,
    *,
    advance: Callable[[], object] = lambda: None,
) -> Mapping[str, tuple[Scored, ...]]:
    """Family → every strategy on every case of it, with the region that the case came from."""
    families: dict[str, list[Case]] = {}
    for case in cases:
        families.setdefault(case.family, []).append(case)
    return {
        family: tuple(
            one
            for case in ones
            for one in compare(
                [(case.name, case.usd_per_hour)],
                strategies,
                setup,
                region=case.region,
                kin=case.kin,
                mine=case.mine,
                advance=advance,
            )
        )
        for family, ones in families.items()
    }
