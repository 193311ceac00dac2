"""Fits rag/confidence.json: from cheap features to the probability that the packed sources hold the answer.

    python -m benchmarks.fit_confidence --store STORE --questions ../shared/eval/squad_half/queries.jsonl

STORE is a store that the set's corpus was ingested into. Half of the articles are fitted on, the other half
(and every set given with --check STORE:KB:FILE) is only reported on. --write replaces the weights.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rag import confidence, extractive, load_settings, open_footnote, pack, tokens
from rag.core.protocols import Embedder, Vectors
from rag.core.types import PackedSource, Scope
from rag.eval.questions import Question, read_questions, same_source
from rag.terms import terms_of
from rag.wiring import Footnote

WEIGHTS = Path(confidence.__file__).parent / "confidence.json"


@dataclass(frozen=True, slots=True)
class Row:
    question: Question
    values: dict[str, float]
    held: bool
    """Whether a packed source holds an answer."""


class RememberingEmbedder:
    """Embeds each text once: the same sentences come up for many questions."""

    def __init__(self, inner: Embedder) -> None:
        self._inner, self._known = inner, {}  # type: ignore[var-annotated]
        self.fingerprint, self.dim, self.max_tokens = inner.fingerprint, inner.dim, inner.max_tokens

    def embed(self, texts: Sequence[str], kind: Any) -> Vectors:
        new = [text for text in dict.fromkeys(texts) if (kind, text) not in self._known]
        if new:
            self._known.update(zip([(kind, text) for text in new], self._inner.embed(new, kind), strict=True))
        return np.stack([self._known[kind, text] for text in texts])


def rows(footnote: Footnote, questions: Sequence[Question], mode: str, kb: str | None) -> list[Row]:
    from rag.retrieve.hybrid import HybridRetriever

    settings, index = footnote.settings, footnote.index
    embedder = RememberingEmbedder(footnote.embedder)
    retriever = HybridRetriever(index, embedder, candidates=settings.candidates, mode=mode)  # type: ignore[arg-type]
    scope = Scope(kb or settings.kb)
    found = []
    for question in questions:
        retrieval = retriever.retrieve(question.question, scope, settings.context_hits)
        packed = pack.pack(
            question.question,
            retrieval.hits,
            lambda source_id: index.source_text(scope, source_id),
            tokens.EstimatedCounter(),
            settings.context_tokens,
        )
        asked = terms_of(question.question)
        n_chunks, frequency = index.document_frequency(scope, list(asked.words.values()))
        weights = extractive.question_weights(asked, n_chunks, frequency)
        encoder = embedder if mode == "hybrid" else None
        ranked = extractive.rank(question.question, packed.sources, weights, encoder)
        values = confidence.features(question.question, retrieval, packed.sources, ranked, weights)
        found.append(Row(question, values, holds(question, packed.sources)))
    return found


def holds(question: Question, sources: Sequence[PackedSource]) -> bool:
    if not question.answerable:
        return False
    if not question.spans:
        return any(
            same_source(source.source.uri, wanted) for source in sources for wanted in question.relevant
        )
    return any(
        same_source(source.source.uri, span.source) and source.start <= span.start and span.end <= source.end
        for source in sources
        for span in question.spans
    )


def in_first_half(question: Question) -> bool:
    """Halves by article; questions without one (their article was left out) by blocks of neighbours."""
    key = question.relevant[0] if question.relevant else question.id[:9]
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 2 == 0


def report(name: str, kept: Sequence[Row], probabilities: np.ndarray, threshold: float) -> None:
    from sklearn.metrics import f1_score, roc_auc_score

    held = np.array([row.held for row in kept])
    answerable = np.array([row.question.answerable for row in kept])
    says = probabilities >= threshold
    auroc = roc_auc_score(answerable, probabilities)
    order = np.argsort(-probabilities)
    risk = 1 - np.cumsum(held[order]) / np.arange(1, len(order) + 1)
    within = np.nonzero(risk <= 0.05)[0]
    print(
        f"{name:34} n={len(kept):5d} AUROC={auroc:.3f} F1={f1_score(answerable, says):.3f} "
        f"answered of answerable={says[answerable].mean():.3f} of unanswerable={says[~answerable].mean():.3f} "
        f"coverage at 5 % risk={(within[-1] + 1) / len(order) if len(within) else 0.0:.3f}"
    )


def fit(kept: Sequence[Row], names: Sequence[str]) -> tuple[float, dict[str, float]]:
    from sklearn.linear_model import LogisticRegression

    table = np.array([[row.values[name] for name in names] for row in kept])
    model = LogisticRegression(C=1.0, max_iter=2000).fit(table, [row.held for row in kept])
    return float(model.intercept_[0]), {
        name: round(float(weight), 4) for name, weight in zip(names, model.coef_[0], strict=True)
    }


def probabilities(kept: Sequence[Row], bias: float, weights: dict[str, float]) -> np.ndarray:
    scores = np.array([bias + sum(weights[name] * row.values[name] for name in weights) for row in kept])
    return 1 / (1 + np.exp(-scores))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--store", required=True)
    options.add_argument("--questions", type=Path, required=True)
    options.add_argument("--check", action="append", default=[], metavar="STORE:KB:FILE")
    options.add_argument("--every", type=int, default=1, help="take every n-th question")
    options.add_argument("--threshold", type=float, default=None)
    options.add_argument("--write", action="store_true")
    given = options.parse_args()
    threshold = given.threshold or load_settings().abstain_below
    questions = read_questions(given.questions)[:: given.every]
    models: dict[str, Any] = {}
    for mode, names in (("hybrid", confidence.FEATURES), ("lexical", confidence.LEXICAL_FEATURES)):
        with open_footnote(load_settings(store=given.store)) as footnote:
            kept = rows(footnote, questions, mode, None)
        first = [row for row in kept if in_first_half(row.question)]
        other = [row for row in kept if not in_first_half(row.question)]
        bias, weights = fit(first, names)
        models[mode] = {"bias": round(bias, 4), "weights": weights}
        print(mode, json.dumps(models[mode]))
        report(f"{mode}, fitted on", first, probabilities(first, bias, weights), threshold)
        report(f"{mode}, other articles", other, probabilities(other, bias, weights), threshold)
        for check in given.check:
            store, kb, file = check.split(":")
            with open_footnote(load_settings(store=store)) as footnote:
                held_out = rows(footnote, read_questions(Path(file)), mode, kb)
            report(f"{mode}, {Path(file).stem}", held_out, probabilities(held_out, bias, weights), threshold)
    if given.write:
        WEIGHTS.write_text(json.dumps(models, indent=2) + "\n", "utf-8")
        print(f"wrote {WEIGHTS}")


if __name__ == "__main__":
    main()
