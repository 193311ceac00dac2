"""By how much our token counts fall short of a server's, learned from the usage that it reports."""

from __future__ import annotations

import math
import sqlite3
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rag.core.errors import StoreError
from rag.llm.serving_db import open_serving

_CAUTION: Final = 20
"""After so many prompts half of what the default is too large by is gone."""
_SAFETY: Final = 0.03
"""Above the largest share seen: the next prompt may be of another kind."""
_FADES: Final = 0.002
_MIN_TOKENS: Final = 50
"""Shorter prompts say more of the chat template than of the text."""
_LEAST_SHARE: Final = 0.4
"""Some servers say only what was not in their cache; no tokenizer needs so much less than ours."""


@dataclass(frozen=True, slots=True)
class _Seen:
    worst: float
    """Largest share by which a count fell short; fades slowly."""
    n: int


class Corrections:
    """May be used from any thread."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}
        self._unsaved: set[str] = set()
        self._saved_at_s = -math.inf
        self._lock = threading.Lock()

    def margin(self, model: str, default: float) -> float:
        """Share to add to a count. A default that was too small gives way at once; one that is too large bit by bit,
        because the next prompt may be in another language."""
        seen = self._seen.get(model)
        if seen is None:
            return default
        learnt = max(0.0, seen.worst + _SAFETY)
        if seen.worst > default:
            return learnt
        return min(default, learnt) + max(0.0, default - learnt) * _CAUTION / (_CAUTION + seen.n)

    def observe(self, model: str, counted: int, said: int) -> None:
        """``counted`` here without a margin, ``said`` by the server, of the same prompt."""
        if counted < _MIN_TOKENS or said < _LEAST_SHARE * counted:
            return
        short = min(4.0, said / counted - 1)
        with self._lock:
            seen = self._seen.get(model, _Seen(short, 0))
            worst = max(short, seen.worst - _FADES * (seen.worst - short))
            self._seen[model] = _Seen(worst, seen.n + 1)
            self._unsaved.add(model)

    def load(self, file: Path) -> None:
        """What an earlier process learned. A file that cannot be read teaches nothing."""
        if not file.is_file():
            return
        with suppress(StoreError, sqlite3.Error), closing(open_serving(file)) as db:
            rows = db.execute("SELECT model, ratio, n FROM token_margin").fetchall()
            with self._lock:
                self._seen = {model: _Seen(worst, n) for model, worst, n in rows} | self._seen

    def save(self, file: Path, *, at_most_every_s: float = 0.0) -> None:
        """What was learned since it was last saved."""
        with self._lock:
            if not self._unsaved or time.monotonic() - self._saved_at_s < at_most_every_s:
                return
            rows = [(model, self._seen[model].worst, self._seen[model].n) for model in self._unsaved]
            self._unsaved, self._saved_at_s = set(), time.monotonic()
        with suppress(StoreError, sqlite3.Error), closing(open_serving(file)) as db:
            db.executemany("INSERT OR REPLACE INTO token_margin VALUES (?, ?, ?)", rows)


CORRECTIONS: Final = Corrections()
"""Of this process: counters are made wherever something is counted."""
