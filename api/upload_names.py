"""Which names of uploaded files are safe to become paths."""

from __future__ import annotations

import unicodedata

from rag.core.errors import UsageError

MAX_PART_BYTES = 200
MAX_PARTS = 32


def checked_name(name: str) -> str:
    """The name as a relative path with forward slashes. Raises ``UsageError``."""
    path = unicodedata.normalize("NFC", name)
    parts = path.split("/")
    why = None
    if not path.strip():
        why = "it is empty"
    elif path.startswith("/") or "\\" in path or (len(path) > 1 and path[1] == ":"):
        why = "it must be a relative path with forward slashes"
    elif any(part in ("", ".", "..") for part in parts):
        why = "it must not hold empty parts, . or .."
    elif any(part.startswith(".") for part in parts):
        why = "hidden files are not ingested"
    elif any(unicodedata.category(char) in ("Cc", "Cs") for char in path):
        why = "it must not hold control characters"
    elif len(parts) > MAX_PARTS or any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        why = f"it may have {MAX_PARTS} parts of {MAX_PART_BYTES} bytes at most"
    if why:
        raise UsageError(f"The file name {name[:80]!r} is refused: {why}; rename it.", name=name[:200])
    return path
