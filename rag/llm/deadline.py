"""``asyncio.timeout_at`` for many short waits: one timer for a reply that comes in hundreds of pieces."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any


class Deadline:
    """``with deadline: await …`` raises ``TimeoutError`` when the time is up, now or during the wait.

    Between the waits nothing is cancelled, so a generator may yield there. ``close`` it at the end.
    """

    __slots__ = ("_at_s", "_cancelling", "_cut", "_passed", "_task", "_timer")

    def __init__(self, at_s: float) -> None:
        """``at_s``: on the clock of the running loop."""
        self._at_s = at_s
        self._timer = asyncio.get_running_loop().call_at(at_s, self._pass)
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._passed = self._cut = False

    def shorten(self, by_s: float) -> None:
        """At most this many seconds from now."""
        loop = asyncio.get_running_loop()
        at_s = loop.time() + by_s
        if at_s < self._at_s and not self._passed:
            self._at_s = at_s
            self._timer.cancel()
            self._timer = loop.call_at(at_s, self._pass)

    def close(self) -> None:
        self._timer.cancel()

    def _pass(self) -> None:
        self._passed = True
        if self._task is not None:
            self._cut = True
            self._task.cancel()

    def __enter__(self) -> None:
        if self._passed:
            raise TimeoutError
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, _: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._cut and task is not None:
            self._cut = False
            # Somebody else may have cancelled the task too: then that is what it ends with.
            if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise TimeoutError from exc
