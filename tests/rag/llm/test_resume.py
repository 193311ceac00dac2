"""The seam between an answer that broke off and its continuation."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.core.types import ChatRequest, Message
from rag.llm.resume import Seam, continued

SOURCES = "Vacation: up to five unused days may be carried over until March 31 of the next year."
WHOLE = "You may carry over five days until March 31."


def joined(written: str, *pieces: str, known: str = SOURCES) -> str:
    seam = Seam(written, known)
    return written + "".join(seam.feed(piece) for piece in pieces) + seam.close()


@pytest.mark.parametrize(
    ("written", "pieces"),
    [
        ("You may carry over five days", [" until March 31."]),
        ("You may carry over five days", ["until", " March 31."]),
        ("You may carry over five days ", ["until March 31."]),
        ("You may carry over five days", ["five days until March 31."]),
        ("You may carry over five days", ["five ", "da", "ys until March 31."]),
        ("You may carry over five days", [WHOLE]),
        ("You may carry over five days", list(WHOLE)),
        ("You may carry over five days", ["\n", WHOLE]),
        ("You may carry over five days until March 3", ["1."]),
        ("You may carry over five days until March 31", ["."]),
        (WHOLE, [WHOLE]),
        (WHOLE, []),
    ],
)
def test_what_is_joined_reads_as_one_answer(written: str, pieces: list[str]) -> None:
    assert joined(written, *pieces) == WHOLE


@pytest.mark.parametrize(
    ("written", "rest", "whole"),
    [
        ("Unused vaca", "tion expires.", "Unused vacation expires."),
        ("Unused", "vacation expires.", "Unused vacation expires."),
        ("It ends.", "The rest is", "It ends. The rest is"),
        ("It ends", ". The rest is", "It ends. The rest is"),
        ("It costs 3.", "5 euros", "It costs 3.5 euros"),
        ("It is long", "(see there)", "It is long (see there)"),
        ("It is long [1", "].", "It is long [1]."),
        ("有給休暇は", "五日です。", "有給休暇は五日です。"),
        ("A list:\n", "- one", "A list:\n- one"),
    ],
)
def test_a_space_that_was_left_out_is_put_in_between_words_only(written: str, rest: str, whole: str) -> None:
    assert joined(written, rest) == whole


def test_a_continuation_that_begins_anew_in_other_words_is_not_let_through() -> None:
    seam = Seam("You may carry over five days of leave")
    assert seam.feed("You may carry over five unused days until March.") == ""
    assert seam.starts_over
    assert seam.feed(" And more.") == seam.close() == ""


def test_a_word_that_was_meant_twice_stays() -> None:
    assert joined("What they had", " had to be sent back.") == "What they had had to be sent back."
    assert joined("the total of the total", " total is", known="") == "the total of the total total is"


def test_a_short_repetition_is_not_mistaken_for_a_beginning() -> None:
    assert joined("You may. ", "You must.") == "You may. You must."


def test_the_next_model_is_asked_for_the_rest_within_what_is_left_of_the_answers_tokens() -> None:
    request = ChatRequest(
        (Message("user", "How many?"),), max_tokens=100, response_format={"type": "json_object"}
    )
    rest = continued(request, "x" * 80)
    assert [message.role for message in rest.messages] == ["user", "assistant", "user"]
    assert rest.messages[1].content == "x" * 80
    assert rest.max_tokens == 80
    assert rest.response_format is None
    assert rest.attempts is request.attempts
    assert continued(request, "x" * 4000).max_tokens == 1


@given(st.text(alphabet="ab .,1\n", min_size=1), st.text(alphabet="ab .,1\n"), st.lists(st.integers(0, 60)))
def test_however_it_is_cut_into_pieces_the_joint_is_the_same(
    written: str, rest: str, cuts: list[int]
) -> None:
    at = sorted({0, len(rest), *(cut for cut in cuts if cut < len(rest))})
    pieces = [rest[start:end] for start, end in itertools.pairwise(at)]
    assert joined(written, *pieces) == joined(written, *rest)


@given(st.text(alphabet="abcde fgh.", min_size=1, max_size=60), st.text(alphabet="abcde fgh.", max_size=30))
def test_a_full_repetition_is_never_shown_twice(written: str, rest: str) -> None:
    assert joined(written, *(written + rest)).split() == (written + rest).split()
