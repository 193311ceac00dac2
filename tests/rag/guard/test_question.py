from __future__ import annotations

import pytest

from rag.core.errors import InvalidQuestion
from rag.guard.question import checked_question


def test_a_question_loses_what_cannot_be_seen() -> None:
    assert checked_question("  What\x00 is\u202e it?\u200b ", 100) == "What  is  it?"
    assert checked_question("Wo ist der Schlüssel? 鍵はどこ?", 100) == "Wo ist der Schlüssel? 鍵はどこ?"


@pytest.mark.parametrize("question", ["", "  \n", "?!", "\u200b", "\ud800"])
def test_a_question_without_words_is_none(question: str) -> None:
    with pytest.raises(InvalidQuestion, match="empty"):
        checked_question(question, 100)


def test_too_long_a_question_says_how_long_it_may_be() -> None:
    with pytest.raises(InvalidQuestion, match="100000 characters and at most 8000"):
        checked_question("x" * 100_000, 8000)
