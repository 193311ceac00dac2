"""What the packed sources say to the question: candidates for quoting, and how likely the answer is in them."""

from __future__ import annotations

from dataclasses import dataclass

from rag import confidence, passages, rank
from rag.asked import question_weights, question_words
from rag.core.protocols import ChunkIndex, Embedder
from rag.core.types import PackedContext, Retrieval, Scope
from rag.terms import terms_of


@dataclass(frozen=True, slots=True)
class Support:
    heads: dict[int, str]
    ranked: list[rank.Candidate]
    """Candidates for an extractive answer, best first."""
    weights: dict[str, float]
    """Of the question's words."""
    confidence: float
    """Probability that the sources hold the answer."""


def support_of(
    query: str,
    retrieval: Retrieval,
    packed: PackedContext,
    scope: Scope,
    index: ChunkIndex,
    embedder: Embedder | None,
) -> Support:
    asked = terms_of(query)
    n_chunks, found = index.document_frequency(scope, list(question_words(asked).values()))
    weights = question_weights(asked, n_chunks, found)
    heads = passages.heads(packed.sources, lambda source_id: index.source_text(scope, source_id))
    ranked = rank.rank(
        query, packed.sources, weights, embedder if retrieval.mode != "lexical" else None, heads
    )
    values = confidence.features(query, retrieval, packed.sources, ranked, weights)
    return Support(heads, ranked, weights, confidence.confidence(values, retrieval.mode))
