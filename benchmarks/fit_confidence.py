"""Fits rag/confidence.json: from cheap features to the probability that the packed sources hold the answer.

    python -m benchmarks.fit_confidence [--write]

Two sets of different style: half of the articles of ../shared/eval/squad_half, whose unanswerable questions ask
about articles that were left out, and the sample questions of data/eval, whose unanswerable ones are near misses
(and weigh more, being few). To both, near misses are added that are made from answerable questions by putting
another number, code or name in: one that stands in no document. Reported on what was not fitted on: the other
articles, and the sample questions by five-fold cross-validation.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from benchmarks.sets import SHARED, ingested
from rag import confidence, load_settings, pack, passages, rewrite
from rag.asked import question_weights, question_words
from rag.core.plain import plain
from rag.core.protocols import Embedder, Vectors
from rag.core.types import PackedSource
from rag.eval.questions import Question, read_questions, same_source
from rag.evidence import words_of
from rag.llm.tokens import EstimatedCounter
from rag.rank import rank
from rag.retrieve.hybrid import HybridRetriever, Mode
from rag.terms import terms_of
from rag.wiring import Footnote

WEIGHTS = Path(confidence.__file__).parent / "confidence.json"
DATA = Path(__file__).resolve().parent.parent / "data"
SQUAD = SHARED / "squad_half"
_SAMPLE_WEIGHT = 3.0
_FOLDS = 5
_TRIES = 30
Array = NDArray[np.float64]


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


def rows(footnote: Footnote, questions: Sequence[Question], mode: Mode) -> list[Row]:
    settings, index = footnote.settings, footnote.index
    embedder = RememberingEmbedder(footnote.embedder)
    retriever = HybridRetriever(index, embedder, candidates=settings.candidates, mode=mode)
    scope = footnote.scope()
    found = []
    for question in questions:
        query = rewrite.standalone(question.question, question.history)
        retrieval = retriever.retrieve(query, scope, settings.context_hits)
        packed = pack.pack(
            query,
            retrieval.hits,
            lambda source_id: index.source_text(scope, source_id),
            EstimatedCounter(),
            settings.context_tokens,
        )
        asked = terms_of(query)
        n_chunks, frequency = index.document_frequency(scope, list(question_words(asked).values()))
        weights = question_weights(asked, n_chunks, frequency)
        encoder = embedder if mode == "hybrid" else None
        heads = passages.heads(packed.sources, lambda source_id: index.source_text(scope, source_id))
        ranked = rank(query, packed.sources, weights, encoder, heads)
        values = confidence.features(query, retrieval, packed.sources, ranked, weights)
        found.append(Row(question, values, holds(question, packed.sources)))
    return found


def altered(question: Question, footnote: Footnote, names: Sequence[str]) -> Question | None:
    """The question about something that is in no document, or None where it names nothing that could be changed."""
    asked = terms_of(question.question)
    exact = [token.text for token in asked.tokens if any(map(str.isdigit, token.text))]
    named = [token.text for token in asked.tokens if token.stem in asked.names and token.text[1:].islower()]
    dice = random.Random(question.question)
    if not exact and not named:
        return None
    old = dice.choice(exact or named)
    for _ in range(_TRIES):
        new = re.sub(r"\d", lambda _: str(dice.randint(1, 9)), old) if old in exact else dice.choice(names)
        if not footnote.index.document_frequency(footnote.scope(), [new])[1].get(new):
            changed = re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", new, question.question)
            return replace(question, question=changed, answerable=False, spans=(), evidence=(), answers=())
    return None


def near_misses(footnote: Footnote, questions: Sequence[Question], names: Sequence[str]) -> list[Question]:
    found = (altered(question, footnote, names) for question in questions if question.answerable)
    return [question for question in found if question is not None]


def names_in(questions: Sequence[Question]) -> list[str]:
    every = (terms_of(question.question) for question in questions)
    return sorted({token.text for terms in every for token in terms.tokens if token.stem in terms.names})


def holds(question: Question, sources: Sequence[PackedSource]) -> bool:
    """Whether a packed source holds a span that answers, or the words that are known to answer."""
    if not question.answerable:
        return False
    if question.spans:
        return any(
            same_source(source.source.uri, span.source)
            and source.start <= span.start
            and span.end <= source.end
            for source in sources
            for span in question.spans
        )
    return any(
        same_source(source.source.uri, evidence.source)
        and words_of(plain(evidence.quote)) in words_of(plain(source.text))
        for source in sources
        for evidence in question.evidence
    )


def in_first_half(question: Question) -> bool:
    """Halves by article; questions without one (their article was left out) by blocks of neighbours."""
    key = question.relevant[0] if question.relevant else question.id[:9]
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % 2 == 0


def fit(kept: Sequence[Row], sample: Sequence[Row], names: Sequence[str]) -> LogisticRegression:
    both = [*kept, *sample]
    importance = [1.0] * len(kept) + [_SAMPLE_WEIGHT] * len(sample)
    model = LogisticRegression(C=1.0, max_iter=5000)
    return model.fit(table(both, names), [row.held for row in both], importance)


def table(kept: Sequence[Row], names: Sequence[str]) -> Array:
    return np.array([[row.values[name] for name in names] for row in kept])


def cross_validated(kept: Sequence[Row], sample: Sequence[Row], names: Sequence[str]) -> Array:
    """The probability of each sample question by a model that has not seen it."""
    ids = sorted({row.question.id for row in sample})  # a near miss is in the fold of what it was made from
    of_id = dict(zip(ids, np.random.default_rng(0).integers(0, _FOLDS, len(ids)), strict=True))
    fold = np.array([of_id[row.question.id] for row in sample])
    found = np.zeros(len(sample))
    for number in range(_FOLDS):
        seen = [row for row, own in zip(sample, fold, strict=True) if own != number]
        model = fit(kept, seen, names)
        unseen = fold == number
        found[unseen] = model.predict_proba(table(sample, names))[unseen, 1]
    return found


def report(name: str, kept: Sequence[Row], probabilities: Array, threshold: float) -> str:
    answerable = np.array([row.question.answerable for row in kept])
    held = np.array([row.held for row in kept])
    says = probabilities >= threshold
    order = np.argsort(-probabilities)
    risk = 1 - np.cumsum(held[order]) / np.arange(1, len(order) + 1)
    within = np.nonzero(risk <= 0.05)[0]
    coverage = (within[-1] + 1) / len(order) if len(within) else 0.0
    return (
        f"| {name} | {len(kept)} | {roc_auc_score(answerable, probabilities):.3f} "
        f"| {_calibration_error(held, probabilities):.3f} | {says[answerable].mean():.3f} "
        f"| {says[~answerable].mean():.3f} | {coverage:.3f} |"
    )


def _calibration_error(held: Array, probabilities: Array, n_bins: int = 10) -> float:
    """Expected calibration error over bins of equal width (Guo et al. 2017)."""
    bins = np.minimum((probabilities * n_bins).astype(int), n_bins - 1)
    gaps = [
        np.mean(bins == number) * abs(held[bins == number].mean() - probabilities[bins == number].mean())
        for number in range(n_bins)
        if np.any(bins == number)
    ]
    return float(sum(gaps))


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--every", type=int, default=2, help="take every n-th question of SQuAD's")
    options.add_argument("--write", action="store_true", help="replace rag/confidence.json")
    given = options.parse_args()
    threshold = load_settings().abstain_below
    squad_questions = read_questions(SQUAD / "queries.jsonl")[:: given.every]
    sample_questions = read_questions(DATA / "eval" / "sample.jsonl")
    models: dict[str, Any] = {}
    print(f"threshold {threshold}\n")
    print(
        "| questions | n | AUROC | ECE | answered, answerable | answered, unanswerable | coverage at 5 % risk |"
    )
    print("|---|---|---|---|---|---|---|")
    with ingested(SQUAD / "corpus") as squad, ingested(DATA / "corpus") as corpus:
        strange = names_in([question for question in squad_questions if not question.answerable])
        squad_misses = near_misses(squad, squad_questions[::2], strange)
        sample_misses = near_misses(corpus, sample_questions, strange)
        for mode, names in _MODES.items():
            label = "by words alone" if mode == "lexical" else mode
            kept = rows(squad, [*squad_questions, *squad_misses], mode)
            sample = rows(corpus, [*sample_questions, *sample_misses], mode)
            first = [row for row in kept if in_first_half(row.question)]
            other = [row for row in kept if not in_first_half(row.question)]
            model = fit(first, sample, names)
            weights = {name: round(float(w), 4) for name, w in zip(names, model.coef_[0], strict=True)}
            models[mode] = {"bias": round(float(model.intercept_[0]), 4), "weights": weights}
            seen = model.predict_proba(table(other, names))[:, 1]
            unseen = cross_validated(first, sample, names)
            for name, group, found, made in (
                ("other articles", other, seen, squad_misses),
                ("sample", sample, unseen, sample_misses),
            ):
                new = {id(question) for question in made}
                own = np.array([id(row.question) not in new for row in group])
                asked = [row for row, is_own in zip(group, own, strict=True) if is_own]
                print(report(f"{name}, {label}", asked, found[own], threshold))
                print(
                    f"| {name} altered, {label} | {sum(~own)} | | | | {np.mean(found[~own] >= threshold):.3f} | |",
                    flush=True,
                )
    if given.write:
        WEIGHTS.write_text(json.dumps(models, indent=2) + "\n", "utf-8")
        print(f"\nwrote {WEIGHTS.name}")


_MODES: dict[Mode, tuple[str, ...]] = {"hybrid": confidence.FEATURES, "lexical": confidence.LEXICAL_FEATURES}


if __name__ == "__main__":
    main()
