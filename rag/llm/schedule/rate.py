"""How much a server takes in a minute, kept so that any way of counting is satisfied."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

WINDOW_S: Final = 60.0
_SLACK: Final = 0.005
"""Longer than the server's minute by this share: the clocks and the ways there and back differ."""
_WORST_SHARE: Final = 0.5
_STEP_DOWN: Final = 0.97
_STEP_UP: Final = 0.005


class SlidingWindow:
    """At most ``limit`` in any minute. What keeps to that keeps to fixed windows and to token buckets of a minute
    too. What is in flight counts as reserved; what it really took counts from the moment that it is known."""

    def __init__(self, limit: float | None) -> None:
        """``None``: no limit is known."""
        self.limit = limit
        self.share = 1.0
        """Of the limit that is used: less after the server said no although this count allowed it."""
        self.reserved = 0.0
        self._taken = 0.0
        self._log: deque[tuple[float, float]] = deque()

    @property
    def allowed(self) -> float:
        return math.inf if self.limit is None else max(1.0, self.limit * self.share)

    def left(self, now: float) -> float:
        self._forget(now)
        return self.allowed - self._taken - self.reserved

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until the amount fits; ``inf`` where that depends on what is in flight. More than the limit counts
        as the limit."""
        missing = min(amount, self.allowed) - self.left(now)
        if missing <= 1e-9:
            return 0.0
        for time, taken in self._log:
            missing -= taken
            if missing <= 1e-9:
                return max(0.0, time + WINDOW_S * (1 + _SLACK) - now)
        return math.inf

    def reserve(self, amount: float) -> None:
        self.reserved += amount

    def settle(self, now: float, reserved: float, taken: float) -> None:
        """What was reserved has become what was taken."""
        self.reserved = max(0.0, self.reserved - reserved)
        self.take(now, taken)

    def take(self, now: float, amount: float) -> None:
        if amount > 0:
            self._log.append((now, amount))
            self._taken += amount

    def refused(self) -> None:
        """The server's limit is lower than this one."""
        self.share = max(_WORST_SHARE, self.share * _STEP_DOWN)

    def accepted(self) -> None:
        self.share = min(1.0, self.share + _STEP_UP * (1.0 - self.share))

    def _forget(self, now: float) -> None:
        log = self._log
        while log and log[0][0] + WINDOW_S * (1 + _SLACK) <= now + 1e-9:
            self._taken -= log.popleft()[1]
        if not log:
            self._taken = 0.0


class Pace:
    """Requests at even distances, with a burst (the generic cell rate algorithm, ITU-T I.371): servers that allow
    60 a minute often mean one a second."""

    def __init__(self, per_minute: float | None) -> None:
        self.per_minute = per_minute
        self.burst = 1.0 if per_minute is None else max(1.0, per_minute / 6)
        self._next = -math.inf

    def wait_s(self, now: float) -> float:
        if self.per_minute is None:
            return 0.0
        gap = WINDOW_S / self.per_minute
        return max(0.0, self._next - (self.burst - 1) * gap - now)

    def take(self, now: float) -> None:
        if self.per_minute is not None:
            self._next = max(self._next, now) + WINDOW_S / self.per_minute

    def refused(self) -> None:
        self.burst = max(1.0, self.burst / 2)
