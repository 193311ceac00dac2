"""How many requests a key and a tenant may send in a minute, and how many questions they may ask in a day.

The counts lie in serving.sqlite, so that several processes share them and a restart forgives nothing.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.storage import Storage
from limits.strategies import FixedWindowRateLimiter

from api.auth.who import Who
from api.problems import problem
from rag.core.errors import StoreError, UsageError
from rag.core.settings import Settings
from rag.llm.serving_db import FILE, open_serving


class TooManyRequests(UsageError):
    """Field ``retry_after_s`` says when it is worth another try."""

    http_status, code = 429, "too-many-requests"


@dataclass(frozen=True, slots=True)
class Limit:
    name: str
    whose: str
    item: RateLimitItem

    @property
    def window_s(self) -> int:
        return int(self.item.get_expiry())


@dataclass(frozen=True, slots=True)
class Counted:
    shown: dict[str, str] = field(default_factory=dict)
    """The RateLimit headers (draft-ietf-httpapi-ratelimit-headers)."""
    refusal: dict[str, Any] | None = None


class Quotas:
    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._counts = SqliteCounts(settings.store / FILE)
        self._limiter = FixedWindowRateLimiter(self._counts)

    def close(self) -> None:
        self._counts.close()

    async def count_request(self, who: Who) -> Counted:
        """Counts one and says what is left. Raises ``StoreError``."""
        requests, questions = self._request_limits(who), self._question_limits(who)
        if not requests and not questions:
            return Counted()
        return await asyncio.to_thread(self._count_request, requests, questions)

    async def count_questions(self, who: Who, n: int = 1) -> None:
        """Raises ``TooManyRequests``, and then counts none."""
        if found := self._question_limits(who):
            await asyncio.to_thread(self._count_questions, found, n)

    def _count_request(self, requests: list[Limit], questions: list[Limit]) -> Counted:
        spent = [one for one in requests if not self._limiter.hit(one.item, one.whose)]
        shown = self._headers([*requests, *questions])
        if not spent:
            return Counted(shown)
        error = self._too_many(spent[0], "requests", "minute")
        shown["retry-after"] = str(error.fields["retry_after_s"])
        return Counted(shown, problem(error.http_status, error.code, error.message, error.fields))

    def _count_questions(self, found: list[Limit], n: int) -> None:
        for one in found:
            if not self._limiter.test(one.item, one.whose, cost=n):
                raise self._too_many(one, "questions", "day")
        for one in found:
            self._limiter.hit(one.item, one.whose, cost=n)

    def _too_many(self, spent: Limit, what: str, when: str) -> TooManyRequests:
        wait_s = self._reset_s(spent)
        kind = spent.name.partition("-")[0]
        return TooManyRequests(
            f"This {kind} may have {spent.item.amount:,} {what} a {when}; come again in {wait_s:,} seconds.",
            limit=spent.item.amount,
            retry_after_s=wait_s,
        )

    def _headers(self, found: list[Limit]) -> dict[str, str]:
        left = {one.name: self._limiter.get_window_stats(one.item, one.whose).remaining for one in found}
        return {
            "ratelimit-policy": ", ".join(
                f'"{one.name}";q={one.item.amount};w={one.window_s}' for one in found
            ),
            "ratelimit": ", ".join(
                f'"{one.name}";r={left[one.name]};t={self._reset_s(one)}' for one in found
            ),
        }

    def _reset_s(self, one: Limit) -> int:
        at = self._limiter.get_window_stats(one.item, one.whose).reset_time
        return max(1, min(one.window_s, math.ceil(at - time.time())))

    def _request_limits(self, who: Who) -> list[Limit]:
        mine = who.requests_per_minute or (self._settings.key_requests_per_minute if who.prefix else None)
        tenants = self._settings.tenant_requests_per_minute
        return _limits(who, "minute", mine, tenants, RateLimitItemPerMinute)

    def _question_limits(self, who: Who) -> list[Limit]:
        mine = who.questions_per_day or (self._settings.key_questions_per_day if who.prefix else None)
        return _limits(who, "day", mine, self._settings.tenant_questions_per_day, RateLimitItemPerDay)


def _limits(
    who: Who, window: str, key: int | None, tenant: int | None, item: type[RateLimitItem]
) -> list[Limit]:
    """A key is known by its name here, so that a new one in its place goes on with its counts."""
    found = []
    if key is not None:
        found.append(Limit(f"key-{window}", f"key/{who.tenant}/{who.label}", item(key)))
    if tenant is not None:
        found.append(Limit(f"tenant-{window}", f"tenant/{who.tenant}", item(tenant)))
    return found


_INCREASE: Final = """
    INSERT INTO quota (key, n, ends_at) VALUES (:key, :n, :ends_at) ON CONFLICT (key) DO UPDATE SET
        n = CASE WHEN ends_at <= :now THEN 0 ELSE n END + :n,
        ends_at = CASE WHEN ends_at <= :now THEN :ends_at ELSE ends_at END
    RETURNING n"""


class SqliteCounts(Storage):
    """What ``limits`` counts in, as a table. Opens its file when something is counted."""

    STORAGE_SCHEME = None

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None

    @property
    def base_exceptions(self) -> type[Exception]:
        return sqlite3.Error

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        now = time.time()
        return int(self._row(_INCREASE, {"key": key, "n": amount, "now": now, "ends_at": now + expiry})[0])

    def get(self, key: str) -> int:
        row = self._row("SELECT n FROM quota WHERE key = ? AND ends_at > ?", (key, time.time()))
        return int(row[0]) if row else 0

    def get_expiry(self, key: str) -> float:
        row = self._row("SELECT ends_at FROM quota WHERE key = ?", (key,))
        return float(row[0]) if row else time.time()

    def check(self) -> bool:
        return self._row("SELECT 1", ()) is not None

    def reset(self) -> int:
        return len(self._rows("DELETE FROM quota RETURNING key", ()))

    def clear(self, key: str) -> None:
        self._rows("DELETE FROM quota WHERE key = ?", (key,))

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _row(self, statement: str, values: Any) -> Any:
        return next(iter(self._rows(statement, values)), None)

    def _rows(self, statement: str, values: Any) -> list[Any]:
        with self._lock:
            try:
                if self._db is None:
                    self._db = open_serving(self._file)
                    self._db.execute("DELETE FROM quota WHERE ends_at <= ?", (time.time(),))
                return self._db.execute(statement, values).fetchall()
            except sqlite3.Error as exc:
                raise StoreError(f"The quotas cannot be read or written ({exc}); try again.") from exc
