"""``tenor replay PLAN``: takes a decision again from what was kept of it, and compares.

Decides whether a plan is what its inputs lead to. Everything that it was decided on is read back
by its digest; where something is gone or has changed since, that is the answer, not a guess.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from service.domain.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from service.domain.commitments import Offering
    from service.domain.ids import OfferingId
    from service.domain.plans import Plan, PlanGiven, PlanLine
    from service.domain.usage import Sku, SkuKey
    from service.guard.policy import Policy
    from service.plan.decide import DecisionRequest
    from service.plan.lines import Room
    from service.store.usage_days import UsageDays

FAILED = 1


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``tenor replay`` to the command line."""
    parser = commands.add_parser("replay", help="take a plan's decision again and compare")
    parser.add_argument("plan", metavar="PLAN", help="the plan's id")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Replay one plan; exit status 1 when what comes out differs."""
    import os  # noqa: PLC0415

    from service.domain.ids import PlanId  # noqa: PLC0415
    from service.report.render import print_json, print_table  # noqa: PLC0415
    from service.settings import read_settings  # noqa: PLC0415
    from service.store.engine import reading  # noqa: PLC0415
    from service.wiring import opened  # noqa: PLC0415

    with opened(read_settings(os.environ)) as parts, reading(parts.engine) as connection:
        replayed = replay(connection, parts.usage, PlanId(options.plan))
    if options.json:
        print_json(
            {
                "plan": replayed.plan.plan,
                "identical": replayed.identical,
                "code_version": replayed.plan.inputs.code_version,
                "code_version_now": replayed.code_version_now,
                "differences": list(replayed.differences),
            }
        )
    else:
        rows = [
            ("identical", "yes" if replayed.identical else "no"),
            ("decided by version", replayed.plan.inputs.code_version),
            ("replayed by version", replayed.code_version_now),
            *(("differs", one) for one in replayed.differences),
        ]
        print_table(f"Plan {replayed.plan.plan}", ("", ""), rows)
    return 0 if replayed.identical else FAILED


@dataclass(frozen=True, slots=True)
class Replayed:
    """A kept plan, and in which fields the same decision taken now differs from it."""

    plan: Plan
    code_version_now: str
    differences: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether the very same plan came out."""
        return not self.differences


def replay(connection: Connection, usage: UsageDays, plan_id: str) -> Replayed:
    """Take the decision of the plan ``plan_id`` again.

    Raises ``InputError`` when there is no such plan or one of its inputs is gone.
    """
    from service import __version__  # noqa: PLC0415
    from service.domain.ids import PlanId  # noqa: PLC0415
    from service.guard.starts import with_starts  # noqa: PLC0415
    from service.plan.decide import decide  # noqa: PLC0415
    from service.store import records  # noqa: PLC0415

    plan = records.find_plan(connection, PlanId(plan_id))
    if plan is None:
        raise InputError(
            f"there is no plan {plan_id}", file="PLAN", remedy="Give an id that tenor status shows"
        )
    if plan.given is None:
        raise _gone(plan, "what it was given", "it was decided before that was kept")
    request, asked = _request(connection, usage, plan, plan.given)
    again = replace(with_starts(decide(request), _policy(connection, plan)), given=plan.given)
    again = replace(again, inputs=replace(again.inputs, code_version=plan.inputs.code_version))
    return Replayed(plan, __version__, (*_differences(plan, again), *asked.left_over()))


