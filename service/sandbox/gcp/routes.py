"""Which operation a request means: method and path, as Google's REST interfaces spell them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote

_COMPUTE = "/compute/v1/projects/{project}"
_ACCOUNT = "/v1/billingAccounts/{account}"
_BIGQUERY = "/bigquery/v2/projects/{project}"
_SPELLED = (
    ("POST", f"{_COMPUTE}/regions/{{region}}/commitments", "regionCommitments.insert"),
    ("GET", f"{_COMPUTE}/regions/{{region}}/commitments", "regionCommitments.list"),
    ("GET", f"{_COMPUTE}/regions/{{region}}/commitments/{{commitment}}", "regionCommitments.get"),
    (
        "PATCH",
        f"{_COMPUTE}/regions/{{region}}/commitments/{{commitment}}",
        "regionCommitments.update",
    ),
    ("GET", f"{_COMPUTE}/aggregated/commitments", "regionCommitments.aggregatedList"),
    ("GET", f"{_COMPUTE}/regions/{{region}}/operations", "regionOperations.list"),
    ("GET", f"{_COMPUTE}/regions/{{region}}/operations/{{operation}}", "regionOperations.get"),
    ("POST", f"{_ACCOUNT}/orders:place", "orders.place"),
    ("GET", f"{_ACCOUNT}/orders", "orders.list"),
    ("GET", f"{_ACCOUNT}/orders/{{order}}", "orders.get"),
    ("GET", f"{_ACCOUNT}/orders/{{order}}/operations/{{operation}}", "orders.operations.get"),
    ("GET", f"{_ACCOUNT}/projects", "billingAccounts.projects.list"),
    ("POST", f"{_ACCOUNT}:testIamPermissions", "billingAccounts.testIamPermissions"),
    ("GET", "/v1/projects/{project}/billingInfo", "projects.getBillingInfo"),
    ("POST", "/v3/projects/{project}:testIamPermissions", "projects.testIamPermissions"),
    ("GET", "/v1/services/{service}/skus", "skus.list"),
    ("POST", f"{_BIGQUERY}/queries", "bigquery.jobs.query"),
    ("GET", f"{_BIGQUERY}/jobs/{{job}}", "bigquery.jobs.get"),
    ("GET", f"{_BIGQUERY}/queries/{{job}}", "bigquery.jobs.getQueryResults"),
    ("GET", f"{_BIGQUERY}/datasets/{{dataset}}/tables/{{table}}", "bigquery.tables.get"),
    (
        "POST",
        f"{_BIGQUERY}/datasets/{{dataset}}/tables/{{table}}:testIamPermissions",
        "bigquery.tables.testIamPermissions",
    ),
)


class Route(NamedTuple):
    """An operation and the parts of the path that it is asked about."""

    operation: str
    parts: Mapping[str, str]


def _pattern(spelled: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/:]+)", spelled) + r"\Z")


_ROUTES = tuple((method, _pattern(spelled), name) for method, spelled, name in _SPELLED)


def route(method: str, path: str) -> Route | None:
    """What a request asks for; ``None`` when the sandbox does not know it."""
    for known, pattern, operation in _ROUTES:
        found = pattern.match(path) if known == method else None
        if found is not None:
            return Route(operation, {k: unquote(v) for k, v in found.groupdict().items()})
    return None
