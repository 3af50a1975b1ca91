"""``ProviderPermissions``: what the credentials may do, as Google itself answers.

Every permission is asked of the resource that it is needed on: the project that buys, every other
project whose commitments are read, the billing account, the export's table. The lists are those of
``docs/permissions``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum

from service.domain.errors import InputError, ProviderError
from service.providers.gcp.clients import (
    READ_TIMEOUT_SECONDS,
    RESOURCE_MANAGER,
    GcpClients,
    failed,
    invoke,
    wire_errors,
)
from service.providers.gcp.reader import projects
from service.providers.port import PermissionProof


class Holder(StrEnum):
    """What a permission is held on."""

    PROJECT = "project"
    OTHER_PROJECTS = "other projects"
    BILLING_ACCOUNT = "billing account"
    EXPORT = "billing export"


_OBSERVE: Mapping[Holder, tuple[str, ...]] = {
    Holder.PROJECT: (
        "compute.commitments.get",
        "compute.commitments.list",
        "resourcemanager.projects.get",
    ),
    # What is owned is read in all of them, and one that cannot be read stops the reading.
    Holder.OTHER_PROJECTS: ("compute.commitments.get", "compute.commitments.list"),
    Holder.BILLING_ACCOUNT: (
        "billing.resourceAssociations.list",
        "consumerprocurement.orders.get",
        "consumerprocurement.orders.list",
    ),
    Holder.EXPORT: ("bigquery.tables.get", "bigquery.tables.getData"),
}
_BUYING: Mapping[Holder, tuple[str, ...]] = {
    Holder.PROJECT: (
        "compute.commitments.create",
        "compute.commitments.update",
        # A purchase is an operation; what became of it is read there.
        "compute.regionOperations.get",
        "compute.regionOperations.list",
    ),
    Holder.BILLING_ACCOUNT: ("consumerprocurement.orders.place",),
    Holder.EXPORT: (),
}
_QUERYING = "bigquery.jobs.create"
IN_OTHERS = "in other projects"
MODES = ("observe", "copilot", "autopilot")


def needed(mode: str) -> Mapping[Holder, tuple[str, ...]]:
    """The permissions that ``mode`` needs, by what they are held on.

    Copilot buys what a person signed, with the same credentials as autopilot.
    """
    if mode not in MODES:
        raise InputError(
            f"{mode!r} is not a mode", file="the policy", remedy=f"Use one of {', '.join(MODES)}."
        )
    buying = {} if mode == MODES[0] else _BUYING
    return {
        holder: (
            *names,
            *((_QUERYING,) if holder is Holder.PROJECT else ()),
            *buying.get(holder, ()),
        )
        for holder, names in _OBSERVE.items()
    }


class GcpPermissions:
    """Asks Google about the permissions of one set of credentials."""

    def __init__(self, clients: GcpClients) -> None:
        self._clients = clients

    def permissions(self, mode: str) -> Sequence[PermissionProof]:
        """Proof of each permission that ``mode`` needs; ``None`` where Google did not answer."""
        ask: Mapping[Holder, Callable[[Sequence[str]], frozenset[str]]] = {
            Holder.PROJECT: self._of_buying_project,
            Holder.BILLING_ACCOUNT: self._of_billing_account,
            Holder.EXPORT: self._of_export,
        }
        proofs: list[PermissionProof] = []
        for holder, names in needed(mode).items():
            if holder is Holder.EXPORT and self._clients.access.export_table is None:
                continue
            if holder is Holder.OTHER_PROJECTS:
                proofs += self._of_other_projects(mode, names)
                continue
            proofs += self._proofs(mode, holder, names, ask[holder])
        return proofs

    def _proofs(
        self,
        mode: str,
        holder: Holder,
        names: Sequence[str],
        ask: Callable[[Sequence[str]], frozenset[str]],
    ) -> list[PermissionProof]:
        on = f"{holder} {self._named(holder)}"
        mend = (
            f"Grant the custom role of docs/permissions/gcp-{mode}.yaml on the {on} "
            f"to {self._clients.principal}."
        )
        try:
            granted = ask(names)
        except ProviderError as error:
            return [PermissionProof(name, None, f"on the {on}: {error}", mend) for name in names]
        return [PermissionProof(name, name in granted, f"on the {on}", mend) for name in names]

    def _of_other_projects(self, mode: str, names: Sequence[str]) -> list[PermissionProof]:
        """Of each permission, in which of the billing account's other projects it is lacking."""
        mend = (
            f"Grant the custom role of docs/permissions/gcp-{mode}.yaml on every project of the "
            f"billing account, or on their folder, to {self._clients.principal}."
        )
        try:
            others = sorted(set(projects(self._clients)) - {self._clients.access.project})
        except ProviderError as error:
            others, silent = [], [f"the billing account's list of them ({error})"]
        else:
            silent = []
        lacking: dict[str, list[str]] = {name: [] for name in names}
        for project in others:
            try:
                granted = self._of_project(project, names)
            except ProviderError as error:
                silent.append(f"{project} ({error})")
                continue
            for name in names:
                if name not in granted:
                    lacking[name].append(project)
        return [
            PermissionProof(
                f"{name} {IN_OTHERS}", *_everywhere(len(others), lacking[name], silent), mend
            )
            for name in names
        ]

    def _named(self, holder: Holder) -> str:
        access = self._clients.access
        return {
            Holder.PROJECT: access.project,
            Holder.BILLING_ACCOUNT: access.billing_account,
            Holder.EXPORT: access.export_table or "",
        }[holder]

    def _of_buying_project(self, names: Sequence[str]) -> frozenset[str]:
        return self._of_project(self._clients.access.project, names)

    def _of_project(self, project: str, names: Sequence[str]) -> frozenset[str]:
        url = f"{self._clients.access.endpoint_url or RESOURCE_MANAGER}/v3/projects/{project}"
        try:
            answer = self._clients.session().post(
                f"{url}:testIamPermissions",
                json={"permissions": list(names)},
                timeout=READ_TIMEOUT_SECONDS,
            )
            answer.raise_for_status()
            return frozenset(answer.json().get("permissions", ()))
        except wire_errors() as error:
            raise failed("projects.testIamPermissions", error) from error

    def _of_billing_account(self, names: Sequence[str]) -> frozenset[str]:
        answer = invoke(
            "billingAccounts.testIamPermissions",
            self._clients.billing().test_iam_permissions,
            resource=f"billingAccounts/{self._clients.access.billing_account}",
            permissions=list(names),
        )
        return frozenset(answer.permissions)

    def _of_export(self, names: Sequence[str]) -> frozenset[str]:
        answer = invoke(
            "tables.testIamPermissions",
            self._clients.bigquery().test_iam_permissions,
            table=self._clients.access.export_table or "",
            permissions=list(names),
        )
        return frozenset(answer.get("permissions", ()))


def _everywhere(
    count: int, lacking: Sequence[str], silent: Sequence[str]
) -> tuple[bool | None, str]:
    """Whether something is granted on all of ``count`` projects, and where it is not."""
    if lacking:
        return False, f"lacking on {len(lacking)} of {count} other projects: {', '.join(lacking)}"
    if silent:
        return None, f"not told by {', '.join(silent)}"
    return True, f"on all {count} other projects of the billing account"
