"""Who used how much of which model on which day, and what it cost."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, NamedTuple

from rag.core.types import Usage
from rag.llm.serving_db import open_serving

_WRITE_EVERY_S: Final = 0.5
_READ_EVERY_S: Final = 2.0
By = Literal["day", "tenant", "key", "model", "purpose"]


class Account(NamedTuple):
    day: str
    tenant: str
    key: str
    model: str
    purpose: str


@dataclass(slots=True)
class Spent:
    n_requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cost_usd: float = 0.0

    def add(self, usage: Usage) -> None:
        self.merge(Spent(1, usage.input_tokens, usage.output_tokens, usage.cached_tokens, usage.cost_usd))

    def merge(self, other: Spent) -> None:
        self.n_requests += other.n_requests
        self.input_tokens += other.input_tokens
        self.output_tokens += other.output_tokens
        self.cached_tokens += other.cached_tokens
        self.cost_usd += other.cost_usd


def utc_day(moment: float | None = None) -> str:
    return datetime.fromtimestamp(time.time() if moment is None else moment, UTC).date().isoformat()


class Ledger:
    """Entries are gathered in memory and written by one thread twice a second, so a request waits for no disk; a
    process that is killed loses half a second of them, one that closes loses nothing. Several processes may write."""

    def __init__(self, path: Path, *, today: Callable[[], str] = utc_day) -> None:
        """Raises ``StoreError``."""
        self._db = open_serving(path)
        self._today = today
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._new: dict[Account, Spent] = defaultdict(Spent)
        self._held: dict[str, float] = defaultdict(float)
        self._known: dict[tuple[str, str], tuple[float, float]] = {}
        self._stop = threading.Event()
        self._writer: threading.Thread | None = None

    def record(self, usage: Usage, *, tenant: str, key: str, model: str, purpose: str) -> None:
        account = Account(self._today(), tenant, key, model, purpose)
        with self._lock:
            self._new[account].add(usage)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_on, name="footnote-ledger", daemon=True)
                self._writer.start()

    def spent_today_usd(self, tenant: str) -> float:
        """By all processes, and what is held for requests under way in this one."""
        day = self._today()
        with self._lock:
            mine = sum(
                one.cost_usd for account, one in self._new.items() if account[:2] == (day, tenant)
            ) + self._held.get(tenant, 0.0)
            known = self._known.get((day, tenant))
        if known is None or time.monotonic() - known[0] > _READ_EVERY_S:
            with self._writing:
                (written,) = self._db.execute(
                    "SELECT coalesce(sum(cost_usd), 0) FROM usage WHERE day = ? AND tenant = ?", (day, tenant)
                ).fetchone()
            known = (time.monotonic(), float(written))
            with self._lock:
                self._known[day, tenant] = known
        return known[1] + mine

    def hold(self, tenant: str, cost_usd: float) -> None:
        """Sets money aside for a request under way; a negative amount gives it back."""
        with self._lock:
            self._held[tenant] = max(0.0, self._held[tenant] + cost_usd)

    def flush(self) -> None:
        """Raises ``sqlite3.Error``; what could not be written is kept for the next time."""
        with self._writing:
            with self._lock:
                new, self._new = self._new, defaultdict(Spent)
            if not new:
                return
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany(
                    "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
                    "n_requests = n_requests + excluded.n_requests, input_tokens = input_tokens + excluded.input_tokens, "
                    "output_tokens = output_tokens + excluded.output_tokens, "
                    "cached_tokens = cached_tokens + excluded.cached_tokens, cost_usd = cost_usd + excluded.cost_usd",
                    [
                        (
                            *account,
                            one.n_requests,
                            one.input_tokens,
                            one.output_tokens,
                            one.cached_tokens,
                            one.cost_usd,
                        )
                        for account, one in new.items()
                    ],
                )
                self._db.execute("COMMIT")
            except sqlite3.Error:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                with self._lock:
                    for account, one in new.items():
                        self._new[account].merge(one)
                raise
            with self._lock:  # what was just written is not counted among the new any more
                for account, one in new.items():
                    known = self._known.get(account[:2])
                    if known is not None:
                        self._known[account[:2]] = (known[0], known[1] + one.cost_usd)

    def close(self) -> None:
        self._stop.set()
        if self._writer is not None:
            self._writer.join()
        with suppress(sqlite3.Error):
            self.flush()
        self._db.close()

    def _write_on(self) -> None:
        while not self._stop.wait(_WRITE_EVERY_S):
            with suppress(sqlite3.Error):  # a disk that is full now may not be so the next time
                self.flush()


def usage_by(path: Path, by: By, *, days: int, today: str | None = None) -> list[tuple[str, Spent]]:
    """Sums over the last days, today among them, dearest first (days: latest first). Raises ``StoreError``."""
    first = datetime.fromisoformat(today or utc_day()) - timedelta(days=days - 1)
    order = "1 DESC" if by == "day" else "6 DESC, 2 DESC, 1"
    db = open_serving(path)
    try:
        rows = db.execute(
            f"SELECT {by}, sum(n_requests), sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(cost_usd) "
            f"FROM usage WHERE day >= ? GROUP BY 1 ORDER BY {order}",
            (first.date().isoformat(),),
        ).fetchall()
    finally:
        db.close()
    return [(name, Spent(*values)) for name, *values in rows]
