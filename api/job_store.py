"""Batches over HTTP as rows: what was asked, what came of it."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from api.batch.answering import failure_of
from rag.core.errors import StoreError, StoreFull, UsageError
from rag.llm.serving_db import open_serving

MAX_ACTIVE: Final = 20
MAX_ENDED: Final = 100
"""Batches that ended; the oldest are removed with their results."""
_N_ERRORS: Final = 20
_PAGE_LINES: Final = 100
_ACTIVE: Final = "('queued', 'running')"


class UnknownBatch(UsageError):
    exit_code, http_status, code = 4, 404, "unknown-batch"


class TooManyBatches(UsageError):
    http_status, code = 429, "too-many-batches"


@dataclass(frozen=True, slots=True)
class Job:
    id: str
    tenant: str
    state: str
    """queued, running, done, cancelled"""
    made_at: str
    ended_at: str | None
    n_lines: int
    n_answered: int
    """The failed ones too."""
    n_failed: int
    cost_usd: float


class JobStore:
    """May be used from several threads. Raises ``StoreError``."""

    def __init__(self, file: Path) -> None:
        self._db = open_serving(file)
        self._lock = threading.Lock()

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def create(
        self, tenant: str, lines: Sequence[str], *, groups: frozenset[str] | None = None, key: str = ""
    ) -> str:
        """The questions are asked with the sight of these groups. Raises ``TooManyBatches``."""
        job = uuid.uuid4().hex
        with self._writing() as db:
            (n_active,) = db.execute(
                f"SELECT count(*) FROM job WHERE tenant = ? AND state IN {_ACTIVE}", (tenant,)
            ).fetchone()
            if n_active >= MAX_ACTIVE:
                raise TooManyBatches(
                    f"{n_active} batches are waiting or running; send it again when one has ended.",
                    retry_after_s=60,
                )
            db.execute(
                "INSERT INTO job (id, tenant, state, made_at, n_lines, groups, key) "
                "VALUES (?, ?, 'queued', ?, ?, ?, ?)",
                (job, tenant, time.time(), len(lines), _written(groups), key),
            )
            db.executemany(
                "INSERT INTO job_line (job, line, asked) VALUES (?, ?, ?)",
                [(job, number, raw) for number, raw in enumerate(lines, 1)],
            )
            db.execute(
                f"DELETE FROM job WHERE tenant = ? AND state NOT IN {_ACTIVE} AND id NOT IN (SELECT id FROM job "
                f"WHERE tenant = ? AND state NOT IN {_ACTIVE} ORDER BY ended_at DESC LIMIT ?)",
                (tenant, tenant, MAX_ENDED),
            )
        return job

    def jobs(self, tenant: str, groups: frozenset[str] | None = None) -> list[Job]:
        """Those whose answers members of the groups may see, the newest first."""
        with self._reading() as db:
            rows = db.execute(
                f"{_JOB} WHERE job.tenant = ? AND {_SEEN} GROUP BY job.id ORDER BY made_at DESC",
                (tenant, *_seen_by(groups)),
            )
            return [_job(row) for row in rows]

    def job(self, job: str, tenant: str, groups: frozenset[str] | None = None) -> Job:
        """Raises ``UnknownBatch``."""
        with self._reading() as db:
            row = db.execute(
                f"{_JOB} WHERE job.id = ? AND job.tenant = ? AND {_SEEN} GROUP BY job.id",
                (job, tenant, *_seen_by(groups)),
            ).fetchone()
        if row is None:
            raise UnknownBatch(f"There is no batch {job[:80]!r}; GET /v1/batches lists them.", id=job[:80])
        return _job(row)

    def asker(self, job: str) -> tuple[str, frozenset[str] | None, str]:
        """(tenant, groups, key) that its questions are asked for."""
        with self._reading() as db:
            tenant, groups, key = db.execute(
                "SELECT tenant, groups, key FROM job WHERE id = ?", (job,)
            ).fetchone()
        return tenant, None if groups is None else frozenset(json.loads(groups)), key

    def errors(self, job: str) -> list[dict[str, Any]]:
        """The first lines that failed, with why."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT line, answer FROM job_line WHERE job = ? AND failed ORDER BY line LIMIT ?",
                (job, _N_ERRORS),
            ).fetchall()
        return [{"line": line, "detail": failure_of(json.loads(answer))} for line, answer in rows]

    def results(self, job: str) -> Iterator[str]:
        """What has been answered, in the order of the questions, as JSON lines."""
        after = 0
        while True:
            with self._reading() as db:
                rows = db.execute(
                    "SELECT line, answer FROM job_line WHERE job = ? AND line > ? AND answer IS NOT NULL "
                    "ORDER BY line LIMIT ?",
                    (job, after, _PAGE_LINES),
                ).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            yield "".join(f"{answer}\n" for _, answer in rows)

    def active(self) -> list[str]:
        """Those to be run, the oldest first: a fresh one, or one whose process has ended."""
        with self._reading() as db:
            rows = db.execute(f"SELECT id FROM job WHERE state IN {_ACTIVE} ORDER BY made_at, id").fetchall()
        return [row[0] for row in rows]

    def left(self, job: str) -> list[tuple[int, str]]:
        """(line, what it asks) of what has no answer yet."""
        with self._reading() as db:
            return db.execute(
                "SELECT line, asked FROM job_line WHERE job = ? AND answer IS NULL ORDER BY line", (job,)
            ).fetchall()

    def keep(self, job: str, result: dict[str, Any]) -> None:
        """Writes the answer to a line, once."""
        answer = json.dumps(result, ensure_ascii=False).encode("utf-8", "replace").decode()
        with self._writing() as db:
            db.execute(
                "UPDATE job_line SET answer = ?, failed = ?, cost_usd = ? "
                "WHERE job = ? AND line = ? AND answer IS NULL",
                (
                    answer,
                    failure_of(result) is not None,
                    float(result.get("cost_usd") or 0.0),
                    job,
                    result["line"],
                ),
            )

    def move(self, job: str, state: str) -> None:
        """To another state, unless it has ended."""
        ended_at = time.time() if state in ("done", "cancelled") else None
        with self._writing() as db:
            db.execute(
                f"UPDATE job SET state = ?, ended_at = ? WHERE id = ? AND state IN {_ACTIVE}",
                (state, ended_at, job),
            )

    def remove(self, job: str) -> None:
        with self._writing() as db:
            db.execute("DELETE FROM job WHERE id = ?", (job,))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _translated():
            yield self._db

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _translated():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise


