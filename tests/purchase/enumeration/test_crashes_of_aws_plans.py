"""Every crash point × every fault: AWS Savings Plans, bought, queued, returned and taken back.

A real process is killed by SIGKILL at the step, over HTTP against the sandbox with the real SDK;
then the service runs to rest. Nothing is bought or altered twice, nothing is lost, nothing is left
unknown, and no cap is passed: an independent look at what the cloud sold says so.
"""

from __future__ import annotations

import pytest

from service.purchase.desk import Step
from tests.purchase.enumeration.cases import Ground
from tests.purchase.enumeration.kinds import names_of
from tests.purchase.enumeration.problems import problems_at

PROVIDER = "aws"


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("ground", names_of(PROVIDER, plans=True), indirect=True)
def test_what_is_killed_wherever_happens_once_or_not_at_all(ground: Ground, step: Step) -> None:
    assert problems_at(ground, step) == []
