"""By how much our token counts fall short of a server's, learned from the usage that it reports."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag.core.errors import StoreError
from rag.llm.serving_db import open_serving

_ENOUGH: Final = 5
_SAFETY: Final = 0.03
"""Above the largest share seen: the next prompt may be of another kind."""
_FADES: Final = 0.002
_MIN_TOKENS: Final = 50
"""Shorter prompts say more of the chat template than of the text."""


@dataclass(frozen=True, slots=True)
class _Seen:
    worst: float
    """Largest share by which a count fell short; fades slowly."""
    n: int


class Corrections:
    """May be used from any thread."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._lock = threading.Lock()

    def margin(self, model: str, default: float) -> float:
        """Share to add to a count. The default gives way to what was seen once that is enough, and at once where it
        was too small."""
        seen = self._seen.get(model)
        if seen is None:
            return default
        learnt = max(0.0, seen.worst + _SAFETY)
        return learnt if seen.n >= _ENOUGH else max(default, learnt if seen.worst > default else 0.0)

    def observe(self, model: str, counted: int, said: int) -> None:
        """``counted`` here without a margin, ``said`` by the server, of the same prompt."""
        if counted < _MIN_TOKENS or said <= 0:
            return
        short = min(4.0, said / counted - 1)
        with self._lock:
            seen = self._seen.get(model, _Seen(short, 0))
            worst = max(short, seen.worst - _FADES * (seen.worst - short))
            self._seen[model] = _Seen(worst, seen.n + 1)

    def load(self, file: Path) -> None:
        """What an earlier process learned. A file that cannot be read teaches nothing."""
        if not file.is_file():
            return
        with suppress(StoreError, sqlite3.Error), closing(open_serving(file)) as db:
            rows = db.execute("SELECT model, ratio, n FROM token_margin").fetchall()
            with self._lock:
                self._seen = {model: _Seen(worst, n) for model, worst, n in rows} | self._seen

    def save(self, file: Path) -> None:
        with self._lock:
            rows = [(model, seen.worst, seen.n) for model, seen in self._seen.items()]
        if rows:
            with suppress(StoreError, sqlite3.Error), closing(open_serving(file)) as db:
                db.executemany("INSERT OR REPLACE INTO token_margin VALUES (?, ?, ?)", rows)


CORRECTIONS: Final = Corrections()
"""Of this process: counters are made wherever something is counted."""
