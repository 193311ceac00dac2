"""Lets requests to one server go when its rates, its concurrency and the requests before them allow it."""

from __future__ import annotations

import asyncio
import math
from collections import deque
from dataclasses import dataclass
from typing import Final, Protocol

from rag.core.errors import ChatBusy
from rag.core.types import Priority
from rag.llm.meter import Meter, NoMeter
from rag.llm.schedule.concurrency import AdaptiveLimit
from rag.llm.schedule.rate import WINDOW_S, Pace, SlidingWindow
from rag.llm.schedule.waiting import PRIORITIES, Waiter, WaitingLine

_RECENT: Final = 64
_REST_S: Final = 1.0
"""After a refusal that names no time; doubled while refusals follow each other."""
_LONGEST_REST_S: Final = 30.0
_SHORTEST_RETRY_S: Final = 1.0
_NOTICEABLE_SHARE: Final = 0.02
_ENOUGH_SIGNS: Final = 2


class RateLimits(Protocol):
    """What a server's headers say of its limits; None where they say nothing."""

    @property
    def limit_requests(self) -> int | None: ...
    @property
    def remaining_requests(self) -> int | None: ...
    @property
    def limit_tokens(self) -> int | None: ...
    @property
    def remaining_tokens(self) -> int | None: ...


@dataclass(slots=True, eq=False)
class Slot:
    """A request under way."""

    n_tokens: int
    most_tokens: int
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
        self.requests = SlidingWindow(requests_per_minute)
        self.tokens = SlidingWindow(tokens_per_minute)
        self.most = SlidingWindow(tokens_per_minute)
        """Tokens again, as a server counts that charges every request for all it might take."""
        self._n_charged_most = 0
        self.pace = Pace(requests_per_minute)
        self.concurrency = AdaptiveLimit(max_concurrency)
        self.in_flight = 0
        self._line = WaitingLine()
        self._rest_until = -math.inf
        self._n_refusals = 0
        self._granted: deque[float] = deque(maxlen=_RECENT)
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    # Coming and going

    async def acquire(
        self,
        n_tokens: int,
        *,
        most_tokens: int | None = None,
        priority: Priority = "interactive",
        tenant: str = "default",
        deadline: float = math.inf,
    ) -> Slot:
        """Waits for its turn. ``n_tokens``: what the request will take; ``most_tokens``: what it might. Raises ``ChatBusy`` at once where the line is full or would take beyond the deadline
        (loop time), and when the deadline comes while it waits."""
        loop = self._loop = asyncio.get_running_loop()
        arrived_at = loop.time()
        most_tokens = max(n_tokens, most_tokens or 0)
        if not len(self._line) and self._wait_s(arrived_at, n_tokens, most_tokens) <= 0:
            return self._start(arrived_at, n_tokens, most_tokens, arrived_at)
        self._check_it_can_wait(arrived_at, priority, deadline)
        waiter = Waiter(n_tokens, most_tokens, priority, tenant, deadline, loop.create_future(), arrived_at)
        self._line.add(waiter)
        if deadline < math.inf:
            waiter.expiry = loop.call_at(deadline, self._expire, waiter)
        self._pump()
        try:
            await waiter.granted
        except asyncio.CancelledError:
            if waiter.granted.done() and not waiter.granted.cancelled() and not waiter.granted.exception():
                self.in_flight -= 1  # granted and cancelled in one turn of the loop: nothing was sent
                self.tokens.settle(loop.time(), n_tokens, 0)
                self.most.settle(loop.time(), most_tokens, 0)
            else:
                self._line.remove(waiter)
            self._pump()
            raise
        finally:
            if waiter.expiry is not None:
                waiter.expiry.cancel()
        return Slot(n_tokens, most_tokens, loop.time(), loop.time() - arrived_at)

    def release(
        self,
        slot: Slot,
        *,
        n_tokens: int | None = None,
        first_token_s: float | None = None,
        succeeded: bool = False,
    ) -> None:
        """Gives the slot back. ``n_tokens``: what the request took in all, if that is known."""
        if not slot.is_open:
            return
        slot.is_open = False
        now = self._now()
        if succeeded:
            self.concurrency.succeeded(now, slot.sent_at, self.in_flight, first_token_s)
            self.requests.accepted()
            self._charged.accepted()
            self._n_refusals = 0
        self.in_flight -= 1
        self.tokens.settle(now, slot.n_tokens, slot.n_tokens if n_tokens is None else n_tokens)
        # A request of which nothing was taken was refused, and is charged by nobody.
        self.most.settle(now, slot.most_tokens, 0 if n_tokens == 0 else slot.most_tokens)
        self._pump()

    # What the server says

    def refused(self, slot: Slot, retry_after_s: float | None) -> None:
        """The server sent 429. It is left alone for as long as it says, and trusted with less from then on."""
        now = self._now()
        self.concurrency.overloaded(now, slot.sent_at)
        if slot.sent_at >= self._rest_until:  # those sent before the first refusal were under way already
            self._n_refusals += 1
            rest_s = min(_LONGEST_REST_S, _REST_S * 2 ** (self._n_refusals - 1))
            self._rest_until = now + (rest_s if retry_after_s is None else retry_after_s)
            if self._seems_to_charge_most(now, slot):
                self._n_charged_most += 1
                return
            self.pace.refused()
            self.requests.refused()
            self._charged.refused()

    def _seems_to_charge_most(self, now: float, slot: Slot) -> bool:
        """Some servers count a prompt with its max_tokens when it comes, and never give back what was not used. It
        shows when one refuses what would have been too much then, and only then."""
        if self.most.limit is None or self._charged is self.most:
            return False
        return self.most.left(now) < 0 and self.requests.left(now) > 0 and self.tokens.left(now) > 0

    def overloaded(self, slot: Slot) -> None:
        """The server failed in a way that too many requests at once may be the reason of."""
        self.concurrency.overloaded(self._now(), slot.sent_at)

    def learn(self, said: RateLimits) -> None:
        """Takes over limits that were not known, and what others have used up of them."""
        now = self._now()
        if self.pace.per_minute is None and said.limit_requests:
            self.pace = Pace(said.limit_requests)
        for window, limit, remaining in (
            (self.requests, said.limit_requests, said.remaining_requests),
            (self.tokens, said.limit_tokens, said.remaining_tokens),
        ):
            if window.limit is None and limit:
                window.limit = float(limit)
                self.most.limit = self.tokens.limit
            if remaining is None or window.limit is None:
                continue
            used_by_others = window.left(now) - remaining
            if used_by_others > _NOTICEABLE_SHARE * window.limit:
                window.take(now, used_by_others)

    def n_waiting(self, priority: Priority | None = None) -> int:
        return len(self._line) if priority is None else self._line.n_waiting(priority)

    # Who may go

    @property
    def _charged(self) -> SlidingWindow:
        return self.most if self._n_charged_most >= _ENOUGH_SIGNS else self.tokens

    def _now(self) -> float:
        return (self._loop or asyncio.get_running_loop()).time()

    def _wait_s(self, now: float, n_tokens: int, most_tokens: int) -> float:
        """Seconds until a request may be sent; ``inf`` until another one ends."""
        if self.in_flight >= self.concurrency.whole:
            return math.inf
        charged = self._charged
        tokens_s = charged.wait_s(now, most_tokens if charged is self.most else n_tokens)
        rates_s = (self.requests.wait_s(now, 1), tokens_s, self.pace.wait_s(now))
        return max(0.0, self._rest_until - now, *rates_s)

    def _start(self, now: float, n_tokens: int, most_tokens: int, arrived_at: float) -> Slot:
        self.in_flight += 1
        self.requests.take(now, 1)
        self.tokens.reserve(n_tokens)
        self.most.reserve(most_tokens)
        self.pace.take(now)
        self._granted.append(now)
        return Slot(n_tokens, most_tokens, now, now - arrived_at)

    def _pump(self) -> None:
        """Lets as many go as may, and comes back when the next one may."""
        if self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        while (first := self._line.first()) is not None:
            wait_s = self._wait_s(now, first.n_tokens, first.most_tokens)
            if wait_s > 1e-9:
                if wait_s < math.inf:
                    self._timer = self._loop.call_later(wait_s, self._pump)
                break
            self._line.remove(first)
            self._start(now, first.n_tokens, first.most_tokens, first.arrived_at)
            if not first.granted.done():
                first.granted.set_result(None)
            self._meter.time("chat_queue_wait_s", now - first.arrived_at, priority=first.priority)
        self._report()

    def _report(self) -> None:
        for priority in PRIORITIES:
            n_waiting = self._line.n_waiting(priority)
            self._meter.gauge("chat_queue_length", n_waiting, server=self.server, priority=priority)
        self._meter.gauge("chat_in_flight", self.in_flight, server=self.server)
        self._meter.gauge("chat_concurrency_limit", self.concurrency.whole, server=self.server)

    # Who may not

    def _check_it_can_wait(self, now: float, priority: Priority, deadline: float) -> None:
        wait_s = self._expected_wait_s(now, self._line.n_before(priority))
        if now + wait_s > deadline:
            raise self._busy("deadline", now + wait_s - deadline)
        if len(self._line) < self.queue_length:
            return
        given_up = self._line.last_batch() if priority == "interactive" else None
        if given_up is None:
            raise self._busy("busy", wait_s)
        self._turn_away(given_up, self._busy("busy", self._expected_wait_s(now, len(self._line))))

    def _expire(self, waiter: Waiter) -> None:
        if waiter.is_waiting:
            n_before = self._line.n_before(waiter.priority)
            self._turn_away(waiter, self._busy("deadline", self._expected_wait_s(self._now(), n_before)))
            self._pump()

    def _turn_away(self, waiter: Waiter, error: ChatBusy) -> None:
        self._line.remove(waiter)
        if not waiter.granted.done():
            waiter.granted.set_exception(error)

    def _expected_wait_s(self, now: float, n_before: int) -> float:
        """From how fast the line has moved lately and the known rate; 0 where neither says anything."""
        resting_s = max(0.0, self._rest_until - now)
        per_s = self.requests.allowed / WINDOW_S if self.requests.limit is not None else math.inf
        if len(self._granted) >= 8:
            seen_s = max(1e-6, now - self._granted[0])
            per_s = min(per_s, len(self._granted) / seen_s)
        return resting_s + (n_before / per_s if per_s > 0 else 0.0)

    def _busy(self, reason: str, wait_s: float) -> ChatBusy:
        self._meter.count("chat_refused", reason=reason)
        retry_s = max(_SHORTEST_RETRY_S, math.ceil(wait_s))
        return ChatBusy(
            f"The chat server is busy; try again in {retry_s:.0f} s.",
            base_url=self.server,
            retry_after_s=float(retry_s),
            reason=reason,
        )
