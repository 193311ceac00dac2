"""The catalog's tables, and how its connections are opened.

The life of one version of a document (a *generation*):

    staged ──vectors ready──▶ live ──replaced or vanished──▶ dead ──vectors deleted──▶ (gone)

A new document starts as live: its words are searchable at once, its vectors follow. Only live
generations are ever joined to a search hit, so a reader sees the old or the new version and nothing
between, whatever is killed when.

Vectors are kept here too, by the hash of the text they stand for. The reasons: no text is encoded twice
(edits, renames, copies, chunks that recur), Chroma can be rebuilt and proved without the encoder, few
chunks are scored exactly where a filter leaves few, and a process beside the writer can search although
an embedded Chroma does not see another process's writes. The price is 1.6 kB a chunk at 384 dimensions.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rag.core.errors import StoreCorrupt, StoreError, StoreFull, StoreLocked
from rag.core.plain import plain

SCHEMA_VERSION = 2
CATALOG_FILE = "catalog.sqlite"

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE kb (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (tenant, name)
);

-- One way of chunking and embedding a knowledge base; a Chroma collection and a word table of its own.
CREATE TABLE idx (
    id INTEGER PRIMARY KEY,
    kb_id INTEGER NOT NULL REFERENCES kb (id),
    state TEXT NOT NULL CHECK (state IN ('building', 'active', 'dead')),
    embedder TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    dim INTEGER NOT NULL
);
CREATE UNIQUE INDEX idx_active ON idx (kb_id) WHERE state = 'active';

CREATE TABLE root (
    id INTEGER PRIMARY KEY,
    kb_id INTEGER NOT NULL REFERENCES kb (id),
    ordinal INTEGER NOT NULL,
    path TEXT NOT NULL,
    UNIQUE (kb_id, path),
    UNIQUE (kb_id, ordinal)
);

-- What the walk last saw at a path, and what became of it.
CREATE TABLE file (
    source_id TEXT PRIMARY KEY,
    root_id INTEGER NOT NULL REFERENCES root (id),
    path TEXT NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    content_hash TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ok', 'failed', 'skipped')),
    code TEXT,
    reason TEXT,
    loader TEXT,
    UNIQUE (root_id, path)
) WITHOUT ROWID;

CREATE TABLE generation (
    id INTEGER PRIMARY KEY,
    idx_id INTEGER NOT NULL REFERENCES idx (id),
    source_id TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('staged', 'live', 'dead')),
    uri TEXT NOT NULL,
    suffix TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    loader TEXT NOT NULL,
    media_type TEXT NOT NULL,
    title TEXT NOT NULL,
    own_title INTEGER NOT NULL,
    date TEXT NOT NULL,
    metadata TEXT NOT NULL,
    warnings TEXT NOT NULL,
    size INTEGER NOT NULL,
    ingested_at TEXT NOT NULL,
    text BLOB NOT NULL,
    blocks BLOB NOT NULL
);
CREATE UNIQUE INDEX generation_live ON generation (idx_id, source_id) WHERE state = 'live';
CREATE UNIQUE INDEX generation_staged ON generation (idx_id, source_id) WHERE state = 'staged';
CREATE INDEX generation_content ON generation (idx_id, content_hash);
CREATE INDEX generation_state ON generation (idx_id, state);

CREATE TABLE chunk (
    row INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    generation_id INTEGER NOT NULL REFERENCES generation (id),
    idx_id INTEGER NOT NULL,
    ordinal INTEGER NOT NULL,
    start INTEGER NOT NULL,
    "end" INTEGER NOT NULL,
    text TEXT NOT NULL,
    headings TEXT NOT NULL,
    page INTEGER,
    n_tokens INTEGER NOT NULL,
    text_key BLOB NOT NULL,
    indexed INTEGER NOT NULL
);
CREATE INDEX chunk_id ON chunk (id);
CREATE UNIQUE INDEX chunk_place ON chunk (generation_id, ordinal);
CREATE INDEX chunk_text_key ON chunk (text_key);
CREATE INDEX chunk_unindexed ON chunk (idx_id, text_key) WHERE indexed = 0;

CREATE TABLE vector (
    row INTEGER PRIMARY KEY,
    embedder TEXT NOT NULL,
    text_key BLOB NOT NULL,
    data BLOB NOT NULL,
    UNIQUE (embedder, text_key)
);

-- Texts that wait for the encoder. They are gone once their vector is there.
CREATE TABLE pending (
    row INTEGER PRIMARY KEY AUTOINCREMENT,
    idx_id INTEGER NOT NULL,
    text_key BLOB NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (idx_id, text_key)
);
"""

# A restriction of a document: members of one of the groups (a JSON list) may see it. ``generation_id`` is 0 for
# what a rule on the path says of all versions.
_ACCESS = """
CREATE TABLE access (
    source_id TEXT NOT NULL,
    generation_id INTEGER NOT NULL,
    groups TEXT NOT NULL,
    PRIMARY KEY (source_id, generation_id)
) WITHOUT ROWID;
"""


def words_table(idx_id: int) -> str:
    return f"words_{idx_id}"


