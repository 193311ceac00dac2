"""The connections to one server: pooled, with TLS verification always on."""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rag.core.errors import SettingsError

if TYPE_CHECKING:
    import httpx

_CONNECT_TIMEOUT_S: Final = 10.0
_KEEP_ALIVE_S: Final = 30.0
_STALE_CONNECTIONS: Final = 2
"""How many in a row a request may meet."""
_SECRET_IN_URL: Final = re.compile(
    r"([?&][^=&\s]*(?:key|token|secret|sig|pass|code)[^=&\s]*=)[^&\s]+", re.IGNORECASE
)


class _Progress:
    """Told by httpcore what happens to a request on its way."""

    __slots__ = ("connecting", "given_up", "opened")

    def __init__(self) -> None:
        self.opened = False
        """A connection was opened for it."""
        self.connecting = False
        self.given_up = False

    async def __call__(self, event: str, _: object) -> None:
        if event.startswith(("connection.", "proxy.")):
            self.opened = self.connecting = True
        elif self.connecting:
            self.connecting = False
            if self.given_up:
                raise asyncio.CancelledError


class Connections:
    """One ``httpx.AsyncClient``, made in the event loop that it is first used in, and closed there."""

    def __init__(
        self,
        headers: Mapping[str, str],
        *,
        ca_file: Path | None = None,
        proxy: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``transport`` replaces the network. Raises ``SettingsError`` for a CA file or a proxy that is none."""
        self._headers, self._transport = headers, transport
        self._tls = _trusting(ca_file) if ca_file is not None else None
        self._proxy = _checked_proxy(proxy)
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing: set[asyncio.Future[None]] = set()

    def client(self) -> httpx.AsyncClient:
        """Of the running loop."""
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = self._new(), loop  # the connections of a loop that ended went with it
        return self._client

    async def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        """The head of the reply to a POST; its body is still to be read, and the response to be closed.

        A server may close a connection just when it is used again; then there was no reply and never will be one, so
        the request goes out once more, on another connection.
        """
        import httpx

        for _ in range(_STALE_CONNECTIONS):
            progress = _Progress()
            try:
                return await self._send(url, body, headers, progress)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                if progress.opened:
                    raise
        return await self._send(url, body, headers, _Progress())

    async def _send(
        self, url: str, body: bytes, headers: Mapping[str, str], progress: _Progress
    ) -> httpx.Response:
        """In a task of its own: httpcore (1.0) loses a connection whose request is cancelled just when it is
        established, so that is waited for."""
        client = self.client()
        request = client.build_request(
            "POST", url, content=body, headers=headers, extensions={"trace": progress}
        )
        sending = asyncio.ensure_future(client.send(request, stream=True))
        try:
            return await asyncio.shield(sending)
        except asyncio.CancelledError:
            progress.given_up = True
            if not progress.connecting:
                sending.cancel()
            self._keep(asyncio.ensure_future(_end_of(sending)))
            raise

    async def end(self, response: httpx.Response) -> None:
        """Closes a response, also where the caller is cancelled meanwhile: half closed, it would stay in the pool."""
        if response.is_closed:
            return
        closing = asyncio.ensure_future(response.aclose())
        self._keep(closing)
        await asyncio.shield(closing)

    def _keep(self, closing: asyncio.Future[None]) -> None:
        self._closing.add(closing)
        closing.add_done_callback(self._ended)

    def _ended(self, closing: asyncio.Future[None]) -> None:
        self._closing.discard(closing)
        if not closing.cancelled():
            closing.exception()  # looked at: whoever waited has got it

    async def close(self) -> None:
        if self._closing and self._loop is asyncio.get_running_loop():
            await asyncio.wait(self._closing)
        client, self._client = self._client, None
        if client is not None and self._loop is asyncio.get_running_loop():
            await client.aclose()

    def _new(self) -> httpx.AsyncClient:
        import httpx

        if self._tls is None and self._transport is None:
            self._tls = httpx.create_ssl_context()  # reading the certificates is the costly part
        return httpx.AsyncClient(
            headers=self._headers,
            transport=self._transport,
            verify=self._tls if self._tls is not None else True,
            proxy=self._proxy,
            timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S),
            # How many requests there are at once is for the queue to say; waiting in the pool would hide it.
            limits=httpx.Limits(
                max_connections=None, max_keepalive_connections=None, keepalive_expiry=_KEEP_ALIVE_S
            ),
            follow_redirects=False,
        )


class _WithoutSecrets(logging.Filter):
    """httpx logs the address of every request, and gateways take keys there ("?api_key=…")."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(
                _SECRET_IN_URL.sub(r"\1***", str(value)) if hasattr(value, "raw_path") else value
                for value in record.args
            )
        return True


logging.getLogger("httpx").addFilter(_WithoutSecrets())


async def _end_of(sending: asyncio.Future[httpx.Response]) -> None:
    """Of a request that nobody waits for any more."""
    await asyncio.wait({sending})
    if not sending.cancelled() and sending.exception() is None:
        await sending.result().aclose()


def _trusting(ca_file: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_file))
    except (OSError, ssl.SSLError) as exc:
        raise SettingsError(
            f"The certificates in {ca_file} cannot be read ({type(exc).__name__}); set llm_ca_file to a PEM file.",
            setting="llm_ca_file",
        ) from None


def _checked_proxy(proxy: str | None) -> str | None:
    """Its address may hold a password, so the error does not show it."""
    if proxy is None:
        return None
    import httpx

    try:
        httpx.Proxy(proxy)
    except (ValueError, httpx.InvalidURL):
        raise SettingsError(
            "llm_proxy must be the address of a proxy, like http://127.0.0.1:3128; correct it.",
            setting="llm_proxy",
        ) from None
    return proxy
