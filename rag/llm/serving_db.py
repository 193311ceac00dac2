"""What serving remembers: one SQLite file beside the index, which can be rebuilt; this cannot."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from rag.core.errors import StoreError

FILE: Final = "serving.sqlite"
_BUSY_MS: Final = 10_000

MIGRATIONS: Final = (
    """
    CREATE TABLE usage (
        day TEXT NOT NULL, tenant TEXT NOT NULL, key TEXT NOT NULL, model TEXT NOT NULL, purpose TEXT NOT NULL,
        n_requests INTEGER NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
        cached_tokens INTEGER NOT NULL, cost_usd REAL NOT NULL,
        PRIMARY KEY (day, tenant, key, model, purpose)
    ) WITHOUT ROWID;
    CREATE TABLE token_margin (model TEXT PRIMARY KEY, ratio REAL NOT NULL, n INTEGER NOT NULL) WITHOUT ROWID;
    """,
    """
    CREATE TABLE reply (
        key TEXT PRIMARY KEY, tenant TEXT NOT NULL, events TEXT NOT NULL, n_bytes INTEGER NOT NULL,
        made_at REAL NOT NULL, used_at REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX reply_used ON reply (used_at);
    CREATE TABLE question (
        id INTEGER PRIMARY KEY, tenant TEXT NOT NULL, sources TEXT NOT NULL, text TEXT NOT NULL, vector BLOB NOT NULL,
        reply TEXT NOT NULL, made_at REAL NOT NULL
    );
    CREATE INDEX question_sources ON question (tenant, sources);
    """,
    """
    CREATE TABLE job (
        id TEXT PRIMARY KEY, tenant TEXT NOT NULL, state TEXT NOT NULL, made_at REAL NOT NULL, ended_at REAL,
        n_lines INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE job_line (
        job TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE, line INTEGER NOT NULL, asked TEXT NOT NULL,
        answer TEXT, failed INTEGER NOT NULL DEFAULT 0, cost_usd REAL NOT NULL DEFAULT 0,
        PRIMARY KEY (job, line)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE api_key (
        prefix TEXT PRIMARY KEY, name TEXT NOT NULL, tenant TEXT NOT NULL, scopes TEXT NOT NULL, groups TEXT NOT NULL,
        salt BLOB NOT NULL, digest BLOB NOT NULL, made_at REAL NOT NULL, expires_at REAL, revoked_at REAL,
        used_at REAL, requests_per_minute INTEGER, questions_per_day INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE quota (key TEXT PRIMARY KEY, n INTEGER NOT NULL, ends_at REAL NOT NULL) WITHOUT ROWID;
    ALTER TABLE job ADD COLUMN groups TEXT;
    ALTER TABLE job ADD COLUMN key TEXT NOT NULL DEFAULT '';
    """,
)
"""Each is run once, in order; never changed after a release."""


def open_serving(path: Path) -> sqlite3.Connection:
    """Opens the file, makes it where it is not there, and brings it up to date. One connection, for any thread that
    does not use it at the same time as another. Raises ``StoreError``."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)  # it holds answers
        db = sqlite3.connect(path, timeout=_BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
        db.execute(f"PRAGMA busy_timeout = {_BUSY_MS}")
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")
        db.execute("PRAGMA foreign_keys = ON")
        _migrate(db)
    except (sqlite3.Error, OSError) as exc:
        raise StoreError(
            f"What serving remembers cannot be opened at {path} ({exc}); check its folder, or move the file away to "
            "begin anew.",
            path=str(path),
        ) from exc
    return db


def _migrate(db: sqlite3.Connection) -> None:
    (version,) = db.execute("PRAGMA user_version").fetchone()
    if version >= len(MIGRATIONS):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        (version,) = db.execute("PRAGMA user_version").fetchone()
        for statements in MIGRATIONS[version:]:
            for statement in statements.split(";"):
                if statement.strip():
                    db.execute(statement)
        db.execute(f"PRAGMA user_version = {max(version, len(MIGRATIONS))}")
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise
