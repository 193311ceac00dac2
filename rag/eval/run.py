"""Puts a question set to a store and keeps what came of each question."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Protocol

from rag.core.types import Answer, Filters, Message, Retrieval
from rag.eval.measures import Result
from rag.eval.questions import Question
from rag.rewrite import standalone


class Asked(Protocol):
    """What is evaluated; ``rag.wiring.Footnote`` is of this shape."""

    def search(self, question: str, *, k: int | None = None, filters: Filters = ...) -> Retrieval: ...

    def ask(self, question: str, *, filters: Filters = ..., history: tuple[Message, ...] = ()) -> Answer: ...


def run_questions(
    asked: Asked,
    questions: Iterable[Question],
    *,
    k: int,
    answers: bool = True,
    on_result: Callable[[Result], None] | None = None,
) -> list[Result]:
    """One result for each question, in order. Raises what searching and asking raise."""
    results = []
    for question in questions:
        started_s = time.perf_counter()
        query = standalone(question.question, question.history)
        retrieval = asked.search(query, k=k, filters=question.filters)
        searched_s = time.perf_counter()
        answer = None
        if answers:
            answer = asked.ask(question.question, filters=question.filters, history=question.history)
        result = Result(
            question,
            retrieval.hits,
            answer,
            search_ms=(searched_s - started_s) * 1000,
            ask_ms=(time.perf_counter() - searched_s) * 1000,
        )
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results