def _request(
    connection: Connection, usage: UsageDays, plan: Plan, given: PlanGiven
) -> tuple[DecisionRequest, _Asked]:
    from service.billing.sharing import ORGANISATION  # noqa: PLC0415
    from service.domain.errors import RefusedError  # noqa: PLC0415
    from service.domain.hours import HOUR, HourRange  # noqa: PLC0415
    from service.domain.usage import Dataset  # noqa: PLC0415
    from service.forecast.changes import parse_changes  # noqa: PLC0415
    from service.forecast.holidays import parse_holidays  # noqa: PLC0415
    from service.operate.given import commitments_digest  # noqa: PLC0415
    from service.operate.situation import names_groups, usage_digest  # noqa: PLC0415
    from service.plan.decide import DecisionRequest  # noqa: PLC0415
    from service.plan.guarded import risk_budget  # noqa: PLC0415

    inputs = plan.inputs
    start = inputs.usage_through - given.usage_hours * HOUR
    try:
        seen = usage.load(
            HourRange(start, given.usage_hours),
            provider=inputs.provider,
            resource_groups=names_groups(given.commitments, plan.decided_at),
            level=True,
        )
    except (RefusedError, InputError) as error:
        raise _gone(plan, "its usage", str(error)) from error
    if usage_digest(seen) != inputs.usage_digest:
        raise _gone(plan, "its usage", "the exports have been restated since")
    if commitments_digest(given.commitments) != inputs.commitments_digest:
        raise _gone(plan, "what was owned", "it is not what the plan names")
    policy = _policy(connection, plan)
    skus, offerings = _prices(connection, plan, given)
    asked = _Asked(given.rooms)
    request = DecisionRequest(
        cycle=plan.cycle,
        decided_at=plan.decided_at,
        dataset=Dataset(seen, skus, offerings, given.commitments),
        menu=given.menu,
        accounts={inputs.provider: given.account},
        inputs=inputs,
        lead_time_hours=int(policy.timing.lead_time_hours),
        step_hours=given.step_hours,
        changes=parse_changes(given.changes, file="the changes kept with the plan"),
        holidays=parse_holidays(given.holidays, file="the holidays kept with the plan"),
        capital_annual_ratio=float(policy.finance.cost_of_capital_annual_ratio),
        gap_tolerance_ratio=policy.finance.solver_gap_tolerance_ratio,
        sharing=ORGANISATION,
        risk=risk_budget(policy),
        room=asked.room(),
    )
    return request, asked


def _policy(connection: Connection, plan: Plan) -> Policy:
    from service.guard.policy import parse_policy  # noqa: PLC0415
    from service.store import records  # noqa: PLC0415

    body = records.policy_text(connection, plan.inputs.policy_digest)
    if body is None:
        raise _gone(plan, "its policy", "no text is kept under its digest")
    return parse_policy(body, file="the policy kept with the plan")


def _prices(
    connection: Connection, plan: Plan, given: PlanGiven
) -> tuple[Mapping[SkuKey, Sku], dict[OfferingId, Offering]]:
    from service.store import price_snapshots  # noqa: PLC0415

    found = price_snapshots.find(connection, plan.inputs.prices_digest)
    if found is None:
        raise _gone(plan, "its prices", "no snapshot is kept under their digest")
    owned = price_snapshots.find(connection, given.owned_digest) if given.owned_digest else None
    if given.owned_digest and owned is None:
        raise _gone(plan, "the rates of what was owned", "no snapshot is kept under their digest")
    return found.skus, {**found.offerings, **(owned.offerings if owned else {})}


class _Asked:
    """Answers what the caps left as they answered then."""

    def __init__(self, rooms: Sequence[Decimal]) -> None:
        self._rooms = list(rooms)
        self._more = 0

    def room(self) -> Room:
        def answer(
            _offering: Offering, _lines: Sequence[PlanLine], _begun: PlanLine | None = None
        ) -> Decimal:
            if self._rooms:
                return self._rooms.pop(0)
            self._more += 1
            return Decimal(0)

        return answer

    def left_over(self) -> tuple[str, ...]:
        """Whether the decision asked less or more often than it did then."""
        if self._rooms:
            return (f"room under the caps: asked {len(self._rooms)} times less",)
        return (f"room under the caps: asked {self._more} times more",) if self._more else ()


def _differences(plan: Plan, again: Plan) -> list[str]:
    return [
        f"{field.name}: {_told(getattr(plan, field.name))} then, "
        f"{_told(getattr(again, field.name))} now"
        for field in fields(plan)
        if getattr(plan, field.name) != getattr(again, field.name)
    ]


def _told(value: object) -> str:
    return f"{len(value)} of them" if isinstance(value, tuple) else str(value)


def _gone(plan: Plan, what: str, why: str) -> InputError:
    return InputError(
        f"plan {plan.plan} cannot be replayed: {what} is gone ({why})",
        file="PLAN",
        remedy="Replay a plan whose inputs are still kept",
    )
