"""``tenor doctor``: checks what a decision needs, one by one, and says how to mend each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from service.domain.errors import InputError, TenorError
from service.domain.hours import iso
from service.guard.fields import Mode
from service.operate.daemon import not_ready
from service.operate.unlisted import TOLD_AFTER, advice_only
from service.providers.port import PermissionProof
from service.settings import Settings
from service.store.clock import SharedClock
from service.store.engine import open_engine, reading
from service.store.lease import database_now
from service.store.soundness import require_whole
from service.wiring import Parts, build, shipped

SQLITE_FULL = 2
"""SQLite's number for: every commit is on disk before it is answered."""

CLOCK_SKEW_MAX = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. ``mend`` is empty when it passed.

    ``proven``: it was found out either way. What is not ``required`` may stay unproven: its
    provider offers no way to find out.
    """

    name: str
    passed: bool
    finding: str
    mend: str
    proven: bool = True
    required: bool = True

    @property
    def state(self) -> str:
        """``ok``, ``FAILED`` or ``not proven``."""
        if not self.proven:
            return "not proven"
        return "ok" if self.passed else "FAILED"

    @property
    def stops(self) -> bool:
        """It must be mended before the policy's mode may be relied on."""
        return self.required and not self.passed

    def as_row(self) -> dict[str, object]:
        """The check as JSON values."""
        return {
            "check": self.name,
            "passed": self.passed,
            "proven": self.proven,
            "finding": self.finding,
            "mend": self.mend,
        }


def examine(settings: Settings) -> tuple[Check, ...]:
    """Every check, in the order in which they should be mended. Buys and changes nothing."""
    try:
        _require_whole(settings)
        parts = build(settings)
    except InputError as error:
        what = f"{error.file} {error.column or ''}".strip()
        return (Check(what, passed=False, finding=error.problem, mend=error.remedy),)
    except (TenorError, SQLAlchemyError, OSError) as error:
        mend = "Set TENOR_DATABASE_URL to a reachable database; then run tenor migrate."
        return (Check("database", passed=False, finding=_said(error), mend=mend),)
    try:
        return examined(parts)
    finally:
        parts.close()


def _require_whole(settings: Settings) -> None:
    """An SQLite file is read through before anything is built on it."""
    engine = open_engine(settings.database_url)
    try:
        require_whole(engine)
    finally:
        engine.dispose()


def examined(parts: Parts) -> tuple[Check, ...]:
    """Every check of ``parts``, which were built."""
    checks = [_run(parts, name, check, mend) for name, check, mend in _OURS]
    for one in parts.each():
        checks += _of_cloud(one)
    return tuple(checks)


def _of_cloud(parts: Parts) -> list[Check]:
    """What one cloud tells, and what may be done in it as far as the policy's modes go."""
    provider = parts.cloud.provider
    checks = [
        _run(parts, f"{provider}: {name}", check, mends.get(provider, mends["any"]))
        for name, check, mends in _THEIRS
    ]
    if parts.cloud.permissions is None or not checks[0].passed:
        return checks
    try:
        proofs = parts.cloud.permissions.permissions(_farthest_mode(parts))
    except TenorError as error:
        mend = f"Grant what docs/permissions has for {provider}."
        said = _said(error)
        return [*checks, Check(f"{provider}: permissions", passed=False, finding=said, mend=mend)]
    return checks + [_permission(provider, proof) for proof in proofs]


def _permission(provider: str, proof: PermissionProof) -> Check:
    """What cannot be found out is no pass; where asking was refused, it is to be mended."""
    return Check(
        f"{provider}: may {proof.action}",
        passed=proof.allowed is True,
        finding=proof.detail,
        mend="" if proof.allowed is True else proof.mend,
        proven=proof.allowed is not None,
        required=proof.allowed is False or proof.prover_failed,
    )


def _farthest_mode(parts: Parts) -> str:
    """The mode that needs most, of all that the policy sets anywhere."""
    policy = parts.policy().policy
    modes = {policy.mode, *(scope.mode for scope in policy.scopes)}
    return max(modes, key=list(Mode).index).value


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


