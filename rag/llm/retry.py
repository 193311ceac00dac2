"""Asks again where that may help, as long as nothing has been answered yet."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from rag.core.errors import ChatError, ChatRateLimited, ChatTimeout, ChatUnreachable
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta

ATTEMPTS: Final = 3
_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 20.0


class RetryingChatModel:
    """Retries rate limits, time-outs, broken connections and failing servers, before the first delta only.

    Waits with full jitter (Brooker 2015, "Exponential Backoff And Jitter"), or as long as the server's
    Retry-After says. ``request.timeout_s`` is for all attempts together.
    """

    def __init__(
        self,
        inner: ChatModel,
        *,
        attempts: int = ATTEMPTS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._inner, self._attempts = inner, attempts
        self._sleep, self._jitter = sleep, jitter
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        now = asyncio.get_running_loop().time
        deadline = now() + request.timeout_s
        for attempt in range(1, self._attempts + 1):
            begun = False
            left_s = deadline - now()
            try:
                async with aclosing(self._inner.stream(replace(request, timeout_s=left_s))) as events:  # type: ignore[type-var]
                    async for event in events:
                        begun = begun or isinstance(event, Delta)
                        yield event
                return
            except (ChatRateLimited, ChatTimeout, ChatUnreachable) as exc:
                delay_s = self._delay_s(exc, attempt)
                if begun or attempt == self._attempts or now() + delay_s >= deadline:
                    raise
            await self._sleep(delay_s)

    def _delay_s(self, error: ChatError, attempt: int) -> float:
        asked = error.fields.get("retry_after_s")
        if isinstance(asked, int | float):
            return float(asked)
        return self._jitter(0.0, min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** (attempt - 1)))
