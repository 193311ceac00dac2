"""Where replies are kept: the latest in memory, all of them in a SQLite file that several processes may use."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from rag.core.errors import StoreError
from rag.llm.reply_memory import ReplyMemory
from rag.llm.reply_row import Reply, packed, unpacked
from rag.llm.serving_db import open_serving

_MEMORY_SHARE: Final = 0.25
_SWEEP_SHARE: Final = 1 / 32
"""Of the size limit: how much is written before the file's size is looked at again."""
_TOUCH_S: Final = 60.0
_CHECKPOINT_EVERY: Final = 200
_INSERT: Final = (
    "INSERT OR REPLACE INTO reply (key, tenant, events, n_bytes, made_at, used_at) "
    "VALUES (?1, ?2, ?3, ?4, ?5, ?5)"
)
_Row: TypeAlias = tuple[str, str, str, int, float]


@dataclass(frozen=True, slots=True)
class CacheStats:
    n_replies: int
    n_bytes: int
    n_hits: int
    n_misses: int
    n_damaged: int
    """Rows that could not be read or written; they count as not there."""
    saved_usd: float

    @property
    def hit_rate(self) -> float | None:
        asked = self.n_hits + self.n_misses
        return self.n_hits / asked if asked else None


class ReplyStore:
    """Replies by key, for a time and up to a size; the least recently used go first.

    A cache never fails: what cannot be read is a miss, what cannot be written is not kept, and without a file that
    can be used there is memory. ``put`` returns when the reply outlives a kill of the process (a loss of power may
    cost the last ones: the file is not synced for each). May be used from several threads and loops.
    """

    def __init__(self, file: Path | None, *, ttl_s: float = 86400.0, max_mb: float = 64.0) -> None:
        """``file``: where serving keeps what it remembers; without one, replies live as long as the process."""
        self._ttl_s, self._max_bytes = ttl_s, int(max_mb * 1_000_000)
        self._memory = ReplyMemory(int(self._max_bytes * (_MEMORY_SHARE if file is not None else 1.0)))
        self._lock = threading.Lock()
        self._n_hits = self._n_misses = self._n_damaged = 0
        self._saved_usd = 0.0
        self._n_unchecked = 0
        self._unswept_bytes = self._max_bytes  # what is there from before may be more than may be now
        self._reader: sqlite3.Connection | None = None
        self._writer: sqlite3.Connection | None = None
        self._thread: ThreadPoolExecutor | None = None
        if file is not None:
            with suppress(StoreError):
                self._writer, self._reader = open_serving(file), open_serving(file)
                # The loop's own: it hardly waits for another writer, and never for the disk.
                self._reader.execute("PRAGMA busy_timeout = 5")
                self._reader.execute("PRAGMA wal_autocheckpoint = 0")
                self._thread = ThreadPoolExecutor(1, thread_name_prefix="footnote-cache")

    def get(self, key: str) -> Reply | None:
        """One look-up in memory, else one by primary key in the file: fit for an event loop."""
        now = time.time()
        with self._lock:
            found = self._memory.get(key, now) or self._read(key, now)
            if found is None:
                self._n_misses += 1
            else:
                self._n_hits += 1
                self._saved_usd += found.cost_usd
            return found

    def holds(self, key: str) -> bool:
        """``get`` without counting."""
        now = time.time()
        with self._lock:
            return (self._memory.get(key, now) or self._read(key, now)) is not None

    async def put(
        self, key: str, reply: Reply, tenant: str = "default", *, ttl_s: float | None = None
    ) -> None:
        """``ttl_s`` may shorten the time that all replies have."""
        if reply.n_bytes > self._max_bytes:
            return
        expires_at = time.time() + min(self._ttl_s, ttl_s or self._ttl_s)
        row = (key, tenant, packed(reply, expires_at), reply.n_bytes, time.time())
        with self._lock:
            self._memory.put(key, reply, expires_at)
            thread, is_kept = self._thread, self._insert_now(row)
        if thread is not None:
            with suppress(RuntimeError):  # closed meanwhile
                work = asyncio.get_running_loop().run_in_executor(thread, self._write, row, is_kept)
                if not is_kept:
                    # Once begun it is finished: what was paid for is not lost because a reader leaves.
                    await asyncio.shield(work)

    def forget(self, tenant: str) -> None:
        """Removes all replies to a tenant."""
        with self._lock:
            self._memory.clear()
        self._later(lambda db: db.execute("DELETE FROM reply WHERE tenant = ?", (tenant,)))

    def stats(self) -> CacheStats:
        with self._lock:
            n_replies, n_bytes = len(self._memory), self._memory.n_bytes
            with self._careful():
                if self._reader is not None:
                    n_replies, n_bytes = self._reader.execute(
                        "SELECT count(*), coalesce(sum(n_bytes), 0) FROM reply"
                    ).fetchone()
            return CacheStats(
                n_replies, n_bytes, self._n_hits, self._n_misses, self._n_damaged, self._saved_usd
            )

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown()
        with self._lock:
            for connection in (self._reader, self._writer):
                if connection is not None:
                    connection.close()
            self._reader = self._writer = self._thread = None

    # The file

    def _read(self, key: str, now: float) -> Reply | None:
        row = None
        with self._careful():
            if self._reader is not None:
                row = self._reader.execute(
                    "SELECT events, made_at, used_at FROM reply WHERE key = ?", (key,)
                ).fetchone()
        if row is None:
            return None
        data, made_at, used_at = row
        found = unpacked(data)
        if found is None:
            self._n_damaged += 1
            # This row and no other: by the time it is deleted, a good one may stand there.
            self._later(lambda db: db.execute("DELETE FROM reply WHERE key = ? AND events = ?", (key, data)))
            return None
        reply, expires_at = found
        expires_at = min(expires_at, made_at + self._ttl_s)  # the setting may be shorter by now
        if expires_at <= now:
            return None
        self._memory.put(key, reply, expires_at)
        if now - used_at > _TOUCH_S:
            self._later(lambda db: db.execute("UPDATE reply SET used_at = ? WHERE key = ?", (now, key)))
        return reply

    def _insert_now(self, row: _Row) -> bool:
        """From the loop, at once: a busy process that is killed has lost nothing that it had read. False if another
        process is writing just now."""
        if self._reader is None:
            return False
        try:
            self._reader.execute(_INSERT, row)
        except sqlite3.Error:
            return False
        return True

    def _write(self, row: _Row, is_kept: bool) -> None:
        """In the thread: the insert, where it is still to be made, and what may take a while."""
        with self._careful():
            if self._writer is None:
                return
            if not is_kept:
                self._writer.execute(_INSERT, row)
            self._unswept_bytes += row[3]
            if self._unswept_bytes > self._max_bytes * _SWEEP_SHARE:
                self._unswept_bytes = 0
                self._sweep(self._writer, row[4])
            self._n_unchecked += 1
            if self._n_unchecked >= _CHECKPOINT_EVERY:
                self._n_unchecked = 0
                self._writer.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def _sweep(self, db: sqlite3.Connection, now: float) -> None:
        db.execute("DELETE FROM reply WHERE made_at <= ?", (now - self._ttl_s,))
        (n_bytes,) = db.execute("SELECT coalesce(sum(n_bytes), 0) FROM reply").fetchone()
        if n_bytes > self._max_bytes:
            db.execute(
                "DELETE FROM reply WHERE key IN (SELECT key FROM ("
                "SELECT key, sum(n_bytes) OVER (ORDER BY used_at, key) - n_bytes AS before FROM reply"
                ") WHERE before < ?)",
                (n_bytes - self._max_bytes,),
            )

    def _later(self, work: Callable[[sqlite3.Connection], object]) -> None:
        def run() -> None:
            with self._careful():
                if self._writer is not None:
                    work(self._writer)

        if self._thread is not None:
            with suppress(RuntimeError):
                self._thread.submit(run)

    @contextmanager
    def _careful(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error:
            self._n_damaged += 1
