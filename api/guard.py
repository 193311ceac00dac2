"""Keeps other people's web pages away from a server on this machine."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from api.handlers import problem_response
from api.problems import problem


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class OriginGuard:
    """Refuses requests that a browser sends for a page of another origin, and, on a loopback address, names
    that are not loopback: a page whose name was re-bound to 127.0.0.1 would count as our own otherwise."""

    def __init__(self, app: ASGIApp, host: str, origins: frozenset[str] = frozenset()) -> None:
        """``origins``: of the pages of others that may call the server."""
        self.app = app
        self.loopback_only = is_loopback(host)
        self.origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = Headers(scope=scope)
            detail = self._refusal(headers.get("host", ""), headers.get("origin"))
            if detail:
                await problem_response(problem(403, "foreign-origin", detail))(scope, receive, send)
                return
        await self.app(scope, receive, send)

    def _refusal(self, host: str, origin: str | None) -> str | None:
        if self.loopback_only and not is_loopback(urlsplit(f"//{host}").hostname or ""):
            return f"This server answers to localhost only, not to {host[:80]!r}; use its own address."
        if origin is not None and origin not in self.origins and urlsplit(origin).netloc != host:
            return f"Requests from pages of {origin[:80]!r} are refused; call the server from its own origin."
        return None
