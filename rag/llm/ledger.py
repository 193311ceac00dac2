"""Who used how much of which model on which day, and what it cost."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import astuple, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

from rag.core.types import Usage
from rag.llm.corrections import CORRECTIONS
from rag.llm.serving_db import open_serving

_WRITE_EVERY_S: Final = 0.5
_SAVE_EVERY_S: Final = 30.0
_DUST_USD: Final = 1e-12
"""What sums of money that was set aside and given back leave behind."""
_ADD: Final = (
    "INSERT INTO usage VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "n_requests = n_requests + excluded.n_requests, input_tokens = input_tokens + excluded.input_tokens, "
    "output_tokens = output_tokens + excluded.output_tokens, "
    "cached_tokens = cached_tokens + excluded.cached_tokens, cost_usd = cost_usd + excluded.cost_usd"
)
_SUM: Final = "SELECT coalesce(sum(cost_usd), 0.0) FROM usage WHERE day = ? AND tenant = ?"
_Purse: TypeAlias = tuple[str, str]
"""(day, tenant)"""
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
        self._path, self._today = path, today
        self._db = open_serving(path)
        self._reader = open_serving(path)  # of its own: whoever reads does not wait for whoever writes
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._reading = threading.Lock()
        self._new: dict[Account, Spent] = defaultdict(Spent)
        self._mine: dict[_Purse, float] = defaultdict(float)
        self._written: dict[_Purse, float] = defaultdict(float)
        self._others: dict[_Purse, float] = {}
        self._held: dict[str, float] = defaultdict(float)
        self._stop = threading.Event()
        self._writer: threading.Thread | None = None

    def record(self, usage: Usage, *, tenant: str, key: str, model: str, purpose: str) -> None:
        account = Account(self._today(), tenant, key, model, purpose)
        with self._lock:
            self._new[account].add(usage)
            self._mine[account.day, tenant] += usage.cost_usd
            self._begin()

    def spent_today_usd(self, tenant: str) -> float:
        """By all processes (by others as of half a second ago), and what is held for requests under way in this one."""
        purse = (self._today(), tenant)
        with self._lock:
            known = purse in self._others
            self._begin()
        if not known:
            self._look(purse)
        with self._lock:
            return self._others.get(purse, 0.0) + self._mine.get(purse, 0.0) + self._held.get(tenant, 0.0)

    def hold(self, tenant: str, cost_usd: float) -> None:
        """Sets money aside for a request under way; a negative amount gives it back."""
        with self._lock:
            held_usd = self._held[tenant] + cost_usd
            if held_usd > _DUST_USD:
                self._held[tenant] = held_usd
            else:
                del self._held[tenant]

    def flush(self) -> None:
        """Raises ``sqlite3.Error``; what could not be written is kept for the next time."""
        with self._writing:
            with self._lock:
                new, self._new = self._new, defaultdict(Spent)
            if not new:
                return
            try:
                self._db.execute("BEGIN IMMEDIATE")
                self._db.executemany(_ADD, [(*account, *astuple(one)) for account, one in new.items()])
                self._db.execute("COMMIT")
            except sqlite3.Error:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                with self._lock:
                    for account, one in new.items():
                        self._new[account].merge(one)
                raise
            with self._lock:
                for account, one in new.items():
                    self._written[account.day, account.tenant] += one.cost_usd

    def close(self) -> None:
        self._stop.set()
        if self._writer is not None:
            self._writer.join()
        with suppress(sqlite3.Error):
            self.flush()
        self._db.close()
        self._reader.close()

    def _begin(self) -> None:
        if self._writer is None:
            self._writer = threading.Thread(target=self._work, name="footnote-ledger", daemon=True)
            self._writer.start()

    def _work(self) -> None:
        while not self._stop.wait(_WRITE_EVERY_S):
            with suppress(sqlite3.Error):  # a disk that is full now may not be so the next time
                self.flush()
            self._forget()
            for purse in tuple(self._others):
                self._look(purse)
            CORRECTIONS.save(self._path, at_most_every_s=_SAVE_EVERY_S)

    def _look(self, purse: _Purse) -> None:
        """What other processes have spent: all that is written, less what we wrote. Between a commit of ours and its
        entry here that is too much for a moment, never too little."""
        with self._reading:
            with self._lock:
                ours = self._written.get(purse, 0.0)
            try:
                (all_usd,) = self._reader.execute(_SUM, purse).fetchone()
            except sqlite3.Error:
                return
        with self._lock:
            self._others[purse] = max(0.0, all_usd - ours)

    def _forget(self) -> None:
        """The days before; what of them is not written yet is still among the new."""
        today = self._today()
        with self._lock:
            for sums in (self._mine, self._written, self._others):
                for purse in [purse for purse in sums if purse[0] < today]:
                    del sums[purse]


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
