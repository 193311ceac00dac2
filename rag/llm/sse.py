"""Server-sent events from bytes, to the letter of the standard (WHATWG HTML, "Server-sent events"), with limits.

Of the kept libraries, httpx-sse 0.4 does not take off a byte order mark, decodes by the header's charset, dispatches
events without data and holds no limit on an event.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from rag.core.errors import ChatProtocolError

MAX_EVENT_BYTES: Final = 1_000_000
_BOM: Final = b"\xef\xbb\xbf"


class Event(NamedTuple):
    data: str
    type: str = ""
    """Empty for the default, "message"."""
    id: str | None = None
    """As this event gives it; None if it gives none."""


class EventParser:
    """``feed`` it the bytes as they come; an event that the stream breaks off in is never given."""

    def __init__(self) -> None:
        self._head: bytes | None = b""
        self._line: list[bytes] = []
        self._n_bytes = 0
        self._after_cr = False
        self._data: list[bytes] = []
        self._type = b""
        self._id: bytes | None = None

    def feed(self, chunk: bytes) -> list[Event]:
        """Raises ``ChatProtocolError`` for an endless line or event."""
        if self._head is not None:
            chunk = self._without_bom(self._head + chunk)
        if not chunk:
            return []
        if self._after_cr:
            self._after_cr = False
            chunk = chunk.removeprefix(b"\n")
        if b"\r" in chunk:
            # A line may end here and now, although the LF of a CRLF is still to come.
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        first, *others = chunk.split(b"\n")
        self._line.append(first)
        events: list[Event] = []
        if others:
            last = others.pop()
            self._take(b"".join(self._line) if len(self._line) > 1 else first, events)
            for line in others:
                self._take(line, events)
            self._line = [last]
            self._n_bytes = len(last) + sum(map(len, self._data))
        else:
            self._n_bytes += len(first)
        if self._n_bytes > MAX_EVENT_BYTES:
            raise ChatProtocolError(
                "The chat server sent an event without end; check that the base URL is a chat server's."
            )
        return events

    def _without_bom(self, start: bytes) -> bytes:
        if len(start) < len(_BOM) and _BOM.startswith(start):
            self._head = start
            return b""
        self._head = None
        return start.removeprefix(_BOM)

    def _take(self, line: bytes, events: list[Event]) -> None:
        if not line:
            if self._data:
                data = b"\n".join(self._data) if len(self._data) > 1 else self._data[0]
                given_id = None if self._id is None else self._id.decode("utf-8", "replace")
                events.append(
                    Event(data.decode("utf-8", "replace"), self._type.decode("utf-8", "replace"), given_id)
                )
                self._data = []
            self._type, self._id = b"", None
            return
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id = value
