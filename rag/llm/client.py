"""Chat completions over HTTP, streamed: any server that speaks OpenAI's ``/chat/completions``."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from rag.core.chat_server import ChatServer
from rag.core.errors import ChatError, ChatRateLimited, ChatRefused
from rag.core.types import ChatEvent, ChatRequest, Done, Timing
from rag.llm.address import basic_auth, checked_headers, checked_url, endpoint
from rag.llm.connect import Connections
from rag.llm.deadline import Deadline
from rag.llm.failures import Failures
from rag.llm.keys import KeyRing
from rag.llm.rate_headers import RateLimitInfo, rate_limits, retry_after_s
from rag.llm.reply import Reply
from rag.llm.wire import Dialect, encoded, request_body

if TYPE_CHECKING:
    import httpx

_MAX_ERROR_BYTES: Final = 64 * 1024
_GRACE_S: Final = 2.0
"""How long the usage and the end may take once the server has said why it stopped."""
_DRAIN_S: Final = 0.05
"""How long the end of the body may take behind ``[DONE]``; a connection that is read to its end is used again."""
_ALWAYS: Final = {
    "Accept": "text/event-stream",
    "Accept-Encoding": "identity",  # a compressed stream comes in lumps
    "Content-Type": "application/json",
}
_TRACE_ID: Final = re.compile(r"[\x21-\x7e]{1,200}")


class HttpChatModel:
    """One model on one server, with its own pool of connections."""

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        keys: KeyRing | None = None,
        context_window: int = 8192,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        ca_file: Path | None = None,
        proxy: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
        on_rate_limits: Callable[[RateLimitInfo], None] | None = None,
    ) -> None:
        """``keys`` instead of ``api_key``: several, or from elsewhere. ``transport`` replaces the network.

        Raises ``SettingsError`` for an address, a key, a header, a CA file or a proxy that is none.
        """
        self.name = model
        self.context_window = context_window
        url, self.base_url = checked_url(base_url)
        self._url = endpoint(url, "/chat/completions", query)
        self._keys = keys if keys is not None else KeyRing((api_key.strip(),) if api_key else ())
        self._keys.conceal((headers or {}).values())
        basic = basic_auth(url)
        self._connections = Connections(
            url,
            {**_ALWAYS, **({"Authorization": basic} if basic else {}), **checked_headers(headers or {})},
            ca_file=ca_file,
            proxy=proxy,
            transport=transport,
        )
        self._failures = Failures(model, self.base_url, self._keys.hide)
        self._dialect = Dialect()
        self._on_rate_limits = on_rate_limits

    @classmethod
    def of(
        cls,
        server: ChatServer,
        *,
        context_window: int = 8192,
        on_rate_limits: Callable[[RateLimitInfo], None] | None = None,
    ) -> HttpChatModel:
        """The model of a server of the settings. Raises ``SettingsError``."""
        return cls(
            server.base_url,
            server.model,
            keys=KeyRing.of(server),
            context_window=server.context_tokens or context_window,
            headers={name: value.get_secret_value() for name, value in server.headers.items()},
            query=server.query,
            ca_file=server.ca_file,
            proxy=server.proxy,
            on_rate_limits=on_rate_limits,
        )

    def __repr__(self) -> str:
        return f"HttpChatModel({self.name!r} at {self.base_url})"

    async def close(self) -> None:
        await self._connections.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Deltas, then at most one ``Usage``, then one ``Done``; ``request.timeout_s`` is for all of it.

        Closing the iterator closes the connection, which stops the server. Raises ``ChatError`` subclasses.
        """
        import httpx

        now = asyncio.get_running_loop().time
        begun_s, first_s = now(), None
        deadline = Deadline(begun_s + request.timeout_s)
        reply = Reply(self._failures, request.model or self.name)
        response: httpx.Response | None = None
        try:
            response = await self._sent(request, deadline)
            chunks = _chunks(response)
            try:
                while not reply.done:
                    with deadline:
                        chunk = await anext(chunks, b"")
                    if not chunk:
                        break
                    for event in reply.feed(chunk):
                        first_s = now() if first_s is None else first_s
                        yield event
                    if reply.complete:
                        deadline.shorten(_DRAIN_S if reply.done else _GRACE_S)
                while reply.done:
                    with deadline:
                        if not await anext(chunks, b""):
                            break
            except (TimeoutError, httpx.TransportError):
                if not reply.complete:
                    raise
            finally:
                await chunks.aclose()
            for event in reply.end():
                first_s = now() if first_s is None else first_s
                yield event
            if reply.usage is not None:
                yield reply.usage
            yield Done(reply.finish_reason, reply.model, _timing(begun_s, first_s, now(), reply))
        except (TimeoutError, httpx.HTTPError, httpx.StreamError) as exc:
            raise self._failures.of_exception(exc, request.timeout_s) from exc
        finally:
            deadline.close()
            if response is not None:
                await response.aclose()

    async def _sent(self, request: ChatRequest, deadline: Deadline) -> httpx.Response:
        """The reply's head, with status 200. A key that is refused gives way to the next, and fields that the server
        refuses are left out: neither is a failure of the server."""
        client = self._connections.client()
        tried: set[str] = set()
        with deadline:
            key = await self._keys.take()
        while True:
            dialect = self._dialect
            body = encoded(request_body(request, request.model or self.name, dialect))
            sending = client.build_request("POST", self._url, content=body, headers=_headers(request, key))
            with deadline:
                response = await client.send(sending, stream=True)
            if self._on_rate_limits is not None:
                info = rate_limits(response.headers, response.status_code)
                if info is not None:
                    self._on_rate_limits(info)
            if response.status_code == 200:
                return response
            error, said = await self._refusal(response, deadline)
            if type(error) is ChatRefused and self._adapts(dialect, response.status_code, said):
                continue
            if key is not None and isinstance(error, ChatRateLimited):
                self._keys.limited(key, retry_after_s(response.headers))
            elif key is not None and (response.status_code in (401, 402, 403, 429)):
                self._keys.refused(key)
            else:
                raise error
            tried.add(key)
            with deadline:
                key = await self._keys.take(tried, limited_too=not isinstance(error, ChatRateLimited))
            if key is None:
                raise error

    async def _refusal(self, response: httpx.Response, deadline: Deadline) -> tuple[ChatError, object]:
        body = bytearray()
        chunks = response.aiter_bytes()
        try:
            while len(body) < _MAX_ERROR_BYTES:
                with deadline:
                    chunk = await anext(chunks, b"")
                if not chunk:
                    break
                body += chunk
        finally:
            await response.aclose()
        return self._failures.of_reply(response.status_code, bytes(body[:_MAX_ERROR_BYTES]), response.headers)

    def _adapts(self, sent: Dialect, status: int, said: object) -> bool:
        if self._dialect != sent:
            return True  # another request has learnt something meanwhile
        learnt = sent.after(status, said)
        if learnt is not None:
            self._dialect = learnt
        return learnt is not None


def _chunks(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    """Bytes as they come; decompressed where a server compresses although it was not asked to."""
    plain = response.headers.get("content-encoding", "identity") == "identity"
    return cast("AsyncGenerator[bytes, None]", response.aiter_raw() if plain else response.aiter_bytes())


def _headers(request: ChatRequest, key: str | None) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    if _TRACE_ID.fullmatch(request.trace_id):
        headers["X-Request-Id"] = request.trace_id
    return headers


def _timing(begun_s: float, first_s: float | None, ended_s: float, reply: Reply) -> Timing:
    writing_s = 0.0 if first_s is None else ended_s - first_s
    n_tokens = reply.usage.output_tokens if reply.usage is not None else 0
    return Timing(
        first_token_ms=None if first_s is None else (first_s - begun_s) * 1000,
        total_ms=(ended_s - begun_s) * 1000,
        output_tokens_per_s=(n_tokens - 1) / writing_s
        if reply.streamed and n_tokens > 1 and writing_s
        else None,
    )
