"""How a document's text and blocks lie in the catalog: compressed."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence

from rag.core.errors import StoreCorrupt
from rag.core.types import Block, BlockKind


def pack_text(text: str) -> bytes:
    return zlib.compress(text.encode("utf-8", "surrogatepass"), 1)


def unpack_text(packed: bytes) -> str:
    """Raises ``StoreCorrupt``."""
    return _unpack(packed).decode("utf-8", "surrogatepass")


def pack_blocks(blocks: Sequence[Block]) -> bytes:
    rows = [(b.start, b.end, b.kind.value, b.heading_path, b.page) for b in blocks]
    return zlib.compress(json.dumps(rows).encode(), 1)


def unpack_blocks(packed: bytes) -> tuple[Block, ...]:
    """Raises ``StoreCorrupt``."""
    return tuple(
        Block(start, end, BlockKind(kind), tuple(headings), page)
        for start, end, kind, headings, page in json.loads(_unpack(packed))
    )


def _unpack(packed: bytes) -> bytes:
    try:
        return zlib.decompress(packed)
    except (zlib.error, TypeError) as exc:
        raise StoreCorrupt(
            f"A stored document is damaged ({exc}); run 'footnote doctor --repair' and ingest its folder again."
        ) from exc