def _durable(parts: Parts) -> str:
    """A commit that a power cut can lose is no record of a purchase."""
    with reading(parts.engine) as connection:
        if parts.engine.dialect.name == "sqlite":
            level = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
            told = {"synchronous": "FULL" if level >= SQLITE_FULL else str(level)}
            wanted = {"synchronous": {"FULL"}}
        else:
            wanted = {"fsync": {"on"}, "synchronous_commit": {"on", "remote_apply"}}
            told = {
                name: str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())
                for name in wanted
            }
    said = ", ".join(f"{name} is {value}" for name, value in told.items())
    if any(told[name] not in values for name, values in wanted.items()):
        raise _fail(f"{said}: a power cut could lose what was bought")
    return said


def _clock(parts: Parts) -> str:
    with reading(parts.engine) as connection:
        clock = parts.clock
        ours = clock.machine_now() if isinstance(clock, SharedClock) else clock.now()
        skew = abs(ours - database_now(connection))
    if skew > CLOCK_SKEW_MAX:
        raise _fail(f"this machine and the database differ by {skew.total_seconds():.0f} s")
    return f"{skew.total_seconds():.1f} s from the database's"


def _policy(parts: Parts) -> str:
    policy = parts.policy().policy
    return f"{policy.name}: {policy.mode.value}, digest {policy.digest[:12]}"


def _exports(parts: Parts) -> str:
    source = shipped(parts.settings.exports)
    if source.exists():
        return str(source)
    if all(cloud.exports is not None for cloud in parts.clouds):
        return f"{source} is made when they are fetched first"
    raise _fail(f"{source} is not there")


def _usage(parts: Parts) -> str:
    reason = not_ready(parts)
    if reason is not None:
        raise _fail(reason)
    provider = parts.cloud.provider
    newest = max(one.last_hour for one in parts.usage.manifest() if one.provider == provider)
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
    listed = f"{len(parts.cloud.reader.inventory())} commitments listed"
    held = advice_only(parts)
    if not held:
        return listed
    return f"{listed}; exports name {len(held)} of DynamoDB's reserved capacity, set aside"


def _all_plans(parts: Parts) -> str:
    if parts.cloud.committed_usd is None:
        return "the inventory spans the organisation"
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


_Asked = Callable[[Parts], str]

_OURS: tuple[tuple[str, _Asked, str], ...] = (
    ("database", _database, "Run tenor migrate."),
    (
        "durable commits",
        _durable,
        "Set fsync and synchronous_commit on in the database server; let a pooler pass options on.",
    ),
    ("clock", _clock, "Synchronise this machine's clock (NTP)."),
    ("policy", _policy, "Mend the policy file; tenor policy check shows every problem."),
    ("exports", _exports, "Set TENOR_EXPORTS to the folder that billing exports arrive in."),
)
"""What is looked at once: name, check, mend."""

_THEIRS: tuple[tuple[str, _Asked, dict[str, str]], ...] = (
    (
        "credentials",
        _identity,
        {
            "aws": "Name one source (TENOR_AWS_PROFILE, TENOR_AWS_TOKEN_FILE or TENOR_AWS_SOURCE) "
            "and the role that it assumes (TENOR_AWS_ROLE_ARN and TENOR_AWS_EXTERNAL_ID).",
            "any": "Set the credentials that docs/operations.md names for this cloud.",
        },
    ),
    (
        "purchase account",
        _account,
        {"any": "Name the credentials' account under purchase_accounts in the policy file."},
    ),
    (
        "usage",
        _usage,
        {"any": "Run tenor ingest on recent exports; check that deliveries arrive."},
    ),
    (
        "read accounts",
        _accounts,
        {
            "aws": "Allow organizations:ListAccounts.",
            "any": "Grant the reading role of docs/permissions.",
        },
    ),
    (
        "read inventory",
        _inventory,
        {
            "aws": "Allow savingsplans:DescribeSavingsPlans and ec2:DescribeReservedInstances.",
            "any": "Grant the reading role of docs/permissions.",
        },
    ),
    (
        "read all plans",
        _all_plans,
        {
            "aws": "Allow ce:GetSavingsPlansUtilization, in the payer account.",
            "any": "Grant the reading role of docs/permissions.",
        },
    ),
    (
        "read prices",
        _prices,
        {
            "aws": "Allow pricing:GetProducts and savingsplans:DescribeSavingsPlansOfferingRates; "
            "prices also need usage to be known.",
            "any": "Grant the reading role of docs/permissions; prices also need usage.",
        },
    ),
)
"""What is looked at in each cloud: name, check, the mend by provider."""
