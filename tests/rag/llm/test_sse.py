from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rag.core.errors import ChatProtocolError
from rag.llm.sse import MAX_EVENT_BYTES, Event, EventParser


def read(*chunks: bytes) -> list[Event]:
    parser = EventParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def data_of(*chunks: bytes) -> list[str]:
    return [event.data for event in read(*chunks)]


def as_the_standard_says(stream: bytes) -> list[Event]:
    """The algorithm of the standard, step by step, over the whole stream at once; ids as each event gives them."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    lines = re.split("\r\n|\r|\n", text)[:-1]  # what stands behind the last line end is no line
    events, data, kind, last_id = [], "", "", None
    for line in lines:
        if line == "":
            if data != "":
                events.append(Event(data.removesuffix("\n"), kind, last_id))
            data, kind, last_id = "", "", None
            continue
        if line.startswith(":"):
            continue
        name, colon, value = line.partition(":")
        if colon and value.startswith(" "):
            value = value[1:]
        if name == "event":
            kind = value
        elif name == "data":
            data += value + "\n"
        elif name == "id" and "\0" not in value:
            last_id = value
    return events


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("data: one\n\ndata: two\n\n", ["one", "two"]),
        ("data: one\r\n\r\ndata:two\r\r", ["one", "two"]),
        ("data: first\ndata: second\n\n", ["first\nsecond"]),
        (": a comment\nevent: x\nid: 1\nretry: 5\ndata: one\n\n", ["one"]),
        ("data:  two spaces\n\n", [" two spaces"]),
        ("data: a\u2028b\x85c\x0bd\n\n", ["a\u2028b\x85c\x0bd"]),
        ("\ufeffdata: one\n\n", ["one"]),
        ("data\n\n", [""]),
        ("data\ndata\n\n", ["\n"]),
        ("datax: no\n data: no\n\n", []),
        ("id: 7\n\n", []),
        ("\n\n\n", []),
    ],
)
def test_the_data_of_each_event(text: str, data: list[str]) -> None:
    assert data_of(text.encode()) == data


def test_the_type_and_the_id_are_those_of_the_event_that_gives_them() -> None:
    stream = b"event: error\nid: 1\ndata: x\n\nevent: lost\n\ndata: y\n\n"
    assert read(stream) == [Event("x", "error", "1"), Event("y", "", None)]


def test_an_event_is_given_before_the_line_feed_that_may_follow_its_carriage_return() -> None:
    assert data_of(b"data: one\r\n\r") == ["one"]
    assert data_of(b"data: one\r\n\r", b"\ndata: two\n\n") == ["one", "two"]


def test_an_event_that_the_stream_breaks_off_in_is_not_given() -> None:
    assert data_of(b"data: one\n\ndata: broken off\n") == ["one"]


_PIECES = st.sampled_from(
    [b"data", b":", b" ", b"x", "ä鍵🙂".encode(), b"\n", b"\r", b"\r\n", b"\n\n", b"data: 1", b"event: e", b"id: 7", b"id: \0",
     b": c", b"\xef\xbb\xbf", b"\xff", b"\xf0\x9f"]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=30).map(b"".join), st.lists(st.integers(1, 7), min_size=1, max_size=9))
@example(b"\xef\xbb\xbfdata: x\r\n\r\n", [1])
@example(b"\xef\xbbdata: x\n\n", [1])
def test_wherever_the_bytes_are_cut_the_events_are_those_of_the_standard(
    stream: bytes, sizes: list[int]
) -> None:
    chunks, at, turn = [], 0, 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        chunks.append(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert read(*chunks) == as_the_standard_says(stream)


@pytest.mark.parametrize("piece", [b"x" * 1000, b"\ndata: " + b"x" * 1000])
def test_an_event_without_end_is_an_error(piece: bytes) -> None:
    parser = EventParser()
    with pytest.raises(ChatProtocolError, match="without end"):
        for _ in range(MAX_EVENT_BYTES // 1000 + 2):
            parser.feed(piece)
