"""What is wrong once the cases of one kind have come to rest, however its processes were killed."""

from __future__ import annotations

from service.purchase.desk import Step
from service.sandbox.faults import FaultKind
from tests.purchase.enumeration.cases import Case, Ground, faults_at, run_case
from tests.purchase.enumeration.kinds import kind_of
from tests.purchase.enumeration.victims import InCall, InFlight, InSettling


def problems_at(ground: Ground, step: Step) -> list[str]:
    """Everything that is wrong once the cases of a step have come to rest, one of each fault."""
    what = kind_of(ground.site.provider, ground.kind)
    found = []
    for fault in faults_at(what, step):
        case = Case(what, step, fault)
        _, problems = run_case(ground, case)
        found += problems
    return found


def problems_in_flight(ground: Ground) -> list[str]:
    """The same, killed while the call is on the wire, before and after it has its effect."""
    what = kind_of(ground.site.provider, ground.kind)
    found: list[str] = []
    for fault in (FaultKind.TIMEOUT_BEFORE, FaultKind.TIMEOUT_AFTER):
        died, problems = run_case(ground, Case(what, InFlight(), fault))
        found += problems if died else [*problems, f"{fault}: it did not die in flight"]
    return found


MANY = 60
"""More requests, or transactions, than any call or settlement takes."""


def problems_inside(ground: Ground, inside: type[InCall | InSettling], least: int) -> list[str]:
    """The same, killed at each request of the call or each transaction of settling, to the last.

    ``least``: in so many places at least it dies, or there is nothing proven.
    """
    what = kind_of(ground.site.provider, ground.kind)
    found: list[str] = []
    # The settlement that is killed has something to settle: an answer that was lost.
    fault = FaultKind.TIMEOUT_AFTER if inside is InSettling else None
    for number in range(1, MANY):
        died, problems = run_case(ground, Case(what, inside(number), fault))
        found += problems
        if not died:
            break
    deaths = number - 1
    return found if least <= deaths < MANY - 2 else [*found, f"died in {deaths} places"]
