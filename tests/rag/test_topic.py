"""What a small chat model made of questions that its sources do not answer, and what it made of those they do."""

from __future__ import annotations

import pytest

from rag.cite import Verifier
from rag.core.types import Verdict
from rag.terms import terms_of
from rag.topic import another_one
from tests.rag.memory import packed_source

LEAVE = "You can carry over up to 8 unused vacation days. Requests are answered within three working days."
TANK = "The Duo D2 has a tank of 2.4 litres. The Duo D2 grew by 31 percent. The fuse is a T10A."
OSLO = "The company was founded in Oslo. The office in Oslo has a roof terrace."


def verdict(text: str, claim: str, question: str) -> Verdict:
    checked = Verifier([packed_source(text)], question).check(claim)
    return checked.sentence.verdict if checked.is_claim else Verdict.UNSUPPORTED


@pytest.mark.parametrize(
    ("text", "claim", "question"),
    [
        (LEAVE, "The answer is: 3 [1]", "How many vacation days can I carry over?"),
        (LEAVE, "3 [1]", "How many vacation days can I carry over?"),
        (TANK, "The answer is: 10 [1]", "How many minutes does descaling take?"),
        (OSLO, "The answer is Oslo [1].", "Where is the summer party held?"),
        (TANK, "The tank volume is 2.4 litres [1].", "What is the tank volume of the Duo D4?"),
        (TANK, "The Duo D2 has a tank of 2.4 litres [1].", "What is the tank volume of the Duo D4?"),
        (TANK, "The Duo D2 is a product of the Duo D2 [1].", "What is the Duo D2?"),
        (TANK, "What is the Duo D2 [1]?", "What is the Duo D2?"),
        (LEAVE, "The document says that you can carry over 25 vacation days per year [1].", "How many days?"),
    ],
)
def test_a_claim_that_only_fits_by_chance_is_unsupported(text: str, claim: str, question: str) -> None:
    assert verdict(text, claim, question) is Verdict.UNSUPPORTED


@pytest.mark.parametrize(
    ("text", "claim", "question"),
    [
        (LEAVE, "The answer is: 8 [1]", "How many vacation days can I carry over?"),
        (LEAVE, "8 vacation days [1].", "How many vacation days can I carry over?"),
        (OSLO, "In Oslo [1].", "Where was the company founded?"),
        (TANK, "2.4 litres [1].", "How large is the tank of the Duo D2?"),
        (LEAVE, "The document says that you can carry over 8 vacation days [1].", "How many days?"),
    ],
)
def test_a_short_answer_that_the_source_gives_to_the_question_is_shown(
    text: str, claim: str, question: str
) -> None:
    assert verdict(text, claim, question) is not Verdict.UNSUPPORTED


def test_a_comparison_may_be_told_in_several_places() -> None:
    there = terms_of("The Solo S1 weighs 9 kg.").stems
    assert another_one({"s1", "d2"}, there) is None
    assert another_one({"s2"}, there) == ("s2", "s1")
    assert another_one({"e417"}, there) is None
