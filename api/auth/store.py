"""API keys as rows: made, found, revoked, replaced. They lie beside what else serving remembers."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from api.auth.keys import NewKey, fits, new_key, prefix_of
from api.auth.who import ALL_GROUPS, KeyScope, Who, checked_tenant
from ingest.store.access import normal
from rag.core.errors import StoreError, StoreFull, UsageError
from rag.llm.serving_db import FILE, open_serving

_USED_EVERY_S: Final = 60.0
_COLUMNS: Final = (
    "prefix, name, tenant, scopes, groups, made_at, expires_at, revoked_at, used_at, requests_per_minute, "
    "questions_per_day"
)
_NOBODY: Final = new_key()
"""What a key that is not there is compared with, so that it takes as long as one that is."""


class UnknownKey(UsageError):
    exit_code, http_status, code = 4, 404, "unknown-key"


@dataclass(frozen=True, slots=True)
class KeyRow:
    prefix: str
    who: Who
    made_at: float
    expires_at: float | None
    revoked_at: float | None
    used_at: float | None

    def state(self, now: float) -> str:
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "active"


class KeyStore:
    """May be used from several threads. Raises ``StoreError``."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / FILE
        self._db: sqlite3.Connection | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def configured(self) -> bool:
        """Whether there ever was a key: a server whose last key was revoked is not open again."""
        if self._db is None and not self._file.is_file():
            return False
        with self._reading() as db:
            return db.execute("SELECT 1 FROM api_key LIMIT 1").fetchone() is not None

    def create(self, who: Who, *, expires_at: float | None = None) -> NewKey:
        """``who.label`` is the key's name, one for each tenant. Raises ``UsageError``."""
        checked_tenant(who.tenant)
        if not who.label.strip() or len(who.label) > 80 or not who.label.isprintable():
            raise UsageError("A key needs a name of at most 80 printable characters; give it with --name.")
        if who.groups is not None and {"ingest", "admin"} & who.scopes:
            raise UsageError(
                "A key that may ingest or administer sees the documents of all groups, since it may replace them; "
                "leave --groups away, or make a second key for asking."
            )
        with self._writing() as db:
            now = time.time()
            if self._active(db, who.tenant, who.label, now):
                raise UsageError(
                    f"The tenant {who.tenant} has a key named {who.label!r} already; choose another name, or replace it "
                    "with 'footnote keys rotate'."
                )
            return _insert(db, who, now, expires_at)

    def rows(self, tenant: str | None = None) -> list[KeyRow]:
        """The newest first."""
        with self._reading() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM api_key WHERE ? IS NULL OR tenant = ? ORDER BY made_at DESC, prefix",
                (tenant, tenant),
            ).fetchall()
        return [_row(row) for row in rows]

    def revoke(self, name: str, tenant: str | None = None) -> list[str]:
        """Ends the key of this prefix, or all of this name, at once; their prefixes. Raises ``UnknownKey``."""
        with self._writing() as db:
            rows = self._named(db, name, tenant, time.time())
            for row in rows:
                db.execute("UPDATE api_key SET revoked_at = ? WHERE prefix = ?", (time.time(), row.prefix))
        return [row.prefix for row in rows]

    def rotate(
        self, name: str, tenant: str | None = None, *, overlap_s: float, lives_s: float | None = None
    ) -> NewKey:
        """A new key in the place of another, which stays good for the overlap. Raises ``UnknownKey``."""
        with self._writing() as db:
            now = time.time()
            old = self._named(db, name, tenant, now)
            newest = old[0]
            if lives_s is None and newest.expires_at is not None:
                lives_s = newest.expires_at - newest.made_at
            for row in old:
                until = min(now + overlap_s, row.expires_at or now + overlap_s)
                db.execute("UPDATE api_key SET expires_at = ? WHERE prefix = ?", (until, row.prefix))
            return _insert(db, newest.who, now, None if lives_s is None else now + lives_s)

    def who(self, text: str) -> Who | None:
        """Whose key this is; None for what is no key, or no longer."""
        prefix, now = prefix_of(text), time.time()
        if prefix is None:
            return None
        with self._reading() as db:
            found = db.execute(
                f"SELECT salt, digest, {_COLUMNS} FROM api_key WHERE prefix = ?", (prefix,)
            ).fetchone()
        salt, digest = (_NOBODY.salt, _NOBODY.digest) if found is None else (found[0], found[1])
        if not fits(text, salt, digest) or found is None:
            return None
        row = _row(found[2:])
        if row.state(now) != "active":
            return None
        if row.used_at is None or row.used_at < now - _USED_EVERY_S:
            self._used(prefix, now)
        return row.who

    def _used(self, prefix: str, now: float) -> None:
        """Tells whether an old key can go. Not worth waiting for another writer."""
        with self._reading() as db:
            try:
                db.execute("PRAGMA busy_timeout = 0")
                db.execute("UPDATE api_key SET used_at = ? WHERE prefix = ?", (now, prefix))
            except sqlite3.OperationalError:
                return
            finally:
                db.execute("PRAGMA busy_timeout = 10000")

    def _active(self, db: sqlite3.Connection, tenant: str, name: str, now: float) -> list[KeyRow]:
        rows = db.execute(f"SELECT {_COLUMNS} FROM api_key WHERE tenant = ? AND name = ?", (tenant, name))
        return [row for row in map(_row, rows) if row.state(now) == "active"]

    def _named(self, db: sqlite3.Connection, name: str, tenant: str | None, now: float) -> list[KeyRow]:
        """The active keys of a prefix or a name, the newest first. Raises ``UnknownKey``."""
        found = [
            row
            for row in map(_row, db.execute(f"SELECT {_COLUMNS} FROM api_key ORDER BY made_at DESC"))
            if row.state(now) == "active"
            and (row.prefix == name.removeprefix("fn_") or row.who.label == name)
            and (tenant is None or row.who.tenant == tenant)
        ]
        if not found:
            raise UnknownKey(f"There is no active key {name[:80]!r}; 'footnote keys list' shows them.")
        if len({row.who.tenant for row in found}) > 1:
            raise UsageError(f"Several tenants have a key named {name[:80]!r}; say which with --tenant.")
        return found

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _translated():
            if self._db is None:
                self._db = open_serving(self._file)
            yield self._db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    db.execute("ROLLBACK")
                raise


def _insert(db: sqlite3.Connection, who: Who, now: float, expires_at: float | None) -> NewKey:
    made = new_key()
    db.execute(
        f"INSERT INTO api_key (salt, digest, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, ?, ?)",
        (
            made.salt,
            made.digest,
            made.prefix,
            who.label,
            who.tenant,
            ",".join(sorted(who.scopes)),
            ALL_GROUPS if who.groups is None else json.dumps(normal(who.groups)),
            now,
            expires_at,
            who.requests_per_minute,
            who.questions_per_day,
        ),
    )
    return made


def _row(row: tuple[Any, ...]) -> KeyRow:
    prefix, name, tenant, scopes, groups, made_at, expires_at, revoked_at, used_at, per_minute, per_day = row
    held: frozenset[KeyScope] = frozenset(scopes.split(","))
    seen = None if groups == ALL_GROUPS else frozenset(json.loads(groups))
    who = Who(tenant, name, held, seen, prefix, per_minute, per_day)
    return KeyRow(prefix, who, made_at, expires_at, revoked_at, used_at)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        if "full" in str(exc):
            raise StoreFull("The disk is full, so no key can be written; free some space.") from exc
        raise StoreError(f"The API keys cannot be read or written ({exc}); try again.") from exc
