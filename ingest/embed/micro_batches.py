"""Questions that arrive while others are being encoded share the next batch.

No timer: an idle encoder takes a question at once, alone. While all of its lanes are busy questions gather, and
the lane that is free first takes what has gathered. So a question waits for the batches at hand, some
milliseconds, and never for what may not come.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


@dataclass(slots=True, eq=False)
class _Call(Generic[T, R]):
    item: T
    woken: threading.Event = field(default_factory=threading.Event)
    """Its result is there, or it is its turn to work."""
    batch: list[_Call[T, R]] = field(default_factory=list)
    """What it is to work on, itself first; empty where another has done it."""
    result: list[R] = field(default_factory=list)
    error: BaseException | None = None


class MicroBatches(Generic[T, R]):
    """Called from many threads; ``run`` works in theirs, in at most ``lanes`` of them at once."""

    def __init__(self, run: Callable[[Sequence[T]], Sequence[R]], *, lanes: int, most: int) -> None:
        """``run`` takes up to ``most`` items and returns one result for each."""
        self._run, self._lanes, self._most = run, lanes, most
        self._lock = threading.Lock()
        self._n_busy = 0
        self._waiting: deque[_Call[T, R]] = deque()

    def __call__(self, item: T) -> R:
        mine: _Call[T, R] = _Call(item)
        with self._lock:
            if self._n_busy < self._lanes:
                self._n_busy += 1
                mine.batch = [mine]
            else:
                self._waiting.append(mine)
        if not mine.batch:
            mine.woken.wait()
        if mine.batch:
            self._work(mine.batch)
            self._pass_on()
        if mine.error is not None:
            raise mine.error
        return mine.result[0]

    def _work(self, batch: list[_Call[T, R]]) -> None:
        try:
            for one, result in zip(batch, self._run([one.item for one in batch]), strict=True):
                one.result.append(result)
        except BaseException as exc:
            for one in batch:
                one.error = exc
        for other in batch[1:]:
            other.woken.set()

    def _pass_on(self) -> None:
        """The lane goes to the call that has waited longest, with as many behind it as may come along."""
        with self._lock:
            if not self._waiting:
                self._n_busy -= 1
                return
            n = min(len(self._waiting), self._most)
            batch = [self._waiting.popleft() for _ in range(n)]
            batch[0].batch = batch
        batch[0].woken.set()
