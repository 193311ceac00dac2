"""Lets requests to one server go when its rates, its concurrency and the requests before them allow it."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Final

from rag.core.errors import ChatBusy
from rag.core.types import Priority
from rag.llm.meter import Meter, NoMeter
from rag.llm.schedule.charging import Demand
from rag.llm.schedule.concurrency import AdaptiveLimit
from rag.llm.schedule.rates import Charges, RateLimits, Rates
from rag.llm.schedule.waiting import PRIORITIES, Waiter, WaitingLine

_SHORTEST_RETRY_S: Final = 1.0
_SMOOTH: Final = 0.1
_AT_ONCE_S: Final = 1e-9


@dataclass(slots=True, eq=False)
class Slot:
    """A request under way."""

    charges: Charges
    sent_at: float
    waited_s: float
    is_open: bool = True


class Scheduler:
    """One for each server; its methods are called from one event loop. A slot is given back exactly once."""

    def __init__(
        self,
        server: str = "",
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        max_concurrency: int = 32,
        queue_length: int = 1000,
        meter: Meter | None = None,
    ) -> None:
        self.server, self.queue_length, self._meter = server, queue_length, meter or NoMeter()
        self.rates = Rates(requests_per_minute, tokens_per_minute)
        self.concurrency = AdaptiveLimit(max_concurrency)
        self.in_flight = 0
        self._line = WaitingLine()
        self._held_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # Coming and going

    async def acquire(
        self,
        demand: Demand,
        *,
        priority: Priority = "interactive",
        tenant: str = "default",
        deadline: float = math.inf,
    ) -> Slot:
        """Waits for its turn. Raises ``ChatBusy`` at once where the line is full or would take beyond the deadline
        (loop time), and when the deadline comes while it waits."""
        loop = self._loop = asyncio.get_running_loop()
        now = loop.time()
        if not len(self._line) and self._wait_s(now, demand, priority) <= _AT_ONCE_S:
            charges = self._send(now, demand)
            self._meter.time("chat_queue_wait_s", 0.0, priority=priority)
            self._report()
            return Slot(charges, now, 0.0)
        self._check_it_can_wait(now, demand, priority, tenant, deadline)
        waiter = Waiter(demand, priority, tenant, deadline, loop.create_future(), now)
        self._line.add(waiter)
        if deadline < math.inf:
            waiter.expiry = loop.call_at(deadline, self._expire, waiter)
        self._pump()
        try:
            charges = await waiter.granted
        except asyncio.CancelledError:
            granted = waiter.granted
            if granted.done() and not granted.cancelled() and granted.exception() is None:
                self.in_flight -= 1  # granted and cancelled in one turn of the loop: nothing was sent
                self.rates.undo(loop.time(), granted.result())
            else:
                self._line.remove(waiter)
            self._pump()
            raise
        finally:
            if waiter.expiry is not None:
                waiter.expiry.cancel()
        return Slot(charges, loop.time(), loop.time() - now)

    def release(
        self,
        slot: Slot,
        *,
        n_input: int | None = None,
        n_output: int | None = None,
        n_cached: int = 0,
        first_token_s: float | None = None,
        succeeded: bool = False,
    ) -> None:
        """Gives the slot back, with the tokens that were taken, where that is known."""
        if not slot.is_open:
            return
        slot.is_open = False
        now = self._now()
        if succeeded:
            n_read = max(0, (slot.charges.demand.n_input if n_input is None else n_input) - n_cached)
            self.concurrency.succeeded(now, slot.sent_at, self.in_flight, first_token_s, n_read)
            self.rates.accepted(now, slot.charges)
            held_s = now - slot.sent_at
            self._held_s = (
                held_s if self._held_s is None else self._held_s + _SMOOTH * (held_s - self._held_s)
            )
        self.in_flight -= 1
        self.rates.end(now, slot.charges, n_input, n_output)
        self._pump()

    def withdraw(self, slot: Slot) -> None:
        """It was not sent after all."""
        if slot.is_open:
            slot.is_open = False
            self.in_flight -= 1
            self.rates.undo(self._now(), slot.charges)
            self._pump()

    # What the server says

    def accepted(self, slot: Slot) -> None:
        """It has begun to answer."""
        self.rates.accepted(self._now(), slot.charges)
        self._pump()

    def refused(self, slot: Slot, retry_after_s: float | None) -> None:
        """429. It is left alone for as long as it says; tokens of this request were not taken."""
        now = self._now()
        if not self.rates.refused(now, slot.charges, slot.sent_at, retry_after_s):
            self.concurrency.overloaded(now, slot.sent_at)

    def overloaded(self, slot: Slot, retry_after_s: float | None = None) -> None:
        """It failed in a way that too many requests at once may be the reason of."""
        now = self._now()
        self.concurrency.failed(now, slot.sent_at)
        if retry_after_s is not None:
            self.rates.rest(now, retry_after_s)

    def learn(self, said: RateLimits) -> None:
        """What the headers of a reply say."""
        self.rates.learn(self._now(), said)

    def n_waiting(self, priority: Priority | None = None) -> int:
        return len(self._line) if priority is None else self._line.n_waiting(priority)

    # Who may go

    def _now(self) -> float:
        return (self._loop or asyncio.get_running_loop()).time()

    def _wait_s(self, now: float, demand: Demand, priority: Priority) -> float:
        """Seconds until a request may be sent; ``inf`` until another one ends."""
        if self.in_flight >= self.concurrency.whole:
            return math.inf
        return self.rates.wait_s(now, demand, priority)

    def _send(self, now: float, demand: Demand) -> Charges:
        self.in_flight += 1
        return self.rates.send(now, demand)

    def _pump(self) -> None:
        """Lets as many go as may, and comes back when the next one may."""
        if self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        while (first := self._line.first()) is not None:
            wait_s = self._wait_s(now, first.demand, first.priority)
            if wait_s > _AT_ONCE_S:
                if wait_s < math.inf:
                    self._timer = self._loop.call_later(wait_s, self._pump)
                break
            self._line.serve_first()
            if first.granted.done():  # cancelled, and not yet told so
                continue
            first.granted.set_result(self._send(now, first.demand))
            self._meter.time("chat_queue_wait_s", now - first.arrived_at, priority=first.priority)
        self._report()

    def _report(self) -> None:
        for priority in PRIORITIES:
            n_waiting = self._line.n_waiting(priority)
            self._meter.gauge("chat_queue_length", n_waiting, server=self.server, priority=priority)
        self._meter.gauge("chat_in_flight", self.in_flight, server=self.server)
        self._meter.gauge("chat_concurrency_limit", self.concurrency.whole, server=self.server)

    # Who may not

    def _check_it_can_wait(
        self, now: float, demand: Demand, priority: Priority, tenant: str, deadline: float
    ) -> None:
        wait_s = self._expected_wait_s(now, demand, priority, tenant)
        if now + wait_s > deadline:
            raise self._busy("deadline", now + wait_s - deadline)
        if len(self._line) < self.queue_length:
            return
        given_up = self._line.to_turn_away(priority, tenant)
        if given_up is None:
            raise self._busy("busy", wait_s)
        self._turn_away(given_up, "busy")

    def _expire(self, waiter: Waiter) -> None:
        if waiter.is_waiting:
            self._turn_away(waiter, "deadline")
            self._pump()

    def _turn_away(self, waiter: Waiter, reason: str) -> None:
        self._line.remove(waiter)
        wait_s = self._expected_wait_s(self._now(), waiter.demand, waiter.priority, waiter.tenant)
        if not waiter.granted.done():
            waiter.granted.set_exception(self._busy(reason, wait_s))

    def _expected_wait_s(self, now: float, demand: Demand, priority: Priority, tenant: str) -> float:
        """Until the server may be asked again, and then for each one before: by the rates that are known, or by how
        long requests lately took. 0 where nothing is known."""
        n_before = self._line.n_before(priority, tenant)
        n_tokens = self._line.mean_tokens(priority) or demand.total
        turn_s = (self._held_s or 0.0) / self.concurrency.soon
        next_s = self.rates.wait_s(now, demand, priority)
        if self.in_flight >= self.concurrency.whole:
            next_s = max(next_s, turn_s)
        return next_s + n_before * max(turn_s, self.rates.interval_s(now, n_tokens))

    def _busy(self, reason: str, wait_s: float) -> ChatBusy:
        self._meter.count("chat_refused", reason=reason)
        retry_s = max(_SHORTEST_RETRY_S, math.ceil(wait_s))
        return ChatBusy(
            f"The chat server is busy; try again in {retry_s:.0f} s.",
            base_url=self.server,
            retry_after_s=float(retry_s),
            reason=reason,
        )
