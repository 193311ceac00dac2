"""``footnote serve``: one process, one store, until Ctrl-C."""

from __future__ import annotations

import errno
import json
import signal
import socket
import sys
from types import FrameType

import uvicorn

from api.app import create_app
from api.auth.store import KeyStore
from api.guard import is_loopback
from api.metrics import PrometheusMeter
from api.terminal import say
from rag.core.errors import UsageError
from rag.core.settings import Settings
from rag.llm.logs import configure_logs
from rag.llm.traces import configure_traces, wants_traces
from rag.wiring import open_footnote

SHUTDOWN_S = 10


def serve(settings: Settings, *, as_json: bool) -> int:
    """Serves until SIGINT or SIGTERM, lets requests in flight end, closes the store. Raises ``UsageError``."""
    has_keys = check_keys(settings)
    configure_logs(settings.log_level, sys.stderr)
    if wants_traces():
        configure_traces()
    meter = PrometheusMeter()
    with (
        bind(settings.host, settings.port) as listener,
        open_footnote(settings, create=True, meter=meter) as footnote,
    ):
        port = listener.getsockname()[1]
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{host}:{port}"
        config = uvicorn.Config(
            create_app(settings, footnote),
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=SHUTDOWN_S,
        )
        _announce(url, has_keys, settings, as_json=as_json)
        # uvicorn hands the signal on once it has shut down; the store is still to be closed then.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, _ignore)
        uvicorn.Server(config).run(sockets=[listener])
    return 0


def check_keys(settings: Settings) -> bool:
    """Whether there are API keys. Raises ``UsageError`` where others could reach a server without one."""
    keys = KeyStore(settings.store)
    try:
        has_keys = keys.configured()
    finally:
        keys.close()
    if not (has_keys or settings.insecure or is_loopback(settings.host)):
        raise UsageError(
            f"Everybody who can reach {settings.host} could read and change the documents; make an API key with "
            "'footnote keys create' first, or say --insecure if that is wanted.",
            host=settings.host,
        )
    return has_keys


def bind(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ``UsageError``."""
    try:
        family, kind, proto, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as exc:
        raise UsageError(f"{host!r} is not an address of this machine; give --host another one.") from exc
    listener = socket.socket(family, kind, proto)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except OSError as exc:
        listener.close()
        why = {
            errno.EADDRINUSE: "another program listens there; stop it or give --port another number",
            errno.EACCES: "this user may not listen there; take a port above 1023",
            errno.EADDRNOTAVAIL: "it is not an address of this machine; give --host another one",
        }.get(exc.errno or 0, f"{exc.strerror}; give --host or --port another value")
        raise UsageError(f"Cannot listen on {host} port {port}: {why}.", host=host, port=port) from exc
    return listener


def _announce(url: str, has_keys: bool, settings: Settings, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"url": url, "docs": f"{url}/docs", "store": str(settings.store)}), flush=True)
        return
    say(f"Footnote listens on {url} (reference: {url}/docs). Ctrl-C stops it.")
    if not has_keys and is_loopback(settings.host):
        say("There is no API key, so whoever uses this machine may ask and change everything.", err=True)
    elif not has_keys:
        say("Everybody who can reach this address can read and change the documents.", err=True)
    sys.stdout.flush()


def _ignore(number: int, frame: FrameType | None) -> None:
    return
