"""The client against llama.cpp's own server and a real model."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import httpx
import pytest

from rag.core.errors import ContextOverflow
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Message, Usage
from rag.llm.client import HttpChatModel
from tests import llama_server

pytestmark = [
    pytest.mark.llama,
    pytest.mark.skipif(llama_server.missing() is not None, reason=str(llama_server.missing())),
]
LONG = (Message("user", "Write a very long story about the sea. Do not stop."),)


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with llama_server.running_server() as url:
        yield url


@pytest.fixture
async def model(base_url: str) -> AsyncIterator[HttpChatModel]:
    one = HttpChatModel(base_url, "SmolLM2-135M-Instruct")
    yield one
    await one.close()


async def answered(model: HttpChatModel, request: ChatRequest) -> tuple[str, list[ChatEvent]]:
    got = [event async for event in model.stream(request)]
    return "".join(event.text for event in got if isinstance(event, Delta)), got


async def n_generated(base_url: str) -> int:
    """Tokens that the server has generated in all, as its metrics say."""
    async with httpx.AsyncClient() as client:
        text = (await client.get(base_url.removesuffix("/v1") + "/metrics")).text
    found = re.search(r"^llamacpp:n_decode_total (\d+)", text, re.MULTILINE)
    assert found is not None, text
    return int(found.group(1))


async def test_deltas_arrive_as_they_are_made(model: HttpChatModel) -> None:
    now = asyncio.get_running_loop().time
    arrivals = []
    request = ChatRequest(LONG, max_tokens=24, extra={"ignore_eos": True})
    async for event in model.stream(request):
        if isinstance(event, Delta):
            arrivals.append(now())
        if isinstance(event, Done):
            done = event
    assert len(arrivals) > 12
    gaps = [after - before for before, after in itertools.pairwise(arrivals)]
    assert sum(gap > 0.0005 for gap in gaps) > len(gaps) / 4, "the deltas came in lumps"
    assert done.timing.first_token_ms is not None
    assert done.timing.output_tokens_per_s is not None
    assert done.timing.first_token_ms < done.timing.total_ms
    assert (done.finish_reason, done.model) == ("length", "SmolLM2-135M-Instruct")


async def test_usage_is_the_servers(model: HttpChatModel) -> None:
    _, got = await answered(model, ChatRequest(LONG, max_tokens=4, extra={"ignore_eos": True}))
    usage = next(event for event in got if isinstance(event, Usage))
    assert (usage.output_tokens, usage.estimated) == (4, False)
    assert usage.input_tokens > 10
    _, got = await answered(model, ChatRequest(LONG, max_tokens=4, extra={"ignore_eos": True}))
    assert next(event for event in got if isinstance(event, Usage)).cached_tokens > 0, "its prompt cache"


async def test_closing_the_iterator_stops_the_generation_there(base_url: str, model: HttpChatModel) -> None:
    n_read = 0
    request = ChatRequest(LONG, max_tokens=1500, extra={"ignore_eos": True})
    async with aclosing(model.stream(request)) as stream:
        async for event in stream:
            n_read += isinstance(event, Delta)
            if n_read == 5:
                break
    async with asyncio.timeout(5):  # all of it would take some ten seconds or more
        _, got = await answered(model, ChatRequest((Message("user", "Hi"),), max_tokens=1))
    assert isinstance(got[-1], Done)
    before = await n_generated(base_url)
    await asyncio.sleep(0.3)
    assert await n_generated(base_url) == before < 1000


async def test_fields_of_the_request_have_their_effect(model: HttpChatModel) -> None:
    request = ChatRequest(
        (Message("system", "You are terse."), Message("user", "Count: one two three four")),
        max_tokens=12,
        temperature=1.0,
        seed=7,
        top_p=0.9,
    )
    first, second = [(await answered(model, request))[0] for _ in range(2)]
    assert first == second, "the seed"
    as_json = ChatRequest(
        (Message("user", "Give me a person."),),
        max_tokens=30,
        response_format={
            "type": "json_schema",
            "json_schema": {
                "name": "person",
                "schema": {
                    "type": "object",
                    "properties": {"age": {"type": "integer", "maximum": 99}},
                    "required": ["age"],
                    "additionalProperties": False,
                },
            },
        },
    )
    assert re.fullmatch(r'\{\s*"age"\s*:\s*\d+\s*\}', (await answered(model, as_json))[0].strip())
    stopped, got = await answered(model, ChatRequest(LONG, max_tokens=60, stop=(" the",)))
    assert " the" not in stopped
    assert isinstance(got[-1], Done)
    assert got[-1].finish_reason == "stop"


async def test_a_prompt_beyond_the_window_is_an_overflow(model: HttpChatModel) -> None:
    with pytest.raises(ContextOverflow, match="llm_context_tokens"):
        await answered(model, ChatRequest((Message("user", "word " * 4000),), max_tokens=5))
