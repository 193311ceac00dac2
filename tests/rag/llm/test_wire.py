"""Bodies of requests, and replies of every shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.core.errors import ChatError
from rag.core.types import ChatRequest, Delta, Message, Usage
from rag.llm.failures import Failures
from rag.llm.reply import MAX_STREAM_BYTES, MAX_WHOLE_BYTES, Reply
from rag.llm.wire import Dialect, encoded, request_body, usage_of

FAILURES = Failures("m", "http://host/v1", lambda text: text)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "delta", "message", "content", "usage", "error", "index", "finish_reason", "model", "type", "text",
             "refusal", "prompt_tokens", "completion_tokens", "prompt_tokens_details", "cached_tokens", "code"]
        ), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


def read(*chunks: bytes) -> tuple[str, Reply]:
    reply = Reply(FAILURES, "m")
    events = [event for chunk in chunks for event in reply.feed(chunk)] + reply.end()
    return "".join(event.text for event in events if isinstance(event, Delta)), reply


@given(st.lists(_JSON, max_size=5), st.booleans())
def test_json_of_any_shape_is_read_or_is_an_error_of_ours(values: list[Any], streamed: bool) -> None:
    body = (
        "".join(f"data: {json.dumps(value)}\n\n" for value in values) if streamed else json.dumps(values[:1])
    )
    try:
        text, reply = read(body.encode())
    except ChatError as exc:
        assert exc.message.endswith(".")
        return
    assert reply.complete or not reply.streamed
    assert isinstance(text, str)
    assert reply.usage is None or min(reply.usage.input_tokens, reply.usage.output_tokens) >= 0


@given(st.binary(max_size=200), st.integers(1, 50))
def test_bytes_of_any_kind_are_an_error_of_ours_wherever_they_are_cut(body: bytes, size: int) -> None:
    def outcome(*chunks: bytes) -> str:
        try:
            return read(*chunks)[0]
        except ChatError as exc:
            return exc.code

    assert outcome(*(body[at : at + size] for at in range(0, len(body), size))) == outcome(body)


def test_a_reply_in_one_piece_may_begin_with_a_mark_and_white_space() -> None:
    body = json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}).encode()
    assert read(b"\xef\xbb", b"\xbf \n", body[:9], body[9:])[0] == "Hi"


@pytest.mark.parametrize(("start", "most"), [(b"{", MAX_WHOLE_BYTES), (b": c\n", MAX_STREAM_BYTES)])
def test_a_body_has_a_limit(start: bytes, most: int) -> None:
    reply = Reply(FAILURES, "m")
    reply.feed(start)
    with pytest.raises(ChatError, match=f"sent more than {most // 2**20} MB"):
        for _ in range(most // 2**16 + 1):
            reply.feed(b":" + b" " * (2**16 - 2) + b"\n")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 3, "completion_tokens": 2}, Usage(3, 2)),
        ({"prompt_tokens": 3, "prompt_tokens_details": {"cached_tokens": 1}}, Usage(3, 0, 1)),
        ({"prompt_tokens": 3, "prompt_cache_hit_tokens": 2}, Usage(3, 0, 2)),
        ({"prompt_tokens": "3", "completion_tokens": True, "prompt_tokens_details": None}, Usage()),
        ({"prompt_tokens": -3}, Usage()),
    ],
)
def test_usage_in_the_spellings_of_servers(usage: dict[str, Any], expected: Usage) -> None:
    assert usage_of({"usage": usage}) == expected


def test_extra_fields_replace_ours_and_none_leaves_one_out() -> None:
    request = ChatRequest(
        (Message("user", "x"),), extra={"temperature": 1.5, "max_tokens": None, "mine": [1]}
    )
    body = request_body(request, "m", Dialect())
    assert (body["temperature"], body["mine"], "max_tokens" in body) == (1.5, [1], False)
    assert json.loads(encoded(body)) == body
