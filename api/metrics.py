"""The numbers of the layers, as Prometheus reads them."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from rag.llm.meter import COUNTERS, GAUGES, TIMES_S

_BUCKETS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
_HELP: Final = {
    "chat_requests": "Requests to chat servers by how they ended.",
    "chat_tokens": "Tokens of chat requests: input, output, and of the input those from the server's cache.",
    "chat_cost_usd": "What chat requests cost, in US dollars.",
    "chat_retries": "Chat requests that were sent again.",
    "chat_fallbacks": "Answers that something else had to give: next-model, resumed, extractive, canned.",
    "chat_cache": "Chat requests by the cache's result: hit, miss, joined, semantic.",
    "chat_refused": "Chat requests that were not sent: busy, deadline, budget, window.",
    "chat_masked": "Pieces of personal data that were replaced before sending.",
    "chat_moderated": "What moderation said of questions and answers.",
    "injected_instructions": "Orders to a model in retrieved text.",
    "questions": "Questions by what answered them.",
    "questions_abstained": "Questions that the documents do not answer.",
    "sentences_withheld": "Sentences of chat models that no source supports.",
    "chat_latency_s": "Chat requests from sending to the end.",
    "chat_first_token_s": "Chat requests from sending to the first token.",
    "chat_queue_wait_s": "Waiting for a turn at the chat server.",
    "answer_s": "Questions from asking to the end of the answer.",
    "chat_queue_length": "Requests that wait for a turn.",
    "chat_in_flight": "Requests under way.",
    "chat_concurrency_limit": "Requests that may be under way.",
    "chat_breaker_state": "Circuit breaker: 0 closed, 1 half-open, 2 open.",
}
MEDIA_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


class PrometheusMeter:
    """A ``Meter`` with a registry of its own, so that several can live in one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._counters = {
            name: Counter(f"footnote_{name}", _HELP[name], labels, registry=self._registry)
            for name, labels in COUNTERS.items()
        }
        self._times = {
            name: Histogram(
                f"footnote_{name.removesuffix('_s')}_seconds", _HELP[name], labels, buckets=_BUCKETS_S,
                registry=self._registry,
            )
            for name, labels in TIMES_S.items()
        }  # fmt: skip
        self._gauges = {
            name: Gauge(f"footnote_{name}", _HELP[name], labels, registry=self._registry)
            for name, labels in GAUGES.items()
        }

    def count(self, name: str, value: float = 1, **labels: str) -> None:
        counter = self._counters[name]
        (counter.labels(**labels) if labels else counter).inc(value)

    def time(self, name: str, seconds: float, **labels: str) -> None:
        histogram = self._times[name]
        (histogram.labels(**labels) if labels else histogram).observe(seconds)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        gauge = self._gauges[name]
        (gauge.labels(**labels) if labels else gauge).set(value)

    def page(self) -> bytes:
        """The text format, version 0.0.4."""
        return generate_latest(self._registry)
