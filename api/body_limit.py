"""Limits the size of request bodies while they are read, whatever Content-Length says."""

from __future__ import annotations

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.handlers import problem_response
from api.problems import problem


class BodyLimit:
    def __init__(self, app: ASGIApp, limit_bytes: Callable[[str], int]) -> None:
        """``limit_bytes`` gives the limit for a path."""
        self.app = app
        self.limit_bytes = limit_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit_bytes(scope["path"])
        declared = Headers(scope=scope).get("content-length", "0")
        if declared.isdigit() and int(declared) > limit:
            await problem_response(problem(413, "body-too-large", _detail(limit)))(scope, receive, send)
            return
        n_read = 0

        async def limited() -> Message:
            nonlocal n_read
            message = await receive()
            n_read += len(message.get("body", b""))
            if n_read > limit:
                raise HTTPException(413, _detail(limit))
            return message

        await self.app(scope, limited, send)


def _detail(limit: int) -> str:
    return f"The request body is larger than {limit:,} bytes; send less at once or raise the limit (max_upload_mb)."
