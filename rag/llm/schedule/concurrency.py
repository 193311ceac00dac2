"""How many requests a server answers at once without slowing down: found by trying.

Additive increase, multiplicative decrease (Chiu and Jain 1989), with TCP's slow start, on refusals and, as in TCP
Vegas (Brakmo and Peterson 1995), on the time to the first token growing against the best one seen.
"""

from __future__ import annotations

from typing import Final

_FIRST: Final = 16.0
_BACK_OFF: Final = 0.7
_EASE_OFF: Final = 0.9
_SLOWER: Final = 1.6
"""Times the best first token: the server has begun to queue."""
_NOTICEABLE_S: Final = 0.05
_SMOOTH: Final = 0.3
_UNCONGESTED: Final = 2.0
"""With so few at once, slow is what the server is."""
_OF_LATE: Final = 0.1
_IN_THE_LONG_RUN: Final = 0.01
_MORE_FAILURES: Final = 2.0
_FEW_FAILURES: Final = 0.1


class AdaptiveLimit:
    def __init__(self, most: int) -> None:
        self.most = most
        self.value = min(_FIRST, float(most))
        self._starts_slowly = True
        self._first_token: dict[int, _FirstToken] = {}
        self._changed_at = 0.0
        self._n_ended = 0
        self._failing = self._usually_failing = 0.0

    @property
    def whole(self) -> int:
        return max(1, int(self.value + 1e-9))

    @property
    def soon(self) -> float:
        """What it may grow to while a request waits."""
        return min(float(self.most), 2 * self.value if self._starts_slowly else self.value)

    def succeeded(
        self,
        now: float,
        sent_at: float,
        in_flight: int,
        first_token_s: float | None,
        n_input: int = 0,
    ) -> None:
        """``in_flight``: with this one; a limit that is not used up does not grow. ``n_input``: tokens that the server
        had to read; long prompts are compared with long ones."""
        self._count_failure(0.0)
        if first_token_s is not None:
            size = n_input.bit_length()
            seen = self._first_token.setdefault(size, _FirstToken(first_token_s))
            if seen.is_slower(first_token_s):
                self._ease_off(now, sent_at)
                return
        if in_flight >= self.whole:
            self.value = min(
                float(self.most), self.value + (1.0 if self._starts_slowly else 1.0 / self.value)
            )

    def overloaded(self, now: float, sent_at: float) -> None:
        """A refusal."""
        self._starts_slowly = False
        self._shrink(now, sent_at, _BACK_OFF)

    def failed(self, now: float, sent_at: float) -> None:
        """A failure that too many requests may be the reason of. What fails once in a while, or always as often, has
        another one."""
        self._count_failure(1.0)
        if self._failing > _MORE_FAILURES * self._usually_failing + _FEW_FAILURES:
            self.overloaded(now, sent_at)

    def _count_failure(self, failed: float) -> None:
        self._n_ended += 1
        self._failing += max(_OF_LATE, 1 / self._n_ended) * (failed - self._failing)
        usually = max(_IN_THE_LONG_RUN, 1 / self._n_ended)
        self._usually_failing += usually * (failed - self._usually_failing)

    def _ease_off(self, now: float, sent_at: float) -> None:
        if self.value <= _UNCONGESTED:
            for seen in self._first_token.values():
                seen.best_s = seen.recent_s
            self._starts_slowly = True
            return
        self._shrink(now, sent_at, _BACK_OFF if self._starts_slowly else _EASE_OFF)
        self._starts_slowly = False

    def _shrink(self, now: float, sent_at: float, factor: float) -> None:
        """Once for all requests that were under way together: they all met the same congestion."""
        if sent_at >= self._changed_at:
            self.value = max(1.0, self.value * factor)
            self._changed_at = now


class _FirstToken:
    """The time to it, of prompts of about one length."""

    __slots__ = ("best_s", "recent_s")

    def __init__(self, first_s: float) -> None:
        self.best_s = self.recent_s = first_s

    def is_slower(self, first_token_s: float) -> bool:
        self.recent_s += _SMOOTH * (first_token_s - self.recent_s)
        self.best_s = min(self.best_s, self.recent_s)
        return self.recent_s > _SLOWER * self.best_s and self.recent_s - self.best_s > _NOTICEABLE_S
