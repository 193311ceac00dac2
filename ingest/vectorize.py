"""Makes vectors for the texts that wait in the catalog and brings them into the vector store.

One thread owns the encoder and never waits for the disk; another writes what it made. Both take their
work from the catalog, so a run that was killed goes on where it stopped.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from ingest.store.catalog import Catalog, IndexRow
from ingest.store.generations import add_vectors, index_known, purge, swap_ready
from ingest.store.indexes import clear_dead_indexes
from rag.core.protocols import Embedder, Vectors, VectorStore

# Texts that are sorted by length together and become visible together: some two seconds of work.
_WINDOW_TEXTS = 128
_IDLE_S = 0.1


@dataclass(slots=True)
class VectorizeStats:
    n_embedded: int = 0
    n_indexed: int = 0
    encode_s: float = 0.0
    """Time the encoder was at work."""


class Vectorizer:
    """Start it, ``wake`` it when there may be work, then ``finish`` (all of it) or ``stop`` (soon)."""

    def __init__(
        self,
        catalog: Catalog,
        idx: IndexRow,
        embedder: Embedder,
        open_vectors: Callable[[], VectorStore],
    ) -> None:
        self._catalog = catalog
        self._idx = idx
        self._embedder = embedder
        # The writer's thread opens the vector store, so that its start-up does not delay the first words.
        self._open_vectors = open_vectors
        self.stats = VectorizeStats()
        self.error: Exception | None = None
        self._made: queue.Queue[tuple[list[bytes], Vectors] | None] = queue.Queue(maxsize=4)
        self._wake = threading.Event()
        self._n_reused = 0
        self._sweep = threading.Event()
        self._no_more = threading.Event()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._guarded, args=(work,), name=f"footnote-{name}", daemon=True)
            for name, work in (("encode", self._encode), ("index", self._index))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wake(self, n_reused: int = 0) -> None:
        """``n_reused``: texts so far whose vectors were known already; they only have to be indexed."""
        if n_reused > self._n_reused:
            self._n_reused = n_reused
            self._sweep.set()
        self._wake.set()

    def finish(self, on_wait: Callable[[], None] | None = None, stop: threading.Event | None = None) -> None:
        """Waits until every vector is there. Raises what stopped the threads."""
        self._no_more.set()
        self._wake.set()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(timeout=0.2)
                if on_wait:
                    on_wait()
                if stop is not None and stop.is_set():
                    self._stop.set()
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """Ends after the batch at hand; the rest waits in the catalog for the next run."""
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            if thread.ident is not None:
                thread.join()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception as exc:  # carried to the caller's thread by finish()
            self.error = self.error or exc
            self._stop.set()
        finally:
            self._catalog.close_reader()

    def _encode(self) -> None:
        last_row = 0
        try:
            while not self._stop.is_set():
                no_more = self._no_more.is_set()
                rows = self._waiting(last_row)
                if not rows:
                    if no_more:
                        return
                    self._wake.wait(_IDLE_S)
                    self._wake.clear()
                    continue
                last_row = rows[-1][0]
                begun = time.perf_counter()
                vectors = self._embedder.embed([text for _, _, text in rows], "document")
                self.stats.encode_s += time.perf_counter() - begun
                self.stats.n_embedded += len(rows)
                self._hand_over(([key for _, key, _ in rows], vectors))
        finally:
            self._hand_over(None)

    def _waiting(self, after_row: int) -> list[tuple[int, bytes, str]]:
        with self._catalog.reading() as db:
            rows = db.execute(
                "SELECT row, text_key, text FROM pending WHERE idx_id = ? AND row > ? ORDER BY row LIMIT ?",
                (self._idx.id, after_row, _WINDOW_TEXTS),
            ).fetchall()
        return [(row["row"], row["text_key"], row["text"]) for row in rows]

    def _hand_over(self, item: tuple[list[bytes], Vectors] | None) -> None:
        while not (self._stop.is_set() and self.error is not None):
            try:
                self._made.put(item, timeout=_IDLE_S)
                return
            except queue.Full:
                continue

    def _index(self) -> None:
        vectors = self._open_vectors()
        self._bring_in(vectors)  # what an interrupted run has left
        while True:
            try:
                item = self._made.get(timeout=_IDLE_S)
            except queue.Empty:
                if self.error is not None:
                    return
                if self._sweep.is_set():
                    self._sweep.clear()
                    self._bring_in(vectors)
                continue
            if item is None:
                break
            keys, made = item
            add_vectors(self._catalog, self._idx, keys, made)
            self._bring_in(vectors, keys)
        self._bring_in(vectors)
        if not self._stop.is_set():
            purge(self._catalog, self._idx, vectors)
            clear_dead_indexes(self._catalog, self._idx.kb_id, vectors)

    def _bring_in(self, vectors: VectorStore, keys: list[bytes] | None = None) -> None:
        self.stats.n_indexed += index_known(self._catalog, self._idx, vectors, keys)
        swap_ready(self._catalog, self._idx)
