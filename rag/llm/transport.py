"""Connections to one server, kept and used again, below ``httpx.AsyncClient``.

httpcore's own pool (1.0) looks at every pair of connections for every request, which costs milliseconds at a hundred
connections and seconds at a thousand, and loses a connection whose request is cancelled just when it is established.
Only the keeping is ours: connections, TLS and proxies are httpcore's.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import httpcore

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

_KEEP_ALIVE_S: Final = 30.0
_STALE: Final = (httpcore.RemoteProtocolError, httpcore.ReadError, httpcore.WriteError)


class KeptConnections:
    """A transport for httpx. As many connections as there are requests at once: how many that may be is for the queue to say."""

    def __init__(self, tls: ssl.SSLContext, proxy: httpx.Proxy | None) -> None:
        self._maker = _maker(tls, proxy)
        self._idle: deque[httpcore.AsyncConnectionInterface] = deque()
        self._busy: set[httpcore.AsyncConnectionInterface] = set()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def n_busy(self) -> int:
        return len(self._busy)

    @property
    def n_idle(self) -> int:
        return len(self._idle)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """A server may close a connection just when it is used again: then there was no reply and never will be one,
        so the request goes out once more, on a new connection."""
        url = request.url
        sent = httpcore.Request(
            request.method,
            httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        with _as_httpx():
            try:
                connection = self._kept()
                reply = await self._sent(sent, connection or self._new(sent))
            except _STALE:
                if connection is None:
                    raise
                reply = await self._sent(sent, self._new(sent))
        return reply

    async def aclose(self) -> None:
        for connection in (*self._idle, *self._busy):
            self._close(connection)
        self._idle.clear()
        self._busy.clear()
        if self._closing:
            await asyncio.wait(self._closing)

    def release(self, connection: httpcore.AsyncConnectionInterface) -> None:
        """Its reply is done with, read to the end or not."""
        if connection not in self._busy:
            return
        self._busy.discard(connection)
        if connection.is_idle():
            self._idle.append(connection)
            if self._idle[0].has_expired():  # those at the front are used last
                self._close(self._idle.popleft())
        else:
            self._close(connection)

    async def _sent(
        self, request: httpcore.Request, connection: httpcore.AsyncConnectionInterface
    ) -> httpx.Response:
        import httpx

        self._busy.add(connection)
        try:
            reply = await connection.handle_async_request(request)
        except BaseException:
            self._busy.discard(connection)
            self._close(connection)
            raise
        return httpx.Response(
            reply.status,
            headers=reply.headers,
            stream=_body_type()(reply.stream, connection, self),
            extensions=reply.extensions,
        )

    def _kept(self) -> httpcore.AsyncConnectionInterface | None:
        while self._idle:
            connection = self._idle.pop()
            if not connection.has_expired():
                return connection
            self._close(connection)
        return None

    def _new(self, request: httpcore.Request) -> httpcore.AsyncConnectionInterface:
        return self._maker.create_connection(request.url.origin)

    def _close(self, connection: httpcore.AsyncConnectionInterface) -> None:
        """In a task of its own, since whoever has it closed may be cancelled meanwhile."""
        if not connection.is_closed():
            closing = asyncio.get_running_loop().create_task(_closed(connection))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


@functools.cache
def _body_type() -> Callable[
    [Any, httpcore.AsyncConnectionInterface, KeptConnections], httpx.AsyncByteStream
]:
    """httpx wants streams of its own class, and is imported late."""
    import httpx

    class Body(httpx.AsyncByteStream):
        def __init__(
            self, stream: Any, connection: httpcore.AsyncConnectionInterface, owner: KeptConnections
        ) -> None:
            self._stream, self._connection, self._owner = stream, connection, owner

        async def __aiter__(self) -> AsyncGenerator[bytes, None]:
            with _as_httpx():
                async for part in self._stream:
                    yield part

        async def aclose(self) -> None:
            try:
                await self._stream.aclose()
            finally:
                self._owner.release(self._connection)

    return Body


async def _closed(connection: httpcore.AsyncConnectionInterface) -> None:
    with suppress(OSError, httpcore.NetworkError):  # it is gone either way
        await connection.aclose()


def _maker(tls: ssl.SSLContext, proxy: httpx.Proxy | None) -> httpcore.AsyncConnectionPool:
    """Never used as a pool, only to make connections of the right kind."""
    if proxy is None:
        return httpcore.AsyncConnectionPool(ssl_context=tls, keepalive_expiry=_KEEP_ALIVE_S)
    url = proxy.url
    kind = httpcore.AsyncSOCKSProxy if url.scheme.startswith("socks") else httpcore.AsyncHTTPProxy
    more: dict[str, Any] = (
        {}
        if url.scheme.startswith("socks")
        else {"proxy_headers": proxy.headers.raw, "proxy_ssl_context": proxy.ssl_context}
    )
    return kind(
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        proxy_auth=proxy.raw_auth,
        ssl_context=tls,
        keepalive_expiry=_KEEP_ALIVE_S,
        **more,
    )


@contextmanager
def _as_httpx() -> Iterator[None]:
    """httpx names its errors as httpcore does."""
    import httpx

    try:
        yield
    except Exception as exc:
        kind = (
            getattr(httpx, type(exc).__name__, None) if type(exc).__module__.startswith("httpcore") else None
        )
        if kind is None:
            raise
        raise kind(str(exc)) from exc
