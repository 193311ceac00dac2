"""The provider's own batch endpoint (files and batches): thousands of requests at once, answered within a day.

``submit`` gives an id, with which everything else goes on after any interruption. A submission that was interrupted
before its id was kept is found again by its key, so nothing is paid for twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from rag.core.chat_server import ChatServer
from rag.core.errors import (
    ChatError,
    ChatProtocolError,
    ChatRefused,
    ChatTimeout,
    ChatUnreachable,
    UsageError,
)
from rag.core.types import ChatRequest, Delta, Usage
from rag.llm.address import basic_auth, checked_headers, checked_url, endpoint
from rag.llm.connect import Connections
from rag.llm.failures import Failures
from rag.llm.keys import KeyRing
from rag.llm.reply import Reply
from rag.llm.wire import Dialect, encoded, request_body

if TYPE_CHECKING:
    import httpx

MAX_REQUESTS: Final = 50_000
MAX_FILE_BYTES: Final = 200 * 10**6
"""What OpenAI takes in one batch."""
_MAX_REPLY_BYTES: Final = 4 * 2**20
_MAX_ERROR_BYTES: Final = 64 * 1024
_WAIT_TIMEOUT_S: Final = 60.0
_LONGEST_POLL_S: Final = 60.0
_KEY_FIELD: Final = "footnote_key"
_OPEN: Final = ("validating", "in_progress", "finalizing", "cancelling")
_PASSING: Final = (ChatUnreachable, ChatTimeout)


@dataclass(frozen=True, slots=True)
class BatchState:
    """How far a batch is."""

    id: str
    status: str
    """As the provider says it: "in_progress", "completed", "failed", "expired", "cancelled" …"""
    n_requests: int = 0
    n_completed: int = 0
    n_failed: int = 0
    output_file: str | None = None
    error_file: str | None = None
    reason: str | None = None
    """Why it failed as a whole."""

    @property
    def ended(self) -> bool:
        return self.status not in _OPEN


@dataclass(frozen=True, slots=True)
class BatchReply:
    text: str
    finish_reason: str | None
    model: str
    usage: Usage | None


class ProviderBatch:
    """The batch endpoint of one server."""

    def __init__(self, server: ChatServer, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """``transport`` replaces the network. Raises ``SettingsError``."""
        self._base_url, shown = checked_url(server.base_url)
        self._model, self._query = server.model, server.query
        self._keys = KeyRing.of(server)
        headers = checked_headers({name: value.get_secret_value() for name, value in server.headers.items()})
        basic = basic_auth(self._base_url)
        self._connections = Connections(
            {**({"Authorization": basic} if basic else {}), **headers},
            ca_file=server.ca_file,
            proxy=server.proxy,
            transport=transport,
        )
        self._failures = Failures(server.model, shown, self._keys.hide)

    async def close(self) -> None:
        await self._connections.close()

    async def submit(self, requests: Mapping[str, ChatRequest], key: str) -> str:
        """The id of the batch of these requests, by their ids. ``key`` names the submission: a batch that was made
        under it before is taken up again. Raises ``UsageError`` for too many requests, ``ChatError``."""
        found = await self._find(key)
        if found is not None:
            return found
        lines = [self._line(custom_id, request) for custom_id, request in requests.items()]
        n_bytes = sum(map(len, lines))
        if not lines or len(lines) > MAX_REQUESTS or n_bytes > MAX_FILE_BYTES:
            raise UsageError(
                f"A batch takes 1 to {MAX_REQUESTS:,} requests of {MAX_FILE_BYTES // 10**6} MB together, and this one "
                f"has {len(lines):,} of {n_bytes / 10**6:.1f} MB; split it.",
            )
        file = await self._call(
            "POST",
            "/files",
            data={"purpose": "batch"},
            files={"file": ("batch.jsonl", b"".join(lines), "application/jsonl")},
        )
        batch = await self._call(
            "POST",
            "/batches",
            json={
                "input_file_id": self._text(file, "id"),
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
                "metadata": {_KEY_FIELD: key},
            },
        )
        return self._text(batch, "id")

    async def state(self, batch_id: str) -> BatchState:
        return self._state(await self._call("GET", f"/batches/{_safe(batch_id)}"))

    async def wait(
        self,
        batch_id: str,
        *,
        poll_s: float = 5.0,
        on_progress: Callable[[BatchState], None] | None = None,
    ) -> BatchState:
        """Asks, ever less often, until it has ended; a server that does not answer for a while is asked again."""
        while True:
            try:
                state = await self.state(batch_id)
            except _PASSING:
                pass
            else:
                if on_progress is not None:
                    on_progress(state)
                if state.ended:
                    return state
            await asyncio.sleep(poll_s)
            poll_s = min(poll_s * 1.5, max(poll_s, _LONGEST_POLL_S))

    async def cancel(self, batch_id: str) -> BatchState:
        """What is done already stays, and is paid for."""
        return self._state(await self._call("POST", f"/batches/{_safe(batch_id)}/cancel"))

    async def results(self, state: BatchState) -> AsyncGenerator[tuple[str, BatchReply | ChatError], None]:
        """(id of the request, its reply or what went wrong), in no order; those that the provider did not come to
        are left out."""
        if state.reason is not None:
            raise ChatRefused(
                f"The provider did not carry out the batch {state.id} ({state.reason}); correct it and submit it anew.",
                model=self._model,
                base_url=self._failures.base_url,
            )
        for file in (state.output_file, state.error_file):
            if file is not None:
                async with aclosing(self._lines(file)) as lines:
                    async for line in lines:
                        yield self._result(line)

    # One request, one result

    def _line(self, custom_id: str, request: ChatRequest) -> bytes:
        body = request_body(request, request.model or self._model, Dialect(stream_options=False))
        body.pop("stream", None)
        line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
        return encoded(line) + b"\n"

    def _result(self, line: bytes) -> tuple[str, BatchReply | ChatError]:
        entry = self._object(line)
        custom_id = self._text(entry, "custom_id")
        response = entry.get("response")
        try:
            if not isinstance(response, dict):
                return custom_id, self._failures.of_error(200, entry.get("error") or "no response")
            status, body = _count(response.get("status_code")), json.dumps(response.get("body")).encode()
            if status != 200:
                return custom_id, self._failures.of_reply(status or 500, body, {})[0]
            reply = Reply(self._failures, self._model)
            reply.feed(body)
            text = "".join(event.text for event in reply.end() if isinstance(event, Delta))
        except ChatError as exc:
            return custom_id, exc
        return custom_id, BatchReply(text, reply.finish_reason, reply.model, reply.usage)

    # The endpoint

    async def _find(self, key: str) -> str | None:
        after: dict[str, str] = {}
        while True:
            page = await self._call("GET", "/batches", params={"limit": "100", **after})
            batches = [one for one in page.get("data") or () if isinstance(one, dict)]
            for batch in batches:
                if (batch.get("metadata") or {}).get(_KEY_FIELD) == key and batch.get("status") not in (
                    "failed",
                    "cancelled",
                    "cancelling",
                ):
                    return self._text(batch, "id")
            if not page.get("has_more") or not batches:
                return None
            after = {"after": self._text(batches[-1], "id")}

    async def _call(self, method: Literal["GET", "POST"], path: str, **sent: Any) -> dict[str, Any]:
        body = bytearray()
        async with self._reply(method, path, sent) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_REPLY_BYTES:
                    raise self._failures.too_large(_MAX_REPLY_BYTES)
        return self._object(bytes(body))

    async def _lines(self, file: str) -> AsyncGenerator[bytes, None]:
        rest = b""
        async with self._reply("GET", f"/files/{_safe(file)}/content", {}) as response:
            async for chunk in response.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > _MAX_REPLY_BYTES:
                    raise self._failures.too_large(_MAX_REPLY_BYTES)
                for line in filter(bytes.strip, lines):
                    yield line
        if rest.strip():
            yield rest

    @asynccontextmanager
    async def _reply(self, method: str, path: str, sent: dict[str, Any]) -> AsyncIterator[httpx.Response]:
        """The reply with status 200, read as it is needed; each wait for bytes has its limit."""
        import httpx

        client = self._connections.client()
        url = endpoint(self._base_url, path, {**self._query, **sent.pop("params", {})})
        tried: set[str] = set()
        key = await self._keys.take()
        try:
            while True:
                headers = {"Authorization": f"Bearer {key}"} if key else {}
                request = client.build_request(method, url, headers=headers, timeout=_WAIT_TIMEOUT_S, **sent)
                response = await client.send(request, stream=True)
                try:
                    if response.status_code == 200:
                        yield response
                        return
                    error = await self._refusal(response, path)
                finally:
                    await self._connections.end(response)
                if key is None or response.status_code not in (401, 403):
                    raise error
                self._keys.refused(key)
                tried.add(key)
                key = await self._keys.take(tried)
                if key is None:
                    raise error
        except (httpx.HTTPError, httpx.StreamError) as exc:
            raise self._failures.of_exception(exc, _WAIT_TIMEOUT_S) from exc

    async def _refusal(self, response: httpx.Response, path: str) -> ChatError:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _MAX_ERROR_BYTES:
                break
        if response.status_code in (404, 405):
            server = f"The chat server at {self._failures.base_url}"
            return ChatRefused(
                f"{server} has no batch endpoint ({path}); ask its questions one by one."
                if path in ("/files", "/batches")
                else f"{server} knows nothing under {path}; check the id of the batch, or submit it anew.",
                model=self._model,
                base_url=self._failures.base_url,
                status=response.status_code,
            )
        return self._failures.of_reply(response.status_code, bytes(body), response.headers)[0]

    # What it says

    def _state(self, batch: dict[str, Any]) -> BatchState:
        counts = batch.get("request_counts") or {}
        errors = (batch.get("errors") or {}).get("data") or ()
        said = "; ".join(str(error.get("message", "")) for error in errors[:3] if isinstance(error, dict))
        status = self._text(batch, "status")
        return BatchState(
            self._text(batch, "id"),
            status,
            _count(counts.get("total")),
            _count(counts.get("completed")),
            _count(counts.get("failed")),
            batch.get("output_file_id"),
            batch.get("error_file_id"),
            self._keys.hide(said[:300] or status) if status == "failed" else None,
        )

    def _text(self, reply: dict[str, Any], name: str) -> str:
        value = reply.get(name)
        if not isinstance(value, str) or not value:
            raise self._malformed()
        return value

    def _object(self, body: bytes) -> dict[str, Any]:
        try:
            reply = json.loads(body)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            raise self._malformed()
        return reply

    def _malformed(self) -> ChatError:
        return ChatProtocolError(
            f"The batch endpoint of the chat server at {self._failures.base_url} sent something that is no batch; check "
            "llm_base_url.",
            model=self._model,
            base_url=self._failures.base_url,
        )


def _safe(name: str) -> str:
    """As a part of a path, whatever it holds."""
    return quote(name, safe="")


def _count(value: object) -> int:
    return value if isinstance(value, int) else 0
