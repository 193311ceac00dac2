"""Tries a chat request again when what went wrong may pass."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from rag.core.errors import (
    BudgetExceeded,
    ChatBusy,
    ChatError,
    ChatProtocolError,
    ChatRateLimited,
    ChatTimeout,
    ChatUnreachable,
)
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta, Usage
from rag.llm.meter import Meter, NoMeter

_FIRST_DELAY_S: Final = 0.5
_LONGEST_DELAY_S: Final = 20.0
_PATIENCE: Final = 0.6
"""Share of the time left that a silent server gets while it, or another one, can still be asked."""
_LONGEST_DELAY_BEFORE_OTHERS_S: Final = 2.0
"""A server that asks to wait longer is not waited for where another model can answer at once."""


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
        before: ChatError | None = None
        while request.attempts.take():
            begun = False
            one = replace(
                request,
                timeout_s=deadline - now(),
                patience=min(request.patience, _PATIENCE) if request.attempts.left else request.patience,
            )
            try:
                async with aclosing(self._inner.stream(one)) as events:  # type: ignore[type-var]
                    async for event in events:
                        begun = begun or isinstance(event, Delta)
                        yield event
                return
            except ChatError as exc:
                if not _was_sent(exc):
                    request.attempts.left += 1
                if begun or not request.attempts.left or not _may_pass(exc, request):
                    if before is not None and exc.fields.get("breaker_open"):
                        raise before from exc  # it says why, and the breaker only that
                    raise
                before = exc
                n_failed += 1
                delay_s = self._delay_s(exc, n_failed)
                if _is_too_late(delay_s, deadline - now(), request):
                    raise _told(exc) from exc.__cause__
                self._meter.count("chat_retries", model=self.name, reason=exc.code)
                if isinstance(spent := exc.fields.get("usage"), Usage):
                    yield spent
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


def _may_pass(error: ChatError, request: ChatRequest) -> bool:
    """Whether the same server may do better. One that was silent is not asked again where another can be."""
    if error.fields.get("breaker_open"):
        return False  # whether to wait for it is for the one who knows other models
    if isinstance(error, ChatTimeout) and "status" not in error.fields:
        return not _has_others(request)
    return isinstance(error, ChatRateLimited | ChatTimeout | ChatUnreachable | ChatProtocolError)


def _is_too_late(delay_s: float, left_s: float, request: ChatRequest) -> bool:
    return delay_s >= left_s or (_has_others(request) and delay_s > _LONGEST_DELAY_BEFORE_OTHERS_S)


def _has_others(request: ChatRequest) -> bool:
    """Whoever knows other models gives each of them less than all of the time."""
    return request.patience < 1.0


def _was_sent(error: ChatError) -> bool:
    return not (isinstance(error, ChatBusy | BudgetExceeded) or error.fields.get("breaker_open"))


def _told(error: ChatError) -> ChatError:
    """The error, saying that the server asked for a longer wait than there was time for."""
    asked = error.fields.get("retry_after_s")
    if not isinstance(asked, int | float):
        return error
    message = (
        f"{error.message.rstrip('.')} (it asks to wait {asked:.3g} s, which is too long for this request)."
    )
    return type(error)(message, **error.fields)
