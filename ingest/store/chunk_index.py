"""What retrieval reads: everything returned is live, inside the scope, and joined with its source."""

from __future__ import annotations

import json
import math
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

import numpy as np

from ingest.store import exact
from ingest.store.access import hidden_generations
from ingest.store.catalog import Catalog, IndexRow
from ingest.store.filters import FilterMemory, Passing, want
from ingest.store.generations import stored_document
from ingest.store.packing import unpack_text
from ingest.store.schema import words_table
from rag.core.errors import FingerprintMismatch, UnknownKnowledgeBase, UnknownSource
from rag.core.protocols import Vectors, VectorStore
from rag.core.types import Block, Chunk, Hit, MetaValue, Scope, Source

# Where a filter leaves at most this many chunks they are always scored exactly.
_EXACT_CHUNKS = 1000
# How much wider than the share that passes lets expect: neighbours often come from few documents.
_WIDER = 1.5
_RECOUNT_AFTER = 100
_HIT_COLUMNS = """
    chunk.id AS id, chunk.text AS text, chunk.start AS start, chunk."end" AS "end",
    chunk.headings AS headings, chunk.page AS page, chunk.n_tokens AS n_tokens, chunk.ordinal AS ordinal,
    generation.id AS generation_id, generation.source_id AS source_id, generation.uri AS uri, generation.content_hash AS content_hash,
    generation.media_type AS media_type, generation.title AS title, generation.metadata AS metadata"""

# CROSS JOIN keeps the order as written: the planner, which does not know how few ids there are, would look at
# every live chunk for each of them.
_CHUNKS_BY_ID = "json_each(?) AS wanted_id CROSS JOIN chunk ON chunk.id = wanted_id.value"


