"""Who is next: interactive before batch, always, and among those of one priority each tenant in turn.

Start-time fair queueing (Goyal, Vin and Cheng 1996) over tokens: the tenant goes first whose work so far, as it was
let go, begins earliest. So a tenant with 5,000 requests does not hold up one with a single one, and who gives up has
taken nothing. Batch gets what interactive leaves; where that is nothing, it waits.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from typing import Final

from rag.core.types import Priority
from rag.llm.schedule.charging import Demand
from rag.llm.schedule.rates import Charges

PRIORITIES: Final[tuple[Priority, ...]] = ("interactive", "batch")


@dataclass(slots=True, eq=False)
class Waiter:
    demand: Demand
    priority: Priority
    tenant: str
    deadline: float
    granted: asyncio.Future[Charges]
    arrived_at: float
    expiry: asyncio.TimerHandle | None = None
    is_waiting: bool = True


@dataclass(slots=True)
class _Line:
    """The waiters of one priority. Every tenant who waits is in the heap once; others may be."""

    waiting: dict[str, dict[Waiter, None]] = field(default_factory=dict)
    heap: list[tuple[float, int, str]] = field(default_factory=list)
    in_heap: set[str] = field(default_factory=set)
    finish: dict[str, float] = field(default_factory=dict)
    virtual: float = 0.0
    n_waiters: int = 0
    n_tokens: int = 0
    n_turns: int = 0

    def enter(self, tenant: str) -> None:
        if tenant not in self.in_heap:
            self.in_heap.add(tenant)
            self.n_turns += 1
            start = max(self.virtual, self.finish.get(tenant, 0.0))
            heapq.heappush(self.heap, (start, self.n_turns, tenant))

    def leave_heap(self) -> tuple[float, str]:
        start, _, tenant = heapq.heappop(self.heap)
        self.in_heap.remove(tenant)
        return start, tenant


class WaitingLine:
    def __init__(self) -> None:
        self._lines: dict[Priority, _Line] = {priority: _Line() for priority in PRIORITIES}

    def __len__(self) -> int:
        return sum(line.n_waiters for line in self._lines.values())

    def n_waiting(self, priority: Priority) -> int:
        return self._lines[priority].n_waiters

    def mean_tokens(self, priority: Priority) -> float:
        line = self._lines[priority]
        return line.n_tokens / line.n_waiters if line.n_waiters else 0.0

    def n_before(self, priority: Priority, tenant: str) -> int:
        """How many go before a newcomer, about: all that the tenant has waiting, and as many of each other one."""
        line = self._lines[priority]
        own = len(line.waiting.get(tenant, ()))
        in_turn = sum(min(len(waiters), own + 1) for name, waiters in line.waiting.items() if name != tenant)
        return own + in_turn + (self.n_waiting("interactive") if priority == "batch" else 0)

    def add(self, waiter: Waiter) -> None:
        line = self._lines[waiter.priority]
        line.waiting.setdefault(waiter.tenant, {})[waiter] = None
        line.n_waiters += 1
        line.n_tokens += waiter.demand.total
        line.enter(waiter.tenant)

    def first(self) -> Waiter | None:
        for line in self._lines.values():
            while line.heap:
                tenant = line.heap[0][2]
                if tenant in line.waiting:
                    return next(iter(line.waiting[tenant]))
                line.leave_heap()  # all of them gave up
        return None

    def serve_first(self) -> Waiter | None:
        """Takes the first one out, and counts it as its tenant's work."""
        first = self.first()
        if first is None:
            return None
        line = self._lines[first.priority]
        line.virtual, tenant = line.leave_heap()
        line.finish[tenant] = line.virtual + max(1, first.demand.total)
        self.remove(first)
        if tenant in line.waiting:
            line.enter(tenant)
        return first

    def remove(self, waiter: Waiter) -> None:
        """It gave up or was turned away: as if it had never come."""
        if not waiter.is_waiting:
            return
        waiter.is_waiting = False
        line = self._lines[waiter.priority]
        of_tenant = line.waiting[waiter.tenant]
        del of_tenant[waiter]
        line.n_waiters -= 1
        line.n_tokens -= waiter.demand.total
        if not of_tenant:
            del line.waiting[waiter.tenant]
        if not line.n_waiters:
            line.heap.clear()
            line.in_heap.clear()
            line.finish.clear()
            line.virtual = 0.0

    def to_turn_away(self, priority: Priority, tenant: str) -> Waiter | None:
        """Who gives up a place in a full line for a newcomer: a batch request for an interactive one, else one of a
        tenant with more waiting. The latest of the tenant with the most (longest queue drop, Suter et al. 1998)."""
        batch = self._lines["batch"].waiting
        if priority == "interactive" and batch:
            return _latest_of_most(batch)
        waiting = self._lines[priority].waiting
        found = _latest_of_most(waiting) if waiting else None
        if found is None or len(waiting[found.tenant]) <= len(waiting.get(tenant, ())) + 1:
            return None
        return found


def _latest_of_most(waiting: dict[str, dict[Waiter, None]]) -> Waiter:
    most = max(waiting, key=lambda tenant: len(waiting[tenant]))
    return next(reversed(waiting[most]))
