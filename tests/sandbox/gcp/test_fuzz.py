"""Whatever is sent, the sandbox answers, and buys nothing that was not asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.sandbox.gcp.cloud import GcpSandbox
from tests.sandbox.gcp.clouds import small_cloud
from tests.sandbox.gcp.raw import ask

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
PATHS = (
    "/compute/v1/projects/acme-commitments/regions/us-central1/commitments",
    "/v1/billingAccounts/01AB23-45CD67-89EF01/orders:place",
    "/v1/billingAccounts/01AB23-45CD67-89EF01:testIamPermissions",
    "/bigquery/v2/projects/acme-commitments/queries",
)
FIELDS = (
    "name",
    "plan",
    "type",
    "resources",
    "lineItemInfo",
    "displayName",
    "permissions",
    "query",
)


@pytest.fixture(scope="module")
def cloud() -> Iterator[GcpSandbox]:
    with small_cloud() as cloud:
        yield cloud


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    path=st.sampled_from(PATHS),
    body=JSON | st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4),
)
def test_nonsense_is_answered_and_buys_nothing(cloud: GcpSandbox, path: str, body: object) -> None:
    status, answer = ask(cloud, "POST", path, body)
    assert status in {200, 400, 404}
    assert isinstance(answer, dict)
    if "commitments" in path or "orders" in path:
        assert status != 200
    assert cloud.snapshot().paid_by_intent == {}
