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


def longest_silence_s(left_s: float, patience: float, *, begun: bool) -> float:
    """Before the first delta the request's share of the time that is left; an answer that makes progress is not cut
    by it, only one that stalls."""
    share_s = left_s * patience
    return min(IDLE_S, share_s) if begun else share_s


class PatientChatModel:
    """Turns silence into ``ChatTimeout`` while there is time to ask again. Stands next to the client, so that waiting
    in a queue is not taken for the server's silence."""

    def __init__(self, inner: ChatModel) -> None:
        self._inner = inner
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        now = asyncio.get_running_loop().time
        deadline = now() + request.timeout_s
        begun = False
        silence_s = longest_silence_s(request.timeout_s, request.patience, begun=False)
        watch = _Watch(now() + silence_s)
        try:
            async with aclosing(self._inner.stream(request)) as events:  # type: ignore[type-var]
                while True:
                    with watch:
                        event = await anext(events, None)
                    if event is None:
                        return
                    begun = begun or isinstance(event, Delta)
                    yield event
                    if begun:  # the time that the reader takes is not the server's
                        silence_s = longest_silence_s(deadline - now(), request.patience, begun=True)
                        watch.due_s = now() + silence_s
        except TimeoutError as exc:
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
