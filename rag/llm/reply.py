"""From the bytes of a reply to the events of the chat: streamed, or in one piece where a server does not stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from rag.core.types import ChatEvent, Delta, Usage
from rag.llm.failures import Failures
from rag.llm.order import Order
from rag.llm.sse import Event, EventParser
from rag.llm.wire import content_of, usage_of

MAX_STREAM_BYTES: Final = 64 * 2**20
"""The longest answers are some 100,000 tokens, at 300 bytes of JSON each."""
MAX_WHOLE_BYTES: Final = 4 * 2**20
_BOM: Final = b"\xef\xbb\xbf"


class Reply:
    """``feed`` it the bytes as they come, then ``end`` it. What it is is told by its first character, not by its
    content type: servers and proxies mislabel both kinds."""

    def __init__(self, failures: Failures, model: str) -> None:
        self.model = model
        self.finish_reason: str | None = None
        self.usage: Usage | None = None
        self.done = False
        """``[DONE]`` was read: what may follow is nothing of the answer."""
        self._failures = failures
        self._parser: EventParser | None = None
        self._order = Order(failures.mixed_up)
        self._whole: bytearray | None = None
        self._head = b""
        self._n_bytes = 0
        self._any_choice = False

    @property
    def streamed(self) -> bool:
        return self._whole is None

    @property
    def complete(self) -> bool:
        """The answer is all there, whatever becomes of the connection."""
        return self.streamed and (self.done or self.finish_reason is not None)

    def feed(self, chunk: bytes) -> list[ChatEvent]:
        """Raises ``ChatError`` subclasses."""
        self._n_bytes += len(chunk)
        if self._n_bytes > MAX_STREAM_BYTES:
            raise self._failures.too_large(MAX_STREAM_BYTES)
        if self._parser is not None:
            return self._take(self._parser.feed(chunk))
        if self._whole is None:
            self._head += chunk
            start = self._head.removeprefix(_BOM).lstrip()
            if not start or _BOM.startswith(start):
                return []
            if start[:1] == b"<":
                raise self._failures.malformed()
            chunk, self._head = self._head, b""
            if start[:1] not in b"{[":
                self._parser = EventParser()
                return self._take(self._parser.feed(chunk))
            self._whole = bytearray()
        self._whole += chunk
        if len(self._whole) > MAX_WHOLE_BYTES:
            raise self._failures.too_large(MAX_WHOLE_BYTES)
        return []

    def end(self) -> list[ChatEvent]:
        """What the end of the bytes brings. Raises ``ChatProtocolError`` where the answer is not all there."""
        if self._whole is not None:
            return self._in_one_piece(bytes(self._whole))
        rest: list[ChatEvent] = list(self._deltas(self._order.rest()))
        if not self._any_choice and (self.done or self._parser is None):
            raise self._failures.malformed()
        if not self.complete:
            raise self._failures.broke_off()
        return rest

    def _take(self, events: list[Event]) -> list[ChatEvent]:
        taken: list[ChatEvent] = []
        for event in events:
            if self.done:
                break
            if event.data.strip() == "[DONE]":
                taken += self._deltas(self._order.rest())
                self.done = True
            elif event.data:
                taken += self._deltas((event,) if event.id is None else self._order.take(event))
        return taken

    def _deltas(self, events: Iterable[Event]) -> Iterator[Delta]:
        for event in events:
            if event.type and event.type != "message" and not event.data.lstrip().startswith("{"):
                if event.type == "error":
                    raise self._failures.of_error(200, event.data)
                continue  # a ping of a gateway
            text = self._read(self._object(event.data, event.type), "delta")
            if text:
                yield Delta(text)

    def _in_one_piece(self, body: bytes) -> list[ChatEvent]:
        text = self._read(self._object(body.removeprefix(_BOM).decode("utf-8", "replace"), ""), "message")
        if not self._any_choice:
            raise self._failures.malformed()
        return [Delta(text)] if text else []

    def _object(self, text: str, kind: str) -> dict[str, Any]:
        try:
            reply = json.loads(text)
        except (ValueError, RecursionError):
            raise self._failures.malformed() from None
        if not isinstance(reply, dict):
            raise self._failures.malformed()
        error = reply.get("error") or (reply if kind == "error" else None)
        if error:
            raise self._failures.of_error(200, error)
        return reply

    def _read(self, reply: dict[str, Any], part: str) -> str:
        """The text of the first choice; finish reason, usage and model are kept."""
        model = reply.get("model")
        if isinstance(model, str) and model and not model.startswith("/"):  # llama.cpp: the path of its file
            self.model = model
        if reply.get("usage"):
            self.usage = usage_of(reply) or self.usage
        choices = reply.get("choices")
        if choices is None or choices == []:
            return ""
        if not isinstance(choices, list):
            raise self._failures.malformed()
        text = ""
        for choice in choices:
            if not isinstance(choice, dict):
                raise self._failures.malformed()
            if choice.get("index"):
                continue  # another answer to the same question
            self._any_choice = True
            finish = choice.get("finish_reason")
            if isinstance(finish, str) and finish:
                self.finish_reason = finish
            text += content_of(choice.get(part))
        return text
