from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.core.text import sentence_spans

TEXTS = st.lists(
    st.sampled_from([*"aB. \n!?。1\t—é数…\"')", "Dr. ", "e.g. ", "\n\n", "🙂"]), max_size=200
).map("".join)


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Ruiz wrote to J. Smith. He answered.", ["Dr. Ruiz wrote to J. Smith.", "He answered."]),
        ("It costs 3.50 a day. Pay e.g. in cash.", ["It costs 3.50 a day.", "Pay e.g. in cash."]),
        ("1. Open the lid. 2. Close it.", ["1. Open the lid.", "2. Close it."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("A heading without a stop\n\nA paragraph.", ["A heading without a stop", "A paragraph."]),
        ("これは文です。次の文です。", ["これは文です。", "次の文です。"]),
        ("Use version 2. it is better.", ["Use version 2. it is better."]),
        ("", []),
        (" \n\t ", []),
    ],
)
def test_sentences_end_where_a_reader_would_end_them(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@given(TEXTS)
def test_spans_are_in_order_trimmed_and_leave_out_only_white_space(text: str) -> None:
    spans = sentence_spans(text)
    covered = set[int]()
    last = 0
    for start, end in spans:
        assert last <= start < end <= len(text)
        assert text[start:end] == text[start:end].strip()
        covered.update(range(start, end))
        last = end
    assert all(char.isspace() for i, char in enumerate(text) if i not in covered)


@given(TEXTS, TEXTS, TEXTS)
def test_only_the_stretch_that_was_asked_for_is_looked_at(before: str, text: str, after: str) -> None:
    whole = before + text + after
    start, end = len(before), len(before) + len(text)
    for a, b in sentence_spans(whole, start, end):
        assert start <= a < b <= end
