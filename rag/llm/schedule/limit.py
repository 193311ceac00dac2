"""So much a minute: what the settings or the headers say, and what refusals have taught."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

WINDOW_S: Final = 60.0
_SLACK: Final = 0.005
"""Longer than the server's minute by this share: the clocks and the ways there and back differ."""
_KEEPS: Final = 0.97
_MOST_CUT: Final = 0.5
_PROBES: Final = 0.01
"""Growth of a learned limit in the first minute; it doubles with each minute without a refusal."""
_ACCEPTED_PER_MINUTE: Final = 60
"""A minute with fewer requests counts for less: a probe that fails is one refusal, and those are to be few."""
_ABOUT_RIGHT: Final = 0.8
_FURTHEST: Final = 2.0
"""Times the most that was ever taken: what a lesson is forgotten to, until that has been tried."""
_NEARLY_ALL: Final = 0.9
_FORGETS: Final = 0.9998
"""With each request: the most that was taken counts for less, a limit may have been lowered since."""


class Limit:
    """What is known, lowered by refusals. A lowered limit creeps up at first and then faster, as CUBIC's window does
    (Ha, Rhee and Xu 2008): so the place of the last refusal is passed slowly and an old lesson is forgotten."""

    def __init__(self, known: float | None, *, least_learned: float = 1.0) -> None:
        """``least_learned``: where nothing is known, refusals teach no less than this."""
        self.known, self._least = known, least_learned
        self._cap = math.inf
        self._cap_at = 0.0
        self._n_accepted = 0
        self._peak = 1.0

    @property
    def is_learned(self) -> bool:
        """By refusals, or unknown."""
        return self._cap < math.inf or self.known is None

    def accepted(self, used: float) -> None:
        """The server took a request with so much used, that one included."""
        self._n_accepted += 1
        self._peak = max(self._peak * _FORGETS, used)

    def nearness(self, now: float, used: float) -> float:
        """To what is allowed, or to the most that was ever taken: the limit that refuses is the one that is nearer."""
        return used / min(self.allowed(now), self._peak)

    def explains(self, now: float, used: float) -> bool:
        """Whether a refusal at ``used`` is no wonder."""
        return used >= _NEARLY_ALL * (self._peak if self._cap < math.inf else self.allowed(now))

    def allowed(self, now: float) -> float:
        """``inf`` where nothing is known."""
        cap = self._cap
        if cap < math.inf:
            minutes = min(60.0, (now - self._cap_at) / WINDOW_S, self._n_accepted / _ACCEPTED_PER_MINUTE)
            cap = max(cap, min(cap * (1 + _PROBES * (2**minutes - 1)), _FURTHEST * self._peak))
        if self.known is not None and cap >= self.known:
            self._cap = cap = math.inf
        return max(1.0, cap if self.known is None else min(cap, self.known))

    def lower(self, now: float, used: float, *, is_sure: bool) -> None:
        """After a refusal at ``used``. A single one may have had another reason, and takes back little."""
        allowed = self.allowed(now)
        if allowed == math.inf:
            if not is_sure:
                return
            cap = max(self._least, _KEEPS * used)
        elif is_sure and used < _ABOUT_RIGHT * allowed:
            cap = min(_KEEPS * allowed, max(_KEEPS * used, _MOST_CUT * allowed))
        elif is_sure:
            cap = min(_KEEPS * allowed, _KEEPS * (used + allowed) / 2)
        else:
            cap = _KEEPS * allowed
        self._cap, self._cap_at, self._n_accepted = cap, now, 0


class Entry:
    __slots__ = ("amount", "at", "is_kept")

    def __init__(self, at: float, amount: float) -> None:
        self.at, self.amount, self.is_kept = at, amount, True


class SlidingWindow:
    """What was taken in the last minute. At most the limit in any minute: what keeps to that keeps to fixed windows
    and to token buckets of a minute too."""

    def __init__(self, limit: Limit) -> None:
        self.limit = limit
        self._taken = 0.0
        self._log: deque[Entry] = deque()

    def taken(self, now: float) -> float:
        log = self._log
        while log and log[0].at + WINDOW_S * (1 + _SLACK) <= now + 1e-9:
            entry = log.popleft()
            entry.is_kept = False
            self._taken -= entry.amount
        if not log:
            self._taken = 0.0
        return self._taken

    def left(self, now: float) -> float:
        return self.limit.allowed(now) - self.taken(now)

    def wait_s(self, now: float, amount: float) -> float:
        """Seconds until the amount fits. More than the limit counts as the limit: it goes alone."""
        allowed = self.limit.allowed(now)
        if allowed == math.inf:
            return 0.0
        missing = self.taken(now) + min(amount, allowed) - allowed
        if missing <= 1e-9:
            return 0.0
        for entry in self._log:
            missing -= entry.amount
            if missing <= 1e-6:
                return max(0.0, entry.at + WINDOW_S * (1 + _SLACK) - now)
        return WINDOW_S

    def take(self, now: float, amount: float) -> Entry:
        self.taken(now)  # forgets, so that the log holds no more than a minute
        entry = Entry(now, amount)
        self._log.append(entry)
        self._taken += amount
        return entry

    def correct(self, entry: Entry, amount: float) -> None:
        """What was taken then was really this much."""
        if entry.is_kept:
            self._taken += amount - entry.amount
        entry.amount = amount


class Pace:
    """Even distances, so that a minute's share is not gone in its first seconds and whoever is in a hurry finds room
    (the generic cell rate algorithm, ITU-T I.371)."""

    def __init__(self) -> None:
        self._due = -math.inf

    def wait_s(self, now: float, ahead_s: float) -> float:
        """``ahead_s``: by how much the even distances may be undercut for a while."""
        return max(0.0, self._due - ahead_s - now)

    def take(self, now: float, seconds: float) -> None:
        self._due = max(self._due, now) + seconds

    def give_back(self, seconds: float) -> None:
        self._due -= seconds
