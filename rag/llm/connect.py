"""The connections to one server: pooled, with TLS verification always on."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import re
import ssl
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from rag.core.errors import SettingsError

if TYPE_CHECKING:
    import httpx

_CONNECT_TIMEOUT_S: Final = 10.0
_SECRET_IN_URL: Final = re.compile(
    r"([?&][^=&\s]*(?:key|token|secret|sig|pass|code)[^=&\s]*=)[^&\s]+", re.IGNORECASE
)


class Connections:
    """One ``httpx.AsyncClient``, made in the event loop that it is first used in, and closed there."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        ca_file: Path | None = None,
        proxy: str | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """``proxy``: else that of the environment (``HTTPS_PROXY``, ``NO_PROXY`` …). ``transport`` replaces the network.

        Raises ``SettingsError`` for a CA file or a proxy that is none."""
        self._headers, self._transport = headers, transport
        self._tls = _trusting(ca_file) if ca_file is not None else None
        self._proxy = _checked_proxy(proxy if proxy is not None else _proxy_of_environment(base_url))
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def client(self) -> httpx.AsyncClient:
        """Of the running loop."""
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

        from rag.llm.transport import KeptConnections

        if self._tls is None:
            self._tls = httpx.create_ssl_context()  # reading the certificates is the costly part
        proxy = httpx.Proxy(self._proxy) if self._proxy else None
        return httpx.AsyncClient(
            headers=self._headers,
            transport=self._transport or cast("httpx.AsyncBaseTransport", KeptConnections(self._tls, proxy)),
            timeout=httpx.Timeout(None, connect=_CONNECT_TIMEOUT_S),
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


def _proxy_of_environment(base_url: str) -> str | None:
    parts = urlsplit(base_url)
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    if not found or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return found if "://" in found else f"http://{found}"


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
    if proxy.startswith("socks") and importlib.util.find_spec("socksio") is None:
        raise SettingsError(
            "A SOCKS proxy to the chat server needs the package socksio; install it with: pip install 'httpx[socks]'.",
            setting="llm_proxy",
        )
    return proxy
