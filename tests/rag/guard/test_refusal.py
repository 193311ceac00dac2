from __future__ import annotations

import pytest

from rag.guard.refusal import says_unknown


@pytest.mark.parametrize(
    "sentence",
    ["The documents don't say.", "The documents don’t say [1].", "The provided sources do not mention parental leave.", "I don't know.",
     "I'm sorry, but there is no information about that.", "I cannot find this in the text.", "The price is not stated in the sources.",
     "Based on the context, there is not enough information.", "Die Dokumente sagen das nicht.", "I do not have enough information to answer."],
)  # fmt: skip
def test_sentences_that_say_there_is_no_answer(sentence: str) -> None:
    assert says_unknown(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "You can carry over five days.",
        "Refunds are not given after 30 days.",
        "Documents must be signed.",
        "The text is in German.",
    ],
)
def test_sentences_that_answer(sentence: str) -> None:
    assert not says_unknown(sentence)
