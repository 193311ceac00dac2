"""A server that allows 60 requests and 40,000 tokens a minute, in simulated time:

    python -m benchmarks.throttle

5,000 batch requests of four tenants wait from the start, and an interactive one comes every minute. The server counts
its minute in three ways and charges tokens in four; our client knows the limits, finds them in headers, knows nothing
or has been told ten times too much; 429 says to wait a second. Beside it stand a fixed number of connections with
exponential backoff, and a leaky bucket of requests and tokens; to them 429 says nothing, because a time that is the
same for all would have them come back together.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import statistics
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from rag.core.errors import ChatRateLimited
from rag.core.protocols import ChatModel
from rag.core.types import Attempts, ChatEvent, ChatRequest, Message, Priority
from rag.llm.queue import QueuedChatModel
from rag.llm.retry import RetryingChatModel
from rag.llm.schedule.charging import Demand
from rag.llm.schedule.scheduler import Scheduler
from tests.rag.llm.simulated import Charges, Counting, LimitedServer
from tests.virtual_time import run_virtual

_LOADS = {"small": (20, 200, 20, 80), "mixed": (100, 800, 20, 200), "large": (1500, 4000, 50, 250)}
"""Words of the prompt from and to, tokens of the answer from and to."""
_CONNECTIONS = 16
_REQUESTS, _TOKENS = 60.0, 40_000.0
Knows = Literal["limits", "headers", "nothing", "10 times too much"]
Client = Literal["Footnote", "connections and backoff", "leaky bucket"]


@dataclass(frozen=True)
class Case:
    client: Client = "Footnote"
    knows: Knows = "limits"
    load: str = "mixed"
    per_token_s: float = 0.01
    counting: Counting = "sliding"
    charges: Charges = "as it goes"


@dataclass(frozen=True)
class Measured:
    used: float
    """Share of what the server allows, of the limit that is nearer. A bucket that was full at first gives more."""
    refused: float
    before: float
    """Requests that were let go before an interactive one since it came, at most."""
    wait_s: list[float]
    """Of the interactive ones."""


def request(load: str, dice: random.Random, priority: Priority = "batch") -> ChatRequest:
    least, most, least_out, most_out = _LOADS[load]
    return ChatRequest(
        (Message("user", "word " * dice.randint(least, most)),),
        max_tokens=256,
        timeout_s=1e7,
        priority=priority,
        tenant=dice.choice("abcd"),
        extra={"n_output": dice.randint(least_out, most_out)},
        attempts=Attempts(1000),
    )


class Connections:
    """A fixed number of connections; each request retries on its own, with backoff and jitter."""

    def __init__(self, inner: ChatModel) -> None:
        self._inner, self._free = RetryingChatModel(inner), asyncio.Semaphore(_CONNECTIONS)
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        pass

    async def stream(self, one: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        async with self._free, aclosing(self._inner.stream(one)) as events:
            async for event in events:
                yield event


class LeakyBucket:
    """As the usual rate limiters do it: requests, and the prompt with max_tokens, poured into a bucket that drains."""

    def __init__(self, inner: ChatModel) -> None:
        self._inner, self._turn = RetryingChatModel(inner), asyncio.Lock()
        self._level = [0.0, 0.0]
        self._at = 0.0
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        pass

    async def stream(self, one: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        now = asyncio.get_running_loop().time
        amounts = (1.0, sum(len(message.content) for message in one.messages) / 4 + one.max_tokens)
        async with self._turn:
            for n, (rate, amount) in enumerate(zip((_REQUESTS, _TOKENS), amounts, strict=True)):
                self._drain(now())
                await asyncio.sleep(max(0.0, (self._level[n] + amount - rate) * 60 / rate))
            self._drain(now())
            self._level = [level + amount for level, amount in zip(self._level, amounts, strict=True)]
        async with aclosing(self._inner.stream(one)) as events:
            async for event in events:
                yield event

    def _drain(self, now: float) -> None:
        passed_s, self._at = now - self._at, now
        rates = (_REQUESTS, _TOKENS)
        self._level = [
            max(0.0, level - passed_s * rate / 60) for level, rate in zip(self._level, rates, strict=True)
        ]


def client_of(case: Case, server: LimitedServer) -> ChatModel:
    if case.client == "connections and backoff":
        return Connections(server)
    if case.client == "leaky bucket":
        return LeakyBucket(server)
    factor = {"limits": 1, "10 times too much": 10}.get(case.knows)
    scheduler = Scheduler(
        requests_per_minute=factor and _REQUESTS * factor,
        tokens_per_minute=factor and _TOKENS * factor,
        queue_length=10_000,
    )
    if case.knows == "headers":
        server.tells = scheduler.learn
    return RetryingChatModel(QueuedChatModel(server, scheduler))


async def drained(model: ChatModel, one: ChatRequest) -> None:
    async for _ in model.stream(one):
        pass


async def measured(case: Case, minutes: int) -> Measured:
    """After the first minute, in which a server that was idle allows more."""
    server = LimitedServer(
        _REQUESTS,
        _TOKENS,
        case.counting,
        case.charges,
        per_token_s=case.per_token_s,
        says_when=case.client == "Footnote",
    )
    model = client_of(case, server)
    dice = random.Random(7)
    tasks = [asyncio.create_task(drained(model, request(case.load, dice))) for _ in range(5000)]
    now = asyncio.get_running_loop().time
    asked: dict[int, tuple[float, int]] = {}  # when, and how many had started
    for minute in range(1, minutes + 1):
        await asyncio.sleep(minute * 60 + dice.uniform(0, 30) - now())
        one = request(case.load, dice, "interactive")
        asked[id(one.attempts)] = now(), len(server.started)
        tasks.append(asyncio.create_task(drained(model, one)))
    await asyncio.sleep((minutes + 1) * 60 - now())
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception) and not isinstance(error, ChatRateLimited):
            raise error  # given up after 1000 attempts is an end, too
    kept = [one for one in server.served if one[0] > 60]
    most = case.charges == "most"
    charged = sum(n + most * (one.max_tokens - int(str(one.extra["n_output"]))) for _, one, n in kept)
    waits, before = [], []
    for n, (at, one) in enumerate(server.started):
        if one.priority == "interactive":
            asked_at, n_before = asked[id(one.attempts)]
            waits.append(at - asked_at)
            before.append(n - n_before)
    return Measured(
        max(len(kept) / (minutes * _REQUESTS), charged / (minutes * _TOKENS)),
        server.n_refused / (server.n_refused + len(server.started)),
        max(before, default=math.nan),
        waits,
    )


def overhead_us(n: int = 20_000) -> float:
    async def main() -> float:
        scheduler = Scheduler(requests_per_minute=1e9, tokens_per_minute=1e12, max_concurrency=64)
        demand = Demand(400, 100, 500)
        began = time.perf_counter()
        for _ in range(n):
            slot = await scheduler.acquire(demand)
            scheduler.release(slot, n_input=400, n_output=90, first_token_s=0.5, succeeded=True)
        return (time.perf_counter() - began) / n * 1e6

    return asyncio.run(main())


def overhead_behind_others_us(n: int = 5000) -> float:
    """With as many waiting, of 50 tenants; the loop's own work included."""

    async def main() -> float:
        scheduler = Scheduler(max_concurrency=1, queue_length=n)
        demand = Demand(400, 100, 500)

        async def one(number: int) -> None:
            slot = await scheduler.acquire(demand, priority="batch", tenant=str(number % 50), deadline=1e9)
            scheduler.release(slot, n_input=400, n_output=90, first_token_s=0.5, succeeded=True)

        held = await scheduler.acquire(demand)
        tasks = [asyncio.create_task(one(number)) for number in range(n)]
        began = time.perf_counter()
        await asyncio.sleep(0)
        scheduler.release(held)
        await asyncio.gather(*tasks)
        return (time.perf_counter() - began) / n * 1e6

    return asyncio.run(main())


