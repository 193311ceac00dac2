from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from rag.core.errors import (
    ChatBusy,
    ChatError,
    ChatProtocolError,
    ChatRateLimited,
    ChatRefused,
    ChatTimeout,
    ChatUnreachable,
    ContextOverflow,
)
from rag.core.types import Attempts, ChatRequest, Message, Usage
from rag.llm.retry import RetryingChatModel
from tests.rag.llm.scripted import CountingMeter, ScriptedModel, collected, text_of
from tests.virtual_time import run_virtual


def request(timeout_s: float = 60.0, attempts: int = 5) -> ChatRequest:
    return ChatRequest((Message("user", "hello"),), timeout_s=timeout_s, attempts=Attempts(attempts))


def asked(model: ScriptedModel, one: ChatRequest, jitter: float = 1.0) -> tuple[str, float]:
    """(text, seconds it took)"""

    async def main() -> tuple[str, float]:
        retrying = RetryingChatModel(model, jitter=lambda low, high: low + jitter * (high - low))
        text = text_of(await collected(retrying.stream(one)))
        return text, asyncio.get_running_loop().time()

    return run_virtual(main())


@pytest.mark.parametrize("kind", [ChatUnreachable, ChatTimeout, ChatRateLimited, ChatProtocolError])
def test_what_may_pass_is_tried_again(kind: type[ChatError]) -> None:
    model = ScriptedModel([[kind("no")], [kind("no")], ["yes"]])
    assert asked(model, request())[0] == "yes"
    assert len(model.requests) == 3


@pytest.mark.parametrize("kind", [ChatRefused, ContextOverflow, ChatBusy])
def test_what_would_be_the_same_again_is_not(kind: type[ChatError]) -> None:
    model = ScriptedModel([[kind("no")], ["yes"]])
    with pytest.raises(kind):
        asked(model, request())
    assert len(model.requests) == 1


def test_the_waits_double() -> None:
    model = ScriptedModel([[ChatUnreachable("no")]] * 4 + [["yes"]])
    assert asked(model, request())[1] == pytest.approx(0.5 + 1 + 2 + 4)


def test_the_waits_are_jittered_from_nothing_up() -> None:
    model = ScriptedModel([[ChatUnreachable("no")]] * 4 + [["yes"]])
    assert asked(model, request(), jitter=0.0)[1] == pytest.approx(0.0)


def test_a_server_that_names_a_time_is_asked_then() -> None:
    model = ScriptedModel([[ChatRateLimited("no", retry_after_s=7.0)], ["yes"]])
    assert asked(model, request())[1] == pytest.approx(7.0)


def test_a_time_beyond_the_deadline_is_not_waited_for_and_the_error_says_so() -> None:
    model = ScriptedModel([[ChatRateLimited("Too many; try later.", retry_after_s=70.0)], ["yes"]])
    with pytest.raises(ChatRateLimited, match="it asks to wait 70 s") as caught:
        asked(model, request(timeout_s=60.0))
    assert caught.value.fields["retry_after_s"] == 70.0
    assert len(model.requests) == 1


def test_a_long_wait_is_left_out_where_another_model_can_be_asked() -> None:
    model = ScriptedModel([[ChatRateLimited("Too many.", retry_after_s=10.0)], ["yes"]])
    with pytest.raises(ChatRateLimited):
        asked(model, replace(request(), patience=0.6))
    assert len(model.requests) == 1


def test_a_silent_server_is_not_asked_again_where_another_one_can_be() -> None:
    model = ScriptedModel([[ChatTimeout("silent")], ["yes"]])
    with pytest.raises(ChatTimeout):
        asked(model, replace(request(), patience=0.6))
    assert asked(
        ScriptedModel([[ChatTimeout("408", status=408)], ["yes"]]), replace(request(), patience=0.6)
    )[0]


def test_a_request_that_was_never_sent_uses_up_no_attempt() -> None:
    one = request(attempts=3)
    with pytest.raises(ChatUnreachable):
        asked(ScriptedModel([[ChatUnreachable("open", breaker_open=True)]]), one)
    with pytest.raises(ChatBusy):
        asked(ScriptedModel([[ChatBusy("full")]]), one)
    assert one.attempts.left == 3


def test_what_a_failed_attempt_used_up_is_told() -> None:
    model = ScriptedModel([[ChatTimeout("no", usage=Usage(10, 2))], [Usage(10, 5), "yes"]])
    events = run_virtual(collected(RetryingChatModel(model).stream(request())))
    assert [event for event in events if isinstance(event, Usage)] == [Usage(10, 2), Usage(10, 5)]


def test_retries_are_counted_by_reason() -> None:
    meter = CountingMeter()
    model = ScriptedModel([[ChatTimeout("no")], [ChatUnreachable("no")], ["yes"]])
    run_virtual(collected(RetryingChatModel(model, meter=meter).stream(request())))
    assert meter.counts == {
        ("chat_retries", "scripted", "chat-timeout"): 1,
        ("chat_retries", "scripted", "chat-unreachable"): 1,
    }


def test_nothing_is_sent_again_after_the_first_delta() -> None:
    model = ScriptedModel([["half", ChatUnreachable("gone")], ["whole"]])
    with pytest.raises(ChatUnreachable):
        asked(model, request())
    assert len(model.requests) == 1


def test_the_attempts_are_the_requests_and_not_the_layers() -> None:
    model = ScriptedModel([[ChatUnreachable("no")]])
    one = request(attempts=3)
    with pytest.raises(ChatUnreachable):
        asked(model, one)
    assert (len(model.requests), one.attempts.left) == (3, 0)
    with pytest.raises(ChatUnreachable, match="llm_attempts"):
        asked(model, one)
    assert len(model.requests) == 3


def test_each_attempt_gets_what_is_left_of_the_deadline() -> None:
    model = ScriptedModel([[10.0, ChatUnreachable("no")], ["yes"]])
    asked(model, request(timeout_s=30.0), jitter=0.0)
    assert [one.timeout_s for one in model.requests] == [pytest.approx(30.0), pytest.approx(20.0)]


def test_a_silent_server_gets_all_the_time_only_on_the_last_attempt() -> None:
    model = ScriptedModel([[ChatTimeout("no")]])
    with pytest.raises(ChatTimeout):
        asked(model, request(attempts=2))
    assert model.requests[0].patience < 1.0
    assert model.requests[1].patience == 1.0
