from __future__ import annotations

import asyncio

import pytest

from rag.core.errors import (
    BudgetExceeded,
    ChatBusy,
    ChatError,
    ChatRateLimited,
    ChatRefused,
    ChatUnreachable,
    ContextOverflow,
)
from rag.core.protocols import ChatModel
from rag.core.types import ChatRequest, Message
from rag.llm.breaker import Breaker, BreakingChatModel, GatedChatModel
from rag.llm.queue import QueuedChatModel
from rag.llm.schedule.scheduler import Scheduler
from tests.rag.llm.scripted import CountingMeter, ScriptedModel, Step, collected, text_of
from tests.virtual_time import run_virtual

REQUEST = ChatRequest((Message("user", "hello"),))


async def ask(model: ChatModel) -> str:
    try:
        return text_of([event async for event in model.stream(REQUEST)])
    except ChatError as exc:
        return "open" if exc.fields.get("breaker_open") else exc.code


def test_it_opens_when_a_server_keeps_failing_and_closes_when_a_probe_succeeds() -> None:
    async def main() -> None:
        inner = ScriptedModel([[ChatUnreachable("down")]] * 4 + [["up"]])
        breaker = Breaker("http://here")
        model = BreakingChatModel(inner, breaker)
        assert [await ask(model) for _ in range(6)] == ["chat-unreachable"] * 4 + ["open"] * 2
        assert len(inner.requests) == 4
        await asyncio.sleep(2.1)
        assert await ask(model) == "up"
        assert breaker.state == "closed"
        assert await ask(model) == "up"

    run_virtual(main())


def test_a_failed_probe_opens_it_for_twice_as_long() -> None:
    async def main() -> None:
        model = BreakingChatModel(ScriptedModel([[ChatUnreachable("down")]]), Breaker("http://here"))
        for _ in range(4):
            await ask(model)
        await asyncio.sleep(2.1)
        assert await ask(model) == "chat-unreachable"
        await asyncio.sleep(2.1)
        assert await ask(model) == "open"
        await asyncio.sleep(2.0)
        assert await ask(model) == "chat-unreachable"

    run_virtual(main())


def test_half_open_lets_one_request_through() -> None:
    async def main() -> None:
        inner = ScriptedModel([[ChatUnreachable("down")]] * 4 + [[1.0, "up"]])
        model = BreakingChatModel(inner, Breaker("http://here"))
        for _ in range(4):
            await ask(model)
        await asyncio.sleep(2.1)
        assert sorted(await asyncio.gather(*(ask(model) for _ in range(5)))) == ["open"] * 4 + ["up"]

    run_virtual(main())


SERVER_ERROR = ChatUnreachable("failed", status=500)


def test_half_of_many_requests_failing_opens_it() -> None:
    async def main() -> None:
        model = BreakingChatModel(ScriptedModel([["fine"], [SERVER_ERROR]] * 20), Breaker("http://here"))
        replies = [await ask(model) for _ in range(30)]
        assert replies.index("open") == 20

    run_virtual(main())


def test_a_burst_of_server_errors_does_not_open_it_and_a_long_one_does() -> None:
    async def main() -> None:
        burst: list[list[Step]] = [[SERVER_ERROR]] * 7
        model = BreakingChatModel(
            ScriptedModel([*burst, ["fine"], *burst, [SERVER_ERROR]]), Breaker("http://here")
        )
        replies = [await ask(model) for _ in range(17)]
        assert replies == ["chat-unreachable"] * 7 + ["fine"] + ["chat-unreachable"] * 8 + ["open"]

    run_virtual(main())


@pytest.mark.parametrize("error", [ChatRateLimited("slow down", status=429)])
def test_a_server_that_is_only_busy_is_not_broken(error: ChatError) -> None:
    async def main() -> None:
        model = BreakingChatModel(ScriptedModel([[error]]), Breaker("http://here"))
        assert {await ask(model) for _ in range(10)} == {error.code}

    run_virtual(main())


def test_a_probe_whose_reader_goes_away_lets_the_next_one_in() -> None:
    async def main() -> None:
        inner = ScriptedModel([[ChatUnreachable("down")]] * 4 + [[5.0, "late"], ["up"]])
        model = BreakingChatModel(inner, Breaker("http://here"))
        for _ in range(4):
            await ask(model)
        await asyncio.sleep(2.1)
        leaving = asyncio.create_task(ask(model))
        await asyncio.sleep(1)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert await ask(model) == "up"

    run_virtual(main())


