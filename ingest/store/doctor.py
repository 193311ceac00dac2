"""Proves that catalog, full text and vectors agree, and mends what does not."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from ingest.identity import chunk_id, text_key
from ingest.store.catalog import Catalog, IndexRow
from ingest.store.generations import index_known, purge, stored_document, unpack_text
from ingest.store.schema import create_words, drop_words, translated, words_table
from rag.core.protocols import VectorStore
from rag.core.reports import DoctorReport, Finding
from rag.core.types import LoadedDocument

_PAGE = 1000
# Chroma keeps float32; what comes back may differ in the last bits.
_TOLERANCE = 1e-5

Rechunk = Callable[[LoadedDocument], dict[bytes, str]]
"""The texts to embed of a stored document, by key."""


@dataclass(slots=True)
class _Account:
    checks: list[tuple[str, int]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def proved(self, what: str, n: int) -> None:
        self.checks.append((what, n))

    def found(self, check: str, message: str, n: int = 1, *, repaired: bool = False) -> None:
        self.findings.append(Finding(check, message, n, repaired))


def examine(
    catalog: Catalog,
    vectors: VectorStore,
    *,
    repair: bool,
    rechunk: Callable[[IndexRow], Rechunk] | None = None,
) -> DoctorReport:
    """Looks at every index of every knowledge base. ``repair`` needs the writer's lock; texts whose vector
    is lost are put back among those that wait for the encoder (``rechunk`` gives them)."""
    account = _Account()
    _check_file(catalog, account)
    for idx in _all_indexes(catalog):
        if idx.state == "dead":
            account.found("old indexes", "an index that was replaced is still there", repaired=repair)
            if repair:
                vectors.drop(catalog.collection(idx))
                catalog.forget_index(idx)
            continue
        _check_sources(catalog, idx, account, repair)
        _check_spans(catalog, idx, account, repair)
        _check_words(catalog, idx, account, repair)
        _check_waiting(catalog, idx, account, repair, rechunk)
        _check_vectors(catalog, idx, vectors, account, repair)
        _check_leftovers(catalog, idx, vectors, account, repair)
    return DoctorReport(tuple(account.checks), tuple(account.findings))


def _all_indexes(catalog: Catalog) -> list[IndexRow]:
    with catalog.reading() as db:
        rows = db.execute("SELECT id, kb_id, state, embedder, pipeline, dim FROM idx ORDER BY id").fetchall()
    return [IndexRow(*row) for row in rows]


def _check_file(catalog: Catalog, account: _Account) -> None:
    with catalog.reading() as db:
        problems = [row[0] for row in db.execute("PRAGMA integrity_check(20)") if row[0] != "ok"]
    account.proved("the catalog's file is sound", 1)
    for problem in problems:
        account.found(
            "catalog file", f"SQLite reports: {problem}; restore a backup or ingest into a new store"
        )


def _check_sources(catalog: Catalog, idx: IndexRow, account: _Account, repair: bool) -> None:
    with catalog.reading() as db:
        files = {
            row["source_id"]: row["content_hash"]
            for row in db.execute(
                "SELECT source_id, content_hash FROM file JOIN root ON root.id = root_id "
                "WHERE kb_id = ? AND state = 'ok'",
                (idx.kb_id,),
            )
        }
        newest = {
            row["source_id"]: row["content_hash"]
            for row in db.execute(
                "SELECT source_id, content_hash FROM generation WHERE idx_id = ? AND state <> 'dead' "
                "ORDER BY state",  # 'staged' after 'live': the newest version wins
                (idx.id,),
            )
        }
    if idx.state == "building":
        return
    account.proved("every file has its document", len(files))
    lost = [source for source, digest in files.items() if newest.get(source) != digest]
    ghosts = [source for source in newest if source not in files]
    if lost:
        account.found(
            "documents",
            "files whose document is missing or old; 'footnote ingest' reads them again",
            len(lost),
            repaired=repair,
        )
    if ghosts:
        account.found("documents", "documents whose file is not known", len(ghosts), repaired=repair)
    if repair and (lost or ghosts):
        from ingest.store.generations import bury

        with catalog.writing():
            catalog.forget_files(lost)
            bury(catalog, idx, [*ghosts])


def _check_spans(catalog: Catalog, idx: IndexRow, account: _Account, repair: bool) -> None:
    n_chunks, broken = 0, set[str]()
    for generation in _generations(catalog, idx):
        text = unpack_text(generation["text"])
        with catalog.reading() as db:
            rows = db.execute(
                'SELECT id, ordinal, start, "end", text, text_key FROM chunk WHERE generation_id = ? ORDER BY ordinal',
                (generation["id"],),
            ).fetchall()
        for place, row in enumerate(rows):
            n_chunks += 1
            identity = chunk_id(
                generation["source_id"], row["start"], row["end"], row["text_key"], idx.pipeline
            )
            if (
                text[row["start"] : row["end"]] != row["text"]
                or identity != row["id"]
                or place != row["ordinal"]
            ):
                broken.add(generation["source_id"])
    account.proved("every span equals its text, every id its content", n_chunks)
    if broken:
        account.found(
            "spans",
            "documents with chunks that differ from their text; 'footnote ingest' reads them again",
            len(broken),
            repaired=repair,
        )
        if repair:
            _forget(catalog, idx, sorted(broken))


def _forget(catalog: Catalog, idx: IndexRow, sources: list[str]) -> None:
    from ingest.store.generations import bury

    with catalog.writing():
        bury(catalog, idx, sources)
        catalog.forget_files(sources)


def _check_words(catalog: Catalog, idx: IndexRow, account: _Account, repair: bool) -> None:
    words = words_table(idx.id)
    with catalog.reading() as db:
        n_live = db.execute(f"SELECT count(*) FROM {words}_content").fetchone()[0]
    try:
        with translated(catalog.file), catalog.writing() as db:
            # With rank 1 FTS5 compares its index with the content it was made from.
            db.execute(f"INSERT INTO {words} ({words}, rank) VALUES ('integrity-check', 1)")
            n_words = db.execute(f"SELECT count(*) FROM {words}_docsize").fetchone()[0]
        sound = n_words == n_live
    except Exception:
        sound = False
    account.proved("full text equals the live chunks", n_live)
    if not sound:
        if repair:
            with catalog.writing() as db:
                drop_words(db, idx.id)
                create_words(db, idx.id)
                db.execute(f"INSERT INTO {words} ({words}) VALUES ('rebuild')")
        account.found("full text", "the full-text index differs from the live chunks", repaired=repair)


def _check_waiting(
    catalog: Catalog,
    idx: IndexRow,
    account: _Account,
    repair: bool,
    rechunk: Callable[[IndexRow], Rechunk] | None,
) -> None:
    """Every chunk has a vector, or its text waits for one."""
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
        n_waiting = db.execute("SELECT count(*) FROM pending WHERE idx_id = ?", (idx.id,)).fetchone()[0]
        n_chunks = db.execute("SELECT count(*) FROM chunk WHERE idx_id = ?", (idx.id,)).fetchone()[0]
    account.proved("every chunk has a vector or waits for one", n_chunks)
    if n_waiting:
        account.found(
            "waiting", "texts wait for the encoder; run 'footnote ingest' again to finish", n_waiting
        )
    if not lost:
        return
    mended = repair and rechunk is not None
    if mended and rechunk is not None:
        texts: dict[bytes, str] = {}
        again = rechunk(idx)
        for generation in _generations(catalog, idx):
            texts |= {k: t for k, t in again(stored_document(generation)).items() if k in lost}
        with catalog.writing() as db:
            db.executemany(
                "INSERT OR IGNORE INTO pending (idx_id, text_key, text) VALUES (?, ?, ?)",
                [(idx.id, key, text) for key, text in texts.items() if text_key(text) == key],
            )
            db.execute(
                "UPDATE chunk SET indexed = 0 WHERE idx_id = ? AND text_key IN (SELECT text_key FROM pending)",
                (idx.id,),
            )
    account.found(
        "vectors", "chunks whose vector is lost; they are encoded again", len(lost), repaired=mended
    )


def _check_vectors(
    catalog: Catalog, idx: IndexRow, vectors: VectorStore, account: _Account, repair: bool
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
    account.proved("vectors and chunks name each other", len(stored | expected))
    account.proved("stored vectors equal the catalog's", len(stored & named))
    if orphans:
        if repair:
            vectors.delete(collection, sorted(orphans))
        account.found("vectors", "vectors without a chunk", len(orphans), repaired=repair)
    for message, bad in (("chunks whose vector is missing", missing), ("vectors that differ", different)):
        if bad:
            if repair:
                _index_again(catalog, idx, vectors, sorted(bad))
            account.found("vectors", message, len(bad), repaired=repair)


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
            mine, theirs = np.frombuffer(row["data"], dtype="<f4"), held.get(row["id"])
            if theirs is not None and (
                mine.shape != theirs.shape or np.abs(mine - theirs).max() > _TOLERANCE
            ):
                different.add(row["id"])
    return different


def _index_again(catalog: Catalog, idx: IndexRow, vectors: VectorStore, ids: list[str]) -> None:
    with catalog.writing() as db:
        db.executemany("UPDATE chunk SET indexed = 0 WHERE id = ?", [(chunk,) for chunk in ids])
    index_known(catalog, idx, vectors)


def _check_leftovers(
    catalog: Catalog, idx: IndexRow, vectors: VectorStore, account: _Account, repair: bool
) -> None:
    with catalog.reading() as db:
        n_dead = db.execute(
            "SELECT count(*) FROM generation WHERE idx_id = ? AND state = 'dead'", (idx.id,)
        ).fetchone()[0]
        n_unused = db.execute(
            "SELECT count(*) FROM vector WHERE text_key NOT IN (SELECT text_key FROM chunk)"
        ).fetchone()[0]
    account.proved("nothing is left of removed documents", 1)
    if n_dead:
        if repair:
            purge(catalog, idx, vectors)
        account.found("leftovers", "removed versions that are not cleared away yet", n_dead, repaired=repair)
    if n_unused:
        if repair:
            with catalog.writing() as db:
                db.execute("DELETE FROM vector WHERE text_key NOT IN (SELECT text_key FROM chunk)")
        account.found("leftovers", "vectors that no chunk uses", n_unused, repaired=repair)


def _generations(catalog: Catalog, idx: IndexRow) -> Iterator[sqlite3.Row]:
    with catalog.reading() as db:
        ids = [
            row["id"]
            for row in db.execute("SELECT id FROM generation WHERE idx_id = ? AND state <> 'dead'", (idx.id,))
        ]
    for generation in ids:
        with catalog.reading() as db:
            row = db.execute("SELECT * FROM generation WHERE id = ?", (generation,)).fetchone()
        if row is not None:
            yield row
