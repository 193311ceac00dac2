from __future__ import annotations

import asyncio
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.core.errors import ChatBusy
from rag.core.types import Priority
from rag.llm.rate_headers import RateLimitInfo
from rag.llm.schedule.charging import Demand
from rag.llm.schedule.scheduler import Scheduler, Slot
from tests.virtual_time import run_virtual

ONE = Demand(1)


async def work(scheduler: Scheduler, seconds: float = 1.0, n_tokens: int = 10, **given: object) -> float:
    """The moment at which it was let go."""
    slot = await scheduler.acquire(Demand(n_tokens), **given)  # type: ignore[arg-type]
    started = asyncio.get_running_loop().time()
    try:
        await asyncio.sleep(seconds)
    finally:
        scheduler.release(slot, n_input=n_tokens, succeeded=True)
    return started


async def filled(scheduler: Scheduler) -> list[Slot]:
    return [await scheduler.acquire(ONE) for _ in range(scheduler.concurrency.whole)]


def test_no_more_than_the_rate_in_any_minute() -> None:
    async def main() -> None:
        scheduler = Scheduler(requests_per_minute=60, max_concurrency=1000, queue_length=1000)
        starts = sorted(await asyncio.gather(*(work(scheduler, 0.1) for _ in range(200))))
        for first, last in zip(starts, starts[60:], strict=False):
            assert last - first >= 60.0
        assert starts[-1] < 4 * 60

    run_virtual(main())


def test_no_more_tokens_than_the_rate_in_any_minute() -> None:
    async def main() -> None:
        scheduler = Scheduler(tokens_per_minute=1000, max_concurrency=1000)
        starts = sorted(await asyncio.gather(*(work(scheduler, 0.1, n_tokens=100) for _ in range(30))))
        for first, last in zip(starts, starts[10:], strict=False):
            assert last - first >= 60.0

    run_virtual(main())


def test_a_request_larger_than_the_minute_goes_alone_and_is_not_stuck() -> None:
    async def main() -> None:
        scheduler = Scheduler(tokens_per_minute=1000)
        await asyncio.gather(*(work(scheduler, 0.1, n_tokens=5000) for _ in range(2)))

    run_virtual(main())


def test_what_was_reserved_too_much_is_given_back() -> None:
    async def main() -> None:
        scheduler = Scheduler(tokens_per_minute=1000)
        slot = await scheduler.acquire(Demand(1000))
        scheduler.release(slot, n_input=100, succeeded=True)
        assert await work(scheduler, n_tokens=900) == pytest.approx(0.0)

    run_virtual(main())


def test_interactive_requests_go_before_5000_batch_ones() -> None:
    async def main() -> None:
        scheduler = Scheduler(requests_per_minute=60, queue_length=10_000)
        waiting = [asyncio.create_task(work(scheduler, 0.1, priority="batch")) for _ in range(5000)]
        await asyncio.sleep(100)
        now = asyncio.get_running_loop().time()
        n_before = scheduler.n_waiting("batch")
        started = await work(scheduler, 0.0, priority="interactive")
        assert n_before - scheduler.n_waiting("batch") <= 1
        assert started - now <= 3, "and a slot is about a second here"
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert (scheduler.in_flight, scheduler.n_waiting()) == (0, 0)

    run_virtual(main())


def test_a_tenant_with_many_requests_does_not_hold_up_one_with_few() -> None:
    async def main() -> None:
        scheduler = Scheduler(max_concurrency=1)
        many = [asyncio.create_task(work(scheduler, 1.0, tenant="many")) for _ in range(100)]
        await asyncio.sleep(0.5)
        few = [asyncio.create_task(work(scheduler, 1.0, tenant="few")) for _ in range(5)]
        starts = await asyncio.gather(*few)
        assert max(starts) < 15, "five requests take every second turn"
        await asyncio.gather(*many)

    run_virtual(main())


def test_a_full_line_turns_newcomers_away_with_a_time() -> None:
    async def main() -> None:
        scheduler = Scheduler(requests_per_minute=60, queue_length=20)
        tasks = [asyncio.create_task(work(scheduler, 0.1)) for _ in range(60)]
        done = await asyncio.gather(*tasks, return_exceptions=True)
        busy = [one for one in done if isinstance(one, ChatBusy)]
        assert busy
        assert all(1 <= one.fields["retry_after_s"] <= 40 for one in busy)
        assert "try again in" in str(busy[0])

    run_virtual(main())


