"""A circuit breaker for each server (Nygard 2007, "Release It!"): who keeps failing is left alone for a while."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, Literal, TypeAlias

from rag.core.errors import ChatError, ChatProtocolError, ChatTimeout, ChatUnreachable
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta
from rag.llm.meter import Meter, NoMeter

State: TypeAlias = Literal["closed", "half-open", "open"]

_WINDOW_S: Final = 30.0
_MIN_CALLS: Final = 20
_FAILED_SHARE: Final = 0.5
_FAILED_IN_A_ROW: Final = 8
_UNREACHABLE_IN_A_ROW: Final = 4
"""Where nothing listens it shows at once. A burst of server errors is no reason to turn away a whole line."""
_FIRST_COOL_DOWN_S: Final = 2.0
_LONGEST_COOL_DOWN_S: Final = 60.0
_STATES: Final[dict[State, int]] = {"closed": 0, "half-open": 1, "open": 2}


class Breaker:
    """Closed: everything passes. Open: nothing does, for a cool-down that doubles each time. Half-open: one request
    is let through, and decides. It has no timer; time is looked at when somebody asks."""

    def __init__(self, server: str, meter: Meter | None = None) -> None:
        self.server, self._meter = server, meter or NoMeter()
        self.state: State = "closed"
        self._calls: deque[tuple[float, bool]] = deque()
        self._failed_in_a_row = self._unreachable_in_a_row = 0
        self._n_opened = 0
        self._open_until = 0.0
        self._probing = False

    def enter(self, now: float) -> bool:
        """Before a request is sent: whether it is the probe. Raises ``ChatUnreachable`` while it is open."""
        self.check(now)
        if self.state == "closed":
            return False
        self._become("half-open")
        self._probing = True
        return True

    def check(self, now: float) -> None:
        """Raises ``ChatUnreachable`` where a request would not be let in."""
        if (self.state == "open" and now < self._open_until) or self._probing:
            wait_s = max(0.1, self._open_until - now)
            raise ChatUnreachable(
                f"The chat server at {self.server} has failed several times and is left alone for {wait_s:.1f} s; "
                "try again then.",
                base_url=self.server,
                retry_after_s=wait_s,
                breaker_open=True,
            )

    def leave(self, now: float, *, is_probe: bool, failed: bool | None, unreachable: bool = False) -> None:
        """After a request; ``failed`` is None where it says nothing of the server (the reader went away)."""
        if is_probe:
            self._probing = False
        if failed is None:
            return
        if is_probe:
            if failed:
                self._open(now)
            else:
                self._close()
        elif self.state == "closed":  # what was sent before it opened says nothing of the server now
            self._calls.append((now, failed))
            while self._calls[0][0] < now - _WINDOW_S:
                self._calls.popleft()
            self._failed_in_a_row = self._failed_in_a_row + 1 if failed else 0
            self._unreachable_in_a_row = self._unreachable_in_a_row + 1 if unreachable else 0
            if failed and self._keeps_failing():
                self._open(now)

    def _keeps_failing(self) -> bool:
        n_failed = sum(failed for _, failed in self._calls)
        often = len(self._calls) >= _MIN_CALLS and n_failed >= _FAILED_SHARE * len(self._calls)
        return (
            often
            or self._failed_in_a_row >= _FAILED_IN_A_ROW
            or self._unreachable_in_a_row >= _UNREACHABLE_IN_A_ROW
        )

    def _open(self, now: float) -> None:
        cool_down_s = min(_LONGEST_COOL_DOWN_S, _FIRST_COOL_DOWN_S * 2 ** min(self._n_opened, 10))
        self._n_opened += 1
        self._open_until = now + cool_down_s
        self._become("open")

    def _close(self) -> None:
        self._calls.clear()
        self._failed_in_a_row = self._unreachable_in_a_row = self._n_opened = 0
        self._become("closed")

    def _become(self, state: State) -> None:
        self.state = state
        self._meter.gauge("chat_breaker_state", _STATES[state], server=self.server)


class GatedChatModel:
    """Stands before the queue: nobody waits for a server that is left alone."""

    def __init__(self, inner: ChatModel, breaker: Breaker) -> None:
        self._inner, self._breaker = inner, breaker
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        self._breaker.check(asyncio.get_running_loop().time())
        async with aclosing(self._inner.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event


class BreakingChatModel:
    """Stands behind the queue, so that a probe is sent at once, and a line that waits is turned away when it opens.

    A reply that has begun well counts as one, whatever the reader does.
    """

    def __init__(self, inner: ChatModel, breaker: Breaker) -> None:
        self._inner, self._breaker = inner, breaker
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        now = asyncio.get_running_loop().time
        is_probe = self._breaker.enter(now())
        failed: bool | None = None
        unreachable = False
        try:
            async with aclosing(self._inner.stream(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, Delta):
                        failed = False
                    yield event
            failed = False
        except ChatError as exc:
            failed = _blames_the_server(exc)
            unreachable = isinstance(exc, ChatUnreachable) and "status" not in exc.fields
            raise
        finally:
            self._breaker.leave(now(), is_probe=is_probe, failed=failed, unreachable=unreachable)


def _blames_the_server(error: ChatError) -> bool | None:
    """None for what never reached it: our own queue, budget or window."""
    if isinstance(error, ChatUnreachable | ChatTimeout | ChatProtocolError):
        return True
    return None if "status" not in error.fields else False
