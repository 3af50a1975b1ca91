"""How to reach a sandbox: the only place that pairs its keys with its address."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from service.domain.errors import InputError
from service.providers.aws.clients import AwsAccess
from service.providers.aws.credentials import Keys
from service.sandbox.identity import ROLE_NAME, ROOT_ACCESS_KEY, ROOT_SECRET_KEY

REGION = "us-east-1"


def sandbox_access(
    endpoint_url: str,
    *,
    account: str | None = None,
    role_arn: str | None = None,
    external_id: str | None = None,
    named: Mapping[str, object] = MappingProxyType({}),
    purchase_read_timeout_seconds: float = 70.0,
) -> AwsAccess:
    """Access to the sandbox at ``endpoint_url`` with its own keys; never to anything else.

    Speaks for the payer, or through its role for another ``account``; a ``role_arn`` is assumed
    in the sandbox as it would be in AWS. Raises ``InputError`` for an address that is not on
    loopback, and when any of the settings in ``named``, each a source of real credentials, is set:
    those are never tried on a sandbox.
    """
    for name, value in named.items():
        if value is not None:
            raise InputError(
                f"{value} is set beside a sandbox's address",
                file="the environment",
                column=name,
                remedy=f"Unset one of {name} and TENOR_AWS_ENDPOINT_URL.",
            )
    of_account = None if account is None else f"arn:aws:iam::{account}:role/{ROLE_NAME}"
    return AwsAccess(
        region=REGION,
        role_arn=role_arn or of_account,
        external_id=external_id,
        keys=Keys(ROOT_ACCESS_KEY, ROOT_SECRET_KEY),
        endpoint_url=endpoint_url,
        purchase_read_timeout_seconds=purchase_read_timeout_seconds,
    )
