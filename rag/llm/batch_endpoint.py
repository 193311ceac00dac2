"""HTTP calls to a provider's endpoints beside the chat: JSON in, JSON or lines out."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from rag.core.chat_server import ChatServer
from rag.core.errors import ChatError, ChatProtocolError, ChatRefused
from rag.llm.address import basic_auth, checked_headers, checked_url, endpoint
from rag.llm.connect import Connections
from rag.llm.failures import Failures
from rag.llm.keys import KeyRing

if TYPE_CHECKING:
    import httpx

MAX_REPLY_BYTES: Final = 4 * 2**20
_MAX_ERROR_BYTES: Final = 64 * 1024
_WAIT_TIMEOUT_S: Final = 60.0
"""For each wait for bytes: files are large, and may take longer in all."""


class BatchEndpoint:
    """``/files`` and ``/batches`` of one server, with its keys."""

    def __init__(self, server: ChatServer, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """``transport`` replaces the network. Raises ``SettingsError``."""
        self._base_url, shown = checked_url(server.base_url)
        self._query = server.query
        self.keys = KeyRing.of(server)
        headers = checked_headers({name: value.get_secret_value() for name, value in server.headers.items()})
        self.keys.conceal(headers.values())
        basic = basic_auth(self._base_url)
        self._connections = Connections(
            self._base_url,
            {**({"Authorization": basic} if basic else {}), **headers},
            ca_file=server.ca_file,
            proxy=server.proxy,
            transport=transport,
        )
        self.failures = Failures(server.model, shown, self.keys.hide)

    async def close(self) -> None:
        await self._connections.close()

    async def call(self, method: Literal["GET", "POST"], path: str, **sent: Any) -> dict[str, Any]:
        body = bytearray()
        async with self._reply(method, path, sent) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > MAX_REPLY_BYTES:
                    raise self.failures.too_large(MAX_REPLY_BYTES)
        return self.parsed(bytes(body))

    async def lines(self, file: str) -> AsyncGenerator[bytes, None]:
        """Of a file that the provider wrote; empty ones left out."""
        rest = b""
        async with self._reply("GET", f"/files/{safe(file)}/content", {}) as response:
            async for chunk in response.aiter_bytes():
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > MAX_REPLY_BYTES:
                    raise self.failures.too_large(MAX_REPLY_BYTES)
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
        key = await self.keys.take()
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
                    await response.aclose()
                if key is None or response.status_code not in (401, 403):
                    raise error
                self.keys.refused(key)
                tried.add(key)
                key = await self.keys.take(tried)
                if key is None:
                    raise error
        except (httpx.HTTPError, httpx.StreamError) as exc:
            raise self.failures.of_exception(exc, _WAIT_TIMEOUT_S) from exc

    async def _refusal(self, response: httpx.Response, path: str) -> ChatError:
        body = bytearray()
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > _MAX_ERROR_BYTES:
                break
        if response.status_code in (404, 405):
            server = f"The chat server at {self.failures.base_url}"
            return ChatRefused(
                f"{server} has no batch endpoint ({path}); ask its questions one by one."
                if path in ("/files", "/batches")
                else f"{server} knows nothing under {path}; check the id of the batch, or submit it anew.",
                model=self.failures.model,
                base_url=self.failures.base_url,
                status=response.status_code,
            )
        return self.failures.of_reply(response.status_code, bytes(body), response.headers)[0]

    def text(self, reply: dict[str, Any], name: str) -> str:
        value = reply.get(name)
        if not isinstance(value, str) or not value:
            raise self.malformed()
        return value

    def parsed(self, body: bytes) -> dict[str, Any]:
        try:
            reply = json.loads(body)
        except (ValueError, RecursionError):
            reply = None
        if not isinstance(reply, dict):
            raise self.malformed()
        return reply

    def malformed(self) -> ChatError:
        return ChatProtocolError(
            f"The batch endpoint of the chat server at {self.failures.base_url} sent something that is no batch; check "
            "llm_base_url.",
            model=self.failures.model,
            base_url=self.failures.base_url,
        )


def safe(name: str) -> str:
    """As a part of a path, whatever it holds."""
    return quote(name, safe="")