class StoreIndex:
    """``ChunkIndex`` over a catalog and, where this process may use it, a vector store."""

    def __init__(
        self, catalog: Catalog, vectors: Callable[[], VectorStore | None], *, embedder: str | None = None
    ) -> None:
        """``vectors`` gives the vector store, or None where only exact search is possible.
        ``embedder``: fingerprint that the vectors must have."""
        self._catalog = catalog
        self._vectors = vectors
        self._embedder = embedder
        self._lock = threading.Lock()
        self._exact: tuple[tuple[int, int], list[str], Vectors] | None = None
        self._filters = FilterMemory()
        self._counted: tuple[tuple[int, int], int] | None = None

    # Which index

    def index_of(self, scope: Scope) -> IndexRow:
        """Raises ``UnknownKnowledgeBase`` and ``FingerprintMismatch``."""
        idx = self._catalog.active_index(self._catalog.find_kb(scope.tenant, scope.knowledge_base))
        if idx is None:
            raise UnknownKnowledgeBase(
                f"The knowledge base {scope.knowledge_base} is empty; ingest a folder into it first: "
                "footnote ingest PATH.",
                knowledge_base=scope.knowledge_base,
            )
        if self._embedder is not None and idx.embedder != self._embedder:
            raise mismatch(scope.knowledge_base, idx.embedder, self._embedder)
        return idx

    # Words

    def search_words(self, scope: Scope, query: str, k: int) -> list[tuple[str, float]]:
        """BM25 over title, heading and body; ``query`` is FTS5 syntax. Higher is better."""
        if not query or k <= 0:
            return []
        with self._catalog.reading() as db:
            idx = self.index_of(scope)
            words = words_table(idx.id)
            passing = self._passing(db, idx, scope)
            if passing is not None:
                want(db, passing)
            # The sign keeps SQLite from looking each wanted row up in the full text: it reads the matches once,
            # and scores those that are wanted. Ids are joined to the best only.
            condition = "" if passing is None else "AND +rowid IN (SELECT row FROM wanted)"
            rows = db.execute(
                f"""SELECT chunk.id AS id, found.score AS score FROM (
                        SELECT rowid AS row, -bm25({words}, 1.0, 1.0, 1.0) AS score FROM {words}
                        WHERE {words} MATCH ? {condition} ORDER BY score DESC, row LIMIT ?) AS found
                    CROSS JOIN chunk ON chunk.row = found.row ORDER BY score DESC, id""",
                (query, k),
            ).fetchall()
        return [(row["id"], row["score"]) for row in rows]

    def document_frequency(self, scope: Scope, terms: Sequence[str]) -> tuple[int, dict[str, int]]:
        """(live chunks, for each term the chunks that hold it); FTS5 stems the terms as it did the text."""
        with self._catalog.reading() as db:
            idx = self.index_of(scope)
            words, hidden = words_table(idx.id), hidden_generations(db, idx.id, scope.groups)
            n = db.execute(
                """SELECT count(*) FROM chunk JOIN generation ON generation.id = generation_id
                   WHERE generation.idx_id = ? AND generation.state = 'live' AND generation.id NOT IN
                       (SELECT value FROM json_each(?))""",
                (idx.id, _as_json(hidden)),
            ).fetchone()[0]
            count, rest = f"SELECT count(*) FROM {words} WHERE {words} MATCH ?", list[str]()
            if hidden:
                count += """ AND rowid NOT IN (SELECT row FROM json_each(?) AS hidden
                               JOIN chunk ON chunk.generation_id = hidden.value)"""
                rest = [_as_json(hidden)]
            found = {
                term: db.execute(count, (_quoted(term), *rest)).fetchone()[0] if term.strip() else 0
                for term in dict.fromkeys(terms)
            }
        return n, found

    # Vectors

    def search_vectors(self, scope: Scope, vector: Vectors, k: int) -> list[tuple[str, float]]:
        with self._catalog.reading() as db:
            idx = self.index_of(scope)
            passing = self._passing(db, idx, scope)
            n_all = self._n_chunks(db, idx) if passing is not None else 0
            if passing is not None and _exact_is_cheaper(len(passing.rows), n_all, k):
                return exact.best(*exact.load_wanted(db, idx, passing), vector, k)
        store = self._vectors()
        if store is None:
            if passing is not None:
                with self._catalog.reading() as db:
                    return exact.best(*exact.load_wanted(db, idx, passing), vector, k)
            return exact.best(*self._all(idx), vector, k)
        n_asked = k + 8 if passing is None else int((k + 8) * _WIDER * n_all / len(passing.rows))
        return self._widening(store, idx, vector, k, n_asked, passing)

    def _widening(
        self,
        store: VectorStore,
        idx: IndexRow,
        vector: Vectors,
        k: int,
        n_asked: int,
        passing: Passing | None,
    ) -> list[tuple[str, float]]:
        """Asks for more until k hits are live and pass, since the index also holds dead and staged chunks."""
        collection = self._catalog.collection(idx)
        while True:
            found = store.search(collection, vector, n_asked)
            with self._catalog.reading() as db:
                live = self._live(db, idx, [chunk for chunk, _ in found], passing)
            kept = [(chunk, score) for chunk, score in found if chunk in live]
            if len(kept) >= k or len(found) < n_asked:
                return sorted(kept, key=lambda pair: (-pair[1], pair[0]))[:k]
            n_asked *= 4

    def _live(
        self, db: sqlite3.Connection, idx: IndexRow, ids: Sequence[str], passing: Passing | None
    ) -> set[str]:
        rows = db.execute(
            f"""SELECT chunk.id AS id, chunk.row AS row FROM {_CHUNKS_BY_ID}
                CROSS JOIN generation ON generation.id = chunk.generation_id
                WHERE generation.idx_id = ? AND generation.state = 'live'""",
            (json.dumps(list(ids)), idx.id),
        ).fetchall()
        if passing is None:
            return {row["id"] for row in rows}
        holds = passing.holds([row["row"] for row in rows])
        return {row["id"] for row, passes in zip(rows, holds, strict=True) if passes}

    def _n_chunks(self, db: sqlite3.Connection, idx: IndexRow) -> int:
        """About how many chunks the index has: what it held when it was last counted will do."""
        key = (idx.id, self._catalog.revision() // _RECOUNT_AFTER)
        if self._counted is None or self._counted[0] != key:
            row = db.execute("SELECT count(*) FROM chunk WHERE idx_id = ?", (idx.id,)).fetchone()
            self._counted = (key, int(row[0]))
        return self._counted[1]

    def _all(self, idx: IndexRow) -> tuple[list[str], Vectors]:
        key = (idx.id, self._catalog.revision())
        with self._lock:
            if self._exact is None or self._exact[0] != key:
                with self._catalog.reading() as db:
                    self._exact = (key, *exact.load_live(db, idx))
            return self._exact[1], self._exact[2]

    def vectors(self, scope: Scope, chunk_ids: Sequence[str]) -> dict[str, Vectors]:
        """The stored vector of each chunk that has one, float32 of shape (dim,)."""
        with self._catalog.reading() as db:
            idx = self.index_of(scope)
            rows = db.execute(
                f"""SELECT chunk.id AS id, chunk.generation_id AS generation_id, vector.data AS data FROM {_CHUNKS_BY_ID}
                    CROSS JOIN vector ON vector.embedder = ? AND vector.text_key = chunk.text_key
                    WHERE chunk.idx_id = ?""",
                (json.dumps(list(chunk_ids)), idx.embedder, idx.id),
            ).fetchall()
            hidden = hidden_generations(db, idx.id, scope.groups)
        seen = (row for row in rows if row["generation_id"] not in hidden)
        return {row["id"]: np.frombuffer(row["data"], dtype="<f4") for row in seen}

    # Joins

    def hits(self, scope: Scope, scored: Sequence[tuple[str, float]]) -> list[Hit]:
        with self._catalog.reading() as db:
            idx = self.index_of(scope)
            hidden = hidden_generations(db, idx.id, scope.groups)
            rows = {
                row["id"]: row
                for row in db.execute(
                    f"""SELECT {_HIT_COLUMNS} FROM {_CHUNKS_BY_ID}
                        CROSS JOIN generation ON generation.id = chunk.generation_id
                        WHERE generation.idx_id = ? AND generation.state = 'live'""",
                    (json.dumps([chunk for chunk, _ in scored]), idx.id),
                )
                if row["generation_id"] not in hidden
            }
        return [_hit(rows[chunk], score) for chunk, score in scored if chunk in rows]

    def source_text(self, scope: Scope, source_id: str) -> str:
        return unpack_text(self._live_row(scope, source_id)["text"])

    def source_blocks(self, scope: Scope, source_id: str) -> Sequence[Block]:
        return stored_document(self._live_row(scope, source_id)).blocks

    def _live_row(self, scope: Scope, source_id: str) -> sqlite3.Row:
        with self._catalog.reading() as db:
            idx = self.index_of(scope)
            row: sqlite3.Row | None = db.execute(
                "SELECT * FROM generation WHERE idx_id = ? AND source_id = ? AND state = 'live'",
                (idx.id, source_id),
            ).fetchone()
            hidden = hidden_generations(db, idx.id, scope.groups)
        if row is None or row["id"] in hidden:
            raise UnknownSource(
                f"There is no document {source_id} in the knowledge base {scope.knowledge_base}; "
                "'footnote sources' lists them.",
                source=source_id,
            )
        return row

    def pending_vectors(self, scope: Scope) -> int:
        with self._catalog.reading() as db:
            idx = self.index_of(scope)
            row = db.execute(
                """SELECT count(*) FROM chunk JOIN generation ON generation.id = generation_id
                   WHERE chunk.idx_id = ? AND chunk.indexed = 0 AND generation.state = 'live'
                       AND generation.id NOT IN (SELECT value FROM json_each(?))""",
                (idx.id, _as_json(hidden_generations(db, idx.id, scope.groups))),
            ).fetchone()
        return int(row[0])

    def _passing(self, db: sqlite3.Connection, idx: IndexRow, scope: Scope) -> Passing | None:
        """The chunks inside the scope; None where that is all of them."""
        if not scope.filters and not hidden_generations(db, idx.id, scope.groups):
            return None
        return self._filters.passing(db, idx, self._catalog.revision(), scope.filters, scope.groups)


def _exact_is_cheaper(n_passing: int, n_all: int, k: int) -> bool:
    """Whether to score what passes one by one, or to search the index wider and drop what does not pass.

    The first costs some 5 µs for each that passes, the second some 10 µs for each that is asked for, of which
    there must be ``k * n_all / n_passing``.
    """
    return n_passing <= max(_EXACT_CHUNKS, math.isqrt(2 * k * n_all))


def mismatch(kb: str, stored: str, wanted: str) -> FingerprintMismatch:
    return FingerprintMismatch(
        f"The knowledge base {kb} was built with {stored}, the settings say {wanted}; run 'footnote reindex' to "
        "build it anew (it goes on answering meanwhile), or set the encoder and chunk settings back.",
        stored=stored,
        wanted=wanted,
    )


def _as_json(generations: frozenset[int]) -> str:
    return json.dumps(sorted(generations))


def _quoted(term: str) -> str:
    return '"' + term.replace('"', '""') + '"'


@lru_cache(maxsize=4096)
def _headings(stored: str) -> tuple[str, ...]:
    return tuple(json.loads(stored))


@lru_cache(maxsize=1024)
def _metadata(stored: str) -> Mapping[str, MetaValue]:
    found: dict[str, MetaValue] = json.loads(stored)
    return found


def _hit(row: sqlite3.Row, score: float) -> Hit:
    return Hit(
        chunk=Chunk(
            id=row["id"],
            source_id=row["source_id"],
            text=row["text"],
            start=row["start"],
            end=row["end"],
            heading_path=_headings(row["headings"]),
            page=row["page"],
            n_tokens=row["n_tokens"],
            ordinal=row["ordinal"],
        ),
        source=Source(
            id=row["source_id"],
            uri=row["uri"],
            content_hash=row["content_hash"],
            media_type=row["media_type"],
            title=row["title"],
            metadata=_metadata(row["metadata"]),
        ),
        score=score,
    )
