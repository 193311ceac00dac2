"""Versions of documents: written staged, made live, declared dead, purged. See ``schema.py`` for the life."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TypeVar

import numpy as np

from ingest.identity import chunk_id, text_key
from ingest.store.access import restrict_version
from ingest.store.catalog import UNUSED_VECTOR, Catalog, FileRow, IndexRow
from ingest.store.packing import pack_blocks, pack_text, unpack_blocks, unpack_text
from ingest.store.schema import words_table
from rag.core.protocols import Vectors, VectorStore
from rag.core.types import ChunkSpan, LoadedDocument

_PAGE = 500
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class NewGeneration:
    """A parsed and chunked file, ready to be written."""

    file: FileRow
    document: LoadedDocument
    spans: Sequence[ChunkSpan]


def put(catalog: Catalog, idx: IndexRow, new: NewGeneration) -> tuple[int, int]:
    """Writes one version of a source: live at once if the source is new, else staged until its vectors are
    there. Returns (number of chunks, those of them whose vector is already known)."""
    file = new.file
    with catalog.writing() as db:
        catalog.put_file(file)
        _bury(db, idx, [file.source_id], states=("staged",))
        row = db.execute(
            "SELECT id, content_hash FROM generation WHERE idx_id = ? AND source_id = ? AND state = 'live'",
            (idx.id, file.source_id),
        ).fetchone()
        generation_id = _insert_generation(db, idx, new, "live" if row is None else "staged")
        restrict_version(db, file.source_id, generation_id, new.document.metadata)
        n_known = _insert_chunks(db, idx, generation_id, new)
        if row is None:
            _add_words(db, idx, generation_id)
        return len(new.spans), n_known


def bury(catalog: Catalog, idx: IndexRow, source_ids: Sequence[str]) -> None:
    """Takes sources out of every search, in one transaction. ``purge`` deletes what is left of them."""
    with catalog.writing() as db:
        _bury(db, idx, source_ids, states=("staged", "live"))


def swap_ready(catalog: Catalog, idx: IndexRow) -> int:
    """Makes live each staged generation whose vectors are all there. Returns how many."""
    ready = """SELECT id, source_id FROM generation WHERE idx_id = ? AND state = 'staged' AND NOT EXISTS (
                   SELECT 1 FROM chunk WHERE chunk.generation_id = generation.id AND chunk.indexed = 0)"""
    with catalog.reading() as db:
        if not db.execute(ready, (idx.id,)).fetchone():
            return 0
    with catalog.writing() as db:
        rows = db.execute(ready, (idx.id,)).fetchall()
        for row in rows:
            _bury(db, idx, [row["source_id"]], states=("live",))
            db.execute("UPDATE generation SET state = 'live' WHERE id = ?", (row["id"],))
            _add_words(db, idx, row["id"])
        return len(rows)


def purge(catalog: Catalog, idx: IndexRow, vectors: VectorStore) -> int:
    """Deletes dead generations: their vectors first, their rows last, so that no vector is ever without a
    row that names it. Returns how many generations went."""
    with catalog.reading() as db:
        dead = [
            row["id"]
            for row in db.execute("SELECT id FROM generation WHERE idx_id = ? AND state = 'dead'", (idx.id,))
        ]
        if not dead:
            return 0
        # An unchanged chunk has the same id in the new version: it must stay.
        ids = [
            row["id"]
            for row in db.execute(
                """SELECT DISTINCT chunk.id FROM chunk JOIN generation ON generation.id = generation_id
                   WHERE generation.idx_id = ? AND generation.state = 'dead' AND NOT EXISTS (
                       SELECT 1 FROM chunk AS kept JOIN generation AS g ON g.id = kept.generation_id
                       WHERE kept.id = chunk.id AND kept.idx_id = ? AND g.state <> 'dead')""",
                (idx.id, idx.id),
            )
        ]
    for page in _pages(ids):
        vectors.delete(catalog.collection(idx), page)
    for generations in _pages(dead):
        with catalog.writing() as db:
            marks = ", ".join("?" * len(generations))
            keys = db.execute(
                f"SELECT DISTINCT text_key FROM chunk WHERE generation_id IN ({marks})", generations
            ).fetchall()
            db.execute(f"DELETE FROM chunk WHERE generation_id IN ({marks})", generations)
            db.execute(f"DELETE FROM access WHERE generation_id IN ({marks})", generations)
            db.execute(f"DELETE FROM generation WHERE id IN ({marks})", generations)
            for (key,) in keys:
                db.execute(
                    f"DELETE FROM vector WHERE embedder = ? AND text_key = ? AND {UNUSED_VECTOR}",
                    (idx.embedder, key),
                )
                db.execute(
                    """DELETE FROM pending WHERE idx_id = ? AND text_key = ? AND NOT EXISTS (
                           SELECT 1 FROM chunk WHERE chunk.text_key = pending.text_key AND idx_id = ?)""",
                    (idx.id, key, idx.id),
                )
    return len(dead)


def add_vectors(catalog: Catalog, idx: IndexRow, keys: Sequence[bytes], vectors: Vectors) -> None:
    """Keeps what the encoder made; the texts wait no longer."""
    with catalog.writing() as db:
        db.executemany(
            "INSERT OR REPLACE INTO vector (embedder, text_key, data) VALUES (?, ?, ?)",
            [
                (idx.embedder, key, np.ascontiguousarray(vector, dtype="<f4").tobytes())
                for key, vector in zip(keys, vectors, strict=True)
            ],
        )
        db.executemany(
            "DELETE FROM pending WHERE idx_id = ? AND text_key = ?", [(idx.id, key) for key in keys]
        )


def index_known(
    catalog: Catalog, idx: IndexRow, vectors: VectorStore, keys: Sequence[bytes] | None = None
) -> int:
    """Hands every vector that is known and not yet in the vector store to it; ``keys``: those of these texts only.
    Returns how many chunks."""
    n_indexed = 0
    pages: list[Sequence[bytes]] = [()] if keys is None else _pages(keys)
    for page in pages:
        # Without keys every chunk that waits is looked at, which is much while a large folder is taken in.
        condition = f"AND chunk.text_key IN ({', '.join('?' * len(page))})" if page else ""
        query = f"""SELECT chunk.row AS row, chunk.id AS id, vector.data AS data FROM chunk
                    CROSS JOIN vector ON vector.embedder = ? AND vector.text_key = chunk.text_key
                    WHERE chunk.idx_id = ? AND chunk.indexed = 0 AND length(vector.data) = ? {condition} LIMIT ?"""
        while True:
            with catalog.reading() as db:
                rows = db.execute(query, (idx.embedder, idx.id, 4 * idx.dim, *page, _PAGE)).fetchall()
            if not rows:
                break
            unique = {row["id"]: row["data"] for row in rows}
            matrix = np.frombuffer(b"".join(unique.values()), dtype="<f4").reshape(len(unique), -1)
            vectors.upsert(catalog.collection(idx), list(unique), matrix)
            with catalog.writing() as db:
                db.executemany("UPDATE chunk SET indexed = 1 WHERE row = ?", [(row["row"],) for row in rows])
            n_indexed += len(rows)
    return n_indexed


def known_document(
    catalog: Catalog, idx: IndexRow, content: str, suffix: str
) -> tuple[LoadedDocument, str] | None:
    """(document, loader's tag) that a file with the same bytes and ending was parsed to, if there is one."""
    with catalog.reading() as db:
        row = db.execute(
            "SELECT * FROM generation WHERE idx_id = ? AND content_hash = ? AND suffix = ? ORDER BY id LIMIT 1",
            (idx.id, content, suffix),
        ).fetchone()
    return None if row is None else (stored_document(row), row["loader"])


def stored_document(row: sqlite3.Row) -> LoadedDocument:
    """A generation's row back to what its loader returned."""
    return LoadedDocument(
        text=unpack_text(row["text"]),
        blocks=unpack_blocks(row["blocks"]),
        media_type=row["media_type"],
        title=row["title"] if row["own_title"] else None,
        metadata=json.loads(row["metadata"]),
        warnings=tuple(json.loads(row["warnings"])),
    )


def display_title(document: LoadedDocument, path: str) -> str:
    return document.title or PurePosixPath(path).stem.replace("_", " ")


def document_date(document: LoadedDocument, mtime_ns: int) -> str:
    """ISO date: the document's own where it states one, else the file's time."""
    stated = str(document.metadata.get("date", ""))[:10]
    try:
        return datetime.fromisoformat(stated).date().isoformat()
    except ValueError:
        return datetime.fromtimestamp(mtime_ns / 1e9, UTC).date().isoformat()


def _insert_generation(db: sqlite3.Connection, idx: IndexRow, new: NewGeneration, state: str) -> int:
    file, document = new.file, new.document
    cursor = db.execute(
        """INSERT INTO generation (idx_id, source_id, state, uri, suffix, content_hash, loader, media_type,
               title, own_title, date, metadata, warnings, size, ingested_at, text, blocks)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            idx.id,
            file.source_id,
            state,
            file.path,
            PurePosixPath(file.path).suffix.lower(),
            file.content_hash,
            file.loader or "",
            document.media_type,
            display_title(document, file.path),
            int(document.title is not None),
            document_date(document, file.mtime_ns),
            json.dumps(dict(document.metadata), default=str),
            json.dumps(document.warnings),
            file.size,
            datetime.now(UTC).isoformat(timespec="seconds"),
            pack_text(document.text),
            pack_blocks(document.blocks),
        ),
    )
    return int(cursor.lastrowid or 0)


def _insert_chunks(db: sqlite3.Connection, idx: IndexRow, generation_id: int, new: NewGeneration) -> int:
    text, n_known = new.document.text, 0
    for ordinal, span in enumerate(new.spans):
        key = text_key(span.embedding_text)
        identity = chunk_id(new.file.source_id, span.start, span.end, key, idx.pipeline)
        # The same chunk of a version that is not dead has its vector in the vector store already.
        twin = db.execute(
            """SELECT max(indexed) FROM chunk JOIN generation ON generation.id = generation_id
               WHERE chunk.id = ? AND chunk.idx_id = ? AND generation.state <> 'dead'""",
            (identity, idx.id),
        ).fetchone()[0]
        known = db.execute(
            "SELECT 1 FROM vector WHERE embedder = ? AND text_key = ?", (idx.embedder, key)
        ).fetchone()
        if known is None:
            db.execute(
                "INSERT OR IGNORE INTO pending (idx_id, text_key, text) VALUES (?, ?, ?)",
                (idx.id, key, span.embedding_text),
            )
        n_known += known is not None
        db.execute(
            """INSERT INTO chunk (id, generation_id, idx_id, ordinal, start, "end", text, headings, page,
                   n_tokens, text_key, indexed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            (
                identity,
                generation_id,
                idx.id,
                ordinal,
                span.start,
                span.end,
                text[span.start : span.end],
                json.dumps(span.heading_path, ensure_ascii=False),
                span.page,
                span.n_tokens,
                key,
                int(bool(twin)),
            ),
        )
    return n_known


def _bury(db: sqlite3.Connection, idx: IndexRow, source_ids: Iterable[str], states: tuple[str, ...]) -> None:
    marks = ", ".join("?" * len(states))
    for source in source_ids:
        rows = db.execute(
            f"SELECT id, state FROM generation WHERE idx_id = ? AND source_id = ? AND state IN ({marks})",
            (idx.id, source, *states),
        ).fetchall()
        for row in rows:
            if row["state"] == "live":
                _drop_words(db, idx, row["id"])
            db.execute("UPDATE generation SET state = 'dead' WHERE id = ?", (row["id"],))


def _add_words(db: sqlite3.Connection, idx: IndexRow, generation_id: int) -> None:
    words = words_table(idx.id)
    db.execute(
        f"""INSERT INTO {words} (rowid, title, heading, body)
            SELECT row, title, heading, body FROM {words}_content
            WHERE row IN (SELECT row FROM chunk WHERE generation_id = ?)""",
        (generation_id,),
    )


def _drop_words(db: sqlite3.Connection, idx: IndexRow, generation_id: int) -> None:
    """Must run while the generation is still live: the view gives FTS5 the words it has to forget."""
    words = words_table(idx.id)
    db.execute(
        f"""INSERT INTO {words} ({words}, rowid, title, heading, body)
            SELECT 'delete', row, title, heading, body FROM {words}_content
            WHERE row IN (SELECT row FROM chunk WHERE generation_id = ?)""",
        (generation_id,),
    )


def _pages(items: Sequence[_T]) -> list[Sequence[_T]]:
    return [items[i : i + _PAGE] for i in range(0, len(items), _PAGE)]