def create_words(connection: sqlite3.Connection, idx_id: int) -> None:
    """The full-text index of one knowledge base: its statistics are its own, so tenants do not mix."""
    table = words_table(idx_id)
    connection.execute(
        f"""CREATE VIEW {table}_content AS
            SELECT chunk.row AS row, generation.title AS title,
                   heading_words(chunk.headings) AS heading, plain(chunk.text) AS body
            FROM chunk JOIN generation ON generation.id = chunk.generation_id
            WHERE generation.idx_id = {idx_id:d} AND generation.state = 'live'"""
    )
    connection.execute(
        f"""CREATE VIRTUAL TABLE {table} USING fts5(
            title, heading, body, content='{table}_content', content_rowid='row',
            tokenize="porter unicode61 remove_diacritics 2")"""
    )


def drop_words(connection: sqlite3.Connection, idx_id: int) -> None:
    connection.execute(f"DROP TABLE IF EXISTS {words_table(idx_id)}")
    connection.execute(f"DROP VIEW IF EXISTS {words_table(idx_id)}_content")


def heading_words(headings: str) -> str:
    """The words of a stored heading path (a JSON list of strings)."""
    import json

    return " ".join(json.loads(headings))


def connect(file: Path, *, create: bool = False) -> sqlite3.Connection:
    """Opens the catalog; makes it if ``create``. Raises ``StoreError`` and its subclasses."""
    with translated(file):
        mode = "rwc" if create else "rw"
        connection = sqlite3.connect(
            f"{file.absolute().as_uri()}?mode={mode}",
            uri=True,
            timeout=30,
            isolation_level=None,
            check_same_thread=False,
        )
        try:
            _prepare(connection, file, create=create)
        except BaseException:
            connection.close()
            raise
    return connection


def _prepare(connection: sqlite3.Connection, file: Path, *, create: bool) -> None:
    connection.row_factory = sqlite3.Row
    connection.create_function("plain", 1, plain, deterministic=True)
    connection.create_function("heading_words", 1, heading_words, deterministic=True)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA cache_size = -65536")
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version == 0 and create:
        _create(connection)
    elif version == 0:
        raise StoreError(
            f"The store in {file.parent} was never finished; run 'footnote ingest PATH' again.",
            path=str(file),
        )
    elif version == 1:
        _add_access(connection)
    elif version != SCHEMA_VERSION:
        raise StoreCorrupt(
            f"The catalog {file} has schema version {version}, this Footnote reads {SCHEMA_VERSION}; "
            "use the Footnote that wrote it, or ingest into a new store.",
            path=str(file),
        )


def _create(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 0:
            for statement in (_TABLES + _ACCESS).split(";\n"):
                if statement.strip():
                    connection.execute(statement)
            connection.execute("INSERT INTO meta VALUES ('store_id', lower(hex(randomblob(8))))")
            connection.execute("INSERT INTO meta VALUES ('revision', '0')")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def _add_access(connection: sqlite3.Connection) -> None:
    """From version 1, which did not know groups; documents may have named theirs."""
    import json

    from ingest.store.access import restrict_version

    connection.execute("BEGIN IMMEDIATE")
    try:
        if connection.execute("PRAGMA user_version").fetchone()[0] == 1:
            connection.execute(_ACCESS)
            rows = connection.execute("SELECT id, source_id, metadata FROM generation").fetchall()
            for row in rows:
                restrict_version(connection, row["source_id"], row["id"], json.loads(row["metadata"]))
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: sqlite3.Connection) -> None:
    """After some errors, a full disk among them, SQLite has rolled back by itself already."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")


@contextmanager
def translated(file: Path) -> Iterator[None]:
    """The one place where SQLite's errors become ours."""
    try:
        yield
    except sqlite3.OperationalError as exc:
        text = str(exc)
        if "full" in text or "disk I/O" in text:
            raise StoreFull(
                f"The disk of {file.parent} is full; free some space and run the command again: nothing is lost.",
                path=str(file),
            ) from exc
        if "locked" in text or "busy" in text:
            raise StoreLocked(
                f"The catalog {file} stayed locked by another process; wait for it to end and try again.",
                path=str(file),
            ) from exc
        if "readonly" in text or "unable to open" in text:
            raise StoreError(
                f"The catalog {file} cannot be opened for writing; check the folder's permissions.",
                path=str(file),
            ) from exc
        raise StoreError(
            f"The catalog {file} failed: {text}; run 'footnote doctor'.", path=str(file)
        ) from exc
    except sqlite3.DatabaseError as exc:
        if isinstance(exc, sqlite3.IntegrityError | sqlite3.ProgrammingError | sqlite3.InterfaceError):
            raise StoreError(
                f"The catalog {file} refused a write: {exc}; run 'footnote doctor'.", path=str(file)
            ) from exc
        raise StoreCorrupt(
            f"The catalog {file} is damaged ({exc}); try 'footnote doctor --repair', else restore it from a backup, "
            "or delete the store's folder and ingest again: your documents are untouched.",
            path=str(file),
        ) from exc
