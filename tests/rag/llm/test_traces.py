from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace

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
    assert attributes["gen_ai.response.time_to_first_chunk"] >= 0  # type: ignore[operator]
    assert (attributes["server.address"], attributes["server.port"]) == ("here", 8080)
    assert "private" not in str([chat.to_json(), question.to_json()])


def test_every_name_is_one_of_the_conventions(spans: InMemorySpanExporter) -> None:
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as conventions

    known = {value for value in vars(conventions).values() if isinstance(value, str)}
    request = replace(REQUEST, top_p=0.5, seed=7, stop=("END",), response_format={"type": "json_object"})
    inner = ScriptedModel([["yes", Usage(12, 7, 5)]], "gpt-4")
    asyncio.run(collected(TracedChatModel(inner, "https://here/v1").stream(request)))
    [span] = spans.get_finished_spans()
    attributes = dict(span.attributes or {})
    ours = {name for name in attributes if name.startswith("gen_ai.")}
    assert len(ours) >= 14
    assert ours <= known
    assert attributes["gen_ai.request.stop_sequences"] == ("END",)
    assert attributes["gen_ai.output.type"] == "json"
    assert attributes["server.port"] == 443


@pytest.mark.parametrize(
    ("base_url", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("http://localhost:8080/v1", "openai"),
        ("https://ours.openai.azure.com/openai", "azure.ai.openai"),
        ("https://api.mistral.ai/v1", "mistral_ai"),
        ("https://api.x.ai/v1", "x_ai"),
        ("https://notx.ai/v1", "openai"),
    ],
)
def test_the_provider_is_told_by_its_address(
    spans: InMemorySpanExporter, base_url: str, provider: str
) -> None:
    asyncio.run(collected(TracedChatModel(ScriptedModel([["yes"]]), base_url).stream(REQUEST)))
    [span] = spans.get_finished_spans()
    assert dict(span.attributes or {})["gen_ai.provider.name"] == provider


def test_a_reader_who_leaves_ends_the_span(spans: InMemorySpanExporter) -> None:
    async def leave() -> None:
        events = TracedChatModel(ScriptedModel([["a", "b"]]), "http://here/v1").stream(REQUEST)
        await anext(events)
        await events.aclose()

    asyncio.run(leave())
    [span] = spans.get_finished_spans()
    assert span.status.status_code is trace.StatusCode.UNSET


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
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert not wants_traces()


def test_without_the_extra_nothing_is_traced_and_nothing_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
    monkeypatch.delenv("OTEL_SDK_DISABLED", raising=False)
    monkeypatch.setattr(traces, "find_spec", missing)
    traces._is_installed.cache_clear()
    try:
        assert not wants_traces()
    finally:
        traces._is_installed.cache_clear()
