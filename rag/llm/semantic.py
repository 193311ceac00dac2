"""The reply to a similar question, where everything else that was asked is exactly the same."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rag.core.errors import StoreError
from rag.core.protocols import ChatModel
from rag.core.types import ChatEvent, ChatRequest, Done
from rag.llm.cache_store import ReplyStore
from rag.llm.meter import Meter, NoMeter
from rag.llm.request_key import frame_key, is_repeatable, request_key
from rag.llm.same_question import may_differ
from rag.llm.serving_db import open_serving

Vector = NDArray[np.float32]

_MAX_COMPARED: Final = 500
"""Questions about the very same sources: the latest are enough."""


class SemanticIndex:
    """Which questions have been answered, from which sources. Never fails: without its file it finds nothing."""

    def __init__(self, file: Path, threshold: float, *, ttl_s: float = 86400.0, space: str = "") -> None:
        """``threshold``: the least cosine. ``space`` names the encoder, for only its own vectors compare."""
        self._threshold, self._ttl_s, self._space = threshold, ttl_s, space
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        with suppress(StoreError):
            self._db = open_serving(file)

    def find(self, question: str, vector: Sequence[float] | Vector, sources: str, tenant: str) -> str | None:
        """The key of the request that was answered, best first; None if nothing is near enough or may differ."""
        rows = self._run(
            "SELECT text, vector, reply FROM question WHERE tenant = ? AND sources = ? AND made_at > ? "
            "ORDER BY id DESC LIMIT ?",
            (tenant, self._place(sources), time.time() - self._ttl_s, _MAX_COMPARED),
        )
        asked = _unit(vector)
        near: list[tuple[float, str, str]] = []
        for text, data, reply in rows:
            if not isinstance(data, bytes) or len(data) != asked.nbytes:
                continue
            cosine = float(np.frombuffer(data, np.float32) @ asked)
            if cosine >= self._threshold:
                near.append((cosine, text, reply))
        for _, text, reply in sorted(near, reverse=True):
            if not may_differ(question, text):
                return reply
        return None

    def remember(
        self, question: str, vector: Sequence[float] | Vector, sources: str, tenant: str, request_key: str
    ) -> None:
        now = time.time()
        self._run("DELETE FROM question WHERE made_at <= ?", (now - self._ttl_s,))
        self._run(
            "INSERT INTO question (tenant, sources, text, vector, reply, made_at) VALUES (?, ?, ?, ?, ?, ?)",
            (tenant, self._place(sources), question, _unit(vector).tobytes(), request_key, now),
        )

    def around(
        self,
        inner: ChatModel,
        store: ReplyStore,
        question: str,
        embed: Callable[[str], Vector],
        *,
        asked_of: str,
        meter: Meter | None = None,
    ) -> ChatModel:
        """The chat model for one question that is served from here where that is safe."""
        return _SemanticChatModel(inner, self, store, question, embed, asked_of, meter or NoMeter())

    def close(self) -> None:
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None

    def _place(self, sources: str) -> str:
        return f"{self._space}|{sources}"

    def _run(self, statement: str, values: tuple[Any, ...]) -> list[Any]:
        with self._lock, suppress(sqlite3.Error):
            if self._db is not None:
                return self._db.execute(statement, values).fetchall()
        return []


class _SemanticChatModel:
    """What must be the same is taken from the request itself: all of it but the words of the question. So another
    document, prompt, turn of the conversation, model or parameter is another place to look in."""

    def __init__(
        self,
        inner: ChatModel,
        index: SemanticIndex,
        store: ReplyStore,
        question: str,
        embed: Callable[[str], Vector],
        asked_of: str,
        meter: Meter,
    ) -> None:
        self._inner, self._index, self._store = inner, index, store
        self._question, self._embed, self._asked_of, self._meter = question, embed, asked_of, meter
        self.name, self.context_window = inner.name, inner.context_window

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        key = request_key(request, self._asked_of)
        # The very same request is the exact cache's to serve.
        if not is_repeatable(request) or self._store.holds(key):
            async with aclosing(self._inner.stream(request)) as events:  # type: ignore[type-var]
                async for event in events:
                    yield event
            return
        frame = frame_key(request, self._question, self._asked_of)
        vector = await asyncio.to_thread(self._embed, self._question)
        similar = self._index.find(self._question, vector, frame, request.tenant)
        reply = self._store.get(similar) if similar is not None else None
        if reply is not None:
            self._meter.count("chat_cache", result="semantic")
            for event in reply.events():
                yield event
            return
        async with aclosing(self._inner.stream(request)) as events:  # type: ignore[type-var]
            async for event in events:
                if isinstance(event, Done) and self._store.holds(key):
                    self._index.remember(self._question, vector, frame, request.tenant, key)
                yield event


def _unit(vector: Sequence[float] | Vector) -> Vector:
    values = np.asarray(vector, dtype=np.float32).reshape(-1)
    length = float(np.linalg.norm(values))
    return values / np.float32(length) if length else values
