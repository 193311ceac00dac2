"""A reply as it is kept: text, and where it came from; with a checksum, for a file may be damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from rag.core.types import ChatEvent, Delta, Done, Timing, Usage

_PIECE_CHARS: Final = 256
_CHECKSUM_CHARS: Final = 16
OVERHEAD_BYTES: Final = 400
"""What a row takes besides its text: the key, two indexes, the page."""


@dataclass(frozen=True, slots=True)
class Reply:
    text: str
    model: str
    route: str | None = None
    cost_usd: float = 0.0
    """What it took to get it: what each hit saves."""

    @property
    def n_bytes(self) -> int:
        return len(self.text.encode("utf-8", "surrogatepass")) + OVERHEAD_BYTES

    def events(self) -> Iterator[ChatEvent]:
        """The reply as a model would stream it, at no cost."""
        for start in range(0, len(self.text), _PIECE_CHARS):
            yield Delta(self.text[start : start + _PIECE_CHARS])
        yield Usage()
        yield Done("stop", self.model, Timing(first_token_ms=0.0), self.route, cached=True)


def packed(reply: Reply, expires_at: float) -> str:
    body = json.dumps([reply.text, reply.model, reply.route, reply.cost_usd, expires_at])
    return _checksum(body) + body


def unpacked(row: object) -> tuple[Reply, float] | None:
    """(reply, when it expires); None for what is no reply, or not the one that was kept."""
    if not isinstance(row, str) or row[:_CHECKSUM_CHARS] != _checksum(row[_CHECKSUM_CHARS:]):
        return None
    text, model, route, cost_usd, expires_at = json.loads(row[_CHECKSUM_CHARS:])
    return Reply(text, model, route, cost_usd), expires_at


def _checksum(body: str) -> str:
    return hashlib.blake2b(body.encode("utf-8", "replace"), digest_size=_CHECKSUM_CHARS // 2).hexdigest()
