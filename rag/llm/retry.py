"""Asks again where that may help, as long as nothing has been answered yet."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from rag.core.errors import ChatError, ChatProtocolError, ChatRateLimited, ChatTimeout, ChatUnreachable
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta
from rag.llm.meter import Meter, NoMeter

_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 20.0
_PATIENCE: Final = 0.6
"""Share of the time left that a silent server gets while it can still be asked again."""


class RetryingChatModel:
    """Retries rate limits, time-outs, broken connections, broken replies and failing servers, before the first delta.

    Waits with full jitter (Brooker 2015, "Exponential Backoff And Jitter"), or as long as the server's
    Retry-After says. ``request.timeout_s`` and ``request.attempts`` are for all attempts together; an attempt that
    would only begin after the deadline is not waited for, so that another model still has the time.
    """

    def __init__(
        self,
        inner: ChatModel,
        *,
        meter: Meter | None = None,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._inner, self._meter, self._jitter = inner, meter or NoMeter(), jitter
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        now = asyncio.get_running_loop().time
        deadline = now() + request.timeout_s
        n_failed = 0
        while request.attempts.take():
            begun = False
            one = replace(
                request,
                timeout_s=deadline - now(),
                patience=_PATIENCE if request.attempts.left else request.patience,
            )
            try:
                async with aclosing(self._inner.stream(one)) as events:  # type: ignore[type-var]
                    async for event in events:
                        begun = begun or isinstance(event, Delta)
                        yield event
                return
            except (ChatRateLimited, ChatTimeout, ChatUnreachable, ChatProtocolError) as exc:
                n_failed += 1
                delay_s = self._delay_s(exc, n_failed)
                if begun or not request.attempts.left or now() + delay_s >= deadline or _is_open(exc):
                    raise
                self._meter.count("chat_retries", model=self.name, reason=exc.code)
            await asyncio.sleep(delay_s)
        raise ChatUnreachable(
            "The chat request was sent as often as it may be (llm_attempts); try again later.",
            model=self.name,
        )

    def _delay_s(self, error: ChatError, n_failed: int) -> float:
        asked = error.fields.get("retry_after_s")
        if isinstance(asked, int | float):
            return float(asked)
        return self._jitter(0.0, min(_LONGEST_DELAY_S, _FIRST_DELAY_S * 2 ** (n_failed - 1)))


def _is_open(error: ChatError) -> bool:
    """A breaker that is open says no at once; whether to wait for it is for the one who knows other models."""
    return bool(error.fields.get("breaker_open"))
