"""Lets a request in if its key may do what it asks for, and tells the routes who sends it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.auth.store import KeyStore
from api.auth.who import OPERATOR, Who, needed
from api.handlers import problem_response
from api.problems import problem, problem_of
from api.quotas import Quotas
from ingest.store.access import normal
from rag.core.errors import FootnoteError

GROUPS_HEADER: Final = "x-footnote-groups"
NOBODY: Final = Who(tenant="", scopes=frozenset(), groups=frozenset())
"""Who comes without a key where none is needed: no tenant has this name."""
_UNKNOWN: Final = "This needs a valid API key; send it as 'Authorization: Bearer fn_…' or in X-API-Key."
_NONE_YET: Final = (
    "This server has no API key yet, and answers without one on a loopback address only; make one with 'footnote keys "
    "create'."
)


class KeyGuard:
    """Sets ``request.state.who``, and of it ``tenant`` and ``key`` (the key's name)."""

    def __init__(self, app: ASGIApp, keys: KeyStore, quotas: Quotas, *, open_without_keys: bool) -> None:
        self.app = app
        self.keys = keys
        self.quotas = quotas
        self.open_without_keys = open_without_keys
        self._configured = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            # There are no web sockets here; the life of the process passes.
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        try:
            who = self._who(Headers(scope=scope))
        except FootnoteError as exc:
            await problem_response(problem_of(exc))(scope, receive, send)
            return
        need = needed(scope["method"], scope["path"])
        if need is not None and who is None:
            detail = _UNKNOWN if self._configured else _NONE_YET
            response = problem_response(
                problem(401, "unauthorized", detail), {"www-authenticate": 'Bearer realm="footnote"'}
            )
            await response(scope, receive, send)
            return
        if need is not None and who is not None and not who.may(need):
            detail = f"This key may not do that; it takes one with the scope {need}."
            await problem_response(problem(403, "forbidden", detail))(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        state["who"] = who = who or NOBODY
        state["tenant"], state["key"] = who.tenant, who.label
        if need is None:
            await self.app(scope, receive, send)
            return
        headers = await self.quotas.count_request(who)
        if headers.refusal is not None:
            await problem_response(headers.refusal, headers.shown)(scope, receive, send)
            return

        async def send_with_limits(message: Message) -> None:
            if message["type"] == "http.response.start" and headers.shown:
                shown = [(name.encode(), value.encode()) for name, value in headers.shown.items()]
                message = {**message, "headers": [*message.get("headers", ()), *shown]}
            await send(message)

        await self.app(scope, receive, send_with_limits)

    def _who(self, headers: Headers) -> Who | None:
        """Raises ``StoreError``."""
        self._configured = self._configured or self.keys.configured()
        if not self._configured:
            return OPERATOR if self.open_without_keys else None
        text = _key_of(headers)
        who = self.keys.who(text) if text else None
        named = headers.get(GROUPS_HEADER)
        if who is None or named is None:
            return who
        # A program that asks for somebody says which groups that person is in; it cannot add to the key's own.
        wanted = frozenset(normal(named.split(",")))
        return replace(who, groups=wanted if who.groups is None else wanted & who.groups)


def _key_of(headers: Headers) -> str | None:
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return rest.strip()
    return headers.get("x-api-key", "").strip() or None
