"""``tenor plan``: what to buy, for a dataset's known hours or for the future behind them."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from service.domain.errors import InputError, RefusedError
from service.domain.hours import iso
from service.report.render import print_json, print_table, progress

if TYPE_CHECKING:
    from service.domain.commitments import Offering
    from service.domain.plans import PlanLine, Refusal
    from service.domain.usage import Dataset
    from service.forecast.changes import PlannedChange
    from service.forecast.holidays import Holiday
    from service.plan.guarded import Guarded
    from service.plan.optimise import Portfolio, Purchase


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add ``tenor plan`` to the command line."""
    parser = commands.add_parser("plan", help="work out what to buy, and what it would save")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="dataset folder")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="policy to judge the plan by")
    parser.add_argument(
        "--as-given",
        action="store_true",
        help="take the usage as the known future: no forecast, ladder or guardrail",
    )
    parser.add_argument(
        "--changes", type=Path, metavar="FILE", help="register of planned changes in demand"
    )
    parser.add_argument("--holidays", type=Path, metavar="FILE", help="calendar of holidays")
    parser.add_argument("--account", metavar="ID", help="the account that would buy")
    parser.add_argument(
        "--time-limit",
        type=float,
        metavar="SECONDS",
        help="stop searching after so long; the bound stays proven, the gap may be larger",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Plan for the dataset; see docs/tables.md for what is printed."""
    if options.time_limit is not None and options.time_limit <= 0:
        raise InputError(
            f"{options.time_limit} seconds is no time limit",
            file="--time-limit",
            remedy="Give a positive number of seconds",
        )
    return _as_given(options) if options.as_given else _decided(options)


def _as_given(options: argparse.Namespace) -> int:
    from service.domain.ids import AccountId  # noqa: PLC0415
    from service.guard.policy import load_policy  # noqa: PLC0415
    from service.plan.optimise import optimise  # noqa: PLC0415
    from service.usage.dataset import load_dataset  # noqa: PLC0415

    if options.policy is not None:
        load_policy(options.policy)  # it guards nothing here, but a broken one is never passed over
    _foreseen(options)  # nor are these
    dataset = load_dataset(options.data)
    account = AccountId(options.account) if options.account else None
    begun = time.monotonic()
    with _deadline("Optimising", begun, options.time_limit) as expired:
        portfolio = optimise(dataset, purchase_account=account, expired=expired)
    seconds = Decimal(str(round(time.monotonic() - begun, 3)))
    if options.json:
        print_json(as_json(portfolio, dataset, seconds))
    else:
        _show(portfolio, dataset)
    return 0


def _decided(options: argparse.Namespace) -> int:
    from service.domain.ids import AccountId  # noqa: PLC0415
    from service.guard.policy import load_policy  # noqa: PLC0415
    from service.plan.guarded import plan_dataset  # noqa: PLC0415
    from service.usage.dataset import load_dataset  # noqa: PLC0415

    policy = load_policy(options.policy) if options.policy is not None else None
    changes, holidays = _foreseen(options)
    dataset = load_dataset(options.data)
    account = AccountId(options.account) if options.account else None
    begun = time.monotonic()
    with _deadline("Deciding", begun, options.time_limit) as expired:
        guarded = plan_dataset(
            dataset,
            policy=policy,
            account=account,
            changes=changes,
            holidays=holidays,
            expired=expired,
        )
    seconds = round(time.monotonic() - begun, 3)
    if options.json:
        print_json(guarded_json(guarded, seconds))
    else:
        _show_guarded(guarded)
    return RefusedError.exit_code if guarded.all_refused else 0


def _foreseen(
    options: argparse.Namespace,
) -> tuple[tuple[PlannedChange, ...], tuple[Holiday, ...]]:
    from service.forecast.changes import read_changes  # noqa: PLC0415
    from service.forecast.holidays import read_holidays  # noqa: PLC0415

    changes = () if options.changes is None else read_changes(options.changes)
    return changes, () if options.holidays is None else read_holidays(options.holidays)


@contextmanager
def _deadline(
    description: str, begun: float, limit_seconds: float | None
) -> Iterator[Callable[[], bool]]:
    """Tells a search when its time is over; every question moves the progress bar."""
    with progress(description, total=60) as advance:

        def expired() -> bool:
            advance()
            return limit_seconds is not None and time.monotonic() - begun > limit_seconds

        yield expired


def as_json(portfolio: Portfolio, dataset: Dataset, seconds: Decimal) -> dict[str, object]:
    """The object that docs/tables.md describes."""
    return {
        "status": str(portfolio.status),
        "gap_ratio": portfolio.gap_ratio,
        "lower_bound_usd": portfolio.lower_bound_usd,
        "before_usd": portfolio.before_usd,
        "after_usd": portfolio.after_usd,
        "seconds": float(seconds),
        "buy": [
            {
                "offer": one.offering,
                "account": portfolio.account,
                "quantity": one.quantity,
                "commit_usd_per_hour": _commit(one, dataset.offerings[one.offering]),
                "upfront_usd": one.quantity * dataset.offerings[one.offering].upfront_usd,
                "reason": _reason(one, dataset.offerings[one.offering]),
            }
            for one in portfolio.purchases
        ],
        "refusals": [_refusal(one) for one in portfolio.refusals],
    }


def guarded_json(guarded: Guarded, seconds: float) -> dict[str, object]:
    """The object that docs/tables.md describes, for a decided plan."""
    plan, worth = guarded.plan, guarded.worth
    return {
        "status": "refused" if guarded.all_refused else str(plan.status),
        "gap_ratio": worth.gap_ratio,
        "lower_bound_usd": worth.lower_bound_usd,
        "before_usd": worth.before.total_usd,
        "after_usd": worth.after.total_usd,
        "seconds": seconds,
        "window_hours": plan.window_hours,
        "buy": [
            {
                "offer": line.offering,
                "account": line.account,
                "quantity": line.quantity,
                "commit_usd_per_hour": line.commit_usd_per_hour,
                "upfront_usd": line.upfront_usd,
                "needs_sign_off": line.line in guarded.sign_off,
                "expected_savings_usd_per_hour": line.expected_savings_usd_per_hour,
                "start_at": line.start_at,
                "companion": _beside(line),
                "reason": line.reason,
            }
            for line in plan.lines
        ],
        "refusals": [_refusal(one) for one in guarded.refusals],
    }


def _refusal(refusal: Refusal) -> dict[str, object]:
    return {"rule": refusal.rule, "offer": refusal.offering, "detail": refusal.detail}


def _commit(purchase: Purchase, offering: Offering) -> Decimal:
    if offering.kind.is_spend:
        return purchase.quantity
    (rate_usd,) = offering.rates_usd.values()
    return purchase.quantity * rate_usd


def _reason(purchase: Purchase, offering: Offering) -> str:
    words = str(offering.payment).replace("_", " ")
    return (
        f"{offering.kind}, {offering.term_months} months, {words}: covered usage costs "
        f"{purchase.on_demand_ratio:.1%} of on demand; bought up to where, over these hours, "
        "the last dollar of commitment saves no more than it costs"
    )


def _show(portfolio: Portfolio, dataset: Dataset) -> None:
    print_table(
        f"Plan: {portfolio.status}",
        ["", "USD over the dataset's hours"],
        [
            ("bill before", round(portfolio.before_usd, 2)),
            ("bill after", round(portfolio.after_usd, 2)),
            ("proven lower bound", round(portfolio.lower_bound_usd, 2)),
            ("gap, share of the bill before", round(portfolio.gap_ratio, 6)),
        ],
    )
    print_table(
        "Buy",
        ["offer", "quantity", "commit USD/h", "upfront USD", "reason"],
        [
            (
                one.offering,
                round(one.quantity, 3),
                round(_commit(one, dataset.offerings[one.offering]), 3),
                round(one.quantity * dataset.offerings[one.offering].upfront_usd, 2),
                _reason(one, dataset.offerings[one.offering]),
            )
            for one in portfolio.purchases
        ],
    )
    _show_refusals(portfolio.refusals)


def _show_guarded(guarded: Guarded) -> None:
    plan, worth = guarded.plan, guarded.worth
    print_table(
        f"Plan: {'refused' if guarded.all_refused else plan.status}",
        ["", "USD over the dataset's hours"],
        [
            ("bill before", round(worth.before.total_usd, 2)),
            ("bill with the plan", round(worth.after.total_usd, 2)),
            ("proven lower bound up to these purchases", round(worth.lower_bound_usd, 2)),
            ("gap, share of the bill before", round(worth.gap_ratio, 6)),
        ],
    )
    print_table(
        "Buy",
        ["offer", "quantity", "commit USD/h", "upfront USD", "saves USD/h", "reason"],
        [
            (
                line.offering,
                line.quantity,
                round(line.commit_usd_per_hour, 3),
                round(line.upfront_usd, 2),
                round(line.expected_savings_usd_per_hour, 3),
                _first_of_all(line, signed=line.line in guarded.sign_off) + line.reason,
            )
            for line in plan.lines
        ],
    )
    _show_refusals(guarded.refusals)


def _beside(line: PlanLine) -> dict[str, object] | None:
    """What comes in the same purchase; its money is in the line's amounts."""
    if line.companion is None:
        return None
    return {"offer": line.companion.offering, "quantity": line.companion.quantity}


def _first_of_all(line: PlanLine, *, signed: bool) -> str:
    """What must be known of a line before its reason."""
    sign_off = "needs sign-off; " if signed else ""
    return sign_off + (f"starts {iso(line.start_at)}; " if line.start_at else "")


def _show_refusals(refusals: Sequence[Refusal]) -> None:
    if refusals:
        rows = [(one.rule, one.offering or "", one.detail) for one in refusals]
        print_table("Refused", ["rule", "offer", "detail"], rows)
