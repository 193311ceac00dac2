"""What a question set says of search and of answers: hit rates, reciprocal rank, answered and abstained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rag.core.types import Answer, Hit
from rag.eval.questions import Question, same_source

CUTS = (1, 3, 5, 10)


@dataclass(frozen=True, slots=True)
class Measure:
    name: str
    value: float
    """A mean over questions, in [0, 1] (latencies: milliseconds)."""
    n: int
    """Questions that it is a mean of."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one question."""

    question: Question
    hits: tuple[Hit, ...]
    answer: Answer | None
    search_ms: float
    ask_ms: float


def first_right_rank(question: Question, hits: Sequence[Hit]) -> int | None:
    """Rank, from 1, of the first hit that answers; None if there is none."""
    for rank, hit in enumerate(hits, 1):
        if is_right(question, hit.source.uri, hit.chunk.start, hit.chunk.end):
            return rank
    return None


def is_right(question: Question, source: str, start: int, end: int) -> bool:
    """Whether ``source[start:end]`` answers: it holds a span or lies in one; without spans, the right document."""
    if not question.spans:
        return any(same_source(source, wanted) for wanted in question.relevant)
    return any(
        same_source(source, span.source)
        and ((start <= span.start and span.end <= end) or (span.start <= start and end <= span.end))
        for span in question.spans
    )


def cites_right(question: Question, answer: Answer) -> bool:
    """Whether a citation touches a span that answers; without spans, the right document."""
    for citation in answer.citations:
        if not question.spans:
            if any(same_source(citation.source, wanted) for wanted in question.relevant):
                return True
        elif any(
            same_source(citation.source, span.source)
            and citation.start < span.end
            and span.start < citation.end
            for span in question.spans
        ):
            return True
    return False


def measure(results: Sequence[Result], k: int) -> list[Measure]:
    """Every measure that the questions allow; retrieval counts the answerable ones whose place is known."""
    known = [result for result in results if result.question.answerable and result.question.relevant]
    ranks = [first_right_rank(result.question, result.hits[:k]) for result in known]
    measures = [
        _mean(f"hit@{cut}", (rank is not None and rank <= cut for rank in ranks))
        for cut in sorted({*(cut for cut in CUTS if cut <= k), k})
    ]
    measures.append(_mean(f"mrr@{k}", (1 / rank if rank else 0.0 for rank in ranks)))
    answered = [(result.question, result.answer) for result in results if result.answer is not None]
    measures += [
        _mean("answered (answerable)", (not answer.abstained for q, answer in answered if q.answerable)),
        _mean(
            "right source cited (answerable)",
            (
                not answer.abstained and cites_right(q, answer)
                for q, answer in answered
                if q.answerable and q.relevant
            ),
        ),
        _mean("abstained (unanswerable)", (answer.abstained for q, answer in answered if not q.answerable)),
        _mean(
            "sentences supported",
            (
                sentence.verdict == "supported"
                for _, answer in answered
                if not answer.abstained
                for sentence in answer.sentences
            ),
        ),
        _mean("search ms", (result.search_ms for result in results)),
        _mean("ask ms", (result.ask_ms for result in results if result.answer is not None)),
    ]
    return [one for one in measures if one.n]


def _mean(name: str, values: Iterable[float]) -> Measure:
    numbers = [float(value) for value in values]
    return Measure(name, sum(numbers) / len(numbers) if numbers else 0.0, len(numbers))