_JOB: Final = (
    "SELECT job.id, job.tenant, job.state, job.made_at, job.ended_at, job.n_lines, count(job_line.answer), "
    "coalesce(sum(job_line.failed), 0), coalesce(sum(job_line.cost_usd), 0.0) "
    "FROM job LEFT JOIN job_line ON job_line.job = job.id"
)


# Who sees less than a batch was asked with would read in its answers what is kept from them.
_SEEN: Final = """(? OR (job.groups IS NOT NULL AND NOT EXISTS (
    SELECT 1 FROM json_each(job.groups) WHERE value NOT IN (SELECT value FROM json_each(?)))))"""


def _seen_by(groups: frozenset[str] | None) -> tuple[bool, str]:
    return groups is None, _written(groups) or "[]"


def _written(groups: frozenset[str] | None) -> str | None:
    return None if groups is None else json.dumps(sorted(groups))


def _job(row: tuple[Any, ...]) -> Job:
    id, tenant, state, made_at, ended_at, *counts = row
    return Job(id, tenant, state, _shown(made_at), None if ended_at is None else _shown(ended_at), *counts)


def _shown(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as exc:
        if "full" in str(exc):
            raise StoreFull("The disk is full; free some space: what the batches have is kept.") from exc
        raise StoreError(f"The batches cannot be read or written ({exc}); try again.") from exc
