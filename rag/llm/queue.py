"""Waits for a turn at the server, and tells its scheduler how the request went."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from rag.core.errors import ChatRateLimited, ChatTimeout, ChatUnreachable
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Usage
from rag.llm.schedule.forecast import TokenForecast
from rag.llm.schedule.scheduler import Scheduler


class QueuedChatModel:
    """Holds a slot of the server's scheduler until the reply ends or is closed."""

    def __init__(self, inner: ChatModel, scheduler: Scheduler) -> None:
        self._inner, self._scheduler, self._forecast = inner, scheduler, TokenForecast()
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        now = asyncio.get_running_loop().time
        deadline = now() + request.timeout_s
        slot = await self._scheduler.acquire(
            self._forecast.demand(request),
            priority=request.priority,
            tenant=request.tenant,
            # Whoever has another server to ask does not wait for this one until it is too late.
            deadline=now() + request.timeout_s * request.patience,
        )
        usage: Usage | None = None
        first_token_s: float | None = None
        n_deltas = 0
        succeeded = False
        try:
            one = replace(request, timeout_s=max(0.0, deadline - now()))
            async with aclosing(self._inner.stream(one)) as events:  # type: ignore[type-var]
                async for event in events:
                    match event:
                        case Delta():
                            n_deltas += 1
                            if first_token_s is None:
                                first_token_s = now() - slot.sent_at
                                self._scheduler.accepted(slot)
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
            raise
        except (ChatTimeout, ChatUnreachable) as exc:
            if exc.fields.get("breaker_open"):
                self._scheduler.withdraw(slot)
            elif isinstance(exc, ChatTimeout) or exc.fields.get("status") in (502, 503, 504, 529):
                self._scheduler.overloaded(slot, exc.fields.get("retry_after_s"))
            raise
        finally:
            if usage is not None and succeeded:
                self._forecast.learn(request, usage)
            # Of a reply that was broken off no usage is told; each delta was a token at least.
            self._scheduler.release(
                slot,
                n_input=usage.input_tokens or None if usage else None,
                n_output=usage.output_tokens if usage else (None if succeeded else n_deltas),
                n_cached=usage.cached_tokens if usage else 0,
                first_token_s=first_token_s,
                succeeded=succeeded,
            )
