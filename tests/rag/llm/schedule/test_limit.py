from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.llm.schedule.limit import Limit, Pace, SlidingWindow


@given(st.lists(st.tuples(st.floats(0, 40), st.floats(1, 50)), min_size=1, max_size=60), st.floats(50, 500))
def test_never_more_than_the_limit_in_any_minute(steps: list[tuple[float, float]], limit: float) -> None:
    window, now = SlidingWindow(Limit(limit)), 0.0
    sent: list[tuple[float, float]] = []
    for pause, amount in steps:
        now += pause
        wait_s = window.wait_s(now, amount)
        now += wait_s
        assert window.wait_s(now, amount) == pytest.approx(0, abs=1e-6), "one wait is enough"
        window.take(now, amount)
        sent.append((now, amount))
    for at, _ in sent:
        in_minute = sum(amount for other, amount in sent if at - 60 < other <= at)
        assert in_minute <= limit * (1 + 1e-9)


def test_what_was_really_taken_counts_from_when_it_was_sent() -> None:
    window = SlidingWindow(Limit(100))
    entry = window.take(0.0, 90)
    window.correct(entry, 40)
    assert window.left(30.0) == 60
    window.correct(entry, 70)
    assert window.wait_s(30.0, 50) == pytest.approx(30.3)
    assert window.left(61.0) == 100
    window.correct(entry, 10)
    assert window.left(61.0) == 100, "it is forgotten"


def test_a_single_refusal_takes_back_little_and_is_forgotten() -> None:
    limit = Limit(100)
    limit.lower(0.0, 30, is_sure=False)
    assert limit.allowed(0.0) == pytest.approx(97)
    for n in range(300):
        limit.accepted(n % 60)
    assert limit.allowed(300.0) == 100


def test_a_limit_that_is_ten_times_too_high_is_found_within_a_few_refusals() -> None:
    limit = Limit(600)
    for used in range(60):
        limit.accepted(used)
    n_refusals = 0
    while limit.allowed(0.0) > 60:
        limit.lower(0.0, 60, is_sure=n_refusals > 0)
        n_refusals += 1
    assert n_refusals <= 8
    assert limit.allowed(0.0) > 55


def test_nothing_known_stays_so_after_one_refusal() -> None:
    limit = Limit(None)
    limit.lower(0.0, 5, is_sure=False)
    assert limit.allowed(0.0) == math.inf
    limit.lower(1.0, 50, is_sure=True)
    assert limit.allowed(1.0) == pytest.approx(48.5)


def test_even_distances() -> None:
    pace = Pace()
    for _ in range(3):
        pace.take(0.0, 2.0)
    assert pace.wait_s(0.0, 0.0) == 6.0
    assert pace.wait_s(0.0, 6.0) == 0.0
    pace.give_back(1.0)
    assert pace.wait_s(2.0, 0.0) == 3.0