def test_an_interactive_request_takes_the_place_of_the_latest_batch_one() -> None:
    async def main() -> None:
        scheduler = Scheduler(max_concurrency=1, queue_length=3)
        [held] = [await scheduler.acquire(ONE)]
        batch = [asyncio.create_task(work(scheduler, 1.0, priority="batch")) for _ in range(3)]
        await asyncio.sleep(0)
        urgent = asyncio.create_task(work(scheduler, 1.0))
        await asyncio.sleep(0)
        scheduler.release(held)
        results = await asyncio.gather(urgent, *batch, return_exceptions=True)
        assert results[0] == 0.0
        assert isinstance(results[3], ChatBusy)
        assert not any(isinstance(one, ChatBusy) for one in results[:3])

    run_virtual(main())


def test_who_cannot_be_served_in_time_is_told_at_once() -> None:
    async def main() -> None:
        scheduler = Scheduler(requests_per_minute=60)
        tasks = [asyncio.create_task(work(scheduler, 0.1)) for _ in range(100)]
        await asyncio.sleep(0)
        with pytest.raises(ChatBusy):
            await scheduler.acquire(ONE, deadline=5.0)
        assert asyncio.get_running_loop().time() == 0.0
        await asyncio.gather(*tasks)

    run_virtual(main())


def test_a_deadline_that_comes_while_waiting_is_told() -> None:
    async def main() -> None:
        scheduler = Scheduler(max_concurrency=1)
        held = await scheduler.acquire(ONE)
        with pytest.raises(ChatBusy):
            await scheduler.acquire(ONE, deadline=5.0)
        assert asyncio.get_running_loop().time() == pytest.approx(5.0)
        scheduler.release(held)
        assert await work(scheduler) == pytest.approx(5.0)

    run_virtual(main())


def test_a_server_that_said_no_is_left_alone_for_as_long_as_it_said() -> None:
    async def main() -> None:
        scheduler = Scheduler()
        slot = await scheduler.acquire(ONE)
        scheduler.refused(slot, 20.0)
        scheduler.release(slot)
        assert await work(scheduler) == pytest.approx(20.0)

    run_virtual(main())


def test_after_a_refusal_one_goes_first_and_the_others_when_it_is_accepted() -> None:
    async def main() -> None:
        scheduler = Scheduler()
        slot = await scheduler.acquire(ONE)
        scheduler.refused(slot, 5.0)
        scheduler.release(slot)
        waiting = [asyncio.create_task(scheduler.acquire(ONE)) for _ in range(2)]
        await asyncio.sleep(6.0)
        assert [task.done() for task in waiting] == [True, False]
        scheduler.accepted(await waiting[0])
        assert [(await task).sent_at for task in waiting] == pytest.approx([5.0, 6.0])

    run_virtual(main())


def test_a_first_one_that_is_silent_does_not_hold_up_the_others_for_long() -> None:
    async def main() -> None:
        scheduler = Scheduler()
        slot = await scheduler.acquire(ONE)
        scheduler.refused(slot, 5.0)
        scheduler.release(slot)
        assert (await scheduler.acquire(ONE)).sent_at == pytest.approx(5.0)
        assert (await scheduler.acquire(ONE)).sent_at == pytest.approx(7.0)

    run_virtual(main())


def test_a_flood_of_one_tenant_does_not_make_another_one_wait_or_be_turned_away() -> None:
    async def main() -> None:
        scheduler = Scheduler(requests_per_minute=60, queue_length=200)
        flood = [asyncio.create_task(work(scheduler, 0.1, tenant="flood")) for _ in range(400)]
        await asyncio.sleep(70.0)
        assert scheduler.n_waiting() > 100
        assert await work(scheduler, 0.1, tenant="other", deadline=80.0) < 80.0
        await asyncio.sleep(0)
        flood += [asyncio.create_task(work(scheduler, 0.1, tenant="flood")) for _ in range(200)]
        await asyncio.sleep(0)
        assert scheduler.n_waiting() == 200, "the line is full"
        assert await work(scheduler, 0.1, tenant="other") < 90.0
        await asyncio.gather(*flood, return_exceptions=True)

    run_virtual(main())


