"""Chat servers with limits, simulated in virtual time: each counts a minute in its own way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Literal

from rag.core.errors import ChatRateLimited
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Usage
from rag.llm.rate_headers import RateLimitInfo

Counting = Literal["sliding", "fixed", "bucket"]
Charges = Literal["as it goes", "at the end", "most, corrected", "most"]
"""Tokens: the prompt when it comes and the answer when it ends; both when it ends; the prompt and max_tokens when it
comes, with or without giving back what was not used."""


@dataclass
class Quota:
    """So much a minute: in any minute, in each minute of the clock, or from a bucket that fills evenly."""

    per_minute: float
    counting: Counting
    log: deque[tuple[float, float]] = field(default_factory=deque)
    level: float | None = None
    at: float = 0.0

    def used(self, now: float) -> float:
        if self.counting == "bucket":
            self.level = max(0.0, (self.level or 0.0) - (now - self.at) * self.per_minute / 60)
            self.at = now
            return self.level
        begin = now - 60 if self.counting == "sliding" else now - now % 60 - 1e-9
        while self.log and self.log[0][0] <= begin:
            self.log.popleft()
        return sum(amount for _, amount in self.log)

    def take(self, now: float, amount: float) -> None:
        used = self.used(now)
        if self.counting == "bucket":
            self.level = max(0.0, used + amount)
        else:
            self.log.append((now, amount))


@dataclass
class LimitedServer:
    """Answers with 429 above its limits; a request takes a while, longer where more than ``n_slots`` are served."""

    requests_per_minute: float = 60
    tokens_per_minute: float = 40_000
    counting: Counting = "sliding"
    charges: Charges = "as it goes"
    n_slots: int = 1_000_000
    first_token_s: float = 0.4
    per_token_s: float = 0.01
    says_when: bool = True
    tells: Callable[[RateLimitInfo], None] | None = None
    """Called with what its headers say, where it sends any."""
    name: str = "limited"
    context_window: int = 128_000
    started: list[tuple[float, ChatRequest]] = field(default_factory=list)
    served: list[tuple[float, ChatRequest, int]] = field(default_factory=list)
    """When it ended, what was asked, how many tokens it took."""
    n_refused: int = 0
    n_now: int = 0
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self.requests = Quota(self.requests_per_minute, self.counting)
        self.tokens = Quota(self.tokens_per_minute, self.counting)

    async def close(self) -> None:
        pass

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        now = asyncio.get_running_loop().time
        n_input = sum(len(message.content) for message in request.messages) // 4
        n_output = int(str(request.extra["n_output"]))
        most = n_input + request.max_tokens
        charge = {"as it goes": n_input, "at the end": 0}.get(self.charges, most)
        at_end = {"as it goes": n_output, "at the end": n_input + n_output, "most": 0}.get(
            self.charges, n_input + n_output - most
        )
        self._tell(now())
        if (
            self.requests.used(now()) + 1 > self.requests_per_minute + 1e-6
            or self.tokens.used(now()) + charge > self.tokens_per_minute + 1e-6
        ):
            self.n_refused += 1
            fields = {"retry_after_s": 1.0} if self.says_when else {}
            raise ChatRateLimited("Too many requests.", status=429, **fields)
        self.started.append((now(), request))
        self.requests.take(now(), 1)
        self.tokens.take(now(), charge)
        self.n_now += 1
        self.most_at_once = max(self.most_at_once, self.n_now)
        try:
            await asyncio.sleep(self.first_token_s * max(1.0, self.n_now / self.n_slots))
            yield Delta("yes ")
            await asyncio.sleep(self.per_token_s * n_output)
            self.tokens.take(now(), at_end)
            self.served.append((now(), request, n_input + n_output))
            yield Usage(n_input, n_output)
            yield Done("stop", self.name)
        finally:
            self.n_now -= 1

    def _tell(self, now: float) -> None:
        if self.tells is not None:
            self.tells(
                RateLimitInfo(
                    200,
                    int(self.requests_per_minute),
                    int(self.tokens_per_minute),
                    int(self.requests_per_minute - self.requests.used(now)),
                    max(0, int(self.tokens_per_minute - self.tokens.used(now))),
                )
            )
