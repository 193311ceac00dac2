"""OpenTelemetry spans for questions and chat requests, after the semantic conventions for generative AI.

Without the extra ``footnote[otel]``, or without an exporter in the environment (``OTEL_EXPORTER_OTLP_ENDPOINT``),
nothing is traced.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from rag.core.errors import ChatError
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Usage
from rag.llm.logs import log

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

_NAME: Final = "footnote"
_PROVIDERS: Final = {
    "openai.azure.com": "azure.ai.openai",
    "services.ai.azure.com": "azure.ai.inference",
    "anthropic.com": "anthropic",
    "generativelanguage.googleapis.com": "gcp.gemini",
    "aiplatform.googleapis.com": "gcp.vertex_ai",
    "amazonaws.com": "aws.bedrock",
    "mistral.ai": "mistral_ai",
    "deepseek.com": "deepseek",
    "x.ai": "x_ai",
    "groq.com": "groq",
    "perplexity.ai": "perplexity",
    "cohere.ai": "cohere",
}
"""By the end of the host's name; every other server that speaks OpenAI's language is called so."""
_OPEN: Final[dict[str, Any]] = {}
"""Trace id of a question → its span, while it is answered: an answer may be read from several contexts."""


def wants_traces() -> bool:
    """Whether the environment asks for them and the extra is there: clusters set the variables for everybody."""
    asked_for = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or os.environ.get(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
    )
    return bool(asked_for) and os.environ.get("OTEL_SDK_DISABLED", "").lower() != "true" and _is_installed()


@cache
def _is_installed() -> bool:
    try:
        found = find_spec("opentelemetry.sdk") and find_spec("opentelemetry.exporter.otlp.proto.grpc")
    except ModuleNotFoundError:
        found = None
    if found is None:
        log("The environment asks for traces, but the extra footnote[otel] is not installed.")
    return found is not None


def configure_traces() -> None:
    """Exports to where the environment says; where ``wants_traces``, once for a process."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

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
        host = place.hostname or ""
        self._server: dict[str, str | int] = {
            "gen_ai.provider.name": next(
                (name for end, name in _PROVIDERS.items() if host == end or host.endswith(f".{end}")),
                "openai",
            ),
            "server.address": host,
            "server.port": place.port or (443 if place.scheme == "https" else 80),
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
            attributes={**_asked(request, self.name), **self._server},
        )
        now = asyncio.get_running_loop().time
        sent_at = now()
        usage, begun = Usage(), False
        try:
            async with aclosing(self._inner.stream(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    match event:
                        case Delta() if not begun:
                            begun = True
                            span.set_attribute("gen_ai.response.time_to_first_chunk", now() - sent_at)
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
            span.set_attribute("footnote.cost_usd", usage.cost_usd)
            span.end()


def _asked(request: ChatRequest, model: str) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": model,
        "gen_ai.request.max_tokens": request.max_tokens,
        "gen_ai.request.temperature": request.temperature,
        "gen_ai.request.top_p": request.top_p,
        "gen_ai.request.seed": request.seed,
        "gen_ai.request.stop_sequences": request.stop or None,
        "gen_ai.request.stream": True,
        "gen_ai.output.type": "json" if request.response_format else "text",
        "footnote.purpose": request.purpose,
    }
    return {name: value for name, value in asked.items() if value is not None}


def _failed(span: Span, error: Exception) -> None:
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", getattr(error, "code", type(error).__name__))
    span.set_status(Status(StatusCode.ERROR))
