"""What goes over the wire: the body of a request, and what is read from the pieces of a reply."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from rag.core.types import ChatRequest, Usage


@dataclass(frozen=True, slots=True)
class Dialect:
    """What a server or a model refuses of the usual fields, learnt from its refusals."""

    stream_options: bool = True
    max_tokens: str = "max_tokens"
    temperature: bool = True
    """False: the model takes only its own default."""

    def after(self, status: int, error: object) -> Dialect | None:
        """The dialect to try next, where the refusal names a field that can be done without; None if not."""
        if status not in (400, 422):
            return None
        named = _named(error)
        if self.stream_options and "stream_options" in named:
            return replace(self, stream_options=False)
        if self.max_tokens == "max_tokens" and "max_tokens" in named and _WRONG_FIELD.search(named):
            return replace(self, max_tokens="max_completion_tokens")
        if self.temperature and "temperature" in named and _WRONG_FIELD.search(named):
            return replace(self, temperature=False)
        return None


_WRONG_FIELD: Final = re.compile(
    r"unsupported|not supported|unknown|unrecognized|not permitted|extra_forbidden|does not support"
)


def request_body(request: ChatRequest, model: str, dialect: Dialect) -> dict[str, object]:
    """Fields of ``extra`` replace ours; one that is None there is left out."""
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "stream": True,
        dialect.max_tokens: request.max_tokens,
    }
    if dialect.temperature:
        body["temperature"] = request.temperature
    if dialect.stream_options:
        body["stream_options"] = {"include_usage": True}
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.stop:
        body["stop"] = list(request.stop)
    if request.seed is not None:
        body["seed"] = request.seed
    if request.response_format is not None:
        body["response_format"] = dict(request.response_format)
    if request.extra:
        body.update(request.extra)
        body = {name: value for name, value in body.items() if value is not None}
    return body


def encoded(body: Mapping[str, object]) -> bytes:
    """As JSON. Half a surrogate pair, which some files hold, is no text and goes as a question mark."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def content_of(message: object) -> str:
    """The text of a delta or a message: also where it comes in parts, or as a refusal. No reasoning, no tool calls."""
    if not isinstance(message, dict):
        return ""
    content = message.get("content")
    if isinstance(content, list):
        parts = (
            part for part in content if isinstance(part, dict) and part.get("type") in ("text", "output_text")
        )
        content = "".join(text for part in parts if isinstance(text := part.get("text"), str))
    if isinstance(content, str) and content:
        return content
    refusal = message.get("refusal")
    return refusal if isinstance(refusal, str) else ""


def usage_of(reply: Mapping[str, Any]) -> Usage | None:
    usage = reply.get("usage")
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    cached = (
        details.get("cached_tokens") if isinstance(details, dict) else usage.get("prompt_cache_hit_tokens")
    )
    return Usage(
        input_tokens=_number(usage.get("prompt_tokens")),
        output_tokens=_number(usage.get("completion_tokens")),
        cached_tokens=_number(cached),
    )


def _number(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _named(error: object) -> str:
    if isinstance(error, dict):
        error = " ".join(str(error.get(name, "")) for name in ("param", "code", "message", "detail"))
    return str(error).lower()
