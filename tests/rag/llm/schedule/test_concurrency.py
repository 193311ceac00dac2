from __future__ import annotations

import asyncio
import random

import pytest

from rag.core.types import ChatRequest, Message
from rag.llm.queue import QueuedChatModel
from rag.llm.schedule.concurrency import AdaptiveLimit
from rag.llm.schedule.scheduler import Scheduler
from tests.rag.llm.scripted import collected
from tests.rag.llm.simulated import LimitedServer
from tests.virtual_time import run_virtual


@pytest.mark.parametrize("n_slots", [4, 12, 24])
def test_it_finds_how_many_a_server_answers_without_slowing_down(n_slots: int) -> None:
    async def main() -> float:
        server = LimitedServer(1e9, 1e9, n_slots=n_slots)
        scheduler = Scheduler(max_concurrency=200, queue_length=10_000)
        model = QueuedChatModel(server, scheduler)
        request = ChatRequest((Message("user", "hello"),), timeout_s=1e6, extra={"n_output": 20})
        await asyncio.gather(*(collected(model.stream(request)) for _ in range(1500)))
        return scheduler.concurrency.value

    # At twice its slots the simulated server takes twice as long to the first token.
    assert n_slots * 0.8 <= run_virtual(main()) <= n_slots * 2.5


def test_a_refusal_takes_back_a_part_and_only_once_for_those_under_way_together() -> None:
    limit = AdaptiveLimit(100)
    limit.value = 50.0
    for _ in range(20):
        limit.overloaded(now=10.0, sent_at=5.0)
    assert limit.value == pytest.approx(35.0)


def test_a_limit_that_is_not_used_up_does_not_grow() -> None:
    limit = AdaptiveLimit(100)
    for n in range(100):
        limit.succeeded(n, n - 1, in_flight=1, first_token_s=0.2)
    assert limit.value == 16.0


def test_it_never_falls_below_one() -> None:
    limit = AdaptiveLimit(100)
    for n in range(100):
        limit.overloaded(n, n)
    assert limit.whole == 1


@pytest.mark.parametrize("n_slots", [8, 24])
def test_a_hundred_requests_are_enough_to_find_it(n_slots: int) -> None:
    async def main() -> float:
        server = LimitedServer(1e9, 1e9, n_slots=n_slots)
        scheduler = Scheduler(max_concurrency=200)
        model = QueuedChatModel(server, scheduler)
        request = ChatRequest((Message("user", "hello"),), timeout_s=1e6, extra={"n_output": 20})
        await asyncio.gather(*(collected(model.stream(request)) for _ in range(100)))
        return scheduler.concurrency.value

    assert n_slots * 0.8 <= run_virtual(main()) <= n_slots * 2.5


def test_one_failure_in_a_while_changes_nothing_but_many_do() -> None:
    limit = AdaptiveLimit(100)
    limit.value = 50.0
    for n in range(200):
        if n % 20 == 0:
            limit.failed(n, n - 1)
        else:
            limit.succeeded(n, n - 1, in_flight=1, first_token_s=0.2)
    assert limit.value == 50.0
    for n in range(200, 206):
        limit.failed(n, n - 0.5)
    assert limit.value < 20


def test_a_server_that_always_fails_as_often_is_not_taken_for_overloaded() -> None:
    limit = AdaptiveLimit(100)
    limit.value = 50.0
    dice = random.Random(3)
    for n in range(1000):
        if dice.random() < 0.3:
            limit.failed(n, n - 1)
        else:
            limit.succeeded(n, n - 1, in_flight=1, first_token_s=0.2)
    assert limit.value >= 30


def test_long_prompts_are_not_taken_for_a_slow_server() -> None:
    limit = AdaptiveLimit(64)
    for n in range(400):
        n_input = 100 if n % 2 else 4000
        limit.succeeded(n, n - 1, in_flight=64, first_token_s=n_input / 1000, n_input=n_input)
    assert limit.value == 64


def test_a_server_that_has_become_slower_for_good_is_used_again() -> None:
    limit = AdaptiveLimit(20)
    for n in range(100):
        limit.succeeded(n, n - 1, in_flight=20, first_token_s=0.2)
    lowest = 20.0
    for n in range(100, 400):
        limit.succeeded(n, n - 1, in_flight=20, first_token_s=1.0)
        lowest = min(lowest, limit.value)
    assert lowest <= 2
    assert limit.value == 20


def test_a_server_that_is_kept_busy_does_not_get_more_and_more() -> None:
    """The best time is not forgotten while the limit hovers above it."""

    async def main() -> float:
        server = LimitedServer(1e9, 1e9, n_slots=8)
        scheduler = Scheduler(max_concurrency=200, queue_length=10_000)
        model = QueuedChatModel(server, scheduler)
        request = ChatRequest((Message("user", "hello"),), timeout_s=1e6, extra={"n_output": 1})
        await asyncio.gather(*(collected(model.stream(request)) for _ in range(5000)))
        return scheduler.concurrency.value

    assert run_virtual(main()) <= 16