def test_models_of_one_server_share_it() -> None:
    async def main() -> None:
        breaker = Breaker("http://here")
        large = BreakingChatModel(ScriptedModel([[ChatUnreachable("down")]]), breaker)
        small = BreakingChatModel(ScriptedModel([["fine"]]), breaker)
        for _ in range(4):
            await ask(large)
        assert await ask(small) == "open"

    run_virtual(main())


def test_a_request_from_before_it_opened_does_not_decide_for_the_probe() -> None:
    async def main() -> None:
        down: list[Step] = [ChatUnreachable("down")]
        old_one: list[Step] = [2.3, "old"]
        inner = ScriptedModel([old_one, down, down, down, down, [2.0, "up"], ["fine"]])
        breaker = Breaker("http://here")
        model = BreakingChatModel(inner, breaker)
        old = asyncio.create_task(ask(model))
        await asyncio.sleep(0)
        for _ in range(4):
            await ask(model)
        await asyncio.sleep(2.1)
        probe = asyncio.create_task(ask(model))
        assert await old == "old"
        states = [breaker.state]
        assert await ask(model) == "open"
        assert await probe == "up"
        assert [*states, breaker.state] == ["half-open", "closed"]

    run_virtual(main())


def test_failures_long_ago_do_not_open_it() -> None:
    async def main() -> None:
        down: list[Step] = [ChatUnreachable("down")]
        fine: list[Step] = ["fine"]
        model = BreakingChatModel(ScriptedModel([down, fine] * 20), Breaker("http://here"))
        for _ in range(10):
            assert await ask(model) == "chat-unreachable"
            assert await ask(model) == "fine"
            await asyncio.sleep(40)

    run_virtual(main())


@pytest.mark.parametrize(
    "error",
    [
        ChatBusy("our queue is full"),
        BudgetExceeded("spent"),
        ContextOverflow("too long"),
        ChatRefused("bad key", status=401),
    ],
)
def test_what_is_not_the_servers_fault_does_not_open_it(error: ChatError) -> None:
    async def main() -> None:
        model = BreakingChatModel(ScriptedModel([[error]]), Breaker("http://here"))
        assert {await ask(model) for _ in range(10)} == {error.code}

    run_virtual(main())


def test_its_state_is_a_gauge_and_its_error_says_when_to_come_again() -> None:
    async def main() -> None:
        meter = CountingMeter()
        inner = ScriptedModel([[ChatUnreachable("down")]] * 4 + [["up"]])
        model = BreakingChatModel(inner, Breaker("http://here", meter))
        for _ in range(4):
            await ask(model)
        assert meter.gauges == {("chat_breaker_state", "http://here"): 2}
        with pytest.raises(ChatUnreachable, match="try again") as caught:
            await collected(model.stream(REQUEST))
        assert 0 < caught.value.fields["retry_after_s"] <= 2
        await asyncio.sleep(2.1)
        await ask(model)
        assert meter.gauges == {("chat_breaker_state", "http://here"): 0}

    run_virtual(main())


def test_nobody_waits_in_the_queue_of_a_server_that_is_left_alone() -> None:
    async def main() -> None:
        now = asyncio.get_running_loop().time
        breaker = Breaker("http://here")
        down: list[Step] = [1.0, ChatUnreachable("down")]
        inner = ScriptedModel([down, down, down, down, ["up"]])
        queue = QueuedChatModel(
            BreakingChatModel(inner, breaker), Scheduler("http://here", max_concurrency=1)
        )
        model = GatedChatModel(queue, breaker)
        replies = await asyncio.gather(*(ask(model) for _ in range(20)))
        assert replies == ["chat-unreachable"] * 4 + ["open"] * 16, (
            "those in the queue are told when it opens"
        )
        assert now() == pytest.approx(4.0, abs=0.1)
        assert (await ask(model), len(inner.requests)) == ("open", 4)
        await asyncio.sleep(2.1)
        assert await ask(model) == "up"

    run_virtual(main())
