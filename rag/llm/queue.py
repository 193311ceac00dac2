"""Waits for a turn at the server, and tells its scheduler how the request went."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from rag.core.errors import ChatRateLimited, ChatTimeout, ChatUnreachable
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Purpose, Usage
from rag.llm.schedule.scheduler import Scheduler

_BYTES_PER_TOKEN: Final = 4.0
_TOKENS_PER_MESSAGE: Final = 4
_LEARNING: Final = 0.1
_CAUTION: Final = 1.5
"""Standard deviations that the expected output lies above the mean."""


class TokenForecast:
    """What a request will take, learned from what requests took. Cheap: the exact count is another layer's."""

    def __init__(self) -> None:
        self._input_ratio = 1.0
        self._output: dict[Purpose, tuple[float, float]] = {}

    def tokens(self, request: ChatRequest) -> int:
        mean, variance = self._output.get(request.purpose, (float(request.max_tokens), 0.0))
        n_output = min(float(request.max_tokens), mean + _CAUTION * math.sqrt(variance))
        return math.ceil(self._raw_input(request) * self._input_ratio + n_output)

    def most_tokens(self, request: ChatRequest) -> int:
        return math.ceil(self._raw_input(request) * self._input_ratio) + request.max_tokens

    def learn(self, request: ChatRequest, usage: Usage) -> None:
        if usage.input_tokens:
            ratio = usage.input_tokens / self._raw_input(request)
            self._input_ratio += _LEARNING * (min(4.0, ratio) - self._input_ratio)
        mean, variance = self._output.get(request.purpose, (float(usage.output_tokens), 0.0))
        off = usage.output_tokens - mean
        self._output[request.purpose] = (
            mean + _LEARNING * off,
            (1 - _LEARNING) * (variance + _LEARNING * off * off),
        )

    @staticmethod
    def _raw_input(request: ChatRequest) -> float:
        n_bytes = sum(len(message.content.encode("utf-8", "replace")) for message in request.messages)
        return n_bytes / _BYTES_PER_TOKEN + _TOKENS_PER_MESSAGE * len(request.messages)


class QueuedChatModel:
    """Holds a slot of the server's scheduler until the reply ends or is closed."""

    def __init__(self, inner: ChatModel, scheduler: Scheduler, forecast: TokenForecast | None = None) -> None:
        self._inner, self._scheduler, self._forecast = inner, scheduler, forecast or TokenForecast()
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        now = asyncio.get_running_loop().time
        deadline = now() + request.timeout_s
        slot = await self._scheduler.acquire(
            self._forecast.tokens(request),
            most_tokens=self._forecast.most_tokens(request),
            priority=request.priority,
            tenant=request.tenant,
            deadline=deadline,
        )
        usage: Usage | None = None
        first_token_s: float | None = None
        succeeded = False
        try:
            one = replace(request, timeout_s=max(0.0, deadline - now()))
            async with aclosing(self._inner.stream(one)) as events:  # type: ignore[type-var]
                async for event in events:
                    match event:
                        case Delta() if first_token_s is None:
                            first_token_s = now() - slot.sent_at
                        case Usage():
                            usage = event if usage is None else usage + event
                        case Done():
                            succeeded = True
                            timing = replace(event.timing, queued_ms=slot.waited_s * 1000)
                            yield replace(event, timing=timing)
                            return
                    yield event
        except ChatRateLimited as exc:
            self._scheduler.refused(slot, exc.fields.get("retry_after_s"))
            usage = Usage()
            raise
        except (ChatTimeout, ChatUnreachable) as exc:
            if isinstance(exc, ChatTimeout) or exc.fields.get("status") in (502, 503, 504, 529):
                self._scheduler.overloaded(slot)
            raise
        finally:
            if usage is not None and succeeded:
                self._forecast.learn(request, usage)
            self._scheduler.release(
                slot,
                n_tokens=None if usage is None else usage.input_tokens + usage.output_tokens,
                first_token_s=first_token_s,
                succeeded=succeeded,
            )
