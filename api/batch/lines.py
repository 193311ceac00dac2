"""Lines of questions: how they are read, and how a line is known again."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rag.core.errors import PathNotFound

MAX_LINE_CHARS = 1_000_000


def parsed_line(raw: str) -> dict[str, Any]:
    """Raises ``ValueError`` for what is no JSON object."""
    if len(raw) > MAX_LINE_CHARS:
        raise ValueError(f"it is longer than {MAX_LINE_CHARS:,} characters")
    try:
        values = json.loads(raw)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(values, dict):
        raise ValueError(f"it is a {type(values).__name__}")
    return values


def line_key(raw: str, about: str = "") -> str:
    """What the line asks, as 16 hex digits; ``about`` is what holds for all lines (knowledge base, filters)."""
    return hashlib.sha256(f"{about}\n{raw.strip()}".encode("utf-8", "surrogatepass")).hexdigest()[:16]


@contextmanager
def reading(path: Path) -> Iterator[Iterator[str]]:
    """The file's lines, those of stdin for "-". Raises ``PathNotFound``."""
    # A byte that is not UTF-8 spoils its own line only.
    if str(path) == "-":
        yield (raw.decode("utf-8-sig", "replace") for raw in sys.stdin.buffer)
        return
    try:
        file = path.open("rb")
    except OSError as exc:
        raise PathNotFound(
            f"The questions file {path} cannot be read ({exc.strerror}); check its path.", path=str(path)
        ) from exc
    with file:
        yield (raw.decode("utf-8-sig", "replace") for raw in file)
