"""The generator that needs no model: the shortest set of sentences that answers the question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rag import lexicon
from rag.asked import answer_type, parts_of, question_words
from rag.core.plain import plain
from rag.core.protocols import Embedder
from rag.core.types import PackedSource
from rag.evidence import LEAD
from rag.passages import Unit, opens_with_pronoun, units_of
from rag.rank import MAX_CANDIDATES, Candidate, scored
from rag.stems import is_in
from rag.terms import terms_of

MAX_SENTENCES: Final = 3
MAX_ITEMS: Final = 8
"""Items of one list that an answer quotes at most."""
_TRIED = 12
"""Candidates that are looked at, best first."""
_NEAR_BEST = 0.9
"""A further sentence must score at least this share of the best one …"""
_ALIKE_COSINE = 0.1
_FRAGMENT = 0.1
"""Sentences of this penalty or more are added to no other."""
_NEXT_CHARS = 40
_NEW_SHARE = 0.35
_NEAR_ENOUGH = 0.8
_NEAR_COSINE = 0.15
_NEAR_COVERAGE = 0.4
"""… or bring this share of the question's weight that is not there yet, and be about as near as the best."""
_PART_ENOUGH = 0.45
"""Coverage or nearness in meaning from which a sentence answers a part of a question."""
_FOREIGN = 0.4
"""Of the weight of a word that another part of the question says."""
_SAME = 0.8
_TELLING_WORDS = 2


@dataclass(frozen=True, slots=True)
class Extract:
    """Sentences chosen as the answer, in reading order, with the passage numbers they cite."""

    sentences: tuple[str, ...]
    """With a marker behind each, as a model would write it; one that starts a line begins with "\\n"."""
    candidates: tuple[Candidate, ...]


def extract(
    question: str,
    ranked: Sequence[Candidate],
    weights: Mapping[str, float],
    *,
    embedder: Embedder | None = None,
    heads: Mapping[int, str] | None = None,
    holds: Callable[[str], bool] = bool,
) -> Extract:
    """The answer from ranked candidates: one sentence, and more only where they add to it.

    ``holds``: whether a sentence with its marker would be shown; others are passed over."""
    kept: list[Candidate] = []
    for one in ranked:
        if len(kept) == _TRIED or one.score < _NEAR_ENOUGH * ranked[0].score:
            break
        if _says_something(one) and holds(_shown(one)):
            kept.append(one)
    if not kept:
        return Extract((), ())
    wanted = set(question_words(terms_of(question)))
    whole = _whole_list(kept[0], ranked, wanted)
    parts = parts_of(question)
    if whole and len(parts) == 1:
        return _written(whole, heads or {})
    chosen = _by_part(parts, ranked[:MAX_CANDIDATES], weights, embedder, holds) if len(parts) > 1 else []
    return _written(chosen or _added_to(kept[0], kept[1:], question, weights), heads or {})


def _added_to(
    best: Candidate, others: Sequence[Candidate], question: str, weights: Mapping[str, float]
) -> list[Candidate]:
    """The best candidate, and those that add to it."""
    wanted = set(question_words(terms_of(question)))
    held = {stem for stem in wanted if is_in(stem, best.terms.stems)}
    chosen, covered = [best], set(held)
    many = answer_type(question) in ("list", "any", "reason")
    for candidate in others:
        if len(chosen) == MAX_SENTENCES:
            break
        if any(_same(candidate, other) for other in chosen):
            continue
        own = {stem for stem in wanted if is_in(stem, candidate.terms.stems)}
        gain = sum(weights.get(stem, 1.0) for stem in own - covered) / (sum(weights.values()) or 1.0)
        near = candidate.cosine >= best.cosine - _NEAR_COSINE and candidate.coverage >= _NEAR_COVERAGE
        adds = gain >= _NEW_SHARE and near and candidate.score >= _NEAR_ENOUGH * best.score
        alike = (
            many
            and candidate.score >= _NEAR_BEST * best.score
            and candidate.cosine >= best.cosine - _ALIKE_COSINE
            and candidate.penalty < _FRAGMENT
            and _neighbours(candidate, chosen)
        )
        if candidate.unit.kind == "row" and not own >= held:
            alike = False  # the row beside the one that was asked for
        if adds or alike:
            chosen.append(candidate)
            covered |= own
    return chosen


def _by_part(
    parts: Sequence[str],
    ranked: Sequence[Candidate],
    weights: Mapping[str, float],
    embedder: Embedder | None,
    holds: Callable[[str], bool],
) -> list[Candidate]:
    """The best candidate for each part of a question, each once; [] where a part has none."""
    has_vectors = embedder is not None and any(one.vector is not None for one in ranked)
    vectors = (
        embedder.embed(list(parts), "query") if embedder is not None and has_vectors else [None] * len(parts)
    )
    chosen: list[Candidate] = []
    for part, vector in zip(parts, vectors, strict=True):
        own = set(question_words(terms_of(part)))
        shared = {stem: weight * (1.0 if stem in own else _FOREIGN) for stem, weight in weights.items()}
        again = (
            one for one in scored(ranked, part, shared, vector) if _says_something(one) and holds(_shown(one))
        )
        best = next(again, None)
        if best is None:
            continue
        enough = max(best.coverage, best.cosine) >= _PART_ENOUGH
        if enough and not any(one.source == best.source and one.unit == best.unit for one in chosen):
            chosen.append(best)
    return chosen


