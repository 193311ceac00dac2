"""Errors in OpenAI's shape.

Whatever goes wrong, in a route or in a layer around it (sizes, origins, keys, limits), is a problem first; on the
paths of this face the outermost layer says it as OpenAI's clients expect it.
"""

from __future__ import annotations

import json
import re
from typing import Any

from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.problems import MEDIA_TYPE
from rag.core.errors import UsageError

PATHS = ("/v1/chat/completions", "/v1/models", "/v1/embeddings")

# What pydantic puts into a place to say which member of a union it tried.
_UNION_TAG = re.compile(r"^(?:str|int|float|bool|list\[.*\]|function-.*)$")


class UnknownModel(UsageError):
    http_status, code = 404, "model_not_found"


class InvalidParameter(UsageError):
    code = "invalid_value"


class UnknownParameter(InvalidParameter):
    code = "unknown_parameter"


class UnsupportedParameter(InvalidParameter):
    code = "unsupported_parameter"


class OpenAIErrorDetail(BaseModel):
    message: str = Field(description="What happened, to what, and what to do, in one sentence.")
    type: str
    param: str | None = Field(description="The parameter at fault.")
    code: str | None


class OpenAIError(BaseModel):
    """An error, as OpenAI's API has it."""

    error: OpenAIErrorDetail


def openai_error(found: dict[str, Any]) -> dict[str, Any]:
    """A problem (``api/problems.py``) as OpenAI says it."""
    return {
        "error": {
            "message": found["detail"],
            "type": _type(_status(found)),
            "param": _param(found.get("fields") or {}),
            "code": found["code"],
        }
    }


class OpenAIErrors:
    """Turns the problems of the face's paths into OpenAI's errors."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(PATHS):
            await self.app(scope, receive, send)
            return
        start: Message | None = None
        body = b""

        async def translated(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start" and _is_problem(message):
                start = message
                return
            if start is None:
                await send(message)
                return
            body += message.get("body", b"")
            if message.get("more_body", False):
                return
            found = json.loads(body)
            said = json.dumps(openai_error(found), ensure_ascii=False).encode()
            await send({**start, "status": _status(found), "headers": _headers(start, len(said))})
            await send({"type": "http.response.body", "body": said})

        await self.app(scope, receive, translated)


def _is_problem(start: Message) -> bool:
    return Headers(raw=start["headers"]).get("content-type", "").startswith(MEDIA_TYPE)


def _headers(start: Message, n_bytes: int) -> list[tuple[bytes, bytes]]:
    kept = [
        (name, value) for name, value in start["headers"] if name not in (b"content-type", b"content-length")
    ]
    return [*kept, (b"content-type", b"application/json"), (b"content-length", str(n_bytes).encode())]


def _status(found: dict[str, Any]) -> int:
    # OpenAI's API knows no 422: what is wrong with a request is a 400 there.
    return 400 if found["status"] == 422 else int(found["status"])


def _type(status: int) -> str:
    if status >= 500:
        return "server_error"
    kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
    return kinds.get(status, "invalid_request_error")


def _param(fields: dict[str, Any]) -> str | None:
    """ "body.messages.0.role" is written "messages[0].role"."""
    if (param := fields.get("param")) is not None:
        return str(param)
    errors = fields.get("errors")
    if not isinstance(errors, list) or not errors:
        return None
    parts = [part for part in str(errors[0].get("at", "")).split(".")[1:] if not _UNION_TAG.match(part)]
    path = "".join(f"[{part}]" if part.isdecimal() else f".{part}" for part in parts)
    return path.removeprefix(".") or None
