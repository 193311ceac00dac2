from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.markers import SentenceStream, answer_sentences, marker_numbers, strip_markers, with_markers


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("a [1]", [1]), ("a [1][2]", [1, 2]), ("a [1, 2]", [1, 2]), ("a [1-3]", [1, 2, 3]), ("a [Source 2]", [2]),
     ("a 【3†source】", [3]), ("a [^1]", [1]), ("in [2024]", []), ("a [link](x)", []), ("[1](http://x)", []), ("a [1 and 2]", [1, 2])],
)  # fmt: skip
def test_markers(text: str, numbers: list[int]) -> None:
    assert marker_numbers(text) == numbers


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One is so [1]. Two is so [2].", ["One is so [1].", "Two is so [2]."]),
        ("One is so. [1] Two is so. [2]", ["One is so [1].", "Two is so [2]."]),
        ("One is so.[1][2] Two is so.", ["One is so[1][2].", "Two is so."]),
        ("Yes. You can park [1].", ["Yes. You can park [1]."]),
        ("Do this:\n- One step [1].\n- Two steps.", ["Do this:", "\n- One step [1].", "\n- Two steps."]),
        ("1. Open it.\n2. Close it.", ["1. Open it.", "\n2. Close it."]),
        ("First part.\n\nSecond part.", ["First part.", "\nSecond part."]),
        ("It costs 3.5 EUR, e.g. in Oslo. Done.", ["It costs 3.5 EUR, e.g. in Oslo.", "Done."]),
        ("No end", ["No end"]),
        ("", []),
    ],
)
def test_sentences_of_an_answer(text: str, sentences: list[str]) -> None:
    assert [one.replace(" [", "[") for one in answer_sentences(text)] == [
        one.replace(" [", "[") for one in sentences
    ]


@given(
    st.lists(
        st.sampled_from(["One is so", " [1]", "[2]", ". ", ".", "\n", "\n- ", "Two", " e.g. ", "? ", "Yes. ", "\n\n", "3.5 "]),
        max_size=25,
    ).map("".join),
    st.integers(1, 7),
)  # fmt: skip
def test_a_stream_gives_the_sentences_of_the_whole(text: str, size: int) -> None:
    stream = SentenceStream()
    streamed = [
        one for at in range(0, len(text), size) for one in stream.feed(text[at : at + size])
    ] + stream.close()
    assert [strip_markers(one) for one in streamed] == [strip_markers(one) for one in answer_sentences(text)]


def test_a_stream_lets_a_sentence_go_when_the_next_begins() -> None:
    stream = SentenceStream()
    assert stream.feed("One is so.") == []
    assert stream.feed(" [1]") == []
    assert [one.strip() for one in stream.feed(" Two")] == ["One is so [1]."]
    assert stream.close() == ["Two"]


def test_markers_stand_before_the_full_stop() -> None:
    assert with_markers("It is so.", [1, 2]) == "It is so [1][2]."
    assert with_markers("It is so", [1]) == "It is so [1]"
    assert with_markers("It is so.", []) == "It is so."
