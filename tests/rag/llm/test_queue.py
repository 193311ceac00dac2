from __future__ import annotations

import asyncio
import random

import pytest

from rag.core.errors import ChatBusy, ChatUnreachable
from rag.core.types import Attempts, ChatRequest, Done, Message
from rag.llm.queue import QueuedChatModel
from rag.llm.retry import RetryingChatModel
from rag.llm.schedule.charging import Demand
from rag.llm.schedule.scheduler import Scheduler
from tests.rag.llm.scripted import CountingMeter, ScriptedModel, collected
from tests.rag.llm.simulated import Charges, Counting, LimitedServer
from tests.virtual_time import run_virtual

REQUEST = ChatRequest((Message("user", "hello"),))


def _used_and_refused(
    server: LimitedServer, scheduler: Scheduler, minutes: int = 15, n_waiting: int = 1500
) -> tuple[float, float]:
    """(share of the server's capacity, share of the requests), the first minute left out."""

    async def main() -> tuple[float, float]:
        model = RetryingChatModel(QueuedChatModel(server, scheduler))
        dice = random.Random(5)

        def request() -> ChatRequest:
            n_output = dice.randint(20, 200)
            text = "word " * dice.randint(100, 800)
            extra = {"n_output": n_output}
            return ChatRequest(
                (Message("user", text),),
                max_tokens=256,
                timeout_s=1e6,
                priority="batch",
                extra=extra,
                attempts=Attempts(100),
            )

        tasks = [asyncio.create_task(collected(model.stream(request()))) for _ in range(n_waiting)]
        await asyncio.sleep(minutes * 60)
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert not [error for error in ended if isinstance(error, Exception)]
        assert (scheduler.in_flight, scheduler.n_waiting()) == (0, 0)
        kept = [one for one in server.served if one[0] > 60]
        used = max(
            len(kept) / ((minutes - 1) * 60),
            sum(n_tokens for *_, n_tokens in kept) / ((minutes - 1) * 40_000),
        )
        return used, server.n_refused / (len(server.started) + server.n_refused)

    return run_virtual(main())


@pytest.mark.parametrize("per_token_s", [0.01, 0.1], ids=["short", "long"])
@pytest.mark.parametrize("charges", ["as it goes", "at the end", "most, corrected"])
@pytest.mark.parametrize("counting", ["sliding", "fixed", "bucket"])
def test_a_limited_server_is_used_to_the_full_and_hardly_ever_says_no(
    counting: Counting, charges: Charges, per_token_s: float
) -> None:
    server = LimitedServer(counting=counting, charges=charges, per_token_s=per_token_s)
    scheduler = Scheduler(requests_per_minute=60, tokens_per_minute=40_000, queue_length=100_000)
    used, refused = _used_and_refused(server, scheduler)
    assert refused < 0.02
    rare = (
        charges != "as it goes" and per_token_s > 0.01
    )  # learned from refusals, each of which costs a little
    assert used >= (0.85 if rare else 0.95)


@pytest.mark.parametrize("counting", ["sliding", "fixed", "bucket"])
def test_a_server_that_charges_for_max_tokens_is_found_out(counting: Counting) -> None:
    server = LimitedServer(counting=counting, charges="most")
    scheduler = Scheduler(requests_per_minute=60, tokens_per_minute=40_000, queue_length=100_000)
    _, refused = _used_and_refused(server, scheduler)
    assert refused < 0.02
    charged = sum(n - int(str(one.extra["n_output"])) + 256 for at, one, n in server.served if at > 60)
    assert charged >= 0.95 * 14 * 40_000


@pytest.mark.parametrize("counting", ["sliding", "fixed", "bucket"])
def test_limits_are_taken_from_the_headers(counting: Counting) -> None:
    scheduler = Scheduler(queue_length=100_000)
    server = LimitedServer(counting=counting, tells=scheduler.learn)
    used, refused = _used_and_refused(server, scheduler)
    assert refused < 0.02
    assert used >= 0.95


@pytest.mark.parametrize("told", [None, 10], ids=["nothing told", "ten times too much told"])
@pytest.mark.parametrize("says_when", [True, False], ids=["Retry-After", "plain 429"])
def test_limits_are_learned_from_refusals(told: int | None, says_when: bool) -> None:
    scheduler = Scheduler(
        requests_per_minute=told and 60 * told,
        tokens_per_minute=told and 40_000 * told,
        queue_length=100_000,
    )
    used, refused = _used_and_refused(LimitedServer(says_when=says_when), scheduler, 30, 2400)
    assert refused < 0.02
    assert used >= 0.9


def test_the_wait_is_told_and_taken_from_the_time() -> None:
    async def main() -> None:
        inner = ScriptedModel([["yes"]])
        scheduler = Scheduler(max_concurrency=1)
        held = await scheduler.acquire(Demand(1))
        asyncio.get_running_loop().call_later(3.0, scheduler.release, held)
        events = await collected(QueuedChatModel(inner, scheduler).stream(REQUEST))
        assert isinstance(events[-1], Done)
        assert events[-1].timing.queued_ms == pytest.approx(3000)
        assert inner.requests[0].timeout_s == pytest.approx(57)

    run_virtual(main())


def test_a_reader_who_leaves_or_an_error_gives_the_slot_back() -> None:
    async def main() -> None:
        scheduler = Scheduler(max_concurrency=1)
        events = QueuedChatModel(ScriptedModel([["a", "b"]]), scheduler).stream(REQUEST)
        await anext(events)
        assert scheduler.in_flight == 1
        await events.aclose()
        assert scheduler.in_flight == 0
        with pytest.raises(ChatUnreachable):
            await collected(
                QueuedChatModel(ScriptedModel([[ChatUnreachable("x")]]), scheduler).stream(REQUEST)
            )
        assert scheduler.in_flight == 0

    run_virtual(main())


def test_the_meter_is_told_of_the_line_and_of_who_was_turned_away() -> None:
    async def main() -> None:
        meter = CountingMeter()
        scheduler = Scheduler("http://chat", max_concurrency=1, queue_length=1, meter=meter)
        model = QueuedChatModel(ScriptedModel([[5.0, "yes"]]), scheduler)
        tasks = [asyncio.create_task(collected(model.stream(REQUEST))) for _ in range(3)]
        await asyncio.sleep(1.0)
        assert meter.gauges[("chat_queue_length", "http://chat", "interactive")] == 1
        assert meter.gauges[("chat_in_flight", "http://chat")] == 1
        assert meter.gauges[("chat_concurrency_limit", "http://chat")] == 1
        assert meter.counts[("chat_refused", "busy")] == 1
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(one, ChatBusy) for one in ended] == [False, False, True]
        assert meter.gauges[("chat_queue_length", "http://chat", "interactive")] == 0
        assert meter.gauges[("chat_in_flight", "http://chat")] == 0

    run_virtual(main())


def test_an_overloaded_server_that_says_when_is_left_alone_until_then() -> None:
    async def main() -> None:
        overloaded = ChatUnreachable("Overloaded.", status=503, retry_after_s=7.0)
        model = QueuedChatModel(ScriptedModel([[overloaded], ["yes"]]), Scheduler())
        with pytest.raises(ChatUnreachable):
            await collected(model.stream(REQUEST))
        await collected(model.stream(REQUEST))
        assert asyncio.get_running_loop().time() == pytest.approx(7.0)

    run_virtual(main())
