"""Finds the batch size that is fastest on this machine, while it works: every measurement is on texts that had
to be encoded anyway. What was found is remembered in the cache folder.
"""

from __future__ import annotations

import contextlib
import json
import threading
from pathlib import Path

CANDIDATES = (256, 512, 1024, 2048)
"""Tokens of a batch, padding included."""
DEFAULT = 512
_ENOUGH_TOKENS = 8000
"""Measured of each candidate before one is chosen: about a second's work."""


class BatchSize:
    """Tell it what each window cost; it says how large the batches of the next one should be."""

    def __init__(self, note: Path) -> None:
        """``note``: file in which the choice is remembered."""
        self._note = note
        self._lock = threading.Lock()
        self._cost: dict[int, tuple[int, float]] = dict.fromkeys(CANDIDATES, (0, 0.0))
        self._chosen = _remembered(note)

    @property
    def settled(self) -> bool:
        return self._chosen is not None

    def tokens(self) -> int:
        """For the next window: the choice, or the candidate that was measured least."""
        with self._lock:
            if self._chosen is not None:
                return self._chosen
            return min(CANDIDATES, key=lambda size: (self._cost[size][0], abs(size - DEFAULT)))

    def measured(self, size: int, n_tokens: int, cpu_s: float) -> None:
        """``cpu_s``: seconds of processor time, so that what else the machine does counts little."""
        with self._lock:
            if self._chosen is not None or size not in self._cost:
                return
            tokens, seconds = self._cost[size]
            self._cost[size] = tokens + n_tokens, seconds + cpu_s
            if min(tokens for tokens, _ in self._cost.values()) < _ENOUGH_TOKENS:
                return
            self._chosen = min(CANDIDATES, key=lambda s: self._cost[s][1] / self._cost[s][0])
            _remember(self._note, self._chosen)


def _remembered(note: Path) -> int | None:
    try:
        size = json.loads(note.read_text("utf-8"))["batch_tokens"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return size if size in CANDIDATES else None


def _remember(note: Path, size: int) -> None:
    # An unwritable cache costs a second's measuring at each run, nothing else.
    with contextlib.suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({"batch_tokens": size}), "utf-8")
