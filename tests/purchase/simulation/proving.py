"""Years lived in the test's own process, and what must be true of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tests.purchase.simulation.life import Life
from tests.purchase.simulation.run import CLOUDS, Databases, Lived, lived, lived_wide

YEARS: Final = 84
"""How many years of one cloud the suite lives, over the three clouds."""

WIDE_YEARS: Final = 16
"""How many years of all clouds at once, each ceiling in turn, without a queue and with one."""

WHOLE_WEEKS: Final = {0: 8, 1: 14, 2: 8}
"""How many weeks of which years of the whole service the suite lives, one of each cloud.

A week is most of a second; ``make simulate YEARS=n WHOLE=1`` lives them to their ends.
"""

PARTS: Final = 3


def years_of(provider: str, part: int) -> range:
    """The numbers of a third of the years in which ``provider`` is the cloud."""
    (place,) = (n for n, cloud in enumerate(CLOUDS) if cloud.provider == provider)
    return range(place + len(CLOUDS) * part, YEARS, len(CLOUDS) * PARTS)


def prove(years: Iterable[int], databases: Databases) -> None:
    """No checker finds anything, and there was something to be found: purchases, and a cap."""
    done = [lived(year, databases) for year in years]
    assert [(one.cloud, one.year, one.problems) for one in done if one.problems] == []
    assert sum(one.purchases for one in done) > 2 * len(done), done
    assert sum(one.capped for one in done) > len(done) / 2, done


def prove_wide(years: Iterable[int], databases: Databases) -> None:
    """The same where three clouds share one policy, in which one ceiling binds."""
    done = [lived_wide(year, databases) for year in years]
    assert [(one.cloud, one.year, one.problems) for one in done if one.problems] == []
    assert sum(one.purchases for one in done) > 5 * len(done), done
    assert sum(one.capped for one in done) > len(done), done


def seen_by_checkers(
    kind: type[Life], years: Iterable[int], databases: Databases, word: str
) -> Lived | None:
    """The first year that shows a problem which says ``word``."""
    for year in years:
        one = lived(year, databases, kind)
        if any(word in problem for problem in one.problems):
            return one
    return None
