"""Replies to what was asked before, word for word, without asking the server."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Switched, Usage
from rag.llm.cache_store import CacheStats, ReplyStore
from rag.llm.meter import Meter, NoMeter
from rag.llm.reply_row import Reply
from rag.llm.request_key import is_repeatable, request_key

_STAND_IN_TTL_S: Final = 600.0
"""For the reply of a model that stood in for another: long enough for a batch that goes on, not for a day."""


class CachedChatModel:
    """Serves and keeps complete replies ("stop") to repeatable requests (temperature 0, or a seed).

    A reply is kept before ``Done`` is passed on: whoever has seen the end of a reply finds it again after a kill.
    """

    def __init__(
        self, inner: ChatModel, store: ReplyStore, meter: Meter | None = None, *, asked_of: str = ""
    ) -> None:
        """``asked_of`` names the models that may answer, so that other settings find no old replies."""
        self._inner, self._store, self._meter = inner, store, meter or NoMeter()
        self.asked_of = asked_of or inner.name
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        """The store stays open: other loops may use it."""
        await self._inner.close()

    def stats(self) -> CacheStats:
        return self._store.stats()

    def key(self, request: ChatRequest) -> str:
        return request_key(request, self.asked_of)

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        key = self.key(request) if is_repeatable(request) else None
        if key is not None:
            found = self._store.get(key)
            self._meter.count("chat_cache", result="miss" if found is None else "hit")
            if found is not None:
                for event in found.events():
                    yield event
                return
        written: list[str] = []
        usage, stood_in = Usage(), False
        async with aclosing(self._inner.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                match event:
                    case Delta():
                        written.append(event.text)
                    case Usage():
                        usage += event
                    case Switched():
                        stood_in = True
                    case Done(finish_reason="stop", cached=False) if key is not None and written:
                        reply = Reply("".join(written), event.model, event.route, usage.cost_usd)
                        ttl_s = _STAND_IN_TTL_S if stood_in else None
                        await self._store.put(key, reply, request.tenant, ttl_s=ttl_s)
                yield event
