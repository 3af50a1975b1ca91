"""``sts``, ``iam`` and ``organizations``: who one is, what one may do, which accounts there are."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

from service.sandbox.faults import ApiError
from service.sandbox.wire.call import Call, Handler
from service.sandbox.wire.paging import page_of
from service.sandbox.wire.protocol import ListOf
from service.sandbox.world import World

_ORGANISATION = "o-sandbox0001"
_SESSION_SECONDS = 3600
_SESSION_SECONDS_RANGE = range(900, 43_201)
_PAGE_MAX = 20


def caller(world: World, call: Call) -> Mapping[str, object]:
    """``GetCallerIdentity``."""
    _ = world
    who = call.principal
    return {"UserId": who.user_id, "Account": who.account, "Arn": who.arn}


def assume_role(world: World, call: Call) -> Mapping[str, object]:
    """``AssumeRole``."""
    fields = call.fields
    seconds = fields.integer_or_none("DurationSeconds") or _SESSION_SECONDS
    if seconds not in _SESSION_SECONDS_RANGE:
        raise fields.invalid("DurationSeconds must be 900 to 43200.")
    keys = world.identity.assume(
        call.principal,
        fields.text("RoleArn"),
        fields.text("RoleSessionName"),
        fields.text_or_none("ExternalId"),
    )
    # SDKs judge expiry by their machine's clock, which the virtual one must not run ahead of.
    expires = datetime.now(UTC) + timedelta(seconds=seconds)
    return {
        "Credentials": {
            "AccessKeyId": keys.access_key,
            "SecretAccessKey": keys.secret_key,
            "SessionToken": keys.session_token,
            "Expiration": expires,
        },
        "AssumedRoleUser": {
            "AssumedRoleId": keys.principal.user_id,
            "Arn": keys.principal.arn,
        },
        "PackedPolicySize": 0,
    }


def describe_organization(world: World, call: Call) -> Mapping[str, object]:
    """``DescribeOrganization``."""
    _ = call
    return {
        "Organization": {
            "Id": _ORGANISATION,
            "Arn": f"arn:aws:organizations::{world.payer}:organization/{_ORGANISATION}",
            "FeatureSet": "ALL",
            "MasterAccountArn": _account_arn(world, world.payer),
            "MasterAccountId": world.payer,
            "MasterAccountEmail": "payer@sandbox.invalid",
            "AvailablePolicyTypes": [],
        }
    }


def list_accounts(world: World, call: Call) -> Mapping[str, object]:
    """``ListAccounts``: for the management account only, as in an organisation."""
    if call.principal.account != world.payer:
        raise ApiError("AccessDeniedException", "You don't have permissions to list accounts.")
    asked = call.fields.integer_or_none("MaxResults")
    if asked is not None and not 1 <= asked <= _PAGE_MAX:
        raise call.fields.invalid(f"MaxResults must be 1 to {_PAGE_MAX}.")
    joined = world.usage.hours.start
    everyone = [
        {
            "Id": number,
            "Arn": _account_arn(world, number),
            "Email": f"{name}@sandbox.invalid",
            "Name": name,
            "Status": "ACTIVE",
            "State": "ACTIVE",
            "JoinedMethod": "CREATED",
            "JoinedTimestamp": joined,
        }
        for name, number in world.accounts.items()
    ]
    page, following = page_of(
        everyone,
        token=call.fields.text_or_none("NextToken"),
        limit=min(asked or _PAGE_MAX, world.options.page_size),
        fingerprint=call.fields.fingerprint(),
        invalid_code=call.fields.invalid_code,
    )
    return {"Accounts": list(page)} | ({"NextToken": following} if following else {})


def simulate(world: World, call: Call) -> Mapping[str, object]:
    """``SimulatePrincipalPolicy``: everything is granted but what the world denies.

    What it grants on some resources only is denied on others, and on ``*``, which is asked about
    where no resource is named.
    """
    form = call.form
    source = form.text("PolicySourceArn")
    if not source.startswith("arn:aws:iam::"):
        raise ApiError("InvalidInput", "The source must be a user, group or role.")
    actions = form.texts("ActionNames.member")
    if not actions:
        raise ApiError("InvalidInput", "ActionNames is required.")
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": "allowed"
            if action not in world.denied
            and fnmatchcase(resource, world.granted_on.get(action, "*"))
            else "implicitDeny",
        }
        for action in actions
        for resource in form.texts("ResourceArns.member") or ["*"]
    ]
    return {"EvaluationResults": ListOf("member", results), "IsTruncated": False}


def _account_arn(world: World, account: str) -> str:
    return f"arn:aws:organizations::{world.payer}:account/{_ORGANISATION}/{account}"


STS_OPERATIONS: Mapping[str, Handler] = {
    "GetCallerIdentity": caller,
    "AssumeRole": assume_role,
}
IAM_OPERATIONS: Mapping[str, Handler] = {"SimulatePrincipalPolicy": simulate}
ORGANIZATIONS_OPERATIONS: Mapping[str, Handler] = {
    "DescribeOrganization": describe_organization,
    "ListAccounts": list_accounts,
}
