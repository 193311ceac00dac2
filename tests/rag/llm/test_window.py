from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.core.errors import ContextOverflow
from rag.core.types import ChatRequest, Message
from rag.llm.tokens import TiktokenCounter, count_messages
from rag.llm.window import WindowedChatModel
from tests.rag.llm.scripted import ScriptedModel, collected

COUNTER = TiktokenCounter("gpt-4")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), st.text(max_size=300)), max_size=8),
    st.integers(1, 400),
    st.integers(64, 600),
)
def test_what_is_sent_fits_the_window_with_its_answer(
    turns: list[tuple[str, str]], max_tokens: int, window: int
) -> None:
    messages = tuple(Message(role, text) for role, text in turns)  # type: ignore[arg-type]
    inner = ScriptedModel([["yes"]], "gpt-4", window)
    model = WindowedChatModel(inner)
    try:
        asyncio.run(collected(model.stream(ChatRequest(messages, max_tokens=max_tokens))))
    except ContextOverflow:
        assert not inner.requests
        assert count_messages(COUNTER, messages) + min(16, max_tokens) >= window
    else:
        [sent] = inner.requests
        assert count_messages(COUNTER, sent.messages) + sent.max_tokens <= window


def test_an_overflow_says_what_to_do() -> None:
    inner = ScriptedModel([["yes"]], "gpt-4", 100)
    request = ChatRequest((Message("user", "word " * 500),))
    with pytest.raises(ContextOverflow, match="shorten it, or set llm_context_tokens"):
        asyncio.run(collected(WindowedChatModel(inner).stream(request)))


def test_a_model_that_writes_less_than_asked_for_is_asked_for_that() -> None:
    inner = ScriptedModel([["yes"]], "gpt-4", 8000)
    model = WindowedChatModel(inner, max_output_tokens=50)
    asyncio.run(collected(model.stream(ChatRequest((Message("user", "hello"),), max_tokens=500))))
    assert inner.requests[0].max_tokens == 50


def test_what_stands_beside_the_messages_takes_its_part_of_the_window() -> None:
    messages = (Message("user", "word " * 50),)
    inner = ScriptedModel([["yes"]], "gpt-4", 400)
    tools = [{"type": "function", "function": {"name": f"look_up_{n}"}} for n in range(50)]
    asyncio.run(collected(WindowedChatModel(inner).stream(ChatRequest(messages, max_tokens=100))))
    for request in (
        ChatRequest(messages, max_tokens=100, extra={"tools": tools}),
        ChatRequest(messages, max_tokens=100, response_format={"schema": tools}),
        ChatRequest((), max_tokens=100, extra={"messages": [{"role": "user", "content": "word " * 500}]}),
    ):
        with pytest.raises(ContextOverflow):
            asyncio.run(collected(WindowedChatModel(inner).stream(request)))
    assert len(inner.requests) == 1


def test_a_limit_among_the_further_fields_is_held_to_the_window_too() -> None:
    inner = ScriptedModel([["yes"]], "gpt-4", 400)
    request = ChatRequest((Message("user", "hello"),), extra={"max_completion_tokens": 5000, "top_k": 5000})
    asyncio.run(collected(WindowedChatModel(inner).stream(request)))
    [sent] = inner.requests
    assert sent.extra["max_completion_tokens"] == sent.max_tokens < 400
    assert sent.extra["top_k"] == 5000
