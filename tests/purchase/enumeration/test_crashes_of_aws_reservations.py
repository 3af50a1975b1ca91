"""Every crash point × every fault: reservations of EC2 and of nodes, bought and altered.

A real process is killed by SIGKILL at the step, over HTTP against the sandbox with the real SDK;
then the service runs to rest. Nothing is bought or altered twice, nothing is lost, nothing is left
unknown, and no cap is passed: an independent look at what the cloud sold says so.
"""

from __future__ import annotations

import pytest

from service.purchase.desk import Step
from tests.purchase.enumeration.cases import EVERY_CASE, Ground
from tests.purchase.enumeration.kinds import names_in_flight, names_inside, names_of
from tests.purchase.enumeration.problems import (
    problems_at,
    problems_in_flight,
    problems_inside,
)
from tests.purchase.enumeration.victims import InCall, InSettling

PROVIDER = "aws"


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("ground", names_of(PROVIDER, plans=False), indirect=True)
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
