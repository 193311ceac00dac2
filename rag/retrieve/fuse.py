"""Fusion of dense and lexical scores: a convex combination that knows scores, not ranks alone.

The convex combination follows Bruch, Gai and Ingber 2023, "An Analysis of Fusion Functions for Hybrid
Retrieval" (https://arxiv.org/abs/2210.11934); the weights were settled by the table in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FusionWeights:
    dense: float = 0.7
    """Share of the cosine; the rest is BM25 over the best BM25 of the question."""
    pairs: float = 0.15
    """What BM25 over pairs of neighbouring words adds to BM25 over words."""
    neighbour: float = 0.1
    """What a chunk gets of its better neighbour's score: answers straddle chunk borders."""
    identifiers: float = 0.3
    """Bonus for a chunk that holds all identifiers of the question."""
    coverage: float = 0.25
    """Bonus for a chunk that holds all content words of the question, once is enough: BM25 cannot tell a
    chunk that repeats one rare word from one that holds them all."""
    length: float = 0.05
    """Penalty per e-fold of length: a long chunk matches more by chance and says less per token."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of the candidates for one question, by chunk id. A missing score is 0."""

    dense: Mapping[str, float]
    words: Mapping[str, float]
    pairs: Mapping[str, float]
    identifiers: Mapping[str, float]
    """Share of the question's identifiers that the chunk holds, in [0, 1]."""
    coverage: Mapping[str, float]
    """Share of the question's content words, weighted by rarity, that the chunk holds, in [0, 1]."""
    n_tokens: Mapping[str, int]
    place: Mapping[str, tuple[str, int]]
    """(source id, ordinal)"""


def fuse(evidence: Evidence, weights: FusionWeights) -> list[tuple[str, float]]:
    """(chunk id, score), best first; ties by id, so that equal stores answer equally."""
    ids = evidence.place.keys()
    lexical = {
        chunk: evidence.words.get(chunk, 0.0) + weights.pairs * evidence.pairs.get(chunk, 0.0)
        for chunk in ids
    }
    best = max(lexical.values(), default=0.0) or 1.0
    dense_share = weights.dense if evidence.dense else 0.0
    longest = max(evidence.n_tokens.values(), default=1)
    own = {
        chunk: dense_share * evidence.dense.get(chunk, 0.0)
        + (1.0 - dense_share) * lexical[chunk] / best
        + weights.identifiers * evidence.identifiers.get(chunk, 0.0)
        + weights.coverage * evidence.coverage.get(chunk, 0.0)
        - weights.length * _length(evidence.n_tokens.get(chunk, longest), longest)
        for chunk in ids
    }
    at = {place: own[chunk] for chunk, place in evidence.place.items()}
    scored = [
        (
            chunk,
            own[chunk]
            + weights.neighbour * max(at.get((source, ordinal - 1), 0.0), at.get((source, ordinal + 1), 0.0)),
        )
        for chunk, (source, ordinal) in evidence.place.items()
    ]
    return sorted(scored, key=lambda pair: (-pair[1], pair[0]))


def _length(n_tokens: int, longest: int) -> float:
    """0 for anything up to half the longest: a heading alone must not win by being short."""
    return math.log(max(n_tokens, longest / 2) / (longest / 2))
