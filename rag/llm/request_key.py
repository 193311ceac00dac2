"""When two requests ask the same: everything that is sent, and for whom. How long it may take is not a part."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from rag.core.types import ChatRequest

_FORMAT: Final = 1
"""Grows when the key is made of something else, so that no old reply is found by chance."""


def is_repeatable(request: ChatRequest) -> bool:
    """Whether an equal request is meant to get an equal reply; a sampled one is asked for something new."""
    return request.temperature == 0 or request.seed is not None


def request_key(request: ChatRequest, asked_of: str = "") -> str:
    """64 hex digits. The messages hold the prompt and the packed sources, so a changed document is another key.

    ``asked_of`` names the models that may answer. Tenants never share a key: what one of them was told, or pays
    for, is nothing of the others'. Purpose, signals and attempts decide who answers, not what is asked.
    """
    return _hash(_asked(request, asked_of))


def frame_key(request: ChatRequest, question: str, asked_of: str = "") -> str:
    """The key of everything in the request but the words of the question."""
    asked = _asked(request, asked_of)
    asked["messages"] = [[role, content.replace(question, "\0")] for role, content in asked["messages"]]
    return _hash(asked)


def _asked(request: ChatRequest, asked_of: str) -> dict[str, Any]:
    return {
        "format": _FORMAT,
        "asked_of": asked_of,
        "tenant": request.tenant,
        "model": request.model,
        "messages": [[message.role, message.content] for message in request.messages],
        "temperature": float(request.temperature),
        "max_tokens": request.max_tokens,
        "top_p": request.top_p,
        "stop": list(request.stop),
        "seed": request.seed,
        "response_format": request.response_format,
        "extra": request.extra,
    }


def _hash(asked: dict[str, Any]) -> str:
    text = json.dumps(asked, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(value: Any) -> Any:
    return dict(value) if hasattr(value, "keys") else repr(value)
