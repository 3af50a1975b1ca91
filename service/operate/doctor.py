"""``tenor doctor``: checks what a decision needs, one by one, and says how to mend each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from service.domain.errors import InputError, TenorError
from service.domain.hours import iso
from service.operate.daemon import not_ready
from service.operate.unlisted import TOLD_AFTER
from service.settings import Settings
from service.store.engine import reading
from service.store.lease import database_now
from service.wiring import Parts, build, shipped

CLOCK_SKEW_MAX = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. ``mend`` is empty when it passed."""

    name: str
    passed: bool
    finding: str
    mend: str

    def as_row(self) -> dict[str, object]:
        """The check as JSON values."""
        return {
            "check": self.name,
            "passed": self.passed,
            "finding": self.finding,
            "mend": self.mend,
        }


def examine(settings: Settings) -> tuple[Check, ...]:
    """Every check, in the order in which they should be mended. Buys and changes nothing."""
    try:
        parts = build(settings)
    except (TenorError, SQLAlchemyError, OSError) as error:
        mend = "Set TENOR_DATABASE_URL to a reachable database; then run tenor migrate."
        return (Check("database", passed=False, finding=_said(error), mend=mend),)
    checks: tuple[tuple[str, Callable[[Parts], str], str], ...] = (
        ("database", _database, "Run tenor migrate."),
        ("clock", _clock, "Synchronise this machine's clock (NTP)."),
        ("policy", _policy, "Mend the policy file; tenor policy check shows every problem."),
        ("exports", _exports, "Set TENOR_EXPORTS to the folder that billing exports arrive in."),
        ("usage", _usage, "Run tenor ingest on recent exports; check that deliveries arrive."),
        ("credentials", _identity, "Set TENOR_AWS_ROLE_ARN, TENOR_AWS_EXTERNAL_ID or a profile."),
        ("purchase account", _account, "Name the credentials' account in purchase_accounts."),
        ("read: organisation", _accounts, "Allow organizations:ListAccounts."),
        ("read: inventory", _inventory, "Allow savingsplans:Describe*, ec2:DescribeReserved*."),
        ("read: all plans", _all_plans, "Allow ce:GetSavingsPlansUtilization, in the payer."),
        ("read: prices", _prices, "Allow pricing:GetProducts, savingsplans:Describe*."),
    )
    try:
        return tuple(_run(parts, name, check, mend) for name, check, mend in checks)
    finally:
        parts.close()


def _run(parts: Parts, name: str, check: Callable[[Parts], str], mend: str) -> Check:
    try:
        return Check(name, passed=True, finding=check(parts), mend="")
    except (TenorError, SQLAlchemyError, OSError) as error:
        return Check(name, passed=False, finding=_said(error), mend=mend)


def _said(error: Exception) -> str:
    if isinstance(error, InputError):
        return error.problem
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _fail(problem: str) -> InputError:
    return InputError(problem, file="this deployment", remedy="See the mend.")


def _database(parts: Parts) -> str:
    with reading(parts.engine) as connection:
        return f"{parts.engine.dialect.name}, its clock says {iso(database_now(connection))}"


def _clock(parts: Parts) -> str:
    with reading(parts.engine) as connection:
        skew = abs(parts.clock.now() - database_now(connection))
    if skew > CLOCK_SKEW_MAX:
        raise _fail(f"this machine and the database differ by {skew.total_seconds():.0f} s")
    return f"{skew.total_seconds():.1f} s from the database's"


def _policy(parts: Parts) -> str:
    policy = parts.policy().policy
    return f"{policy.name}: {policy.mode.value}, digest {policy.digest[:12]}"


def _exports(parts: Parts) -> str:
    source = shipped(parts.settings.exports)
    if not source.exists():
        raise _fail(f"{source} is not there")
    return str(source)


def _usage(parts: Parts) -> str:
    reason = not_ready(parts)
    if reason is not None:
        raise _fail(reason)
    newest = max(entry.last_hour for entry in parts.usage.manifest())
    return f"known through {iso(newest)}"


def _identity(parts: Parts) -> str:
    who = parts.cloud.reader.identity()
    return f"{who.provider} account {who.account}"


def _account(parts: Parts) -> str:
    who = parts.cloud.reader.identity()
    named = getattr(parts.policy().policy.purchase_accounts, who.provider)
    if named != who.account:
        raise _fail(f"the policy buys in {named}, the credentials are for {who.account}")
    return f"{named}, as the policy says"


def _accounts(parts: Parts) -> str:
    return f"{len(parts.cloud.reader.accounts())} active accounts"


def _inventory(parts: Parts) -> str:
    return f"{len(parts.cloud.reader.inventory())} commitments listed"


def _all_plans(parts: Parts) -> str:
    day = (parts.clock.now() - TOLD_AFTER).date()
    return f"the organisation committed {parts.cloud.committed_usd(day):.2f} USD on {day}"


def _prices(parts: Parts) -> str:
    reason = not_ready(parts)
    if reason is not None:
        raise _fail(f"no usage to price: {reason}")
    from service.operate.situation import read_prices, read_usage  # noqa: PLC0415

    usage = read_usage(parts, parts.policy().policy)
    snapshot = read_prices(parts, usage)
    return f"{len(snapshot.skus)} SKUs, {len(snapshot.offerings)} offerings"
