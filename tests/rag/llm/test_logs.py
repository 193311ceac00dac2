from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Iterator

import pytest

from rag.core.errors import ChatUnreachable
from rag.core.types import ChatRequest, Message, Usage
from rag.llm.logs import LOGGER, LoggedChatModel, configure_logs, log
from tests.rag.llm.scripted import ScriptedModel, collected

SECRET = "the launch is on Tuesday"
REQUEST = ChatRequest((Message("user", SECRET),), trace_id="abc123", tenant="acme")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    before = LOGGER.handlers, LOGGER.level, LOGGER.propagate
    configure_logs("info", stream)
    yield stream
    LOGGER.handlers, LOGGER.propagate = before[0], before[2]
    LOGGER.setLevel(before[1])


def last(lines: io.StringIO) -> dict[str, object]:
    found: dict[str, object] = json.loads(lines.getvalue().splitlines()[-1])
    return found


def test_a_request_is_one_line_with_its_trace_and_sizes_and_without_its_words(lines: io.StringIO) -> None:
    inner = ScriptedModel([["yes, ", SECRET, Usage(12, 7, cost_usd=0.25)]])
    asyncio.run(collected(LoggedChatModel(inner).stream(REQUEST)))
    line = last(lines)
    assert line["event"] == "chat request"
    assert (line["trace_id"], line["tenant"], line["outcome"]) == ("abc123", "acme", "stop")
    assert (line["input_tokens"], line["output_tokens"], line["cost_usd"]) == (12, 7, 0.25)
    assert line["prompt_chars"] == len(SECRET)
    assert SECRET not in lines.getvalue()


def test_the_words_are_there_if_they_are_asked_for(lines: io.StringIO) -> None:
    asyncio.run(collected(LoggedChatModel(ScriptedModel([["yes"]]), texts=True).stream(REQUEST)))
    assert last(lines)["prompt"] == [["user", SECRET]]
    assert last(lines)["answer"] == "yes"


def test_an_error_and_a_reader_who_leaves_are_outcomes(lines: io.StringIO) -> None:
    async def leave() -> None:
        events = LoggedChatModel(ScriptedModel([["a", "b"]])).stream(REQUEST)
        await anext(events)
        await events.aclose()

    with pytest.raises(ChatUnreachable):
        asyncio.run(collected(LoggedChatModel(ScriptedModel([[ChatUnreachable("x")]])).stream(REQUEST)))
    assert last(lines)["outcome"] == "chat-unreachable"
    asyncio.run(leave())
    assert last(lines)["outcome"] == "cancelled"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("the server said sk-proj-0123456789abcdef!", "0123456789abcdef"),
        ("the server said AKIA0123456789ABCDEF!", "0123456789ABCDEF"),
        ("the server said ghp_0123456789abcdef!", "0123456789abcdef"),
        ("the server said AIzaSyA0123456789abcdefghijklmnopqrstuvw!", "0123456789abcdefghijklmnopqrstuvw"),
        ("the server said eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc-_def!", "abc-_def"),
        ("Authorization: Bearer abc.def-123", "abc.def-123"),
        ('{"Authorization": "Basic dXNlcjpwYXNz"}', "dXNlcjpwYXNz"),
        ("api-key: 0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef"),
        ("GET https://here/v1?api_key=abcdef0123&x=1", "abcdef0123"),
        ("http://user:hunter22@proxy:3128", "hunter22"),
        ("password = correct-horse", "correct-horse"),
    ],
)
def test_what_looks_like_a_key_is_never_written_by_any_handler(
    lines: io.StringIO, text: str, secret: str
) -> None:
    others = io.StringIO()
    LOGGER.addHandler(logging.StreamHandler(others))
    log(text, note=text, nested={"list": [text]}, error=ValueError(text))
    LOGGER.warning("it said %s", text)
    for written in (lines.getvalue(), others.getvalue()):
        assert "***" in written
        assert secret not in written


def test_what_is_no_key_is_written_as_it_is(lines: io.StringIO) -> None:
    log("task-scheduler took 3 tokens: 17", route="strong: confidence 0.41 is below 0.8", n=12345678901234)
    line = last(lines)
    assert line["event"] == "task-scheduler took 3 tokens: 17"
    assert (line["route"], line["n"]) == ("strong: confidence 0.41 is below 0.8", 12345678901234)


def test_below_the_level_nothing_is_written(lines: io.StringIO) -> None:
    log("detail", level=logging.DEBUG)
    assert lines.getvalue() == ""
