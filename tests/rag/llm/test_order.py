from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.core.errors import ChatProtocolError
from rag.llm.order import Order
from rag.llm.sse import Event


def read(ids: list[str | None], data: list[str] | None = None) -> list[str]:
    order = Order(lambda: ChatProtocolError("mixed up"))
    events = [Event(text, "", number) for number, text in zip(ids, data or list(map(str, ids)), strict=True)]
    return [one.data for event in events for one in order.take(event)] + [one.data for one in order.rest()]


@given(st.data(), st.integers(1, 30))
def test_numbered_events_come_in_order_each_once(data: st.DataObject, n: int) -> None:
    numbers = sorted(range(n), key=lambda number: number + data.draw(st.integers(0, 4)))
    first_two_in_order = [0, *[number for number in numbers if number]]
    repeated = [
        one for one in first_two_in_order for _ in range(1 if one == 0 else data.draw(st.integers(1, 2)))
    ]
    assert read([str(number) for number in repeated]) == [str(number) for number in range(n)]


@pytest.mark.parametrize(
    "ids", [["7"] * 4, ["x"] * 4, [None] * 4, ["0"] * 4, ["5", "3", "9", "1"], ["", "1", "1", "1"]]
)
def test_ids_that_do_not_count_change_nothing(ids: list[str | None]) -> None:
    assert read(ids, ["0", "0", "1", "0"]) == ["0", "0", "1", "0"]


def test_numbers_with_gaps_are_passed_on_after_a_while() -> None:
    order = Order(lambda: ChatProtocolError("mixed up"))
    seen = [one.data for number in range(0, 60, 3) for one in order.take(Event(str(number), "", str(number)))]
    assert len(seen) > 10
    assert seen == [str(number) for number in range(0, 60, 3)][: len(seen)]


def test_an_event_that_comes_too_late_is_an_error() -> None:
    with pytest.raises(ChatProtocolError):
        read([str(number) for number in (0, *range(2, 12), 1)])