def test_the_estimate_of_the_wait_is_of_now_and_not_of_an_idle_hour() -> None:
    async def main() -> None:
        scheduler = Scheduler(max_concurrency=2)
        await asyncio.gather(*(work(scheduler, 1.0) for _ in range(20)))
        await asyncio.sleep(3600)
        now = asyncio.get_running_loop().time()
        starts = await asyncio.gather(*(work(scheduler, 1.0, deadline=now + 30) for _ in range(20)))
        assert max(starts) <= now + 10

    run_virtual(main())


def test_a_minute_that_is_used_up_is_told_at_once_to_who_has_no_time() -> None:
    async def main() -> None:
        scheduler = Scheduler(requests_per_minute=5)
        for _ in range(5):
            await work(scheduler, 0.1)
        with pytest.raises(ChatBusy) as error:
            await scheduler.acquire(ONE, deadline=30.0)
        assert asyncio.get_running_loop().time() == pytest.approx(0.5)
        assert error.value.fields["retry_after_s"] == pytest.approx(31.0)  # 60.3 less the 30 s that it has

    run_virtual(main())


def test_what_others_use_of_the_limits_is_left_to_them() -> None:
    async def main() -> None:
        scheduler = Scheduler(requests_per_minute=60)
        await work(scheduler, 0.1)
        scheduler.learn(RateLimitInfo(200, limit_requests=60, remaining_requests=0))
        assert await work(scheduler) >= 60

    run_virtual(main())


def test_5000_waiting_cost_next_to_nothing() -> None:
    async def main() -> int:
        scheduler = Scheduler(max_concurrency=1, queue_length=5000)
        held = await scheduler.acquire(ONE)
        tasks = [
            asyncio.create_task(work(scheduler, 0.0, tenant=str(n % 100), priority="batch"))
            for n in range(5000)
        ]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        scheduler.release(held)
        await asyncio.gather(*tasks, return_exceptions=True)
        return scheduler.n_waiting()

    began = time.process_time()
    assert run_virtual(main()) == 0
    assert time.process_time() - began < 5, "some tenths of a second; minutes if the line were searched"


PRIORITY: st.SearchStrategy[Priority] = st.sampled_from(["interactive", "batch"])


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0, 5), PRIORITY, st.sampled_from("abc"), st.integers(1, 200), st.floats(0, 3), st.sampled_from(["ok", "cancel", "refuse", "fail"])),
        max_size=60,
    ),
    st.integers(1, 8),
    st.sampled_from([None, 30, 300]),
    st.sampled_from([None, 500, 5000]),
)  # fmt: skip
def test_nothing_is_lost_whatever_comes_leaves_or_fails(
    arrivals: list[tuple[float, Priority, str, int, float, str]],
    most: int,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
) -> None:
    async def main() -> None:
        scheduler = Scheduler(
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            max_concurrency=most,
            queue_length=20,
        )
        at_once = 0

        async def one(
            at: float, priority: Priority, tenant: str, n_tokens: int, takes: float, end: str
        ) -> None:
            nonlocal at_once
            await asyncio.sleep(at)
            slot = await scheduler.acquire(
                Demand(n_tokens), priority=priority, tenant=tenant, deadline=at + 300
            )
            at_once += 1
            assert at_once <= most
            try:
                await asyncio.sleep(takes)
                if end == "refuse":
                    scheduler.refused(slot, None)
                elif end == "fail":
                    scheduler.overloaded(slot)
            finally:
                at_once -= 1
                scheduler.release(slot, n_input=n_tokens, succeeded=end == "ok")

        dice = random.Random(1)
        tasks = [asyncio.create_task(one(*arrival)) for arrival in arrivals]
        for task, arrival in zip(tasks, arrivals, strict=True):
            if arrival[-1] == "cancel":
                asyncio.get_running_loop().call_later(dice.uniform(0, 8), task.cancel)
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert {type(error) for error in ended if isinstance(error, BaseException)} <= {
            ChatBusy,
            asyncio.CancelledError,
        }
        assert (scheduler.in_flight, scheduler.n_waiting()) == (0, 0)
        await asyncio.sleep(200)
        now = asyncio.get_running_loop().time()
        assert await work(scheduler) == pytest.approx(now), "an idle server is asked at once"

    run_virtual(main())
