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
_SECRET_IN_URL: Final = re.compile(
    r"([?&][^=&\s]*(?:key|token|secret|sig|pass|code)[^=&\s]*=)[^&\s]+", re.IGNORECASE
)


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

    def client(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = self._new(), loop  # the connections of a loop that ended went with it
        return self._client

    async def close(self) -> None:
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
