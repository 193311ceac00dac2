"""A server's limits of requests and tokens a minute."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """What the server allows; above it answers 429."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None


@dataclass(slots=True)
class Buckets:
    """Requests and tokens of a minute as buckets that fill up steadily, full at the start. Times in seconds."""

    limits: Limits
    _left: dict[str, float] = field(default_factory=dict)
    _at: float | None = None

    def refused(self, now: float, tokens: int) -> float | None:
        """None, and the request is counted; or the seconds after which it would be let in."""
        self._fill(now)
        wants = {"requests": 1.0, "tokens": float(tokens)}
        waits = [
            (min(wants[kind], per_minute) - self._left[kind]) * 60 / per_minute
            for kind, per_minute in self._limited()
        ]
        if waits and max(waits) > 1e-9:
            return max(waits)
        for kind, _ in self._limited():
            self._left[kind] -= wants[kind]
        return None

    def headers(self, now: float) -> dict[str, str]:
        """``x-ratelimit-*`` as OpenAI sends them."""
        self._fill(now)
        told = {}
        for kind, per_minute in self._limited():
            left = self._left[kind]
            told[f"x-ratelimit-limit-{kind}"] = str(per_minute)
            told[f"x-ratelimit-remaining-{kind}"] = str(max(0, math.floor(left)))
            told[f"x-ratelimit-reset-{kind}"] = in_words((per_minute - left) * 60 / per_minute)
        return told

    def _limited(self) -> list[tuple[str, int]]:
        both = (("requests", self.limits.requests_per_minute), ("tokens", self.limits.tokens_per_minute))
        return [(kind, per_minute) for kind, per_minute in both if per_minute]

    def _fill(self, now: float) -> None:
        passed_s = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        for kind, per_minute in self._limited():
            left = self._left.get(kind, float(per_minute))
            self._left[kind] = min(float(per_minute), left + passed_s * per_minute / 60)


def in_words(seconds: float) -> str:
    """The way OpenAI writes a duration: 20ms, 1.5s, 6m0s."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    minutes, rest = divmod(seconds, 60)
    return f"{minutes:.0f}m{rest:.0f}s" if minutes else f"{rest:.3g}s"
