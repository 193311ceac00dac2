"""Hybrid retrieval: one query embedding, dense and BM25 in parallel, fused, near-duplicates removed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from typing import Literal

from rag.core.errors import EmbedderError
from rag.core.protocols import ChunkIndex, Embedder, Reranker, Vectors
from rag.core.types import Hit, Retrieval, Scope
from rag.retrieve.coverage import coverage
from rag.retrieve.dedupe import without_near_duplicates
from rag.retrieve.fuse import Evidence, FusionWeights, fuse
from rag.retrieve.words import WordQueries, word_queries

# BM25 is cheap, and a chunk that only the dense search found still wants its BM25.
_LEXICAL_DEPTH = 5
_REMEMBERED_QUESTIONS = 512

# For comparisons: what each half does without the other, and without what fusion adds.
_DENSE_ALONE = FusionWeights(dense=1.0, pairs=0, neighbour=0, identifiers=0, coverage=0, length=0)
_WORDS_ALONE = FusionWeights(dense=0.0, pairs=0, neighbour=0, identifiers=0, coverage=0, length=0)

Mode = Literal["hybrid", "dense", "lexical"]


class HybridRetriever:
    """May be called from several threads at once."""

    def __init__(
        self,
        index: ChunkIndex,
        embedder: Embedder,
        *,
        candidates: int,
        reranker: Reranker | None = None,
        weights: FusionWeights | None = None,
        mode: Mode = "hybrid",
    ) -> None:
        """``mode`` other than ``hybrid`` leaves one of the two out, for comparisons."""
        self._index = index
        self._candidates = candidates
        self._reranker = reranker
        self._weights = weights or FusionWeights()
        self._mode = mode
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="footnote-words")
        self._embed = lru_cache(_REMEMBERED_QUESTIONS)(lambda text: embedder.embed([text], "query")[0])

    def retrieve(self, question: str, scope: Scope, k: int) -> Retrieval:
        """Up to k hits, best first. Without an encoder, or while vectors are being made, by words alone as
        far as need be; ``mode`` and ``notices`` say so."""
        begun = time.perf_counter()
        depth = max(self._candidates, 2 * k)
        queries = word_queries(question)
        lexical = self._threads.submit(self._by_words, queries, scope, depth)
        vector, notices = self._vector(question)
        dense: dict[str, float] = {}
        if vector is not None:
            dense = dict(self._index.search_vectors(scope, vector, depth))
        dense_ms = _ms_since(begun)
        words, pairs, identifiers = lexical.result()
        lexical_ms = _ms_since(begun)
        candidates = self._index.hits(scope, [(chunk, 0.0) for chunk in {**dense, **_first(words, depth)}])
        if vector is not None and words:
            dense |= self._missing_cosines(scope, vector, candidates, dense)
        fused = self._fused(candidates, dense, words, pairs, identifiers, queries.content)
        hits = without_near_duplicates(fused[: 4 * k + 20], max(k, self._rerank_depth))
        if self._reranker is not None:
            hits = self._reranker.rerank(question, hits)
        if dense and not all(hit.chunk.id in dense for hit in hits[:k]):
            notices.append("Some documents are searched by words alone until their vectors are ready.")
        return Retrieval(
            question=question,
            hits=tuple(hits[:k]),
            mode=self._mode if dense or self._mode == "lexical" else "lexical",
            notices=tuple(notices),
            timings_ms={"dense": dense_ms, "lexical": lexical_ms, "retrieve": _ms_since(begun)},
        )

    @property
    def _rerank_depth(self) -> int:
        return self._candidates if self._reranker is not None else 0

    def _vector(self, question: str) -> tuple[Vectors | None, list[str]]:
        if self._mode == "lexical":
            return None, []
        try:
            return self._embed(question), []
        except EmbedderError as exc:
            return None, [f"Searched by words alone: {exc}"]

    def _by_words(
        self, queries: WordQueries, scope: Scope, depth: int
    ) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
        if self._mode == "dense":
            return {}, {}, {}
        k = depth * _LEXICAL_DEPTH
        words = dict(self._index.search_words(scope, queries.words, k))
        pairs = dict(self._index.search_words(scope, queries.pairs, k))
        identifiers: dict[str, float] = {}
        for query in queries.identifiers:
            for chunk, _ in self._index.search_words(scope, query, k):
                identifiers[chunk] = identifiers.get(chunk, 0.0) + 1 / len(queries.identifiers)
        return words, pairs, identifiers

    def _missing_cosines(
        self, scope: Scope, vector: Vectors, candidates: list[Hit], dense: Mapping[str, float]
    ) -> dict[str, float]:
        missing = [hit.chunk.id for hit in candidates if hit.chunk.id not in dense]
        return {chunk: float(v @ vector) for chunk, v in self._index.vectors(scope, missing).items()}

    def _fused(
        self,
        candidates: list[Hit],
        dense: dict[str, float],
        words: dict[str, float],
        pairs: dict[str, float],
        identifiers: dict[str, float],
        content: tuple[str, ...],
    ) -> list[Hit]:
        by_id = {hit.chunk.id: hit for hit in candidates}
        place = {chunk: (hit.chunk.source_id, hit.chunk.ordinal) for chunk, hit in by_id.items()}
        weights = self._weights
        if self._mode == "dense":
            weights = _DENSE_ALONE
        elif self._mode == "lexical":
            weights = _WORDS_ALONE
        covered = coverage(content, {chunk: hit.chunk.text for chunk, hit in by_id.items()})
        n_tokens = {chunk: hit.chunk.n_tokens for chunk, hit in by_id.items()}
        ranked = fuse(Evidence(dense, words, pairs, identifiers, covered, n_tokens, place), weights)
        found = []
        for chunk, score in ranked:
            scores = {"dense": dense.get(chunk), "lexical": words.get(chunk)}
            origin = {name: value for name, value in scores.items() if value is not None}
            found.append(replace(by_id[chunk], score=score, origin=origin))
        return found


def _first(scores: dict[str, float], n: int) -> dict[str, float]:
    return dict(list(scores.items())[:n])


def _ms_since(begun: float) -> float:
    return (time.perf_counter() - begun) * 1000
