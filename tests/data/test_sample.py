"""The sample corpus and its questions: enough of each, and every answer really stands where its question says."""

from __future__ import annotations

import json
import re
import runpy
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pypdf
import pytest

from ingest.loaders.registry import load_bytes
from rag.eval.questions import Question, read_questions
from rag.terms import terms_of

DATA = Path(__file__).parents[2] / "data"
CORPUS = DATA / "corpus"
SAMPLE = DATA / "eval" / "sample.jsonl"
DOCUMENTS = sorted(path for path in CORPUS.rglob("*") if path.is_file())
QUESTIONS = read_questions(SAMPLE)
ANSWERABLE = [question for question in QUESTIONS if question.answerable]
KINDS = {
    "single_fact",
    "multi_document",
    "table",
    "identifier",
    "paraphrase",
    "follow_up",
    "unanswerable",
}
_ZEROS = re.compile(r"(?<![\d.])(\d+)\.(\d*?)0+(?![\d.])")
_MARKUP = re.compile(r"[|*_`#>\\•]|-{2,}")


def plain(text: str) -> str:
    """Without Markdown's marks and line breaks; 9.90 and 9.9 are one number, as they are in a workbook."""
    text = _ZEROS.sub(lambda number: number[1] + (f".{number[2]}" if number[2] else ""), text)
    return " ".join(_MARKUP.sub(" ", text).split()).casefold()


@cache
def text_of(source: str) -> str:
    path = CORPUS / source
    return plain(load_bytes(path.read_bytes(), path, name=source).text)


def by_kind(kind: str) -> list[Question]:
    return [question for question in QUESTIONS if question.category == kind]


def named(questions: list[Question]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("question", questions, ids=[question.id for question in questions])


def test_there_are_at_least_40_documents_over_at_least_8_formats() -> None:
    assert len(DOCUMENTS) >= 40
    assert len({path.suffix for path in DOCUMENTS}) >= 8


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(CORPUS).as_posix())
def test_every_document_loads_without_a_warning(path: Path) -> None:
    assert load_bytes(path.read_bytes(), path, name=path.name).warnings == ()


def test_a_pdf_of_several_pages_holds_a_table() -> None:
    pdf = pypdf.PdfReader(CORPUS / "support" / "warranty-terms.pdf")
    assert len(pdf.pages) >= 2
    assert "United Kingdom 24 months 36 months 18 months 24 months" in " ".join(
        pdf.pages[0].extract_text().split()
    )


def test_a_policy_has_an_older_version_with_other_numbers() -> None:
    assert "up to 8 unused vacation days" in text_of("hr/vacation-policy.md")
    assert "at most 5 unused days" in text_of("hr/archive/vacation-policy-2023.md")


def test_a_ticket_holds_an_injected_instruction() -> None:
    assert "ignore all previous instructions" in text_of("support/tickets/ticket-91542.eml")


def test_there_are_enough_questions_of_every_kind() -> None:
    counts = Counter(question.category for question in QUESTIONS)
    assert set(counts) == KINDS
    assert len(QUESTIONS) >= 80
    assert counts["unanswerable"] >= 20
    assert min(counts.values()) >= 10


def test_the_readme_gives_the_counts() -> None:
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    assert f"{len(DOCUMENTS)} documents" in readme
    assert f"{len(QUESTIONS)} questions" in readme
    for kind, count in Counter(question.category for question in QUESTIONS).items():
        assert f"| `{kind}` | {count} |" in readme


def test_ids_and_questions_are_unique() -> None:
    assert max(Counter(question.id for question in QUESTIONS).values()) == 1
    alone = [question.question for question in QUESTIONS if not question.history]
    assert max(Counter(alone).values()) == 1


def test_every_document_answers_a_question() -> None:
    asked = {source for question in QUESTIONS for source in question.relevant}
    assert asked == {path.relative_to(CORPUS).as_posix() for path in DOCUMENTS}


@named(ANSWERABLE)
def test_the_evidence_stands_in_its_document(question: Question) -> None:
    assert question.evidence
    assert question.relevant == tuple(dict.fromkeys(one.source for one in question.evidence))
    for one in question.evidence:
        assert plain(one.quote) in text_of(one.source)


@named([question for question in ANSWERABLE if question.category != "multi_document"])
def test_the_answer_stands_in_the_evidence(question: Question) -> None:
    assert question.answers
    quotes = [plain(one.quote) for one in question.evidence]
    for answer in question.answers:
        assert any(plain(answer) in quote for quote in quotes)


@named(by_kind("multi_document"))
def test_an_answer_from_several_documents_has_its_numbers_from_them(question: Question) -> None:
    assert len(question.relevant) >= 2
    quotes = " ".join(plain(one.quote) for one in question.evidence)
    for number in re.findall(r"\d(?:[\d.,-]*\d)?", " ".join(map(plain, question.answers))):
        assert number in quotes


@named(by_kind("paraphrase"))
def test_a_paraphrase_shares_no_content_word_with_its_evidence(question: Question) -> None:
    said = set(terms_of(" ".join(one.quote for one in question.evidence)).content)
    assert said.isdisjoint(terms_of(question.question).content)


@named(by_kind("follow_up"))
def test_a_follow_up_comes_after_an_answer(question: Question) -> None:
    roles = [turn.role for turn in question.history]
    assert roles
    assert roles == ["user", "assistant"] * (len(roles) // 2)


def unanswerable() -> list[Any]:
    rows = map(json.loads, SAMPLE.read_text(encoding="utf-8").splitlines())
    return [pytest.param(row["absent"], id=row["id"]) for row in rows if row["kind"] == "unanswerable"]


@pytest.mark.parametrize("absent", unanswerable())
def test_no_document_holds_what_an_unanswerable_question_is_about(absent: list[str]) -> None:
    assert absent
    for path in DOCUMENTS:
        text = text_of(path.relative_to(CORPUS).as_posix())
        assert not [phrase for phrase in absent if plain(phrase) in text]


def test_unanswerable_questions_name_no_document() -> None:
    assert not [q.id for q in QUESTIONS if (q.category == "unanswerable") == q.answerable]
    assert not [q.id for q in QUESTIONS if not q.answerable and (q.relevant or q.evidence or q.answers)]


def test_the_builder_makes_the_same_documents_again(tmp_path: Path) -> None:
    built = runpy.run_path(str(DATA / "build_corpus.py"))["build"](tmp_path)
    assert {path.suffix for path in built} == {".pdf", ".docx", ".pptx", ".xlsx"}
    for path in built:
        kept = CORPUS / path.relative_to(tmp_path)
        # Another version of a library may write other bytes, but never another text.
        if path.read_bytes() != kept.read_bytes():
            again = load_bytes(path.read_bytes(), path, name=path.name)
            assert again.text == load_bytes(kept.read_bytes(), kept, name=kept.name).text
