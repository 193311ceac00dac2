"""``footnote mcp``: over standard input and output for a program on this machine, or over HTTP."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final, cast

import uvicorn
from mcp.server.mcpserver import Context
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from api.auth.guard import KeyGuard
from api.auth.store import KeyStore
from api.auth.who import OPERATOR, Who
from api.boundary import Boundary
from api.guard import OriginGuard, is_loopback
from api.mcp.server import build_server
from api.quotas import Quotas
from api.serve import SHUTDOWN_S, bind, check_keys
from api.terminal import say
from rag.core.settings import Settings
from rag.llm.logs import configure_logs
from rag.wiring import Footnote, open_footnote

PATH: Final = "/mcp"


def run_stdio(settings: Settings) -> int:
    """Until standard input ends."""
    configure_logs(settings.log_level, sys.stderr)
    with open_footnote(settings) as footnote:
        asyncio.run(_closed_after(build_server(footnote).run_stdio_async(), footnote))
    return 0


def run_http(settings: Settings, *, as_json: bool) -> int:
    """Until SIGINT or SIGTERM. Keys, limits and origins are those of ``footnote serve``."""
    check_keys(settings)
    configure_logs(settings.log_level, sys.stderr)
    keys, quotas = KeyStore(settings.store), Quotas(settings)
    try:
        with bind(settings.host, settings.port) as listener, open_footnote(settings) as footnote:
            host = f"[{settings.host}]" if ":" in settings.host else settings.host
            url = f"http://{host}:{listener.getsockname()[1]}{PATH}"
            config = uvicorn.Config(
                http_app(footnote, keys, quotas),
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=SHUTDOWN_S,
            )
            if as_json:
                print(json.dumps({"url": url, "store": str(settings.store)}), flush=True)
            else:
                say(f"Footnote's tools for agents are at {url}. Ctrl-C stops it.")
                sys.stdout.flush()
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: None)  # uvicorn's own, until it hands the signal on
            asyncio.run(_closed_after(uvicorn.Server(config).serve(sockets=[listener]), footnote))
    finally:
        keys.close()
        quotas.close()
    return 0


async def _closed_after(serving: Coroutine[Any, Any, None], footnote: Footnote) -> None:
    try:
        await serving
    finally:
        await footnote.aclose()


def http_app(footnote: Footnote, keys: KeyStore, quotas: Quotas) -> ASGIApp:
    """Each request stands for itself, so that any worker can take it, and nobody takes over another's session."""
    settings = footnote.settings

    def seen_by(context: Context[Any, Any]) -> Footnote:
        request: Any = context.request_context.request
        who = cast(Who, getattr(request.state, "who", OPERATOR))
        return footnote.seen_by(
            who.tenant, who.groups, key=who.label, on_question=lambda: quotas.count_questions(who)
        )

    app: ASGIApp = build_server(footnote, seen_by).streamable_http_app(
        streamable_http_path=PATH,
        stateless_http=True,
        json_response=True,
        # The guard around it looks at names and origins.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    app = KeyGuard(app, keys, quotas, open_without_keys=settings.insecure or is_loopback(settings.host))
    app = OriginGuard(app, host=settings.host, origins=frozenset(settings.cors_origins))
    return Boundary(app, log_folder=settings.store)
