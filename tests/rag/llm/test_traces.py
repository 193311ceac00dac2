from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from rag.core.errors import ChatTimeout
from rag.core.types import ChatRequest, Message, Usage
from rag.llm import traces
from rag.llm.traces import TracedChatModel, question_span, wants_traces
from tests.rag.llm.scripted import ScriptedModel, collected

REQUEST = ChatRequest((Message("user", "a private question"),), trace_id="abc123", max_tokens=99)


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(traces, "_tracer", lambda: provider.get_tracer("footnote"))
    yield exporter
    provider.shutdown()


def test_a_request_is_a_span_below_its_question_after_the_conventions(spans: InMemorySpanExporter) -> None:
    inner = ScriptedModel([["yes", Usage(12, 7, 5)]], "gpt-4")
    with question_span("abc123", **{"footnote.kb": "default"}):
        asyncio.run(collected(TracedChatModel(inner, "http://here:8080/v1").stream(REQUEST)))
    chat, question = spans.get_finished_spans()
    assert (chat.name, question.name) == ("chat gpt-4", "answer")
    assert chat.kind is trace.SpanKind.CLIENT
    assert chat.parent is not None
    assert question.context is not None
    assert chat.parent.span_id == question.context.span_id
    attributes = dict(chat.attributes or {})
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.request.model"] == "gpt-4"
    assert attributes["gen_ai.usage.input_tokens"] == 12
    assert attributes["gen_ai.usage.output_tokens"] == 7
    assert attributes["gen_ai.usage.cache_read.input_tokens"] == 5
    assert attributes["gen_ai.response.finish_reasons"] == ("stop",)
    assert (attributes["server.address"], attributes["server.port"]) == ("here", 8080)
    assert "private" not in str([chat.to_json(), question.to_json()])


def test_an_error_is_told(spans: InMemorySpanExporter) -> None:
    inner = ScriptedModel([[ChatTimeout("late")]])
    with pytest.raises(ChatTimeout):
        asyncio.run(collected(TracedChatModel(inner, "http://here/v1").stream(REQUEST)))
    [span] = spans.get_finished_spans()
    assert dict(span.attributes or {})["error.type"] == "chat-timeout"
    assert span.status.status_code is trace.StatusCode.ERROR


def test_nothing_is_traced_unless_the_environment_says_where_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", raising=False)
    assert not wants_traces()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
    assert wants_traces()
