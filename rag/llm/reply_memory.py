"""The latest replies, in memory, up to a size in bytes."""

from __future__ import annotations

from collections import OrderedDict

from rag.llm.reply_row import Reply


class ReplyMemory:
    """The least recently used goes first."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, tuple[Reply, float]] = OrderedDict()
        self.n_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: str, now: float) -> Reply | None:
        found = self._kept.get(key)
        if found is None:
            return None
        reply, expires_at = found
        if expires_at <= now:
            self.drop(key)
            return None
        self._kept.move_to_end(key)
        return reply

    def put(self, key: str, reply: Reply, expires_at: float) -> None:
        self.drop(key)
        if reply.n_bytes > self._max_bytes:
            return
        self._kept[key] = reply, expires_at
        self.n_bytes += reply.n_bytes
        while self.n_bytes > self._max_bytes:
            self.drop(next(iter(self._kept)))

    def drop(self, key: str) -> None:
        if (gone := self._kept.pop(key, None)) is not None:
            self.n_bytes -= gone[0].n_bytes

    def clear(self) -> None:
        self._kept.clear()
        self.n_bytes = 0
