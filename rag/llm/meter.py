"""What the layers report to: numbers under fixed names. Where they go is not theirs to know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Protocol

COUNTERS: Final[Mapping[str, tuple[str, ...]]] = {
    "chat_requests": (
        "model",
        "outcome",
    ),  # one for each request to a server; outcome: ok or the error's code
    "chat_tokens": ("model", "kind"),  # kind: input, output, cached
    "chat_cost_usd": ("model", "tenant"),
    "chat_retries": ("model", "reason"),
    "chat_fallbacks": ("rung",),  # next-model, resumed, extractive, canned
    "chat_cache": ("result",),  # hit, miss, joined (an equal request was in flight), semantic
    "chat_refused": ("reason",),  # by ourselves: busy, deadline, budget, window
    "chat_masked": ("kind",),  # personal data replaced before it was sent
    "chat_moderated": ("where", "verdict"),
    "injected_instructions": (),
    "questions": ("mode",),
    "questions_abstained": (),
    "sentences_withheld": (),
}
"""Name → labels. Only ever goes up."""

TIMES_S: Final[Mapping[str, tuple[str, ...]]] = {
    "chat_latency_s": ("model",),
    "chat_first_token_s": ("model",),
    "chat_queue_wait_s": ("priority",),
    "answer_s": ("mode",),
}

GAUGES: Final[Mapping[str, tuple[str, ...]]] = {
    "chat_queue_length": ("server", "priority"),
    "chat_in_flight": ("server",),
    "chat_concurrency_limit": ("server",),
    "chat_breaker_state": ("server",),  # 0 closed, 1 half-open, 2 open
}


class Meter(Protocol):
    def count(self, name: str, value: float = 1, **labels: str) -> None: ...

    def time(self, name: str, seconds: float, **labels: str) -> None: ...

    def gauge(self, name: str, value: float, **labels: str) -> None: ...


class NoMeter:
    def count(self, name: str, value: float = 1, **labels: str) -> None:
        pass

    def time(self, name: str, seconds: float, **labels: str) -> None:
        pass

    def gauge(self, name: str, value: float, **labels: str) -> None:
        pass
