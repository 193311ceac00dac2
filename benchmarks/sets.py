"""Evaluation sets and the measures that their notes ask for, shared by the benchmarks."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rag.core.settings import Settings, load_settings
from rag.core.types import Hit
from rag.retrieve.fuse import FusionWeights
from rag.retrieve.hybrid import HybridRetriever, Mode
from rag.wiring import Footnote, open_footnote

REPO = Path(__file__).resolve().parent.parent
SHARED = REPO.parent / "shared" / "eval"
_BOOTSTRAP = 1000
Retrieve = Callable[[str, int], Sequence[Hit]]


@dataclass(frozen=True)
class Question:
    id: str
    question: str
    relevant: tuple[str, ...]
    spans: tuple[tuple[str, int, int], ...]
    answerable: bool


def read_questions(name: str) -> list[Question]:
    file = SHARED / name / "queries.jsonl"
    if not file.is_file():
        raise SystemExit(f"{file} is not there: this benchmark needs the evaluation sets in ../shared/eval.")
    rows: list[dict[str, Any]] = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return [
        Question(
            id=row["id"],
            question=row["question"],
            relevant=tuple(row.get("relevant", ())),
            spans=tuple((doc, start, end) for doc, start, end in row.get("spans", ())),
            answerable=row.get("answerable", True),
        )
        for row in rows
    ]


@contextlib.contextmanager
def ingested(folder: Path, **settings: Any) -> Iterator[Footnote]:
    """A store of the folder, kept under ``FOOTNOTE_BENCH_STORES`` if that is set, else thrown away."""
    keep = os.environ.get("FOOTNOTE_BENCH_STORES")
    with tempfile.TemporaryDirectory() as scratch:
        chosen: Settings = load_settings(**settings)
        key = (
            f"{folder.parent.name}-{folder.name}-{chosen.chunk_tokens}-{chosen.chunk_overlap_tokens}"
            f"-{chosen.heading_prefix}-{chosen.embedder_precision}"
        )
        store = Path(keep or scratch) / key
        with open_footnote(chosen.model_copy(update={"store": store}), create=True) as footnote:
            footnote.ingest([folder])
            yield footnote


def retriever(footnote: Footnote, mode: Mode = "hybrid", weights: FusionWeights | None = None) -> Retrieve:
    """The product's retriever, or one with a part left out, for comparison."""
    chosen = HybridRetriever(
        footnote.index, footnote.embedder, candidates=footnote.settings.candidates, mode=mode, weights=weights
    )
    return lambda question, k: chosen.retrieve(question, footnote.scope(), k).hits


def reciprocal_rank_fusion(one: Retrieve, other: Retrieve, constant: int) -> Retrieve:
    """Cormack, Clarke and Büttcher 2009, over the first 100 of each."""

    def retrieve(question: str, k: int) -> Sequence[Hit]:
        scores: dict[str, float] = {}
        hits: dict[str, Hit] = {}
        for ranked in (one(question, 100), other(question, 100)):
            for rank, hit in enumerate(ranked, 1):
                scores[hit.chunk.id] = scores.get(hit.chunk.id, 0.0) + 1 / (constant + rank)
                hits[hit.chunk.id] = hit
        best = sorted(scores, key=lambda chunk: -scores[chunk])[:k]
        return [hits[chunk] for chunk in best]

    return retrieve


def first_right(question: Question, hits: Sequence[Hit]) -> int | None:
    """Rank, from 1, of the first hit of the right document that holds an answer span whole."""
    for rank, hit in enumerate(hits, 1):
        stem = Path(hit.source.uri).stem
        if any(stem == doc and hit.chunk.start <= s and e <= hit.chunk.end for doc, s, e in question.spans):
            return rank
    return None


def span_scores(question: Question, hits: Sequence[Hit]) -> tuple[float, float, float]:
    """(recall, precision, IoU) over characters; text that two hits share counts twice as retrieved."""
    n_reference = sum(end - start for _, start, end in question.spans)
    n_retrieved = sum(hit.chunk.end - hit.chunk.start for hit in hits)
    covered = 0
    for doc, start, end in question.spans:
        seen = np.zeros(end - start, dtype=bool)
        for hit in hits:
            if Path(hit.source.uri).stem == doc:
                seen[max(0, hit.chunk.start - start) : max(0, hit.chunk.end - start)] = True
        covered += int(seen.sum())
    union = n_retrieved + n_reference - covered
    return covered / n_reference, covered / max(1, n_retrieved), covered / union


def interval(values: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """(mean, low, high): bootstrap 95 % interval over questions."""
    array: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    rng = np.random.default_rng(seed)
    means = [float(array[rng.integers(0, len(array), len(array))].mean()) for _ in range(_BOOTSTRAP)]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(array.mean()), float(low), float(high)


def shown(values: Sequence[float], scale: float = 1.0, digits: int = 3) -> str:
    mean, low, high = interval(values)
    return f"{mean * scale:.{digits}f} [{low * scale:.{digits}f}, {high * scale:.{digits}f}]"
