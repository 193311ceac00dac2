"""A server that allows 60 requests and 40,000 tokens a minute, in simulated time:

    python -m benchmarks.throttle

How much of it is used, how much it refuses, and how long an interactive request waits behind 5,000 batch ones. The
server counts its minute in three ways and charges tokens in two; a client with a fixed number of connections and
exponential backoff stands beside ours.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import time
from collections.abc import AsyncGenerator

from rag.core.protocols import ChatModel
from rag.core.types import Attempts, ChatEvent, ChatRequest, Delta, Message, Priority
from rag.llm.queue import QueuedChatModel
from rag.llm.retry import RetryingChatModel
from rag.llm.schedule.scheduler import Scheduler
from tests.rag.llm.simulated import Counting, LimitedServer
from tests.virtual_time import run_virtual

_LOADS = {"many small": (20, 200, 20, 80), "mixed": (100, 800, 20, 200), "large": (1500, 4000, 50, 250)}
"""Words of the prompt from and to, tokens of the answer from and to."""
_CONNECTIONS = 16


def request(load: str, dice: random.Random, priority: Priority = "batch") -> ChatRequest:
    least, most, least_out, most_out = _LOADS[load]
    return ChatRequest(
        (Message("user", "word " * dice.randint(least, most)),),
        max_tokens=256,
        timeout_s=1e7,
        priority=priority,
        tenant=dice.choice("abcd"),
        extra={"n_output": dice.randint(least_out, most_out)},
        attempts=Attempts(100),
    )


class Naive:
    """A fixed number of connections; each request retries on its own, with backoff and jitter."""

    def __init__(self, inner: ChatModel) -> None:
        self._inner, self._free = RetryingChatModel(inner), asyncio.Semaphore(_CONNECTIONS)
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        pass

    async def stream(self, one: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        async with self._free:
            async for event in self._inner.stream(one):
                yield event


async def drained(model: ChatModel, one: ChatRequest) -> float:
    """When its first delta came."""
    first = 0.0
    async for event in model.stream(one):
        if isinstance(event, Delta) and not first:
            first = asyncio.get_running_loop().time()
    return first


async def measured(
    load: str, counting: Counting, *, charges_most: bool, naive: bool, minutes: int
) -> tuple[float, float, float]:
    """(share of the capacity used, share of requests refused, requests that went before an interactive one, at most)"""
    server = LimitedServer(counting=counting, charges_most=charges_most, says_when=not naive)
    scheduler = Scheduler(requests_per_minute=60, tokens_per_minute=40_000, queue_length=10_000)
    model: ChatModel = Naive(server) if naive else RetryingChatModel(QueuedChatModel(server, scheduler))
    dice = random.Random(7)
    tasks = [asyncio.create_task(drained(model, request(load, dice))) for _ in range(5000)]
    now = asyncio.get_running_loop().time
    before: list[int] = []  # how many had started when each interactive request was asked
    for minute in range(1, minutes + 1):
        await asyncio.sleep(minute * 60 + dice.uniform(0, 30) - now())
        tasks.append(asyncio.create_task(drained(model, request(load, dice, "interactive"))))
        before.append(len(server.started))
    await asyncio.sleep((minutes + 1) * 60 - now())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    kept = [one for one in server.served if one[0] > 60]
    charged = sum(
        (n if not charges_most else n - int(str(one.extra["n_output"])) + one.max_tokens)
        for _, one, n in kept
    )
    positions = [n for n, one in enumerate(server.started) if one.priority == "interactive"]
    waits = [n - n_before for n, n_before in zip(positions, before, strict=False)]
    used = max(len(kept) / (minutes * 60), charged / (minutes * 40_000))
    return (
        used,
        server.n_refused / (server.n_refused + len(server.served)),
        max(waits, default=math.nan),
    )


def overhead_us(n: int = 20_000) -> float:
    async def main() -> float:
        scheduler = Scheduler(max_concurrency=64)
        began = time.perf_counter()
        for _ in range(n):
            scheduler.release(await scheduler.acquire(500), n_tokens=500, succeeded=True)
        return (time.perf_counter() - began) / n * 1e6

    return asyncio.run(main())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=30)
    given = parser.parse_args()
    print(
        "| client | prompts | counts | charges | capacity used, % | refused, % | requests let go before an interactive one, at most |"
    )
    print("|---|---|---|---|---|---|---|")
    rows = [
        (load, counting, most, False)
        for load in _LOADS
        for counting in ("sliding", "fixed", "bucket")
        for most in (False, True)
    ]
    rows += [("mixed", counting, False, True) for counting in ("sliding", "fixed", "bucket")]
    for load, counting, most, naive in rows:
        used, refused, waited = run_virtual(
            measured(load, counting, charges_most=most, naive=naive, minutes=given.minutes)  # type: ignore[arg-type]
        )
        print(
            f"| {'connections and backoff' if naive else 'Footnote'} | {load} | {counting} | "
            f"{'the most' if most else 'what it took'} | {100 * used:.1f} | {100 * refused:.2f} | {'never its turn' if math.isnan(waited) else f'{waited:.0f}'} |",
            flush=True,
        )
    print(f"\nTaking a slot and giving it back takes {overhead_us():.0f} µs.")


if __name__ == "__main__":
    main()
