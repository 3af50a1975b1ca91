"""Every crash point × every fault: what is bought and altered on Google.

A real process is killed by SIGKILL at the step, over HTTP against the sandbox with the real SDK;
then the service runs to rest. Nothing is bought or altered twice, nothing is lost, nothing is left
unknown, and no cap is passed: an independent look at what the cloud sold says so.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from service.purchase.desk import Step
from tests.purchase.enumeration.cases import (
    EVERY_CASE,
    Case,
    Ground,
    Run,
)
from tests.purchase.enumeration.kinds import kind_of, names_in_flight, names_inside, names_of
from tests.purchase.enumeration.problems import (
    problems_at,
    problems_in_flight,
    problems_inside,
)
from tests.purchase.enumeration.sites import Purchase
from tests.purchase.enumeration.victims import InCall, InSettling
from tests.purchase.world import let_lease_run_out, store_plan

PROVIDER = "gcp"


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("ground", names_of(PROVIDER), indirect=True)
def test_what_is_killed_wherever_happens_once_or_not_at_all(ground: Ground, step: Step) -> None:
    assert problems_at(ground, step) == []


@pytest.mark.parametrize(
    ("ground", "least"), names_inside(PROVIDER, every=EVERY_CASE), indirect=["ground"]
)
def test_what_is_killed_inside_a_call_or_a_settlement_happens_once(
    ground: Ground, least: int
) -> None:
    assert problems_inside(ground, InCall, least) == []
    assert problems_inside(ground, InSettling, least) == []


@pytest.mark.parametrize("ground", names_in_flight(PROVIDER, every=EVERY_CASE), indirect=True)
def test_what_is_killed_while_its_call_is_on_the_wire_happens_once_or_not_at_all(
    ground: Ground,
) -> None:
    assert problems_in_flight(ground) == []


@pytest.mark.parametrize("ground", ["resource commitment"], indirect=True)
def test_a_process_that_ends_before_its_step_proves_nothing(ground: Ground) -> None:
    """Negative control: a guard that says no, and so a call that never comes."""
    what = kind_of(PROVIDER, ground.kind)
    assert isinstance(what, Purchase)
    one, line = Run(ground, Case(what, Step.CALLING_COMMITTED, None)), ground.site.line(what, 1)
    store_plan(one.engine, line, decided_at=ground.site.clock.now())
    let_lease_run_out(one.engine)
    errand = replace(one.errand(line), line=line, cap_usd_per_hour=Decimal(0))
    with pytest.raises(AssertionError, match="calling_committed"):
        one.kill(errand)
