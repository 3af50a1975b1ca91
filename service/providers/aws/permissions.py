"""``ProviderPermissions``: proves what the credentials may do, and buys nothing in doing so.

A read is proven by reading the smallest page. EC2 judges a dry run without acting. For the rest IAM
is asked what it would decide (``SimulatePrincipalPolicy``), where that is granted; where it is not,
the proof says that nothing could be proven.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.domain.errors import ProviderError
from service.providers.aws.clients import AwsClients, invoke, invoke_all
from service.providers.aws.permission_table import Needed, Proof, needed_for
from service.providers.port import PermissionProof

_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnauthorizedOperation",
        "NotAuthorized",
        "AuthorizationError",
    }
)
_DRY_RUN = "DryRunOperation"
_GLOBAL_REGION = "us-east-1"
_GLOBAL = frozenset({"pricing", "ce", "organizations"})
_ASSUMED = re.compile(r"arn:(aws[\w-]*):sts::(\d{12}):assumed-role/([\w+=,.@-]+)/.+\Z")
_SIMULATED_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class _Judgement:
    allowed: bool | None
    detail: str
    prover_failed: bool = False


class AwsPermissions:
    """Asks about one set of credentials.

    ``optional``: actions asked about besides those that every deployment needs. ``granted_on``:
    buckets and objects (``BUCKET``, ``BUCKET/PREFIX*``) that an action is asked about; the policy
    grants it on them alone, and IAM denies it on everything.
    """

    def __init__(
        self,
        clients: AwsClients,
        *,
        optional: Sequence[str] = (),
        granted_on: Mapping[str, str] | None = None,
    ) -> None:
        self._clients = clients
        self._optional = frozenset(optional)
        self._granted_on = granted_on or {}

    def permissions(self, mode: str) -> Sequence[PermissionProof]:
        """Proof of each action that ``mode`` needs, reads first. Buys and changes nothing.

        ``ProviderError`` when AWS does not say who the credentials are; ``InputError`` for a word
        that is no mode.
        """
        needed = [
            one for one in needed_for(mode) if not one.optional or one.action in self._optional
        ]
        simulated = self._simulate([one.action for one in needed if one.proof is Proof.SIMULATED])
        return [
            PermissionProof(
                action=one.action,
                allowed=judged.allowed,
                detail=judged.detail,
                mend=_mend(one, judged, mode),
                prover_failed=one.buys and judged.prover_failed,
            )
            for one in needed
            for judged in [self._judge(one, simulated)]
        ]

    def _judge(self, one: Needed, simulated: Mapping[str, _Judgement]) -> _Judgement:
        if one.proof is Proof.SIMULATED:
            return simulated[one.action]
        region = _GLOBAL_REGION if one.client in _GLOBAL else None
        client = self._clients.reading(one.client, region)
        arguments = dict(one.arguments)
        if one.proof is Proof.DRY_RUN:
            arguments["DryRun"] = True
        try:
            invoke(client, one.method, arguments)
        except ProviderError as error:
            if error.code == _DRY_RUN:
                return _Judgement(allowed=True, detail="AWS would do it (dry run)")
            if error.code in _DENIED:
                return _Judgement(allowed=False, detail=error.detail)
            return _Judgement(allowed=None, detail=f"not proven: {error.code}: {error.detail}")
        if one.proof is Proof.DRY_RUN:
            return _Judgement(allowed=None, detail="not proven: the dry run was not understood")
        return _Judgement(allowed=True, detail="read")

    def _simulate(self, actions: Sequence[str]) -> dict[str, _Judgement]:
        """What IAM says of each action; unproven where it may not be asked."""
        try:
            who = invoke(self._clients.reading("sts"), "get_caller_identity", {}, needs="Arn")
            arn = _policy_source(str(who["Arn"]))
            found: dict[str, _Judgement] = {}
            for asked in self._questions(actions, arn):
                for one in invoke_all(
                    self._clients.reading("iam", _GLOBAL_REGION),
                    "simulate_principal_policy",
                    {"PolicySourceArn": arn, **asked},
                    items="EvaluationResults",
                    token="Marker",  # noqa: S106  # the name of a field
                ):
                    decision = one["EvalDecision"]
                    judged = _Judgement(decision == "allowed", f"IAM decides: {decision}")
                    found[one["EvalActionName"]] = judged
        except ProviderError as error:
            if error.operation.startswith("sts."):
                raise
            unproven = _Judgement(
                allowed=None,
                detail=f"not proven: iam:SimulatePrincipalPolicy: {error.code}",
                prover_failed=True,
            )
            return dict.fromkeys(actions, unproven)
        silent = _Judgement(allowed=None, detail="not proven: IAM did not answer for it")
        return {action: found.get(action, silent) for action in actions}

    def _questions(self, actions: Sequence[str], arn: str) -> Iterator[dict[str, list[str]]]:
        """What IAM is asked: of everything, then of each resource that an action is granted on."""
        anywhere = [action for action in actions if action not in self._granted_on]
        for first in range(0, len(anywhere), _SIMULATED_AT_ONCE):
            yield {"ActionNames": anywhere[first : first + _SIMULATED_AT_ONCE]}
        partition = arn.split(":")[1]
        for action in actions:
            if action in self._granted_on:
                resource = f"arn:{partition}:s3:::{self._granted_on[action]}"
                yield {"ActionNames": [action], "ResourceArns": [resource]}


def _mend(one: Needed, judged: _Judgement, mode: str) -> str:
    if judged.prover_failed:
        return (
            "Allow iam:SimulatePrincipalPolicy on the role itself "
            f"(docs/permissions/aws-{mode}.json), so that {one.action} can be proven."
        )
    return f"Allow {one.action} (docs/permissions/aws-{mode}.json)."


def _policy_source(arn: str) -> str:
    """Whose policies count: the role behind a session, else the caller.

    A session's ARN lacks its role's path; a role that has one cannot be simulated by it.
    """
    session = _ASSUMED.match(arn)
    if session is None:
        return arn
    return f"arn:{session[1]}:iam::{session[2]}:role/{session[3]}"
