from __future__ import annotations

import asyncio
import random

import pytest

from rag.core.errors import ChatUnreachable
from rag.core.types import ChatRequest, Done, Message
from rag.llm.queue import QueuedChatModel
from rag.llm.retry import RetryingChatModel
from rag.llm.schedule.scheduler import Scheduler
from tests.rag.llm.scripted import ScriptedModel, collected
from tests.rag.llm.simulated import Counting, LimitedServer
from tests.virtual_time import run_virtual

REQUEST = ChatRequest((Message("user", "hello"),))


@pytest.mark.parametrize("charges_most", [False, True], ids=["what it took", "the most it may take"])
@pytest.mark.parametrize("counting", ["sliding", "fixed", "bucket"])
def test_a_limited_server_is_used_to_the_full_and_hardly_ever_says_no(
    counting: Counting, charges_most: bool
) -> None:
    async def main() -> tuple[float, float]:
        server = LimitedServer(counting=counting, charges_most=charges_most)
        scheduler = Scheduler(requests_per_minute=60, tokens_per_minute=40_000, queue_length=100_000)
        model = RetryingChatModel(QueuedChatModel(server, scheduler))
        dice = random.Random(5)

        def request() -> ChatRequest:
            n_output = dice.randint(20, 200)
            text = "word " * dice.randint(100, 800)
            extra = {"n_output": n_output}
            return ChatRequest((Message("user", text),), max_tokens=256, timeout_s=1e6, extra=extra)

        tasks = [asyncio.create_task(collected(model.stream(request()))) for _ in range(1200)]
        await asyncio.sleep(15 * 60)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        after_start = [one for one in server.served if one[0] > 60]
        used = max(
            len(after_start) / (14 * 60),
            sum(n_tokens for *_, n_tokens in after_start) / (14 * 40_000),
        )
        return used, server.n_refused / (len(server.served) + server.n_refused)

    used, refused = run_virtual(main())
    assert refused < 0.02
    assert used >= 0.95 or charges_most, "what is charged but not used cannot be counted as used"


def test_the_wait_is_told_and_taken_from_the_time() -> None:
    async def main() -> None:
        inner = ScriptedModel([["yes"]])
        scheduler = Scheduler(max_concurrency=1)
        held = await scheduler.acquire(1)
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
