"""Proves what the credential may do in Azure, by asking and by doing what changes nothing.

Azure tells what is granted in a scope (``Microsoft.Authorization/permissions``); each action of a
mode is held against that list. A scope whose list is not told leaves its actions unproven
(``None``), never proven. A read is proven by reading where that says something: orders of
reservations and of savings plans are listed as far as the caller may see them, and a short list
looks like a whole one, so that they are proven by the tenant's list of permissions alone. Resource
providers must be registered besides, and Tenor registers none. What modes need is data:
``permissions.yaml``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import yaml

from service.domain.errors import InputError, ProviderError
from service.providers.azure.charges import hourly_charges
from service.providers.azure.clients import Answer, AzureClients, read
from service.providers.azure.words import VIRTUAL_MACHINES
from service.providers.port import PermissionProof

_PERMISSIONS_VERSION = "2022-04-01"
_PROVIDERS_VERSION = "2021-04-01"
_SUBSCRIPTIONS_VERSION = "2022-12-01"
_OF_THE_TENANT = frozenset({"reservations", "savings_plans"})
_NAMESPACES = ("Microsoft.Capacity", "Microsoft.BillingBenefits")
_FORBIDDEN = frozenset({"AuthorizationFailed", "Forbidden", "HTTP 401", "HTTP 403"})
_EXPORTS = "Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read"


@dataclass(frozen=True, slots=True)
class Needed:
    """One action that a mode needs, where it is granted, and the role that has it.

    ``also``: a scope at which a grant may be enough, which Azure does not say.
    """

    mode: str
    action: str
    scope: str
    role: str
    also: str = ""


@dataclass(frozen=True, slots=True)
class _Granted:
    """What a scope's permissions say: patterns granted and, in each entry, taken away again."""

    entries: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]

    def allows(self, action: str) -> bool:
        wanted = action.lower()
        return any(_fits(wanted, yes) and not _fits(wanted, no) for yes, no in self.entries)


def _fits(action: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(action, pattern.lower()) for pattern in patterns)


