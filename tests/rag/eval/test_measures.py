from __future__ import annotations

import json
from pathlib import Path

import pytest

from rag.core.errors import PathNotFound, UsageError
from rag.core.types import Answer, AnswerSentence, Chunk, Citation, Filters, Hit, Source, Verdict
from rag.eval.measures import Result, cites_right, first_right_rank, is_right, measure
from rag.eval.questions import Question, Span, read_questions, same_source

SPANNED = Question("q", "?", relevant=("a.md",), spans=(Span("a.md", 100, 120),))


def hit(path: str, start: int, end: int) -> Hit:
    source = Source(path, path, "", "text/plain", path)
    return Hit(Chunk(f"{path}{start}", path, "x" * (end - start), start, end, (), None, 1), source, 1.0)


def answer(*citations: tuple[str, int, int], abstained: bool = False) -> Answer:
    cited = tuple(
        Citation(i, path, path, path, None, (), start, end, "", Verdict.SUPPORTED)
        for i, (path, start, end) in enumerate(citations, 1)
    )
    sentences = () if abstained else (AnswerSentence("x", (1,), Verdict.SUPPORTED),)
    return Answer("x", sentences, cited, abstained, 0.5, "extractive")


@pytest.mark.parametrize(
    ("path", "start", "end", "right"),
    [
        ("a.md", 90, 130, True),  # holds the span
        ("a.md", 100, 120, True),
        ("a.md", 105, 110, True),  # lies in it
        ("a.md", 110, 130, False),  # cuts it
        ("a.md", 0, 50, False),
        ("b.md", 90, 130, False),
    ],
)
def test_a_hit_is_right_if_it_holds_a_span_or_lies_in_one(
    path: str, start: int, end: int, right: bool
) -> None:
    assert is_right(SPANNED, path, start, end) is right


def test_without_spans_the_document_counts() -> None:
    question = Question("q", "?", relevant=("a",))
    assert first_right_rank(question, [hit("b.md", 0, 9), hit("a.md", 0, 9)]) == 2
    assert first_right_rank(question, [hit("b.md", 0, 9)]) is None


def test_a_citation_is_right_if_it_touches_a_span() -> None:
    assert cites_right(SPANNED, answer(("a.md", 119, 200)))
    assert not cites_right(SPANNED, answer(("a.md", 120, 200), ("b.md", 100, 120)))


def test_names_of_a_set_may_leave_out_the_ending() -> None:
    assert same_source("hr/leave.md", "hr/leave")
    assert same_source("hr/leave.md", "hr/leave.md")
    assert not same_source("hr/leave.md", "leave")


def test_measures_by_hand() -> None:
    unanswerable = Question("u", "?", answerable=False)
    right, wrong = hit("a.md", 90, 130), hit("b.md", 0, 9)
    results = [
        Result(SPANNED, (right, wrong), answer(("a.md", 100, 120)), 1.0, 2.0),
        Result(SPANNED, (wrong, right), answer(abstained=True), 3.0, 4.0),
        Result(SPANNED, (wrong,), None, 2.0, 0.0),
        Result(unanswerable, (wrong,), answer(abstained=True), 2.0, 3.0),
    ]
    values = {one.name: (one.value, one.n) for one in measure(results, 5)}
    assert values["hit@1"] == (pytest.approx(1 / 3), 3)
    assert values["hit@5"] == (pytest.approx(2 / 3), 3)
    assert values["mrr@5"] == (pytest.approx(0.5), 3)
    assert values["answered (answerable)"] == (0.5, 2)
    assert values["right source cited (answerable)"] == (0.5, 2)
    assert values["abstained (unanswerable)"] == (1.0, 1)
    assert values["search ms"] == (2.0, 4)
    assert "hit@10" not in values


def test_a_question_set_is_read(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    lines = [
        {"id": "a", "question": "x", "spans": [["a.md", 1, 2], ["a.md", 5, 6]], "answerable": True},
        {
            "question": "y",
            "filters": {"type": "pdf", "meta.author": "D"},
            "history": [{"role": "user", "content": "z"}],
        },
    ]
    path.write_text("\ufeff" + "\n\n".join(json.dumps(line) for line in lines), "utf-8")
    first, second = read_questions(path)
    assert first.relevant == ("a.md",)
    assert first.spans[1] == Span("a.md", 5, 6)
    assert (second.id, second.filters) == ("3", Filters(type="pdf", meta={"author": "D"}))
    assert second.history[0].content == "z"


@pytest.mark.parametrize("line", ["x", "[]", "{}", '{"question": "x", "spans": [["a", 1]]}', '{"question": "x", "filters": {"sauce": 1}}'])  # fmt: skip
def test_a_line_that_is_no_question_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text('{"question": "fine"}\n' + line)
    with pytest.raises(UsageError, match="Line 2"):
        read_questions(path)


def test_no_questions(tmp_path: Path) -> None:
    path = tmp_path / "set.jsonl"
    with pytest.raises(PathNotFound):
        read_questions(path)
    path.write_text("\n")
    with pytest.raises(UsageError):
        read_questions(path)
