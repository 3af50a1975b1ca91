"""Decides what somebody may do whom the identity provider vouches for: claims to role, accounts.

A role is given for what a claim lists, by a table in the settings; without any there is no role,
and without a role nothing is opened. An account claim limits to the accounts that it lists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.api.oidc import Issuer, require_secure
from service.api.tokens import LABEL_LENGTH_MAX, Caller
from service.domain.errors import InputError
from service.store.states import Role


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity provider, and what its claims mean here.

    ``audience`` is whom bearer tokens must be for; ``client_id`` is this service at the sign-in.
    ``roles`` says which value of ``roles_claim`` gives which role. ``public_url`` is where
    browsers reach this service.
    """

    issuer: Issuer
    client_id: str
    client_secret: str | None
    audience: str
    roles_claim: str
    roles: Mapping[str, Role]
    accounts_claim: str | None
    public_url: str

    def __repr__(self) -> str:
        """Never the secret: a repr ends up in logs."""
        return f"Identity({self.issuer.url}, {self.client_id})"

    def caller(self, claims: Mapping[str, Any]) -> Caller | None:
        """Who these claims are of; ``None`` when they give no role."""
        given = [self.roles[one] for one in _listed(claims, self.roles_claim) if one in self.roles]
        if not given:
            return None
        accounts = None
        if self.accounts_claim is not None:
            accounts = frozenset(_listed(claims, self.accounts_claim))
            if "*" in accounts:
                accounts = None
        subject = str(claims["sub"])
        return Caller(
            token_id=None,
            label=_name(claims) or subject[:LABEL_LENGTH_MAX],
            role=max(given, key=list(Role).index),
            accounts=accounts,
            subject=f"{self.issuer.url}#{subject}",
        )


def _name(claims: Mapping[str, Any]) -> str:
    """What the person is called: an address only if it is verified, for it may match another's."""
    if claims.get("email_verified") is True and isinstance(claims.get("email"), str):
        name = claims["email"]
    else:
        name = claims.get("preferred_username") or claims.get("name") or ""
    if not isinstance(name, str) or not name.isprintable():
        return ""
    return name.strip()[:LABEL_LENGTH_MAX]


def _listed(claims: Mapping[str, Any], path: str) -> list[str]:
    """The texts in a claim, which may lie deeper (``realm_access.roles``)."""
    found: Any = claims.get(path)
    if found is None:
        found = claims
        for part in path.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        return [found]
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def roles_of(text: str, *, variable: str) -> Mapping[str, Role]:
    """``"group=role, …"`` as a table; ``InputError`` for anything else."""
    table: dict[str, Role] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        value, _, role = item.rpartition("=")
        if not value.strip() or role.strip() not in set(Role):
            raise InputError(
                f"{item!r} is not value=role",
                file="the environment",
                column=variable,
                remedy=f"Give pairs such as tenor-approvers=approver; roles: {', '.join(Role)}.",
            )
        table[value.strip()] = Role(role.strip())
    return table


def secret_in(path: Path, *, variable: str) -> str:
    """The one secret that a file holds; ``InputError`` when it cannot be had."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot be read ({type(error).__name__})",
            file=str(path),
            column=variable,
            remedy="Give a readable file that holds the secret alone.",
        ) from error
    if not secret:
        raise InputError(
            "is empty", file=str(path), column=variable, remedy="Write the secret into it."
        )
    return secret


def public_address(url: str) -> str:
    """Where browsers reach this service, checked to be https, or http on loopback."""
    return require_secure(url, variable="TENOR_PUBLIC_URL").rstrip("/")
