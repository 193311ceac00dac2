"""How long each stage of an answer took."""

from __future__ import annotations

import time


class Laps:
    def __init__(self) -> None:
        self._started = self._last = time.perf_counter()
        self._laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self._laps[name] = round((now - self._last) * 1000, 2)
        self._last = now

    def total(self) -> dict[str, float]:
        return {**self._laps, "total": round((time.perf_counter() - self._started) * 1000, 2)}
