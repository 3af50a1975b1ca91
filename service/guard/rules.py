"""The guard: every line of a plan gets a verdict from every rule, with both numbers.

The same function judges when proposing and again at execution, on fresh facts. It refuses where
a fact is missing. The strictest result is the verdict.

Tightening a limit never makes any line's verdict looser, line by line: sums count every line
asked for earlier in the run that could be bought at all. Lines in observe are judged among
themselves, as if they were a run of their own, so that what is only watched takes no room from
what is bought.
"""

from __future__ import annotations

from collections.abc import Sequence

from service.domain.errors import InvariantError
from service.domain.plans import Decision, PlanLine, RuleResult, Verdict
from service.guard.caps import cumulative
from service.guard.checks import facts, is_held_up, is_sound, of_line
from service.guard.context import GuardContext, target_of
from service.guard.fields import Mode
from service.guard.language import Policy
from service.guard.results import STRICTNESS, strictest
from service.guard.scopes import mode_of


def judge(
    lines: Sequence[PlanLine], *, policy: Policy, context: GuardContext
) -> tuple[Verdict, ...]:
    """A verdict for each of ``lines``, in their order, which is the order they would be bought in.

    ``allow``: may be bought now. ``needs_sign_off``: only after a person's approval (then name
    it in ``context.signed_off`` and judge again). ``refuse``: not now. Raises
    ``InvariantError`` when two lines have the same id.
    """
    if len({line.line for line in lines}) != len(lines):
        msg = "two lines of a plan have the same id"
        raise InvariantError(msg)
    common = tuple(facts(policy, context))
    asked: dict[bool, tuple[PlanLine, ...]] = {True: (), False: ()}
    verdicts: list[Verdict] = []
    for line in lines:
        mode = _mode(line, policy, context)
        before = asked[mode is Mode.OBSERVE]
        results = (
            *common,
            *of_line(line, mode, policy=policy, context=context),
            *cumulative(line, before, policy=policy, context=context),
        )
        verdicts.append(Verdict(line.line, strictest(results), results))
        # Left out of the sums for reasons that no policy can change, so that the sums stay the
        # same under every policy: what is unusable or held up by an unknown outcome.
        if is_sound(line) and not is_held_up(line, context):
            asked[mode is Mode.OBSERVE] = (*before, line)
    return tuple(verdicts)


def _mode(line: PlanLine, policy: Policy, context: GuardContext) -> Mode:
    """The scope's mode; autopilot that has given itself up in the provider is copilot."""
    mode = mode_of(policy, target_of(line))
    given_up = mode is Mode.AUTOPILOT and line.provider in context.demoted
    return Mode.COPILOT if given_up else mode


def would_be(verdict: Verdict) -> Decision:
    """The verdict if the scope were on autopilot: what observe would have let Tenor do."""
    return strictest(tuple(result for result in verdict.results if result.rule != "mode"))


def reasons(verdict: Verdict) -> tuple[RuleResult, ...]:
    """The results that made the verdict what it is, none when it allows."""
    if verdict.decision is Decision.ALLOW:
        return ()
    return tuple(
        result
        for result in verdict.results
        if STRICTNESS[result.decision] == STRICTNESS[verdict.decision]
    )
