"""Server-sent events from bytes (WHATWG HTML, "Server-sent events"): only the data, with limits."""

from __future__ import annotations

import codecs
import re
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from rag.core.errors import ChatProtocolError

MAX_EVENT_CHARS: Final = 1_000_000
_LINE_END = re.compile(r"\r\n|\n|\r(?!$)")


async def event_data(chunks: AsyncIterator[bytes]) -> AsyncGenerator[str, None]:
    """The data of each event, its lines joined. Comments and other fields are passed over; an event that the
    stream breaks off in is not dispatched. Raises ``ChatProtocolError`` for an endless line or event."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    buffer = ""
    data: list[str] = []
    n_chars = 0
    async for chunk in chunks:
        buffer += decoder.decode(chunk)
        *lines, buffer = _LINE_END.split(buffer)
        for line in lines:
            if not line:
                if data:
                    yield "\n".join(data)
                data, n_chars = [], 0
            elif line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
                n_chars += len(line)
        if n_chars + len(buffer) > MAX_EVENT_CHARS:
            raise ChatProtocolError(
                "The chat server sent an event without end; check that the base URL is a chat server's.",
            )
