"""Who is next: interactive before batch, and among those of one priority each tenant in turn.

Start-time fair queueing (Goyal, Vin and Cheng 1996): a request is tagged with the work that its tenant had waiting
before it, and the smallest tag goes first. So a tenant with 5,000 requests does not hold up one with a single one.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from typing import Final

from rag.core.types import Priority

PRIORITIES: Final[tuple[Priority, ...]] = ("interactive", "batch")


@dataclass(slots=True, eq=False)
class Waiter:
    n_tokens: int
    most_tokens: int
    priority: Priority
    tenant: str
    deadline: float
    granted: asyncio.Future[None]
    arrived_at: float
    expiry: asyncio.TimerHandle | None = None
    is_waiting: bool = True


@dataclass(slots=True)
class _Line:
    """The waiters of one priority."""

    heap: list[tuple[float, int, Waiter]] = field(default_factory=list)
    finish: dict[str, float] = field(default_factory=dict)
    by_arrival: dict[Waiter, None] = field(default_factory=dict)
    virtual: float = 0.0


class WaitingLine:
    def __init__(self) -> None:
        self._lines: dict[Priority, _Line] = {priority: _Line() for priority in PRIORITIES}
        self._n_seen = 0

    def __len__(self) -> int:
        return sum(len(line.by_arrival) for line in self._lines.values())

    def n_waiting(self, priority: Priority) -> int:
        return len(self._lines[priority].by_arrival)

    def n_before(self, priority: Priority) -> int:
        """How many are served before a newcomer, at most."""
        own = self.n_waiting(priority)
        return own if priority == "interactive" else own + self.n_waiting("interactive")

    def add(self, waiter: Waiter) -> None:
        line = self._lines[waiter.priority]
        start = max(line.virtual, line.finish.get(waiter.tenant, 0.0))
        line.finish[waiter.tenant] = start + max(1, waiter.n_tokens)
        self._n_seen += 1
        heapq.heappush(line.heap, (start, self._n_seen, waiter))
        line.by_arrival[waiter] = None

    def first(self) -> Waiter | None:
        for line in self._lines.values():
            while line.heap and not line.heap[0][2].is_waiting:
                heapq.heappop(line.heap)
            if line.heap:
                return line.heap[0][2]
        return None

    def remove(self, waiter: Waiter) -> None:
        """Whether it is served, gives up or is turned away."""
        if not waiter.is_waiting:
            return
        waiter.is_waiting = False
        line = self._lines[waiter.priority]
        del line.by_arrival[waiter]
        if line.heap[0][2] is waiter:
            line.virtual = heapq.heappop(line.heap)[0]
        elif len(line.heap) > 64 and len(line.heap) > 4 * len(line.by_arrival):
            line.heap = [entry for entry in line.heap if entry[2].is_waiting]
            heapq.heapify(line.heap)
        if not line.by_arrival:
            line.heap.clear()
            line.finish.clear()
            line.virtual = 0.0

    def last_batch(self) -> Waiter | None:
        """The latest batch request: the one to turn away for an interactive one."""
        return next(reversed(self._lines["batch"].by_arrival), None)
