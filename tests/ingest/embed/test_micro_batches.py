from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from ingest.embed.micro_batches import MicroBatches


class Encoder:
    """Doubles numbers, and holds every run until it is let go."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.begun = threading.Semaphore(0)
        self.go = threading.Semaphore(0)

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.begun.release()
        assert self.go.acquire(timeout=10)
        if 13 in items:
            raise ValueError("13 brings bad luck")
        return [2 * item for item in items]


def waiting(batches: MicroBatches[int, int], n: int) -> None:
    """Until n calls stand in line."""
    for _ in range(10_000):
        if len(batches._waiting) == n:
            return
        threading.Event().wait(0.001)
    raise AssertionError(f"{len(batches._waiting)} calls wait, not {n}")


def test_a_question_alone_is_encoded_at_once_and_alone() -> None:
    encoder = Encoder()
    encoder.go.release(2)
    batches = MicroBatches(encoder, lanes=2, most=8)
    assert [batches(3), batches(4)] == [6, 8]
    assert encoder.batches == [[3], [4]]


def test_questions_that_come_meanwhile_share_the_next_batch_and_get_their_own_results() -> None:
    encoder = Encoder()
    batches = MicroBatches(encoder, lanes=1, most=3)
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(batches, 0)]
        assert encoder.begun.acquire(timeout=10)
        for item in range(1, 6):
            calls.append(threads.submit(batches, item))
            waiting(batches, item)
        encoder.go.release(3)
        assert [call.result(10) for call in calls] == [0, 2, 4, 6, 8, 10]
    assert encoder.batches == [[0], [1, 2, 3], [4, 5]]


def test_no_more_runs_at_once_than_there_are_lanes() -> None:
    encoder = Encoder()
    batches = MicroBatches(encoder, lanes=2, most=1)
    with ThreadPoolExecutor(8) as threads:
        calls = [threads.submit(batches, item) for item in range(4)]
        assert encoder.begun.acquire(timeout=10)
        assert encoder.begun.acquire(timeout=10)
        waiting(batches, 2)
        assert not encoder.begun.acquire(blocking=False)
        encoder.go.release(4)
        assert [call.result(10) for call in calls] == [0, 2, 4, 6]


def test_an_error_reaches_those_of_its_batch_and_the_lane_is_free_again() -> None:
    encoder = Encoder()
    encoder.go.release(2)
    batches = MicroBatches(encoder, lanes=1, most=8)
    with pytest.raises(ValueError, match="bad luck"):
        batches(13)
    assert batches(2) == 4