def _written(chosen: Sequence[Candidate], heads: Mapping[int, str]) -> Extract:
    """In reading order, with what a sentence cannot be understood without."""
    first_of: dict[int, int] = {}
    for index, candidate in enumerate(chosen):
        first_of.setdefault(candidate.source.number, index)
    reading = sorted(chosen, key=lambda one: (first_of[one.source.number], one.unit.start))
    parts: list[str] = []
    written: set[tuple[int, int]] = set()
    for candidate in reading:
        source, unit = candidate.source, candidate.unit
        in_list = unit.kind == "item" and _n_items_of(unit, source, chosen) > 1
        for needed in _needed(source, unit, heads):
            if (source.number, needed.start) not in written:
                written.add((source.number, needed.start))
                parts.append(f"{_plain_words(source, needed)} [{source.number}]")
        if (source.number, unit.start) not in written:
            written.add((source.number, unit.start))
            parts.append(_shown(candidate, in_list=in_list))
    return Extract(tuple(parts), tuple(reading))


def _n_items_of(unit: Unit, source: PackedSource, chosen: Iterable[Candidate]) -> int:
    return sum(
        one.unit.kind == "item" and one.source.number == source.number and one.unit.intro == unit.intro
        for one in chosen
    )


def _needed(source: PackedSource, unit: Unit, heads: Mapping[int, str]) -> list[Unit]:
    """The sentence before one that opens with a pronoun; the introduction of a list item."""
    pieces = units_of(source, heads)
    at = pieces.index(unit)
    if unit.kind == "item" and unit.intro is not None:
        return [
            piece
            for piece in pieces[:at]
            if (piece.start, piece.end) == unit.intro and piece.kind == "sentence" and _tells(source, piece)
        ]
    follows = unit.kind == "sentence" and at > 0 and pieces[at - 1].kind == "sentence"
    if follows and opens_with_pronoun(plain(source.text[unit.start : unit.end])):
        return [pieces[at - 1]]
    return []


def _tells(source: PackedSource, intro: Unit) -> bool:
    """Whether an introduction says more than "For example:"."""
    terms = terms_of(_plain_words(source, intro))
    return sum(terms.words[stem] not in lexicon.DISCOURSE for stem in terms.content) >= _TELLING_WORDS


def _says_something(one: Candidate) -> bool:
    return len(one.terms.tokens) > 1 or bool(one.terms.quantities)


def _shown(one: Candidate, *, in_list: bool = False) -> str:
    """The candidate as a sentence of an answer, its marker behind it."""
    marker = f"[{one.source.number}]"
    if one.unit.kind == "row":
        return f"\n- {one.text} {marker}"
    text = _plain_words(one.source, one.unit)
    if text.endswith(":") and not in_list:
        text = text[:-1] + "."  # what it introduces is not quoted
    if one.unit.kind != "item" or not LEAD.match(text):
        return f"{text} {marker}"
    return f"\n{text} {marker}" if in_list else f"{LEAD.sub('', text, count=1)} {marker}"


def _plain_words(source: PackedSource, unit: Unit) -> str:
    return " ".join(plain(source.text[unit.start : unit.end]).split())


def _same(one: Candidate, other: Candidate) -> bool:
    smaller = min(len(one.terms.stems), len(other.terms.stems))
    return smaller > 0 and len(one.terms.stems & other.terms.stems) >= _SAME * smaller


def _neighbours(candidate: Candidate, chosen: Sequence[Candidate]) -> bool:
    return any(
        candidate.source.number == other.source.number and _gap(candidate.unit, other.unit) <= _NEXT_CHARS
        for other in chosen
    )


def _gap(one: Unit, other: Unit) -> int:
    return max(one.start - other.end, other.start - one.end)


def _whole_list(best: Candidate, ranked: Sequence[Candidate], wanted: set[str]) -> list[Candidate]:
    """Every item of a list whose introduction is what answers: "To change your plan:" and the steps.

    [] where the best candidate is neither such an introduction nor an item that says less than its own."""
    span = (best.unit.start, best.unit.end)
    items = [one for one in ranked if one.unit.kind == "item" and one.source.number == best.source.number]
    if best.unit.kind == "item" and best.unit.intro is not None:
        intro = terms_of(plain(best.source.text[slice(*best.unit.intro)])).stems
        by_intro = sum(is_in(stem, intro) for stem in wanted)
        by_item = sum(is_in(stem, best.terms.stems) for stem in wanted)
        span = best.unit.intro if by_intro > by_item else (-1, -1)
    group = [one for one in items if one.unit.intro == span]
    return sorted(group, key=lambda one: one.unit.start)[:MAX_ITEMS]
