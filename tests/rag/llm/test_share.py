from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

import pytest

from rag.core.errors import ChatRefused, ChatTimeout
from rag.core.types import ChatEvent, ChatRequest, Delta, Done, Message, Usage
from rag.llm.share import SharedChatModel
from tests.rag.llm.scripted import ScriptedModel, collected, text_of
from tests.virtual_time import run_virtual

ASKED = ChatRequest((Message("user", "hello"),))
COST = Usage(10, 2, cost_usd=0.5)


async def after(seconds: float, events: AsyncGenerator[ChatEvent, None]) -> list[ChatEvent]:
    await asyncio.sleep(seconds)
    return await collected(events)


def usage_of(events: list[ChatEvent]) -> Usage:
    return sum((event for event in events if isinstance(event, Usage)), Usage())


def done_of(events: list[ChatEvent]) -> Done:
    return next(event for event in events if isinstance(event, Done))


def test_equal_requests_in_flight_share_one_and_late_ones_get_it_from_the_start() -> None:
    model = ScriptedModel([["a", 1.0, "b", 1.0, "c", COST]])

    async def main() -> list[list[ChatEvent]]:
        shared = SharedChatModel(model)
        return await asyncio.gather(*(after(0.5 * n, shared.stream(ASKED)) for n in range(4)))

    results = run_virtual(main())
    assert [text_of(events) for events in results] == ["abc"] * 4
    assert len(model.requests) == 1


def test_what_the_readers_pay_adds_up_to_what_was_paid() -> None:
    model = ScriptedModel([["a", 1.0, COST, "b", COST]])

    async def main() -> list[list[ChatEvent]]:
        shared = SharedChatModel(model)
        return await asyncio.gather(*(after(0.1 * n, shared.stream(ASKED)) for n in range(5)))

    results = run_virtual(main())
    assert sum((usage_of(events) for events in results), Usage()) == COST + COST
    assert [done_of(events).cached for events in results] == [False, True, True, True, True]


def test_the_cost_goes_to_those_who_stay_when_the_first_one_leaves() -> None:
    model = ScriptedModel([["a", 1.0, "b", COST]])

    async def main() -> list[ChatEvent]:
        shared = SharedChatModel(model)
        first = asyncio.create_task(collected(shared.stream(ASKED)))
        second = asyncio.create_task(after(0.1, shared.stream(ASKED)))
        await asyncio.sleep(0.5)
        first.cancel()
        return await second

    events = run_virtual(main())
    assert (text_of(events), usage_of(events), done_of(events).cached) == ("ab", COST, False)
    assert len(model.requests) == 1


def test_the_upstream_request_ends_with_its_last_reader() -> None:
    model = ScriptedModel([["a", 100.0, "b"]])

    async def main() -> tuple[int, int]:
        shared = SharedChatModel(model)
        readers = [shared.stream(ASKED), shared.stream(ASKED)]
        for reader in readers:
            assert await anext(reader) == Delta("a")
        await readers[0].aclose()
        open_after_one = model.n_open
        await readers[1].aclose()
        return open_after_one, model.n_open

    assert run_virtual(main()) == (1, 0)


def test_who_comes_after_the_last_reader_has_left_is_asked_for_anew() -> None:
    model = ScriptedModel([["a", 100.0], ["b"]])

    async def main() -> str:
        shared = SharedChatModel(model)
        async with aclosing(shared.stream(ASKED)) as events:
            await anext(events)
        return text_of(await collected(shared.stream(ASKED)))

    assert run_virtual(main()) == "b"


def test_an_error_reaches_every_reader_behind_the_deltas_before_it() -> None:
    model = ScriptedModel([["a", 1.0, ChatRefused("no", status=400)]])

    async def reading(events: AsyncGenerator[ChatEvent, None]) -> tuple[str, object]:
        read: list[ChatEvent] = []
        try:
            async for event in events:
                read.append(event)
        except ChatRefused as exc:
            return text_of(read), exc.fields["status"]
        return text_of(read), None

    async def main() -> list[tuple[str, object]]:
        shared = SharedChatModel(model)
        return await asyncio.gather(*(reading(shared.stream(ASKED)) for _ in range(3)))

    assert run_virtual(main()) == [("a", 400)] * 3


