from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from rag.core.chat_server import ChatServer
from rag.core.errors import (
    ChatError,
    ChatProtocolError,
    ChatRefused,
    ChatUnreachable,
    ContextOverflow,
    UsageError,
)
from rag.core.types import ChatRequest, Message
from rag.llm import provider_batch
from rag.llm.provider_batch import BatchReply, BatchState, ProviderBatch
from tests.fault_server import answer_to
from tests.rag.chat_server import chat_server, error, reply
from tests.rag.llm.batch_server import BatchServer, batch_server


def settings(base_url: str, **more: object) -> ChatServer:
    return ChatServer.model_validate({"base_url": base_url, "model": "m", **more})


def asks(n: int) -> dict[str, ChatRequest]:
    return {f"q{number}": ChatRequest((Message("user", f"Question {number}?"),)) for number in range(n)}


@pytest.fixture
async def server() -> AsyncIterator[BatchServer]:
    async with batch_server() as one:
        yield one


@pytest.fixture
async def batch(server: BatchServer) -> AsyncIterator[ProviderBatch]:
    one = ProviderBatch(settings(server.base_url, api_key="key-1"))
    yield one
    await one.close()


async def results(batch: ProviderBatch, state: BatchState) -> dict[str, BatchReply | ChatError]:
    return {custom_id: result async for custom_id, result in batch.results(state)}


async def test_every_request_gets_its_own_reply(server: BatchServer, batch: ProviderBatch) -> None:
    seen: list[str] = []
    batch_id = await batch.submit(asks(300), "run-1")
    state = await batch.wait(batch_id, poll_s=0.001, on_progress=lambda one: seen.append(one.status))
    got = await results(batch, state)
    assert seen == ["in_progress", "completed"]
    assert (state.n_requests, state.n_completed, state.n_failed, state.ended) == (300, 300, 0, True)
    assert {name: one.text for name, one in got.items() if isinstance(one, BatchReply)} == {
        f"q{number}": answer_to(f"Question {number}?") for number in range(300)
    }
    first = got["q0"]
    assert isinstance(first, BatchReply)
    assert first.usage is not None
    assert (first.finish_reason, first.model, first.usage.input_tokens) == ("stop", "m", 5)
    assert set(server.keys) == {"Bearer key-1"}


async def test_what_failed_is_told_for_each_and_what_was_not_reached_is_left_out(
    server: BatchServer, batch: ProviderBatch
) -> None:
    too_long = {"error": {"message": "maximum context length is 10 tokens"}}
    server.fails = {
        "q1": {"response": {"status_code": 400, "body": too_long}, "error": None},
        "q2": {"response": None, "error": {"code": "server_error", "message": "lost"}},
        "q3": {"response": {"status_code": 200, "body": {"choices": []}}},
    }
    server.never_reached = {"q4"}
    state = await batch.wait(await batch.submit(asks(6), "run-1"), poll_s=0.001)
    got = await results(batch, state)
    assert state.status == "expired"
    assert {name: type(one) for name, one in got.items()} == {
        "q0": BatchReply,
        "q1": ContextOverflow,
        "q2": ChatUnreachable,
        "q3": ChatProtocolError,
        "q5": BatchReply,
    }


async def test_a_submission_whose_id_was_lost_is_found_again(
    server: BatchServer, batch: ProviderBatch
) -> None:
    for number in range(5):
        await batch.submit(asks(1), f"other-{number}")
    batch_id = await batch.submit(asks(3), "run-1")
    again = ProviderBatch(settings(server.base_url))
    assert await again.submit(asks(3), "run-1") == batch_id
    state = await again.wait(batch_id, poll_s=0.001)
    assert len(await results(again, state)) == 3
    await again.close()
    assert server.calls.count("POST /batches") == 6


async def test_a_cancelled_batch_gives_what_was_done(server: BatchServer, batch: ProviderBatch) -> None:
    batch_id = await batch.submit(asks(2), "run-1")
    assert (await batch.cancel(batch_id)).status == "cancelling"
    state = await batch.wait(batch_id, poll_s=0.001)
    assert state.status == "cancelled"
    assert len(await results(batch, state)) == 2
    assert await batch.submit(asks(2), "run-1") != batch_id, "a cancelled one is not taken up again"


async def test_waiting_outlasts_a_server_that_fails_for_a_while(
    server: BatchServer, batch: ProviderBatch
) -> None:
    batch_id = await batch.submit(asks(2), "run-1")
    server.broken_calls = [503, 500, 200, 504]
    assert (await batch.wait(batch_id, poll_s=0.001)).status == "completed"


async def test_a_batch_that_the_provider_rejects_is_one_error(
    server: BatchServer, batch: ProviderBatch
) -> None:
    server.rejects = "The quota of queued tokens is used up"
    state = await batch.wait(await batch.submit(asks(2), "run-1"), poll_s=0.001)
    with pytest.raises(
        ChatRefused, match=r"did not carry out the batch batch_0 \(The quota of queued tokens"
    ):
        await results(batch, state)


async def test_a_refused_key_gives_way_to_the_next(
    server: BatchServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWO_KEYS", "key-1 key-2")
    batch = ProviderBatch(settings(server.base_url, api_key_env="TWO_KEYS"))
    server.broken_calls = [401]
    await batch.submit(asks(1), "run-1")
    await batch.close()
    assert server.keys[:2] == ["Bearer key-1", "Bearer key-2"]
    assert "Bearer key-1" not in server.keys[1:]


async def test_an_unknown_batch(batch: ProviderBatch) -> None:
    with pytest.raises(ChatRefused, match="check the id of the batch"):
        await batch.state("../files")


@pytest.mark.parametrize("limit", ["MAX_REQUESTS", "MAX_FILE_BYTES"])
async def test_a_batch_that_is_too_large_is_not_sent(
    limit: str, server: BatchServer, batch: ProviderBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider_batch, limit, 2)
    with pytest.raises(UsageError, match="split it"):
        await batch.submit(asks(3), "run-1")
    assert "POST /files" not in server.calls


@pytest.mark.parametrize("answer", ["<html>", "[]", "{}", "null"])
async def test_a_reply_that_is_no_batch(answer: str) -> None:
    async with chat_server(reply(200, answer)) as server:
        batch = ProviderBatch(settings(server.base_url))
        with pytest.raises(ChatProtocolError, match="no batch"):
            await batch.state("batch_1")


async def test_a_server_without_a_batch_endpoint_is_said() -> None:
    async with chat_server(error(404, "Not Found")) as server:
        batch = ProviderBatch(settings(server.base_url))
        with pytest.raises(ChatRefused, match="has no batch endpoint"):
            await batch.submit(asks(1), "run-1")


async def test_a_server_that_is_not_there() -> None:
    async with chat_server(error(404, "")) as server:
        gone = server.base_url
    with pytest.raises(ChatUnreachable, match="cannot be reached"):
        await ProviderBatch(settings(gone)).state("batch_1")
    await asyncio.sleep(0)
