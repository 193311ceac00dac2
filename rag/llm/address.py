"""The chat server's address and key, checked before anything is sent, and the address as it may be shown."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

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


def checked_key(key: str | None) -> str | None:
    key = (key or "").strip() or None
    if key is not None and not re.fullmatch(r"[\x21-\x7e]+", key):
        raise SettingsError(
            "llm_api_key holds white space or characters that no key has; copy it anew.",
            setting="llm_api_key",
        )
    return key
