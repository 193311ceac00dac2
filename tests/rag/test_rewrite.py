from __future__ import annotations

from rag.core.types import Message
from rag.rewrite import standalone

HISTORY = (
    Message("user", "How many vacation days do employees in Leipzig get?"),
    Message("assistant", "Employees in Leipzig receive 28 days a year [1]."),
)


def test_a_question_that_stands_alone_is_left_as_it_is() -> None:
    asked = "Which spare parts may customers fit themselves?"
    assert standalone(asked, HISTORY) == asked


def test_a_follow_up_takes_the_topic_along() -> None:
    assert standalone("And in Porto?", HISTORY) == "And in Porto? (vacation days employees Leipzig)"


def test_without_history_nothing_is_added() -> None:
    assert standalone("And in Porto?", ()) == "And in Porto?"