def test_a_reader_with_a_shorter_deadline_ends_alone() -> None:
    model = ScriptedModel([["a", 10.0, "b"]])

    async def main() -> tuple[str, float]:
        shared = SharedChatModel(model)
        patient = asyncio.create_task(collected(shared.stream(ASKED)))
        await asyncio.sleep(0)
        events = await collected(shared.stream(replace(ASKED, timeout_s=3.0)))
        assert events == [Delta("a"), Done("interrupted", "scripted")]
        timed_out_at = asyncio.get_running_loop().time()
        return text_of(await patient), timed_out_at

    text, timed_out_at = run_virtual(main())
    assert text == "ab"
    assert timed_out_at == pytest.approx(3.0)


def test_a_reader_with_more_time_than_the_one_who_asked_asks_itself_when_that_times_out() -> None:
    model = ScriptedModel([[5.0, ChatTimeout("late")], ["there"]])

    async def main() -> str:
        shared = SharedChatModel(model)
        hasty = asyncio.create_task(collected(shared.stream(replace(ASKED, timeout_s=5.0))))
        await asyncio.sleep(1)
        patient = text_of(await collected(shared.stream(ASKED)))
        with pytest.raises(ChatTimeout):
            await hasty
        return patient

    assert run_virtual(main()) == "there"
    assert len(model.requests) == 2


@pytest.mark.parametrize(
    "other",
    [
        replace(ASKED, messages=(Message("user", "hullo"),)),
        replace(ASKED, messages=(Message("system", "hello"),)),
        replace(ASKED, model="other"),
        replace(ASKED, max_tokens=5),
        replace(ASKED, stop=("x",)),
        replace(ASKED, seed=1),
        replace(ASKED, extra={"n": 2}),
        replace(ASKED, response_format={"type": "json_object"}),
        replace(ASKED, tenant="other"),
        replace(ASKED, priority="batch"),
    ],
    ids=lambda request: "other",
)
def test_what_differs_in_anything_that_is_sent_or_in_whose_it_is_is_not_shared(other: ChatRequest) -> None:
    model = ScriptedModel([["a", 1.0]])

    async def main() -> None:
        shared = SharedChatModel(model)
        await asyncio.gather(collected(shared.stream(ASKED)), collected(shared.stream(other)))

    run_virtual(main())
    assert len(model.requests) == 2


@pytest.mark.parametrize(
    ("request_", "n_sent"),
    [
        (replace(ASKED, trace_id="t", timeout_s=70.0, signals={"confidence": 0.1}), 1),
        (replace(ASKED, temperature=0.7, seed=3), 1),
        (replace(ASKED, temperature=0.7), 2),
    ],
    ids=["trace and time-out", "seeded", "sampled"],
)
def test_only_repeatable_requests_are_shared(request_: ChatRequest, n_sent: int) -> None:
    model = ScriptedModel([["a", 1.0]])

    async def main() -> None:
        shared = SharedChatModel(model)
        other = replace(request_, trace_id="another")
        await asyncio.gather(collected(shared.stream(request_)), collected(shared.stream(other)))

    run_virtual(main())
    assert len(model.requests) == n_sent


def test_closing_the_model_ends_what_is_in_flight_and_nothing_is_left() -> None:
    model = ScriptedModel([["a", 100.0]])

    async def main() -> tuple[int, int]:
        shared = SharedChatModel(model)
        reader = asyncio.create_task(collected(shared.stream(ASKED)))
        await asyncio.sleep(1)
        await shared.close()
        await asyncio.gather(reader, return_exceptions=True)
        return model.n_open, len(asyncio.all_tasks())

    assert run_virtual(main()) == (0, 1)
