"""Spans reach a real collector on loopback, over HTTP, in OpenTelemetry's own format."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from service.observe.tracing import configure_tracing, span, stop_tracing, traced
from tests.notify.receiver import Receiver, receiver


@pytest.fixture
def collector() -> Iterator[Receiver]:
    with receiver() as made:
        yield made
    stop_tracing()


def test_spans_arrive_with_their_parents_attributes_and_errors(collector: Receiver) -> None:
    configure_tracing(f"{collector.url}/v1/traces")

    @traced("stage")
    def stage() -> None:
        message = "it broke"
        raise ValueError(message)

    with pytest.raises(ValueError, match="it broke"), span("job cycle-aws", run="r-1"):
        stage()
    stop_tracing()
    spans = {}
    for _, body in collector.got:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                spans.update({one.name: one for one in scope.spans})
    job, inner = spans["job cycle-aws"], spans["stage"]
    assert inner.parent_span_id == job.span_id
    assert [(one.key, one.value.string_value) for one in job.attributes] == [("run", "r-1")]
    assert inner.events[0].name == "exception"


def test_without_a_collector_nothing_is_sent(collector: Receiver) -> None:
    configure_tracing(None)
    with span("job cycle-aws"):
        pass
    assert collector.got == []
