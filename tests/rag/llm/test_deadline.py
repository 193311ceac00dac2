from __future__ import annotations

import asyncio

import pytest

from rag.llm.deadline import Deadline
from tests.virtual_time import run_virtual


def test_it_strikes_in_the_wait_that_it_falls_into() -> None:
    async def run() -> None:
        deadline = Deadline(10.0)
        for _ in range(3):
            with deadline:
                await asyncio.sleep(3)
        with pytest.raises(TimeoutError), deadline:
            await asyncio.sleep(3)
        assert asyncio.get_running_loop().time() == pytest.approx(10)
        assert asyncio.current_task().cancelling() == 0  # type: ignore[union-attr]

    run_virtual(run())


def test_between_the_waits_it_leaves_its_task_alone() -> None:
    async def run() -> None:
        deadline = Deadline(1.0)
        await asyncio.sleep(5)
        with pytest.raises(TimeoutError), deadline:
            await asyncio.sleep(0)

    run_virtual(run())


def test_a_cancellation_from_elsewhere_stays_one() -> None:
    async def wait(deadline: Deadline) -> None:
        with deadline:
            await asyncio.sleep(100)

    async def run() -> None:
        for cancelled_at_s in (1.0, 10.0):
            deadline = Deadline(asyncio.get_running_loop().time() + 10)
            task = asyncio.create_task(wait(deadline))
            asyncio.get_running_loop().call_later(cancelled_at_s, task.cancel)
            with pytest.raises(asyncio.CancelledError):
                await task
            deadline.close()

    run_virtual(run())


def test_it_may_become_shorter_but_not_longer() -> None:
    async def run() -> None:
        deadline = Deadline(10.0)
        deadline.shorten(50)
        deadline.shorten(2)
        deadline.shorten(5)
        with pytest.raises(TimeoutError), deadline:
            await asyncio.sleep(100)
        assert asyncio.get_running_loop().time() == pytest.approx(2)

    run_virtual(run())


def test_closed_it_leaves_no_timer_behind() -> None:
    async def run() -> None:
        deadline = Deadline(10.0)
        deadline.close()
        with deadline:
            await asyncio.sleep(100)

    run_virtual(run())
