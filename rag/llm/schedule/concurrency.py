"""How many requests a server answers at once without slowing down: found by trying.

Additive increase, multiplicative decrease (Chiu and Jain 1989), with TCP's slow start, on refusals and, as in TCP
Vegas (Brakmo and Peterson 1995), on the time to the first token growing against the best one seen.
"""

from __future__ import annotations

from typing import Final

_FIRST: Final = 4.0
_BACK_OFF: Final = 0.7
_EASE_OFF: Final = 0.9
_SLOWER: Final = 1.6
"""Times the best first token: the server has begun to queue."""
_NOTICEABLE_S: Final = 0.05
_FORGETS: Final = 0.0001
"""The best time drifts up by this share with each reply, for servers that have become slower for good."""
_SMOOTH: Final = 0.3


class AdaptiveLimit:
    def __init__(self, most: int) -> None:
        self.most = most
        self.value = min(_FIRST, float(most))
        self._starts_slowly = True
        self._best_s: float | None = None
        self._recent_s: float | None = None
        self._changed_at = 0.0

    @property
    def whole(self) -> int:
        return max(1, int(self.value))

    def succeeded(self, now: float, sent_at: float, in_flight: int, first_token_s: float | None) -> None:
        """``in_flight``: with this one. A limit that is not used up does not grow."""
        if first_token_s is not None and self._is_slower(first_token_s):
            self._shrink(now, sent_at, _BACK_OFF if self._starts_slowly else _EASE_OFF)
            self._starts_slowly = False
        elif in_flight >= self.whole:
            self.value = min(
                float(self.most), self.value + (1.0 if self._starts_slowly else 1.0 / self.value)
            )

    def overloaded(self, now: float, sent_at: float) -> None:
        self._starts_slowly = False
        self._shrink(now, sent_at, _BACK_OFF)

    def _shrink(self, now: float, sent_at: float, factor: float) -> None:
        """Once for all requests that were under way together: they all met the same congestion."""
        if sent_at >= self._changed_at:
            self.value = max(1.0, self.value * factor)
            self._changed_at = now

    def _is_slower(self, first_token_s: float) -> bool:
        recent = self._recent_s
        self._recent_s = recent = (
            first_token_s if recent is None else recent + _SMOOTH * (first_token_s - recent)
        )
        best = recent if self._best_s is None else self._best_s * (1 + _FORGETS)
        self._best_s = best = min(best, recent)
        return recent > _SLOWER * best and recent - best > _NOTICEABLE_S
