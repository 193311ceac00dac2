"""A chat model in this process that does as it is told: for faults whose moment a test must choose."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from rag.core.errors import ChatError
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Usage
from rag.llm.meter import COUNTERS, GAUGES, TIMES_S

Step = str | float | ChatError | Usage | Done
"""A delta, seconds to wait, an error to raise, or an event."""


@dataclass
class ScriptedModel:
    """Plays one script for each request; the last is played again."""

    scripts: Sequence[Sequence[Step]]
    name: str = "scripted"
    context_window: int = 8192
    requests: list[ChatRequest] = field(default_factory=list)
    n_deltas: list[int] = field(default_factory=list)
    n_open: int = 0
    is_closed: bool = False
    on_request: Callable[[ChatRequest], None] | None = None

    async def close(self) -> None:
        self.is_closed = True

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
        self.requests.append(request)
        self.n_deltas.append(0)
        mine = len(self.n_deltas) - 1
        if self.on_request:
            self.on_request(request)
        self.n_open += 1
        try:
            for step in script:
                match step:
                    case str():
                        self.n_deltas[mine] += 1
                        yield Delta(step)
                    case float() | int():
                        await asyncio.sleep(step)
                    case ChatError():
                        raise step
                    case _:
                        yield step
            if not script or not isinstance(script[-1], Done):
                yield Done("stop", self.name)
        finally:
            self.n_open -= 1


async def collected(events: AsyncGenerator[ChatEvent, None]) -> list[ChatEvent]:
    return [event async for event in events]


def text_of(events: Sequence[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


@dataclass
class CountingMeter:
    """Counts by name and the labels' values; the last value of each gauge."""

    counts: Counter[tuple[str, ...]] = field(default_factory=Counter)
    gauges: dict[tuple[str, ...], float] = field(default_factory=dict)

    def count(self, name: str, value: float = 1, **labels: str) -> None:
        assert set(labels) == set(COUNTERS[name])
        self.counts[(name, *labels.values())] += int(value)

    def time(self, name: str, seconds: float, **labels: str) -> None:
        assert set(labels) == set(TIMES_S[name])

    def gauge(self, name: str, value: float, **labels: str) -> None:
        assert set(labels) == set(GAUGES[name])
        self.gauges[(name, *labels.values())] = value
