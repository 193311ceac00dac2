from __future__ import annotations

import asyncio
import math
from collections import Counter, defaultdict

from hypothesis import given
from hypothesis import strategies as st

from rag.core.types import Priority
from rag.llm.schedule.charging import Demand
from rag.llm.schedule.waiting import Waiter, WaitingLine
from tests.virtual_time import VirtualTimeLoop

LOOP = VirtualTimeLoop()
TENANT = st.sampled_from("abcd")
PRIORITY: st.SearchStrategy[Priority] = st.sampled_from(["interactive", "batch"])


def waiter(tenant: str = "a", priority: Priority = "interactive", n_tokens: int = 10) -> Waiter:
    granted: asyncio.Future[object] = LOOP.create_future()
    return Waiter(Demand(n_tokens), priority, tenant, math.inf, granted, 0.0)  # type: ignore[arg-type]


def served(line: WaitingLine) -> list[Waiter]:
    return list(iter(line.serve_first, None))


@given(st.lists(st.tuples(TENANT, PRIORITY, st.integers(1, 500)), max_size=60), st.data())
def test_interactive_goes_first_and_each_tenant_in_its_own_order(
    arrivals: list[tuple[str, Priority, int]], data: st.DataObject
) -> None:
    line = WaitingLine()
    waiters = [waiter(*arrival) for arrival in arrivals]
    for one in waiters:
        line.add(one)
    left = data.draw(st.sets(st.sampled_from(waiters), max_size=10)) if waiters else set()
    for one in left:
        line.remove(one)
    order = served(line)
    assert set(order) == set(waiters) - left
    assert len(line) == 0
    priorities = [one.priority for one in order]
    assert priorities == sorted(priorities, reverse=True), "interactive, then batch"
    for tenant in "abcd":
        for priority in ("interactive", "batch"):
            mine = [one for one in order if (one.tenant, one.priority) == (tenant, priority)]
            assert mine == [one for one in waiters if one in mine], "first come, first served"


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(1, 500)), min_size=2, max_size=80))
def test_tenants_who_wait_get_the_same_work_within_one_request_each(arrivals: list[tuple[str, int]]) -> None:
    """The bound of start-time fair queueing: two tenants with work waiting differ by a largest request of each."""
    line = WaitingLine()
    largest: dict[str, int] = defaultdict(int)
    for tenant, n_tokens in arrivals:
        line.add(waiter(tenant, n_tokens=n_tokens))
        largest[tenant] = max(largest[tenant], n_tokens)
    left = Counter(tenant for tenant, _ in arrivals)
    work: Counter[str] = Counter()
    while min(left["a"], left["b"]) > 0:
        one = line.serve_first()
        assert one is not None
        work[one.tenant] += one.demand.total
        left[one.tenant] -= 1
        assert abs(work["a"] - work["b"]) <= largest["a"] + largest["b"]


def test_who_gave_up_has_taken_nothing() -> None:
    line = WaitingLine()
    given_up = [waiter("a", n_tokens=1000) for _ in range(500)]
    for one in given_up:
        line.add(one)
    line.add(waiter("b"))
    for one in given_up:
        line.remove(one)
    back = waiter("a")
    line.add(waiter("b"))
    line.add(back)
    assert back in served(line)[:2]


def test_a_newcomer_with_nothing_waiting_is_behind_one_request_of_each_other_tenant() -> None:
    line = WaitingLine()
    for tenant in "aaaaaaaabbbbc":
        line.add(waiter(tenant))
    assert line.n_before("interactive", "new") == 3
    assert line.n_before("interactive", "c") == 1 + 2 + 2
    assert line.n_before("batch", "new") == 13


def test_in_a_full_line_the_tenant_with_the_most_gives_up_its_latest() -> None:
    line = WaitingLine()
    waiters = [waiter("a") for _ in range(5)] + [waiter("b")]
    for one in waiters:
        line.add(one)
    assert line.to_turn_away("interactive", "c") is waiters[4]
    assert line.to_turn_away("interactive", "a") is None, "its own are the most"
    batch = waiter("b", "batch")
    line.add(batch)
    assert line.to_turn_away("interactive", "a") is batch
    assert line.to_turn_away("batch", "b") is None
