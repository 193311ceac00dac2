"""The chat server's address, checked before anything is sent, and as it may be shown."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from rag.core.errors import SettingsError


def checked_url(url: str) -> tuple[str, str]:
    """(the URL, the URL as it may be shown: without the user and the password that it may hold)"""
    url = url.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, port = (parts.hostname or "").encode("idna").decode(), parts.port
    except ValueError:  # a port or an address in brackets that is none; a host name too long
        host, port, parts = "", None, urlsplit("")
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[\w.:%-]+", host):
        raise SettingsError(
            "llm_base_url must be the address of a chat server, like http://127.0.0.1:8080/v1; correct it.",
            setting="llm_base_url",
        )
    shown_host = f"[{host}]" if ":" in host else host
    place = shown_host if port is None else f"{shown_host}:{port}"
    return url, f"{parts.scheme}://{place}{parts.path}"


def endpoint(base_url: str, path: str, query: Mapping[str, str] | None = None) -> str:
    """``path`` below the base URL, with the query of both; without user and password, since addresses are logged."""
    parts = urlsplit(base_url)
    both = dict(parse_qsl(parts.query, keep_blank_values=True)) | dict(query or {})
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path.rstrip("/") + path, urlencode(both), ""))


def basic_auth(base_url: str) -> str | None:
    """The header for the user and the password that the base URL holds."""
    parts = urlsplit(base_url)
    if not parts.username and not parts.password:
        return None
    pair = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) or not re.fullmatch(
            r"[\t\x20-\x7e]*", value
        ):
            raise SettingsError(
                f"The header {name[:40]!r} of a chat server cannot be sent; correct its name or its value.",
                setting="headers",
            )
    return dict(headers)
