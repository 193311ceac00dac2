from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.core.errors import ChatProtocolError
from rag.llm.sse import MAX_EVENT_CHARS, event_data


async def read(*chunks: bytes) -> list[str]:
    async def stream() -> AsyncIterator[bytes]:
        for chunk in chunks:
            yield chunk

    return [data async for data in event_data(stream())]


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("data: one\n\ndata: two\n\n", ["one", "two"]),
        ("data: one\r\n\r\ndata:two\r\r", ["one", "two"]),
        ("data: first\ndata: second\n\n", ["first\nsecond"]),
        (": a comment\nevent: x\nid: 1\nretry: 5\ndata: one\n\n", ["one"]),
        ("data:  two spaces\n\n", [" two spaces"]),
        ("\n\n\n", []),
    ],
)
async def test_the_data_of_each_event(text: str, data: list[str]) -> None:
    # A lone carriage return at the very end may be half of a line end, so another event follows.
    assert await read(text.encode(), b"data: last\n\n") == [*data, "last"]


async def test_an_event_that_the_stream_breaks_off_in_is_not_given() -> None:
    assert await read(b"data: one\n\ndata: broken off") == ["one"]


@given(
    st.lists(st.sampled_from(["data: ä\n", "\n", "\r\n", "data: 鍵", "\n\n", ": c\n"]), max_size=12),
    st.integers(1, 5),
)
async def test_where_the_bytes_are_cut_makes_no_difference(lines: list[str], size: int) -> None:
    whole = "".join(lines).encode()
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    assert await read(*pieces) == await read(whole)


async def test_an_event_without_end_is_an_error() -> None:
    with pytest.raises(ChatProtocolError, match="without end"):
        await read(b"data: " + b"x" * MAX_EVENT_CHARS, b"x" * 10)
