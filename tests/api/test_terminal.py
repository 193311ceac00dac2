from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import terminal
from rag.core.reports import FileOutcome, SyncReport
from rag.core.types import Answer, AnswerSentence, Citation, ClosestSource, Dropped, Verdict


@given(st.text())
def test_clean_text_holds_no_controls(text: str) -> None:
    assert {char for char in terminal.clean(text) if unicodedata.category(char) == "Cc"} <= {"\n", "\t"}


@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs"))))
def test_clean_keeps_all_that_people_write(text: str) -> None:
    assert terminal.clean(text) == text


@pytest.mark.parametrize(
    ("n_bytes", "shown"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (25_000_000, "25.0 MB"), (3 * 10**12, "3000.0 GB")]
)  # fmt: skip
def test_sizes(n_bytes: int, shown: str) -> None:
    assert terminal.size(n_bytes) == shown


def test_an_answer_with_all_there_is_to_say(capsys: pytest.CaptureFixture[str]) -> None:
    citation = Citation(1, "a.pdf", "id", "A", 3, ("One", "Two"), 0, 5, "the\nquote", Verdict.SUPPORTED)
    sentence = AnswerSentence("So it is. [1]", (1,), Verdict.SUPPORTED)
    invented = AnswerSentence("Invented.", (), Verdict.UNSUPPORTED)
    terminal.show_answer(
        Answer("So it is. [1]", (sentence,), (citation,), False, 0.9, "llm", withheld=(invented,),
               dropped=(Dropped("b", 0, 1, 9),) * 2, notices=("vectors are being made",))
    )  # fmt: skip
    out, err = capsys.readouterr()
    assert out == "So it is. [1]\n\n[1] a.pdf, page 3, One › Two: “the quote”\n"
    assert err.splitlines() == [
        "Note: vectors are being made",
        "Note: 1 sentence withheld that no source supports.",
        "Note: 2 passages did not fit into the prompt.",
    ]


def test_an_abstention_names_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    closest = (ClosestSource("a.md", "A", None, ("Top",)),)
    terminal.show_answer(Answer("The documents don't say.", (), (), True, 0.1, "extractive", closest=closest))
    assert capsys.readouterr().out == "The documents don't say.\n\nClosest in the documents:\n- a.md, Top\n"


def test_a_long_list_of_skipped_files_is_cut(capsys: pytest.CaptureFixture[str]) -> None:
    skipped = tuple(FileOutcome(f"{i}.png", "No text.", "unsupported-format") for i in range(12))
    terminal.show_sync(SyncReport(0, (), (), (), (), 0, (), skipped, (), 0, 0, 0, 0, 0.1, 0.0))
    out = capsys.readouterr().out
    assert "and 2 more (--json lists all)" in out
    assert out.startswith("0 documents (12 skipped)")