class AzurePermissions:
    """``ProviderPermissions`` for one Azure subscription."""

    def __init__(self, clients: AzureClients) -> None:
        self._clients = clients

    def permissions(self, mode: str) -> Sequence[PermissionProof]:
        """Proof of each action that ``mode`` needs, reads first."""
        reads, scopes = self._reads(), self._paths()
        needed = [one for one in needed_for(mode) if one.scope in scopes]
        asked = {
            scope
            for one in needed
            if one.action not in reads
            for scope in (one.scope, one.also)
            if scope
        }
        granted = {scope: self._granted(scope) for scope in sorted(asked)}
        proofs = [
            self._by_reading(one, reads[one.action])
            if one.action in reads
            else self._by_list(one, granted)
            for one in needed
        ]
        proofs += [self._registered(namespace) for namespace in _NAMESPACES]
        if self._clients.access.exports_url is not None:
            proofs.append(self._exports())
        return proofs

    def _paths(self) -> Mapping[str, str]:
        charges = self._clients.access.charges_scope
        return {
            "subscription": f"/subscriptions/{self._clients.access.subscription_id}",
            "reservations": "/providers/Microsoft.Capacity",
            "savings_plans": "/providers/Microsoft.BillingBenefits",
            # Nobody's hourly charges are read unless rows of days are shaped by them.
            **({} if charges is None else {"charges": charges}),
        }

    def _granted(self, scope: str) -> _Granted | ProviderError:
        path = f"{self._paths()[scope]}/providers/Microsoft.Authorization/permissions"
        try:
            listed = list(
                self._clients.get_all(
                    "Permissions.List", path, {"api-version": _PERMISSIONS_VERSION}
                )
            )
        except ProviderError as error:
            return error
        return _Granted(
            tuple((_texts(one, "actions"), _texts(one, "notActions")) for one in listed)
        )

    def _reads(self) -> Mapping[str, Callable[[], object]]:
        """Reads that change nothing and cost nothing, by the action that each proves."""
        clients, subscription = self._clients, self._paths()["subscription"]
        charges = clients.access.charges_scope or ""
        capacity = clients.reservations
        return {
            "Microsoft.Resources/subscriptions/read": lambda: clients.get(
                "Subscriptions.Get", subscription, {"api-version": _SUBSCRIPTIONS_VERSION}
            ),
            "Microsoft.Capacity/catalogs/read": lambda: _first(
                "Catalog.List",
                lambda: capacity.get_catalog(
                    clients.access.subscription_id,
                    reserved_resource_type=VIRTUAL_MACHINES,
                    location="eastus",
                ),
            ),
            "Microsoft.CostManagement/benefitRecommendations/read": lambda: hourly_charges(
                clients, charges
            ),
        }

    def _by_reading(self, one: Needed, ask: Callable[[], object]) -> PermissionProof:
        try:
            ask()
        except ProviderError as error:
            allowed = False if error.code in _FORBIDDEN else None
            return self._proof(one, allowed=allowed, detail=str(error))
        return self._proof(one, allowed=True, detail="read")

    def _by_list(
        self, one: Needed, told: Mapping[str, _Granted | ProviderError]
    ) -> PermissionProof:
        granted, place = told[one.scope], self._paths()[one.scope]
        if not isinstance(granted, ProviderError) and granted.allows(one.action):
            return self._proof(one, allowed=True, detail=f"granted on {place}")
        also = told.get(one.also)
        if isinstance(also, _Granted) and also.allows(one.action):
            return self._proof(
                one,
                allowed=None,
                detail=f"granted on {self._paths()[one.also]}; whether that is enough for "
                f"requests to {place} Azure does not say",
            )
        if isinstance(granted, ProviderError):
            detail = f"Azure does not tell what is granted on {place}: {granted}"
            return self._proof(one, allowed=None, detail=detail)
        return self._proof(one, allowed=False, detail=f"not granted on {place}")

    def _proof(self, one: Needed, *, allowed: bool | None, detail: str) -> PermissionProof:
        """What was seen of ``one``, and how to grant it: nothing of the tenant's takes our role."""
        place = self._paths()[one.scope]
        ours = f"a custom role with {one.action} (docs/permissions/azure-{one.mode}.json)"
        if one.scope in _OF_THE_TENANT:
            mend = f"Assign {one.role} on {place}, which has {one.action} (docs/permissions)."
        else:
            mend = f"Assign {f'{one.role}, or {ours},' if one.role else ours} on {place}."
        return PermissionProof(one.action, allowed, detail, mend)

    def _registered(self, namespace: str) -> PermissionProof:
        path = f"{self._paths()['subscription']}/providers/{namespace}"
        mend = f"Register it: az provider register --namespace {namespace}"
        action = f"{namespace} is registered"
        try:
            answer = self._clients.get("Providers.Get", path, {"api-version": _PROVIDERS_VERSION})
        except ProviderError as error:
            return PermissionProof(action, None, str(error), mend)
        state = str(answer.get("registrationState"))
        return PermissionProof(action, state == "Registered", state, mend)

    def _exports(self) -> PermissionProof:
        mend = "Assign Storage Blob Data Reader on the container of cost exports."
        prefix = self._clients.access.exports_prefix
        try:
            _first(
                "Blob.List",
                lambda: self._clients.exports.list_blobs(name_starts_with=prefix or None),
            )
        except ProviderError as error:
            return PermissionProof(_EXPORTS, allowed=False, detail=str(error), mend=mend)
        return PermissionProof(_EXPORTS, allowed=True, detail="read", mend=mend)


def needed_for(mode: str) -> tuple[Needed, ...]:
    """What ``mode`` needs, with what the modes before it need; ``InputError`` for no mode."""
    modes, rows = _shipped()
    if mode not in modes:
        raise InputError(
            f"{mode!r} is not a mode", file="the request", remedy=f"Use one of {', '.join(modes)}."
        )
    until = modes[: modes.index(mode) + 1]
    return tuple(row for row in rows if row.mode in until)


@cache
def _shipped() -> tuple[tuple[str, ...], tuple[Needed, ...]]:
    raw = yaml.safe_load(files(__package__).joinpath("permissions.yaml").read_text("utf-8"))
    return tuple(raw["modes"]), tuple(Needed(**row) for row in raw["permissions"])


def _first(operation: str, pages: Callable[[], object]) -> object:
    def ask() -> object:
        found = pages()
        return next(iter(found), None)  # type: ignore[call-overload]

    return read(operation, ask)


def _texts(one: Answer, name: str) -> tuple[str, ...]:
    return tuple(str(word) for word in one.get(name) or ())
