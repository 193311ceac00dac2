"""The catalog: connections, transactions, and the rows for knowledge bases, indexes, roots and files."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ingest.store.schema import CATALOG_FILE, connect, create_words, drop_words, roll_back, translated
from rag.core.errors import UnknownKnowledgeBase

# A text may be kept for several encoders: a vector is of use where a chunk of its own encoder's has the text.
UNUSED_VECTOR = """NOT EXISTS (
    SELECT 1 FROM chunk JOIN idx ON idx.id = chunk.idx_id
    WHERE chunk.text_key = vector.text_key AND idx.embedder = vector.embedder)"""


@dataclass(frozen=True, slots=True)
class IndexRow:
    """One way of chunking and embedding a knowledge base."""

    id: int
    kb_id: int
    state: str
    embedder: str
    pipeline: str
    dim: int


@dataclass(frozen=True, slots=True)
class RootRow:
    id: int
    ordinal: int
    path: str


@dataclass(frozen=True, slots=True)
class FileRow:
    source_id: str
    root_id: int
    path: str
    size: int
    mtime_ns: int
    content_hash: str
    state: str
    code: str | None
    reason: str | None
    loader: str | None


class Catalog:
    """Reads go through one connection a thread; writes through one connection behind a lock."""

    def __init__(self, store: Path, *, create: bool = False) -> None:
        self.store = store
        self.file = store / CATALOG_FILE
        self._local = threading.local()
        self._opened: list[sqlite3.Connection] = []
        self._write_lock = threading.RLock()
        self._writer = self._connect(create=create)
        with translated(self.file):
            self.store_id = str(
                self._writer.execute("SELECT value FROM meta WHERE key = 'store_id'").fetchone()[0]
            )

    def _connect(self, *, create: bool = False) -> sqlite3.Connection:
        connection = connect(self.file, create=create)
        self._opened.append(connection)
        return connection

    @property
    def reader(self) -> sqlite3.Connection:
        """This thread's connection for reading."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._connect()
        return connection

    def close_reader(self) -> None:
        """For a thread that ends: its connection would stay open as long as the catalog."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is not None:
            self._local.connection = None
            self._opened.remove(connection)
            connection.close()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """This thread's connection inside a transaction: every statement sees one state of the store."""
        with translated(self.file):
            connection = self.reader
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                if connection.in_transaction:
                    connection.execute("COMMIT")

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: all of it or nothing. Only the process with the writer's lock may call it."""
        with self._write_lock, translated(self.file):
            connection = self._writer
            if connection.in_transaction:
                yield connection
                return
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("UPDATE meta SET value = value + 1 WHERE key = 'revision'")
                connection.execute("COMMIT")
            except BaseException:
                roll_back(connection)
                raise

    def revision(self) -> int:
        """Grows with every write, whichever process it comes from."""
        with self.reading() as db:
            return int(db.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()[0])

    def close(self) -> None:
        for connection in self._opened:
            connection.close()
        self._opened.clear()

    # Knowledge bases and their indexes

    def find_kb(self, tenant: str, name: str) -> int:
        """Raises ``UnknownKnowledgeBase``."""
        with self.reading() as db:
            row = db.execute("SELECT id FROM kb WHERE tenant = ? AND name = ?", (tenant, name)).fetchone()
            if row is not None:
                return int(row["id"])
            names = [r["name"] for r in db.execute("SELECT name FROM kb WHERE tenant = ?", (tenant,))]
        there = f"there are: {', '.join(sorted(names)[:20])}" if names else "the store is empty"
        raise UnknownKnowledgeBase(
            f"There is no knowledge base named {name} in {self.store} ({there}); "
            "ingest a folder into it first: footnote ingest PATH.",
            knowledge_base=name,
        )

    def ensure_kb(self, tenant: str, name: str) -> int:
        with self.reading() as db:
            row = db.execute("SELECT id FROM kb WHERE tenant = ? AND name = ?", (tenant, name)).fetchone()
            if row is not None:
                return int(row["id"])
        with self.writing() as db:
            db.execute("INSERT OR IGNORE INTO kb (tenant, name) VALUES (?, ?)", (tenant, name))
            row = db.execute("SELECT id FROM kb WHERE tenant = ? AND name = ?", (tenant, name)).fetchone()
            return int(row["id"])

    def kbs(self, tenant: str) -> list[tuple[int, str]]:
        with self.reading() as db:
            rows = db.execute("SELECT id, name FROM kb WHERE tenant = ? ORDER BY name", (tenant,))
            return [(row["id"], row["name"]) for row in rows]

    def indexes(self, kb_id: int, state: str) -> list[IndexRow]:
        with self.reading() as db:
            rows = db.execute(
                "SELECT id, kb_id, state, embedder, pipeline, dim FROM idx WHERE kb_id = ? AND state = ? "
                "ORDER BY id",
                (kb_id, state),
            ).fetchall()
        return [IndexRow(*row) for row in rows]

    def active_index(self, kb_id: int) -> IndexRow | None:
        return next(iter(self.indexes(kb_id, "active")), None)

    def create_index(self, kb_id: int, state: str, *, embedder: str, pipeline: str, dim: int) -> IndexRow:
        with self.writing() as db:
            cursor = db.execute(
                "INSERT INTO idx (kb_id, state, embedder, pipeline, dim) VALUES (?, ?, ?, ?, ?)",
                (kb_id, state, embedder, pipeline, dim),
            )
            idx_id = int(cursor.lastrowid or 0)
            create_words(db, idx_id)
        return IndexRow(idx_id, kb_id, state, embedder, pipeline, dim)

    def activate_index(self, idx: IndexRow) -> None:
        """Swaps the finished index in and the old one out, in one transaction."""
        with self.writing() as db:
            db.execute("UPDATE idx SET state = 'dead' WHERE kb_id = ? AND state = 'active'", (idx.kb_id,))
            db.execute("UPDATE idx SET state = 'active' WHERE id = ?", (idx.id,))

    def kill_index(self, idx: IndexRow) -> None:
        with self.writing() as db:
            db.execute("UPDATE idx SET state = 'dead' WHERE id = ?", (idx.id,))

    def forget_index(self, idx: IndexRow) -> None:
        """Deletes a dead index's rows. Its collection must be gone already."""
        with self.writing() as db:
            db.execute("DELETE FROM chunk WHERE idx_id = ?", (idx.id,))
            db.execute(
                "DELETE FROM access WHERE generation_id IN (SELECT id FROM generation WHERE idx_id = ?)",
                (idx.id,),
            )
            db.execute("DELETE FROM generation WHERE idx_id = ?", (idx.id,))
            db.execute("DELETE FROM pending WHERE idx_id = ?", (idx.id,))
            db.execute("DELETE FROM idx WHERE id = ?", (idx.id,))
            drop_words(db, idx.id)
            db.execute(f"DELETE FROM vector WHERE {UNUSED_VECTOR}")

    def collection(self, idx: IndexRow) -> str:
        """The Chroma collection of an index; unique among the stores that share one Chroma server."""
        return f"footnote-{self.store_id}-{idx.id}"

    def n_pending(self, idx: IndexRow) -> int:
        """Texts that wait for the encoder."""
        with self.reading() as db:
            return int(db.execute("SELECT count(*) FROM pending WHERE idx_id = ?", (idx.id,)).fetchone()[0])

    # Roots and files

    def roots(self, kb_id: int) -> list[RootRow]:
        with self.reading() as db:
            rows = db.execute(
                "SELECT id, ordinal, path FROM root WHERE kb_id = ? ORDER BY ordinal", (kb_id,)
            ).fetchall()
        return [RootRow(*row) for row in rows]

    def ensure_root(self, kb_id: int, path: str) -> RootRow:
        known = next((root for root in self.roots(kb_id) if root.path == path), None)
        if known is not None:
            return known
        with self.writing() as db:
            ordinal = db.execute(
                "SELECT coalesce(max(ordinal), 0) + 1 FROM root WHERE kb_id = ?", (kb_id,)
            ).fetchone()[0]
            cursor = db.execute(
                "INSERT INTO root (kb_id, ordinal, path) VALUES (?, ?, ?)", (kb_id, ordinal, path)
            )
            return RootRow(int(cursor.lastrowid or 0), ordinal, path)

    def move_root(self, root: RootRow, path: str) -> RootRow:
        """The same files under another folder: nothing else changes."""
        with self.writing() as db:
            db.execute("UPDATE root SET path = ? WHERE id = ?", (path, root.id))
        return RootRow(root.id, root.ordinal, path)

    def files(self, root_id: int) -> dict[str, FileRow]:
        """By path."""
        with self.reading() as db:
            rows = db.execute(
                "SELECT source_id, root_id, path, size, mtime_ns, content_hash, state, code, reason, loader "
                "FROM file WHERE root_id = ?",
                (root_id,),
            ).fetchall()
        return {row["path"]: FileRow(*row) for row in rows}

    def put_file(self, row: FileRow) -> None:
        with self.writing() as db:
            db.execute(
                "INSERT OR REPLACE INTO file (source_id, root_id, path, size, mtime_ns, content_hash, state, "
                "code, reason, loader) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    row.source_id,
                    row.root_id,
                    row.path,
                    row.size,
                    row.mtime_ns,
                    row.content_hash,
                    row.state,
                    row.code,
                    row.reason,
                    row.loader,
                ),
            )

    def forget_files(self, source_ids: list[str]) -> None:
        with self.writing() as db:
            db.executemany("DELETE FROM file WHERE source_id = ?", [(s,) for s in source_ids])
            db.executemany(
                "DELETE FROM access WHERE source_id = ? AND generation_id = 0", [(s,) for s in source_ids]
            )
