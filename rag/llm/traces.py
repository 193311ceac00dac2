"""OpenTelemetry spans for questions and chat requests, after the semantic conventions for generative AI.

Without the extra ``footnote[otel]``, or without an exporter in the environment (``OTEL_EXPORTER_OTLP_ENDPOINT``),
nothing is traced.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from rag.core.errors import ChatError, SettingsError
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Usage

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_NAME: Final = "footnote"
_OPEN: Final[dict[str, Any]] = {}
"""Trace id of a question → its span, while it is answered: an answer may be read from several contexts."""


def wants_traces() -> bool:
    return bool(
        os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
    )


def configure_traces() -> None:
    """Exports to where the environment says. Raises ``SettingsError`` without the extra."""
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as exc:
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, which need OpenTelemetry; install footnote[otel] or unset it."
        ) from exc
    provider = TracerProvider(
        resource=Resource.create({"service.name": os.environ.get("OTEL_SERVICE_NAME", _NAME)})
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)


def _tracer() -> Tracer:
    from opentelemetry import trace

    return trace.get_tracer(_NAME)


@contextmanager
def question_span(trace_id: str, **attributes: str | int | float | bool) -> Iterator[None]:
    """The span of one question; requests with its trace id become its children."""
    span = _tracer().start_span("answer", attributes={"footnote.trace_id": trace_id, **attributes})
    _OPEN[trace_id] = span
    try:
        yield
    except Exception as exc:
        _failed(span, exc)
        raise
    finally:
        _OPEN.pop(trace_id, None)
        span.end()


class TracedChatModel:
    """A span for each request to a server. Sizes and counts only: no text leaves with a trace."""

    def __init__(self, inner: ChatModel, base_url: str) -> None:
        self._inner = inner
        self.name, self.context_window = inner.name, inner.context_window
        place = urlsplit(base_url)
        self._server: dict[str, str | int] = {
            "server.address": place.hostname or "",
            "server.port": place.port or 0,
        }

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        from opentelemetry import trace

        parent = _OPEN.get(request.trace_id)
        span = _tracer().start_span(
            f"chat {self.name}",
            kind=trace.SpanKind.CLIENT,
            context=None if parent is None else trace.set_span_in_context(parent),
            attributes={
                "gen_ai.operation.name": "chat",
                "gen_ai.provider.name": "openai",
                "gen_ai.request.model": self.name,
                "gen_ai.request.max_tokens": request.max_tokens,
                "gen_ai.request.temperature": request.temperature,
                "footnote.purpose": request.purpose,
                **self._server,
            },
        )
        usage, begun = Usage(), False
        try:
            async with aclosing(self._inner.stream(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    match event:
                        case Delta() if not begun:
                            begun = True
                            span.add_event("first token")
                        case Usage():
                            usage += event
                        case Done():
                            span.set_attribute("gen_ai.response.model", event.model)
                            span.set_attribute("gen_ai.response.finish_reasons", [event.finish_reason or ""])
                    yield event
        except ChatError as exc:
            _failed(span, exc)
            raise
        finally:
            span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
            span.set_attribute("gen_ai.usage.cache_read.input_tokens", usage.cached_tokens)
            span.end()


def _failed(span: Span, error: Exception) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", getattr(error, "code", type(error).__name__))
    span.set_status(Status(StatusCode.ERROR))
