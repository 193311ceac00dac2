"""Equal requests in flight share one stream from the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from rag.core.errors import ChatError, ChatTimeout
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Done, Usage
from rag.llm.meter import Meter, NoMeter
from rag.llm.request_key import is_repeatable, request_key

_WORTH_ASKING_S: Final = 1.0


class SharedChatModel:
    """Every reader gets all events from the start, as they come, within its own deadline.

    Nobody ends the stream for the others; when the last reader has gone, the upstream request is closed. An error
    reaches all. Each ``Usage`` goes to the one reader who takes it first and to the others as zeros, so what the
    answers cost adds up to what was paid; those who paid nothing find ``Done.cached`` set.

    Requests of different tenants are never joined, for one would pay, or be refused, for the other; nor are those
    of different priority, for an interactive one would wait in the queue of batches. Sampled requests (a
    temperature and no seed) are not joined at all.
    """

    def __init__(self, inner: ChatModel, meter: Meter | None = None) -> None:
        self.inner, self._meter = inner, meter or NoMeter()
        self.name, self.context_window = inner.name, inner.context_window
        self._in_flight: dict[tuple[str, str], _Stream] = {}

    async def close(self) -> None:
        for stream in list(self._in_flight.values()):
            await stream.close()
        await self.inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        if not is_repeatable(request):
            async with aclosing(self.inner.stream(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    yield event
            return
        now = asyncio.get_running_loop().time
        deadline = now() + request.timeout_s
        key = (request_key(request), request.priority)
        n_read = 0
        while True:
            shared = self._in_flight.get(key)
            leads = shared is None
            if shared is None:
                one = replace(request, timeout_s=max(0.0, deadline - now()))
                shared = self._in_flight[key] = _Stream(self.inner, one, lambda: self._forget(key))
            else:
                self._meter.count("chat_cache", result="joined")
            try:
                async with aclosing(shared.read(deadline, leads)) as events:
                    async for event in events:
                        n_read += 1
                        yield event
                return
            except ChatTimeout:
                # The one who asked had less time than this reader has: then it asks itself.
                if n_read:  # after a delta there is no error, only an end
                    yield Done("interrupted", self.name)
                    return
                if leads or deadline - now() < _WORTH_ASKING_S:
                    raise

    def _forget(self, key: tuple[str, str]) -> None:
        self._in_flight.pop(key, None)


class _Stream:
    """One request upstream, and what has come of it."""

    def __init__(self, inner: ChatModel, request: ChatRequest, on_end: Callable[[], None]) -> None:
        self._on_end: Callable[[], None] | None = on_end
        self._name = inner.name
        self._events: list[ChatEvent] = []
        self._taken: set[int] = set()
        self._error: BaseException | None = None
        self._ended = False
        self._n_readers = 0
        self._more: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._pump = asyncio.create_task(self._run(inner, request))

    async def close(self) -> None:
        self._end()
        self._pump.cancel()
        await asyncio.gather(self._pump, return_exceptions=True)

    async def read(self, deadline: float, leads: bool) -> AsyncGenerator[ChatEvent, None]:
        self._n_readers += 1
        pays = leads
        n = 0
        try:
            while True:
                while n < len(self._events):
                    event = self._events[n]
                    if isinstance(event, Usage):
                        mine = n not in self._taken
                        self._taken.add(n)
                        pays = pays or mine
                        event = event if mine else Usage()
                    elif isinstance(event, Done) and not pays:
                        event = replace(event, cached=True)
                    n += 1
                    yield event
                if self._error is not None:
                    raise self._copied(self._error)
                if self._ended:
                    return
                try:
                    async with asyncio.timeout_at(deadline):
                        await asyncio.shield(self._more)
                except TimeoutError as exc:
                    raise ChatTimeout(
                        f"The chat model {self._name} did not finish in time; try again, or raise llm_timeout_s.",
                        model=self._name,
                    ) from exc
        finally:
            self._n_readers -= 1
            if not self._n_readers and not self._pump.done():
                await self.close()

    async def _run(self, inner: ChatModel, request: ChatRequest) -> None:
        try:
            async with aclosing(inner.stream(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    self._events.append(event)
                    self._wake()
        except asyncio.CancelledError:
            self._error = ChatError(f"The chat model {self._name} was closed; ask again.", model=self._name)
            raise
        except BaseException as exc:
            self._error = exc
        finally:
            self._ended = True
            self._end()
            self._wake()

    def _wake(self) -> None:
        waited, self._more = self._more, asyncio.get_running_loop().create_future()
        if not waited.done():
            waited.set_result(None)

    def _end(self) -> None:
        """From here on an equal request is asked anew."""
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()

    @staticmethod
    def _copied(error: BaseException) -> BaseException:
        """One for each reader: an exception that several tasks raise would gather the traces of all."""
        return type(error)(error.message, **error.fields) if isinstance(error, ChatError) else error
