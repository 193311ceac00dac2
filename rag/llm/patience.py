"""How long a silent server is waited for: a share of the time before the first delta, some seconds between two."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Any, Final

from rag.core.errors import ChatTimeout
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta

IDLE_S: Final = 20.0
"""A server that has begun to write and then is silent for this long has stalled."""
_TIMES_AS_SLOW: Final = 8.0
_LEAST_S: Final = 2.0
"""Where others can be asked, a server is given up when it takes so many times as long as it ever did, but not sooner."""
_FORGETS: Final = 0.05


class Patience:
    """How long one model may be silent, learned from how long it is silent.

    The first delta gets the request's share of the time at most, less where the model is usually quick and somebody
    else, or the same one, can still be asked. An answer that makes progress is not cut by that share, only one that
    stalls. Each time it was too short for nothing it doubles, as a retransmission timer does (RFC 6298).
    """

    def __init__(self) -> None:
        self._slowest_s: float | None = None

    def silence_s(self, left_s: float, share: float, *, begun: bool) -> float:
        longest_s = min(IDLE_S, left_s * share) if begun else left_s * share
        if share >= 1.0 or self._slowest_s is None:
            return longest_s
        return min(longest_s, max(_LEAST_S, _TIMES_AS_SLOW * self._slowest_s))

    def first_delta_after(self, seconds: float) -> None:
        slowest_s = self._slowest_s or 0.0
        self._slowest_s = max(seconds, slowest_s + _FORGETS * (seconds - slowest_s))

    def silent_for(self, seconds: float) -> None:
        if self._slowest_s is not None:
            self._slowest_s = max(self._slowest_s, 2 * seconds / _TIMES_AS_SLOW)


class PatientChatModel:
    """Turns silence into ``ChatTimeout`` while there is time to ask again. Stands next to the client, so that waiting
    in a queue is not taken for the server's silence."""

    def __init__(self, inner: ChatModel) -> None:
        self._inner, self._patience = inner, Patience()
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        now = asyncio.get_running_loop().time
        sent_at = now()
        deadline = sent_at + request.timeout_s
        begun = False
        silence_s = self._patience.silence_s(request.timeout_s, request.patience, begun=False)
        watch = _Watch(sent_at + silence_s)
        try:
            async with aclosing(self._inner.stream(request)) as events:  # type: ignore[type-var]
                while True:
                    with watch:
                        event = await anext(events, None)
                    if event is None:
                        return
                    if isinstance(event, Delta) and not begun:
                        begun = True
                        self._patience.first_delta_after(now() - sent_at)
                    yield event
                    if begun:  # the time that the reader takes is not the server's
                        silence_s = self._patience.silence_s(deadline - now(), request.patience, begun=True)
                        watch.due_s = now() + silence_s
        except TimeoutError as exc:
            self._patience.silent_for(silence_s)
            raise ChatTimeout(
                f"The chat model {self.name} was silent for {max(0.0, silence_s):.3g} s; try again, or raise "
                "llm_timeout_s.",
                model=self.name,
            ) from exc
        finally:
            watch.close()


class _Watch:
    """``with watch: await …`` raises ``TimeoutError`` at ``due_s``, which may be put off.

    One timer, that looks again when it is early: putting it off costs nothing, and a reply has hundreds of pieces.
    """

    __slots__ = ("_cancelling", "_loop", "_passed", "_task", "_timer", "due_s")

    def __init__(self, due_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.due_s = due_s
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._passed = False
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = None
        if self._task is None:  # the reader's turn
            return
        if self._loop.time() < self.due_s:
            self._timer = self._loop.call_at(self.due_s, self._look)
        else:
            self._passed = True
            self._task.cancel()

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        if self._timer is None:
            self._timer = self._loop.call_at(self.due_s, self._look)
        elif self.due_s < self._timer.when():
            self._timer.cancel()
            self._timer = self._loop.call_at(self.due_s, self._look)

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, _: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if self._passed and task is not None:
            # Somebody else may have cancelled the task too: then that is what it ends with.
            if task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
                raise TimeoutError from exc
            self._passed = False
