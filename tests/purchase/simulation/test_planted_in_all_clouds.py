"""Negative controls: guards that forget something of what three clouds share are seen.

Each forgets what a plain mistake in the service would: what other clouds list, and what was bought
earlier on the same day. Nothing but the years of all clouds would show either.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from service.domain.plans import PlanLine, Verdict
from service.guard.context import provider_of
from service.purchase.desk import Facts
from tests.purchase.simulation.ceilings import CEILINGS, Span
from tests.purchase.simulation.guarding import Guard
from tests.purchase.simulation.proving import WIDE_YEARS
from tests.purchase.simulation.run import Databases, live_wide, lived_wide
from tests.purchase.simulation.wide import WideLife


class SeesOwnCloud(Guard):
    """Counts what its own cloud lists, and nothing that is listed elsewhere."""

    def on_purchase(self, line: PlanLine, facts: Facts) -> Verdict:
        own = tuple(one for one in facts.holdings if provider_of(one) == line.provider)
        return super().on_purchase(line, replace(facts, holdings=own))


class ForgetsTheDay(Guard):
    """Counts what was asked for in this run, and not what was bought on the same day before."""

    def on_purchase(self, line: PlanLine, facts: Facts) -> Verdict:
        own = tuple(one for one in facts.intents if one.plan in facts.run)
        return super().on_purchase(line, replace(facts, intents=own, holdings=()))


class OfOwnCloud(WideLife):
    """Lived under the first of them."""

    def make_guard(self) -> Guard:
        return SeesOwnCloud(super().make_guard().policy, self.cloud)


class OfOneRun(WideLife):
    """Lived under the second."""

    def make_guard(self) -> Guard:
        return ForgetsTheDay(super().make_guard().policy, self.cloud)


@pytest.mark.parametrize(("kind", "span"), [(OfOwnCloud, Span.TOTAL), (OfOneRun, Span.DAY)])
def test_a_guard_that_forgets_is_seen_in_the_years_of_its_ceiling(
    databases: Databases, kind: type[WideLife], span: Span
) -> None:
    """Negative control."""
    years = (n for n in range(WIDE_YEARS) if CEILINGS[n % len(CEILINGS)].span is span)
    lives = (lived_wide(year, databases, kind) for year in years)
    assert any("above the ceiling" in problem for one in lives for problem in one.problems)


def test_a_year_of_all_clouds_replays_identically(databases: Databases) -> None:
    outlines = [live_wide(3, databases.fresh()).outline() for _ in range(2)]
    assert outlines[0] == outlines[1] != []
