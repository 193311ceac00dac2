"""The doctor's checks of vectors: those kept in the catalog, and those in the vector store."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import numpy as np

from ingest.identity import text_key
from ingest.store.catalog import UNUSED_VECTOR, Catalog, IndexRow
from ingest.store.checkup import Account, forget, generations
from ingest.store.chroma import ChromaVectors
from ingest.store.generations import index_known, purge, stored_document, swap_ready
from rag.core.errors import StoreCorrupt
from rag.core.protocols import VectorStore
from rag.core.types import LoadedDocument

_PAGE = 1000
# Chroma keeps float32; what comes back may differ in the last bits.
_TOLERANCE = 1e-5
_UNIT_TOLERANCE = 1e-3

Rechunk = Callable[[LoadedDocument], dict[bytes, str]]
"""The texts to embed of a stored document, by key."""


def check_usable(
    catalog: Catalog, indexes: Sequence[IndexRow], vectors: VectorStore, account: Account, repair: bool
) -> bool:
    """Whether the vector store can be asked at all. Its files are thrown away if not: the catalog has it all."""
    try:
        for idx in indexes:
            vectors.ids(catalog.collection(idx))
            vectors.search(catalog.collection(idx), np.ones(idx.dim, dtype=np.float32), 1)
    except StoreCorrupt:
        mended = repair and isinstance(vectors, ChromaVectors)
        account.found(
            "vectors", "Chroma's files cannot be used; they are built again from the catalog", repaired=mended
        )
        if not mended or not isinstance(vectors, ChromaVectors):
            return False
        vectors.start_anew()
        with catalog.writing() as db:
            db.execute("UPDATE chunk SET indexed = 0")
        for idx in indexes:
            index_known(catalog, idx, vectors)
    return True


def check_waiting(
    catalog: Catalog,
    idx: IndexRow,
    account: Account,
    repair: bool,
    rechunk: Callable[[IndexRow], Rechunk] | None,
) -> bool:
    """Every chunk has a vector, or its text waits for one. Whether documents were taken away."""
    with catalog.reading() as db:
        lost = {
            row["text_key"]
            for row in db.execute(
                """SELECT DISTINCT text_key FROM chunk JOIN generation ON generation.id = generation_id
                   WHERE chunk.idx_id = ? AND generation.state <> 'dead'
                     AND NOT EXISTS (SELECT 1 FROM vector WHERE embedder = ? AND vector.text_key = chunk.text_key)
                     AND NOT EXISTS (SELECT 1 FROM pending WHERE pending.idx_id = chunk.idx_id
                                     AND pending.text_key = chunk.text_key)""",
                (idx.id, idx.embedder),
            )
        }
        n_chunks = db.execute("SELECT count(*) FROM chunk WHERE idx_id = ?", (idx.id,)).fetchone()[0]
    damaged = _damaged(catalog, idx)
    if repair and damaged:
        with catalog.writing() as db:
            db.executemany(
                "DELETE FROM vector WHERE embedder = ? AND text_key = ?", [(idx.embedder, k) for k in damaged]
            )
    lost |= damaged
    account.proved("every chunk has a vector or waits for one", n_chunks)
    n_waiting = catalog.n_pending(idx)
    if n_waiting:
        account.found(
            "waiting", "texts wait for the encoder; run 'footnote ingest' again to finish", n_waiting
        )
    if not lost:
        return False
    account.found(
        "vectors",
        "chunks whose vector is lost; 'footnote ingest' makes them anew",
        len(lost),
        repaired=repair,
    )
    if not repair:
        return False
    texts: dict[bytes, str] = {}
    if rechunk is not None:
        again = rechunk(idx)
        for generation in generations(catalog, idx):
            texts |= {k: t for k, t in again(stored_document(generation)).items() if k in lost}
    with catalog.writing() as db:
        db.executemany(
            "INSERT OR IGNORE INTO pending (idx_id, text_key, text) VALUES (?, ?, ?)",
            [(idx.id, key, text) for key, text in texts.items() if text_key(text) == key],
        )
        db.executemany(
            "UPDATE chunk SET indexed = 0 WHERE idx_id = ? AND text_key = ?", [(idx.id, key) for key in lost]
        )
    return _forget_with(catalog, idx, lost - texts.keys())


def _damaged(catalog: Catalog, idx: IndexRow) -> set[bytes]:
    """Texts whose vector in the catalog is not one of this length, or not of unit length."""
    found = set[bytes]()
    with catalog.reading() as db:
        for row in db.execute(
            """SELECT text_key, data FROM vector WHERE embedder = ? AND text_key IN (
                   SELECT text_key FROM chunk WHERE idx_id = ?)""",
            (idx.embedder, idx.id),
        ):
            whole = len(row["data"]) == 4 * idx.dim
            norm = float(np.linalg.norm(np.frombuffer(row["data"], dtype="<f4"))) if whole else 0.0
            if not abs(norm - 1) < _UNIT_TOLERANCE:  # nor a number at all
                found.add(row["text_key"])
    return found


def _forget_with(catalog: Catalog, idx: IndexRow, keys: set[bytes]) -> bool:
    """Takes the documents away that have these texts, which other settings have made."""
    with catalog.reading() as db:
        sources = {
            row["source_id"]
            for key in keys
            for row in db.execute(
                "SELECT source_id FROM chunk JOIN generation ON generation.id = generation_id "
                "WHERE chunk.idx_id = ? AND text_key = ?",
                (idx.id, key),
            )
        }
    if sources:
        forget(catalog, idx, sorted(sources))
    return bool(sources)


def check_vectors(
    catalog: Catalog, idx: IndexRow, vectors: VectorStore, account: Account, repair: bool
) -> None:
    collection = catalog.collection(idx)
    stored = vectors.ids(collection)
    with catalog.reading() as db:
        expected, named = set[str](), set[str]()
        for row in db.execute("SELECT id, indexed FROM chunk WHERE idx_id = ?", (idx.id,)):
            named.add(row["id"])
            if row["indexed"]:
                expected.add(row["id"])
    orphans, missing = stored - named, expected - stored
    different = _different(catalog, idx, vectors, sorted(stored & named))
    n_late, n_ready = _unfinished(catalog, idx, vectors, repair)
    account.proved("vectors and chunks name each other", len(stored | expected))
    account.proved("stored vectors equal the catalog's", len(stored & named))
    if n_late or n_ready:
        account.found(
            "waiting",
            "vectors and versions that an interrupted run has left to be taken up",
            n_late + n_ready,
            repaired=repair,
        )
    if orphans:
        if repair:
            vectors.delete(collection, sorted(orphans))
        account.found("vectors", "vectors without a chunk", len(orphans), repaired=repair)
    for message, bad in (("chunks whose vector is missing", missing), ("vectors that differ", different)):
        if bad:
            if repair:
                _index_again(catalog, idx, vectors, sorted(bad))
            account.found("vectors", message, len(bad), repaired=repair)


def _unfinished(catalog: Catalog, idx: IndexRow, vectors: VectorStore, repair: bool) -> tuple[int, int]:
    """(chunks whose vector is not in the vector store yet, versions that are ready and not live yet)"""
    with catalog.reading() as db:
        n_late = db.execute(
            """SELECT count(*) FROM chunk JOIN generation ON generation.id = generation_id
               JOIN vector ON vector.embedder = ? AND vector.text_key = chunk.text_key
               WHERE chunk.idx_id = ? AND chunk.indexed = 0 AND generation.state <> 'dead'""",
            (idx.embedder, idx.id),
        ).fetchone()[0]
        n_staged = db.execute(
            """SELECT count(*) FROM generation WHERE idx_id = ? AND state = 'staged' AND NOT EXISTS (
                   SELECT 1 FROM chunk WHERE generation_id = generation.id AND indexed = 0)""",
            (idx.id,),
        ).fetchone()[0]
    if repair and (n_late or n_staged):
        index_known(catalog, idx, vectors)
        swap_ready(catalog, idx)
    return n_late, n_staged


def _different(catalog: Catalog, idx: IndexRow, vectors: VectorStore, ids: list[str]) -> set[str]:
    different = set[str]()
    for i in range(0, len(ids), _PAGE):
        page = ids[i : i + _PAGE]
        held = vectors.get(catalog.collection(idx), page)
        with catalog.reading() as db:
            rows = db.execute(
                """SELECT DISTINCT chunk.id AS id, vector.data AS data FROM chunk
                   JOIN vector ON vector.embedder = ? AND vector.text_key = chunk.text_key
                   WHERE chunk.id IN (SELECT value FROM json_each(?))""",
                (idx.embedder, json.dumps(page)),
            ).fetchall()
        for row in rows:
            theirs = held.get(row["id"])
            if theirs is None or len(row["data"]) != 4 * idx.dim:
                continue
            mine = np.frombuffer(row["data"], dtype="<f4")
            if theirs.shape != mine.shape or np.abs(mine - theirs).max() > _TOLERANCE:
                different.add(row["id"])
    return different


def _index_again(catalog: Catalog, idx: IndexRow, vectors: VectorStore, ids: list[str]) -> None:
    with catalog.writing() as db:
        db.executemany(
            "UPDATE chunk SET indexed = 0 WHERE idx_id = ? AND id = ?", [(idx.id, chunk) for chunk in ids]
        )
    index_known(catalog, idx, vectors)


def check_leftovers(
    catalog: Catalog, idx: IndexRow, vectors: VectorStore, account: Account, repair: bool
) -> None:
    with catalog.reading() as db:
        n_dead = db.execute(
            "SELECT count(*) FROM generation WHERE idx_id = ? AND state = 'dead'", (idx.id,)
        ).fetchone()[0]
        n_unused = db.execute(
            f"SELECT count(*) FROM vector WHERE embedder = ? AND {UNUSED_VECTOR}", (idx.embedder,)
        ).fetchone()[0]
    account.proved("nothing is left of removed documents", 1)
    if n_dead:
        if repair:
            purge(catalog, idx, vectors)
        account.found("leftovers", "removed versions that are not cleared away yet", n_dead, repaired=repair)
    if n_unused:
        if repair:
            with catalog.writing() as db:
                db.execute(f"DELETE FROM vector WHERE embedder = ? AND {UNUSED_VECTOR}", (idx.embedder,))
        account.found("leftovers", "vectors that no chunk uses", n_unused, repaired=repair)
