"""Years lived in the test's own process, and what must be true of each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tests.purchase.simulation.life import Life
from tests.purchase.simulation.run import CLOUDS, Databases, Lived, lived

YEARS: Final = 102
"""How many years the suite lives, over the three clouds."""

PARTS: Final = 4


def years_of(provider: str, part: int) -> range:
    """The numbers of a quarter of the years in which ``provider`` is the cloud."""
    (place,) = (n for n, cloud in enumerate(CLOUDS) if cloud.provider == provider)
    return range(place + len(CLOUDS) * part, YEARS, len(CLOUDS) * PARTS)


def prove(years: Iterable[int], databases: Databases) -> None:
    """No checker finds anything, and there was something to be found: purchases, and a cap."""
    done = [lived(year, databases) for year in years]
    assert [(one.cloud, one.year, one.problems) for one in done if one.problems] == []
    assert sum(one.purchases for one in done) > 2 * len(done), done
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
