"""The client over real sockets, against a server that fails in every way one can."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from rag.core.chat_server import ChatServer
from rag.core.errors import (
    ChatError,
    ChatProtocolError,
    ChatRateLimited,
    ChatRefused,
    ChatTimeout,
    ChatUnreachable,
    ContextOverflow,
)
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Message, Usage
from rag.llm.client import HttpChatModel
from rag.llm.rate_headers import RateLimitInfo
from rag.llm.transport import KeptConnections
from tests.fault_server import Exchange, Fault, FaultServer, Limits, answer_to, fault_server
from tests.faults import BEFORE_FIRST_DELTA, HARMLESS, IN_STREAM
from tests.rag.chat_server import chat_server, error, events, reply, writes

STALLS = (Fault.STALL_BEFORE_HEAD, Fault.STALL_BEFORE_DELTA, Fault.STALL_IN_STREAM)
FAILS_AS: dict[Fault, type[ChatError]] = {
    **dict.fromkeys(STALLS, ChatTimeout),
    **dict.fromkeys((Fault.RATE_LIMITED, Fault.RATE_LIMITED_SECONDS, Fault.RATE_LIMITED_DATE), ChatRateLimited),
    **dict.fromkeys(
        (Fault.MALFORMED_JSON, Fault.WRONG_TYPE, Fault.HUGE_BODY, Fault.HUGE_EVENT, Fault.EMPTY_STREAM,
         Fault.MALFORMED_DATA), ChatProtocolError),
    **dict.fromkeys(
        (Fault.HANGS_UP, Fault.RESET, Fault.ERROR_500, Fault.ERROR_502, Fault.ERROR_503, Fault.BURST, Fault.ERROR_FIRST,
         Fault.ERROR_EVENT), ChatUnreachable),
}  # fmt: skip


def ask(question: str, **changed: Any) -> ChatRequest:
    return ChatRequest((Message("user", question),), **changed)


async def answered(model: HttpChatModel, request: ChatRequest) -> tuple[str, list[ChatEvent]]:
    got = [event async for event in model.stream(request)]
    return "".join(event.text for event in got if isinstance(event, Delta)), got


async def until(condition: Any, within_s: float = 2.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.fixture
async def server() -> AsyncIterator[FaultServer]:
    async with fault_server() as one:
        yield one


@pytest.fixture
async def model(server: FaultServer) -> AsyncIterator[HttpChatModel]:
    one = HttpChatModel(server.base_url, "m")
    yield one
    await one.close()


# What a server may do


@pytest.mark.parametrize("fault", sorted(HARMLESS))
async def test_the_complete_answer_whatever_the_reply_looks_like(
    fault: Fault, server: FaultServer, model: HttpChatModel
) -> None:
    server.script(fault)
    text, got = await answered(model, ask(f"What of {fault}?"))
    assert text == answer_to(f"What of {fault}?")
    assert isinstance(got[-1], Done)
    assert (got[-1].finish_reason, got[-1].model) == ("stop", "m")
    usages = [event for event in got if isinstance(event, Usage)]
    n_deltas = server.requests[0].deltas
    assert [usage.output_tokens for usage in usages] == ([] if fault is Fault.NO_USAGE else [n_deltas])


@pytest.mark.parametrize("fault", sorted(BEFORE_FIRST_DELTA | IN_STREAM))
async def test_a_fault_is_an_error_within_the_deadline_and_the_model_goes_on(
    fault: Fault, server: FaultServer, model: HttpChatModel
) -> None:
    question, text = f"What of {fault}?", ""
    server.script(fault, Fault.NONE)
    with pytest.raises(ChatError) as caught:
        async with aclosing(
            model.stream(ask(question, timeout_s=0.2 if fault in STALLS else 20.0))
        ) as stream:
            async for event in stream:
                text += event.text if isinstance(event, Delta) else ""
    assert isinstance(caught.value, FAILS_AS.get(fault, ChatUnreachable | ChatProtocolError))
    assert server.base_url in caught.value.message or fault is Fault.HUGE_EVENT
    assert answer_to(question).startswith(text)
    assert text == "" or fault in IN_STREAM
    assert ("retry_after_s" in caught.value.fields) == (
        fault in (Fault.RATE_LIMITED_SECONDS, Fault.RATE_LIMITED_DATE)
    ) or fault is Fault.ERROR_503
    await until(lambda: server.in_flight == 0)
    assert (await answered(model, ask("And now?")))[0] == answer_to("And now?")
    assert server.open_connections == 1, "connections were left behind"


async def test_a_connection_is_used_again(server: FaultServer, model: HttpChatModel) -> None:
    for number in range(8):
        await answered(model, ask(f"{number}?"))
    assert (len(server.requests), server.connections) == (8, 1)


@pytest.mark.parametrize("fault", [Fault.HANGS_UP, Fault.RESET])
async def test_a_connection_that_the_server_closes_when_it_is_used_again_is_no_failure(
    fault: Fault, server: FaultServer, model: HttpChatModel
) -> None:
    await answered(model, ask("one?"))
    server.script(fault)
    assert (await answered(model, ask("two?")))[0] == answer_to("two?")
    assert [one.fault for one in server.requests] == [Fault.NONE, fault, Fault.NONE]
    server.script(Fault.NONE, *[fault] * 5)
    await answered(model, ask("three?"))
    with pytest.raises(ChatUnreachable):  # but a new connection that is closed is one
        await answered(model, ask("four?"))
    assert len(server.requests) == 3 + 1 + 2


async def test_a_hundred_at_once_get_each_its_own_answer(server: FaultServer, model: HttpChatModel) -> None:
    questions = [f"{number}?" for number in range(100)]
    replies = await asyncio.gather(*(answered(model, ask(question)) for question in questions))
    assert [text for text, _ in replies] == [answer_to(question) for question in questions]


async def test_a_server_that_is_not_there_and_comes_back(server: FaultServer, model: HttpChatModel) -> None:
    await answered(model, ask("one?"))
    async with server.down():
        with pytest.raises(ChatUnreachable, match="cannot be reached; check that it is running"):
            await answered(model, ask("two?"))
    assert (await answered(model, ask("three?")))[0] == answer_to("three?")


async def test_timing_is_told(model: HttpChatModel) -> None:
    async with fault_server(first_delta_s=0.1, delta_s=0.01) as slow:
        other = HttpChatModel(slow.base_url, "m")
        _, got = await answered(other, ask("How long?"))
        await other.close()
    assert isinstance(got[-1], Done)
    timing = got[-1].timing
    n_deltas = sum(isinstance(event, Delta) for event in got)
    assert timing.first_token_ms is not None
    assert timing.output_tokens_per_s is not None
    assert 100 <= timing.first_token_ms < timing.total_ms - 10 * (n_deltas - 1)
    assert 20 < timing.output_tokens_per_s <= 100


# Who goes away


async def test_closing_the_iterator_ends_the_request_at_the_server() -> None:
    async with fault_server(delta_s=0.01) as slow:
        model = HttpChatModel(slow.base_url, "m")
        async with aclosing(model.stream(ask("What?"))) as stream:
            async for _ in stream:
                break
        await until(lambda: slow.requests[0].hung_up)
        assert slow.requests[0].deltas < 4
        assert slow.open_connections == 0
        await model.close()


@pytest.mark.parametrize("fault", STALLS)
async def test_cancelling_ends_the_request_at_the_server(
    fault: Fault, server: FaultServer, model: HttpChatModel
) -> None:
    server.script(fault)
    task = asyncio.create_task(answered(model, ask("What?")))
    await until(lambda: server.requests and server.requests[0].status == 200)
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: server.requests[0].hung_up and server.open_connections == 0)


async def test_the_deadline_is_for_all_of_it_also_where_bytes_keep_coming() -> None:
    async with fault_server(delta_s=0.05) as slow:
        model = HttpChatModel(slow.base_url, "m")
        begun = asyncio.get_running_loop().time()
        with pytest.raises(ChatTimeout, match=r"did not finish within 0.15 s"):
            await answered(model, ask("What?", timeout_s=0.15))
        assert asyncio.get_running_loop().time() - begun < 0.3
        await model.close()


async def test_the_deadline_does_not_strike_a_reader_who_takes_his_time(model: HttpChatModel) -> None:
    with pytest.raises(ChatTimeout):
        async for _ in model.stream(ask("What?", timeout_s=0.05)):
            await asyncio.sleep(0.1)  # a cancellation would end the test here


async def test_a_server_that_has_said_why_it_stops_and_then_hangs_has_answered() -> None:
    chunk = json.dumps({"choices": [{"delta": {"content": "Yes."}, "finish_reason": "stop"}]})

    async def act(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 200 X\r\nContent-Type: text/event-stream\r\n\r\ndata: {chunk}\n\n".encode())
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.transport.abort()

    async with chat_server(act) as server:
        text, got = await answered(HttpChatModel(server.base_url, "m"), ask("What?"))
    assert text == "Yes."
    assert isinstance(got[-1], Done)


# What is sent


async def test_every_field_of_the_request_is_sent() -> None:
    messages = tuple(Message(role, f"as {role}") for role in ("system", "user", "assistant", "user"))
    request = ChatRequest(
        messages,
        temperature=0.7,
        max_tokens=9,
        top_p=0.5,
        stop=("END",),
        seed=7,
        response_format={"type": "json_object"},
        extra={"logit_bias": {"1": 2}, "user": "me"},
        trace_id="trace-1",
    )
    async with chat_server(writes("Hi")) as server:
        await answered(HttpChatModel(server.base_url, "own-name"), request)
        await answered(
            HttpChatModel(server.base_url, "own-name"),
            ask("What?", model="other", extra={"stream_options": None}),
        )
    assert server.bodies[0] == {
        "model": "own-name",
        "messages": [{"role": one.role, "content": one.content} for one in messages],
        "temperature": 0.7,
        "max_tokens": 9,
        "top_p": 0.5,
        "stop": ["END"],
        "seed": 7,
        "response_format": {"type": "json_object"},
        "logit_bias": {"1": 2},
        "user": "me",
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert server.headers[0]["x-request-id"] == "trace-1"
    assert server.bodies[1]["model"] == "other"
    assert "stream_options" not in server.bodies[1]
    assert "x-request-id" not in server.headers[1]


@pytest.mark.parametrize("trace_id", ["a\r\nX-Evil: 1", "ä", "x" * 201])
async def test_a_trace_id_that_is_no_header_is_not_sent(
    trace_id: str, server: FaultServer, model: HttpChatModel
) -> None:
    await answered(model, ask("What?", trace_id=trace_id))
    assert not {"x-request-id", "x-evil"} & set(server.requests[0].headers)


async def test_half_a_surrogate_pair_in_a_source_is_no_failure(
    server: FaultServer, model: HttpChatModel
) -> None:
    await answered(model, ask("a\ud800b"))
    assert server.requests[0].question == "a?b"


async def test_a_server_in_the_style_of_azure(server: FaultServer) -> None:
    settings = ChatServer.model_validate(
        {
            "base_url": server.base_url + "/?zone=1",
            "model": "m",
            "headers": {"api-key": "azure-secret"},
            "query": {"api-version": "2024-10-21"},
            "context_tokens": 1234,
        }
    )
    model = HttpChatModel.of(settings)
    await answered(model, ask("What?"))
    await model.close()
    seen: Exchange = server.requests[0]
    assert seen.path == "/v1/chat/completions?zone=1&api-version=2024-10-21"
    assert seen.headers["api-key"] == "azure-secret"
    assert "authorization" not in seen.headers
    assert (model.name, model.context_window) == ("m", 1234)


REFUSALS = {
    "stream_options": ("Unrecognized request argument supplied: stream_options", "stream_options", None),
    "max_tokens": (
        "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
        "max_tokens",
        "max_completion_tokens",
    ),
    "temperature": (
        "Unsupported value: 'temperature' does not support 0.0 with this model.",
        "temperature",
        None,
    ),
}


@pytest.mark.parametrize("case", REFUSALS)
async def test_a_field_that_the_server_refuses_is_done_without_from_then_on(case: str) -> None:
    said, gone, instead = REFUSALS[case]
    async with chat_server(error(400, said), writes("Hi")) as server:
        model = HttpChatModel(server.base_url, "m")
        for _ in range(2):
            assert (await answered(model, ask("What?", max_tokens=77)))[0] == "Hi"
    assert [gone in body for body in server.bodies] == [True, False, False]
    assert instead is None or server.bodies[2][instead] == 77


async def test_a_field_that_is_refused_again_is_an_error() -> None:
    async with chat_server(error(400, "stream_options: unknown")) as server:
        with pytest.raises(ChatRefused, match="stream_options: unknown"):
            await answered(HttpChatModel(server.base_url, "m"), ask("What?"))
    assert len(server.bodies) == 2


@pytest.mark.parametrize(
    "said",
    ["max_tokens is too large: 512. This model supports at most 256.", "'temperature' must be at most 2"],
)
async def test_a_wrong_value_is_not_taken_for_a_wrong_field(said: str) -> None:
    async with chat_server(error(400, said)) as server:
        with pytest.raises(ChatRefused):
            await answered(HttpChatModel(server.base_url, "m"), ask("What?"))
    assert len(server.bodies) == 1


# What the server says


async def test_limits_of_the_server_are_handed_on() -> None:
    told: list[RateLimitInfo] = []
    async with fault_server(limits=Limits(requests_per_minute=1, tokens_per_minute=40_000)) as server:
        model = HttpChatModel(server.base_url, "m", on_rate_limits=told.append)
        await answered(model, ask("What?"))
        with pytest.raises(ChatRateLimited) as caught:
            await answered(model, ask("And?"))
        await model.close()
    assert [(info.status, info.remaining_requests, info.limit_tokens) for info in told] == [
        (200, 0, 40_000),
        (429, 0, 40_000),
    ]
    assert 59 <= (told[0].reset_requests_s or 0) <= 60
    assert 58 <= caught.value.fields["retry_after_s"] <= 60
    assert told[1].retry_after_s == caught.value.fields["retry_after_s"]


def said(delta: dict[str, object], **choice: object) -> str:
    return json.dumps({"choices": [{"delta": delta, **choice}]})


@pytest.mark.parametrize(
    ("data", "text", "finish"),
    [
        ([said({"content": None, "refusal": "I can't."}), said({}, finish_reason="stop")], "I can't.", "stop"),
        ([said({"content": [{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "A"}]}), "[DONE]"], "A", None),
        ([said({"tool_calls": [{"index": 0}]}), said({}, finish_reason="tool_calls")], "", "tool_calls"),
        ([said({"reasoning_content": "Hm"}), said({"content": "A"}, finish_reason="length")], "A", "length"),
        ([json.dumps({"choices": [], "prompt_filter_results": []}), said({"content": "A"}), "[DONE]"], "A", None),
        ([json.dumps({"choices": None}), said({"content": "A"}), " [DONE] "], "A", None),
        (["", said({"content": "A"}), "[DONE]", "{no json"], "A", None),
        ([said({"content": "A"}, finish_reason="stop"), said({"content": "B"}), "[DONE]"], "AB", "stop"),
    ],
)  # fmt: skip
async def test_pieces_of_every_kind(data: list[str], text: str, finish: str | None) -> None:
    async with chat_server(events(*data)) as server:
        got_text, got = await answered(HttpChatModel(server.base_url, "m"), ask("What?"))
    assert got_text == text
    assert isinstance(got[-1], Done)
    assert got[-1].finish_reason == finish


async def test_usage_names_the_cached_tokens_and_the_last_one_counts() -> None:
    early = json.dumps({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 0}})
    last = json.dumps(
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 9,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 8},
            },
        }
    )
    async with chat_server(
        events(early, said({"content": "A"}), said({}, finish_reason="stop"), last)
    ) as server:
        _, got = await answered(HttpChatModel(server.base_url, "m"), ask("What?"))
    assert [event for event in got if isinstance(event, Usage)] == [Usage(9, 2, 8)]


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        (error(400, "maximum context length is 10 tokens"), ContextOverflow, "llm_context_tokens"),
        (error(429, "no money", "insufficient_quota"), ChatRefused, "no credit left"),
        (error(402, "pay"), ChatRefused, "no credit left"),
        (error(504, "slow"), ChatTimeout, "timed out"),
        (error(425, "early"), ChatUnreachable, "425"),
        (
            reply(200, "event: error\ndata: overloaded\n\n", "text/event-stream"),
            ChatUnreachable,
            "overloaded",
        ),
        (reply(200, {"error": {"code": "429", "message": "slow"}}), ChatRateLimited, "slow"),
        (reply(200, {"error": {"type": "rate_limit_exceeded", "message": "slow"}}), ChatRateLimited, "slow"),
        (reply(404, [{"error": {"message": "models/x is not found"}}]), ChatRefused, "models/x is not found"),
    ],
)
async def test_what_the_server_says_of_its_failure_is_understood(
    act: Any, kind: type[ChatError], words: str
) -> None:
    async with chat_server(act) as server:
        with pytest.raises(kind, match=words) as caught:
            await answered(HttpChatModel(server.base_url, "m"), ask("What?"))
    assert type(caught.value) is kind
    assert caught.value.fields["model"] == "m"


async def test_a_secret_header_that_the_server_repeats_is_not_told() -> None:
    async with chat_server(error(400, "bad api-key azure-secret")) as server:
        model = HttpChatModel(server.base_url, "m", headers={"api-key": "azure-secret"})
        with pytest.raises(ChatRefused, match=r"bad api-key \*\*\*"):
            await answered(model, ask("What?"))
    assert "azure-secret" not in repr(model)


async def test_a_model_that_is_used_in_another_loop_connects_anew(server: FaultServer) -> None:
    model = HttpChatModel(server.base_url, "m")

    def elsewhere() -> str:
        async def once() -> str:
            text, _ = await answered(model, ask("What?"))
            await model.close()
            return text

        return asyncio.run(once())

    assert await asyncio.to_thread(elsewhere) == answer_to("What?")
    assert (await answered(model, ask("What?")))[0] == answer_to("What?")
    await model.close()


async def test_whatever_happens_nothing_is_left_behind() -> None:
    n_tasks = len(asyncio.all_tasks())
    async with fault_server(seed=3, fault_share=0.5, delta_s=0.001) as server:
        model = HttpChatModel(server.base_url, "m")

        async def one(number: int) -> str:
            question, text = f"{number}?", ""
            try:
                async with (
                    asyncio.timeout(0.05 if number % 5 == 0 else None),
                    aclosing(model.stream(ask(question, timeout_s=0.5))) as stream,
                ):
                    async for event in stream:
                        text += event.text if isinstance(event, Delta) else ""
                        if number % 7 == 0:
                            return "left"
            except (ChatError, TimeoutError) as exc:
                assert answer_to(question).startswith(text)
                return type(exc).__name__
            assert text == answer_to(question)
            return "complete"

        outcomes = await asyncio.gather(*map(one, range(150)))
        await until(lambda: server.in_flight == 0)
        assert {"left", "complete", "TimeoutError", "ChatTimeout", "ChatUnreachable"} <= set(outcomes)
        kept: object = model._connections.client()._transport
        assert isinstance(kept, KeptConnections)
        await until(lambda: kept.n_busy == 0)
        await until(lambda: server.open_connections == kept.n_idle)
        await model.close()
        await until(lambda: server.open_connections == 0)
    assert len(asyncio.all_tasks()) == n_tasks