def cases() -> list[Case]:
    counts: tuple[Counting, ...] = ("sliding", "fixed", "bucket")
    charges: tuple[Charges, ...] = ("as it goes", "at the end", "most, corrected", "most")
    known = [
        Case(load=load, counting=counting, charges=how)
        for load in ("mixed", "large")
        for counting in counts
        for how in charges
    ]
    small = [Case(load="small", counting=counting) for counting in counts]
    slow = [Case(per_token_s=0.1, counting=counting, charges=how) for counting in counts for how in charges]
    learned = [
        Case(knows=knows, counting=counting)
        for knows in ("headers", "nothing", "10 times too much")
        for counting in counts
    ]
    others = [
        Case(client=client, counting=counting)
        for client in ("connections and backoff", "leaky bucket")
        for counting in counts
    ]
    return small + known + slow + learned + others


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=int, default=30)
    minutes = parser.parse_args().minutes
    print(
        "| client | knows | prompts | tokens/s | counts | charges tokens | capacity used, % | refused, % "
        "| let go before an interactive one, at most | its wait, s: median | longest |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    began = time.perf_counter()
    for case in cases():
        one = run_virtual(measured(case, minutes))
        waits = (
            f"{statistics.median(one.wait_s):.1f} | {max(one.wait_s):.1f}"
            if one.wait_s
            else "never its turn | "
        )
        print(
            f"| {case.client} | {case.knows if case.client == 'Footnote' else ''} | {case.load} "
            f"| {1 / case.per_token_s:.0f} | {case.counting} | {case.charges} | {100 * one.used:.1f} "
            f"| {100 * one.refused:.2f} | {'' if math.isnan(one.before) else f'{one.before:.0f}'} | {waits} |",
            flush=True,
        )
    print(f"\n{minutes} minutes each; {time.perf_counter() - began:.1f} s in all.")
    print(f"Taking a slot and giving it back takes {overhead_us():.0f} µs,")
    print(f"and {overhead_behind_others_us():.0f} µs with 5,000 requests waiting, their tasks included.")


if __name__ == "__main__":
    main()
