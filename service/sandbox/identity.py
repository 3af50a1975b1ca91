"""Who may call the sandbox: decides which account a pair of keys speaks for.

The keys are dummies that mean something here only. Roles exist in every account of the
organisation under one name, and ask for the external id when the world has one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from uuid import UUID

from service.domain.ids import AccountId
from service.sandbox.faults import ApiError

ROOT_ACCESS_KEY = "AKIASANDBOXSANDBOX00"
ROOT_SECRET_KEY = "sandbox-keys-open-nothing-elsewhere"  # noqa: S105  # opens the sandbox only
ROLE_NAME = "tenor"
_ROLE_ARN = re.compile(r"arn:aws:iam::(\d{12}):role/(?:[\w+=,.@-]+/)*([\w+=,.@-]+)\Z")


@dataclass(frozen=True, slots=True)
class Principal:
    """Whom a request comes from."""

    account: AccountId
    arn: str
    user_id: str


@dataclass(frozen=True, slots=True)
class TemporaryKeys:
    """What ``AssumeRole`` hands out."""

    principal: Principal
    access_key: str
    secret_key: str
    session_token: str


@dataclass(slots=True)
class IdentityDesk:
    """Long-lived keys of the payer and temporary ones of assumed roles."""

    accounts: Mapping[str, AccountId]
    payer: AccountId
    external_id: str | None
    new_id: Callable[[], UUID]
    _by_access_key: dict[str, Principal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        arn = f"arn:aws:iam::{self.payer}:user/{ROLE_NAME}"
        self._by_access_key[ROOT_ACCESS_KEY] = Principal(self.payer, arn, "AIDASANDBOXSANDBOX00")

    def principal(self, access_key: str) -> Principal | None:
        """Whom the access key belongs to, if anyone."""
        return self._by_access_key.get(access_key)

    def assume(
        self, caller: Principal, role_arn: str, session: str, external_id: str | None
    ) -> TemporaryKeys:
        """Keys for a role of one of the organisation's accounts."""
        match = _ROLE_ARN.match(role_arn)
        account = AccountId(match.group(1)) if match else None
        role = match.group(2) if match else ""
        if (
            account not in self.accounts.values()
            or role != ROLE_NAME
            or (self.external_id is not None and external_id != self.external_id)
        ):
            raise ApiError(
                "AccessDenied",
                f"User: {caller.arn} is not authorized to perform: sts:AssumeRole on resource: "
                f"{role_arn}",
                403,
            )
        serial = self.new_id().hex.upper()
        keys = TemporaryKeys(
            principal=Principal(
                AccountId(str(account)),
                f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
                f"AROA{serial[:16]}:{session}",
            ),
            access_key=f"ASIA{serial[:16]}",
            secret_key=serial,
            session_token=f"sandbox-{serial}",
        )
        self._by_access_key[keys.access_key] = keys.principal
        return keys
