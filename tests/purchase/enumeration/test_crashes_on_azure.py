"""Every crash point × every fault: what is bought and altered on Azure.

A real process is killed by SIGKILL at the step, over HTTP against the sandbox with the real SDK;
then the service runs to rest. Nothing is bought or altered twice, nothing is lost, nothing is left
unknown, and no cap is passed: an independent look at what the cloud sold says so.
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from service.purchase.desk import Step
from tests.purchase.enumeration.cases import EVERY_CASE, Case, Ground, run_case
from tests.purchase.enumeration.kinds import kind_of, names_in_flight, names_inside, names_of
from tests.purchase.enumeration.problems import (
    problems_at,
    problems_in_flight,
    problems_inside,
)
from tests.purchase.enumeration.victims import InCall, InSettling

PROVIDER = "azure"


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


@pytest.mark.parametrize("ground", ["exchange"], indirect=True)
def test_an_exchange_that_the_ceiling_has_no_room_for_is_not_done(ground: Ground) -> None:
    """Negative control: it is the ceiling that lets the others through."""
    change = kind_of(PROVIDER, ground.kind)
    before = ground.site.calls(change.operation)
    case = Case(change, Step.CHECKED, None, room=Decimal("0.9"))
    assert run_case(ground, case) == (True, [])
    assert ground.site.calls(change.operation) == before
