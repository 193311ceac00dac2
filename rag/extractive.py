"""The generator that needs no model: the shortest set of sentences that answers the question.

A sentence is scored by how much of the question's content it has (words weighted by inverse document
frequency), whether it holds the kind of thing asked for (a date for "when"), how good its passage is, and,
where an encoder is at hand, how near it is to the question in meaning.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

from rag.agree import is_in
from rag.core.errors import EmbedderError
from rag.core.plain import plain
from rag.core.protocols import Embedder
from rag.core.types import PackedSource
from rag.guard.injected import is_order_to_the_model
from rag.passages import Unit, opens_with_pronoun, row_text, units
from rag.terms import Terms, terms_of

AnswerType: TypeAlias = Literal["date", "number", "name", "place", "yes-no", "list", "reason", "any"]

MAX_SENTENCES: Final = 3
MAX_ITEMS: Final = 8
"""Items of one list that an answer quotes at most."""
MAX_CANDIDATES: Final = 40
"""Sentences that the encoder reads at most."""
_NEAR_BEST = 0.9
"""A further sentence must score at least this share of the best one …"""
_NEW_SHARE = 0.35
_NEAR_ENOUGH = 0.7
_NEAR_COSINE = 0.15
_NEAR_COVERAGE = 0.4
"""… or bring this share of the question's weight that is not there yet, and be about as near as the best."""
_SAME = 0.8
# Weights of the score; settled on sentences of SQuAD's and the sample corpus' questions that hold the answer.
_LENT = 0.65  # of a word that only the surroundings say
_PASSAGE = 1.0
_FITS = 0.15
_COSINE = 1.5

_TYPES: Final[list[tuple[re.Pattern[str], AnswerType]]] = [
    (re.compile(r"\b(?:how (?:many|much|long|often|old|far|large|big|high|fast|tall|soon|late|early)|what (?:percentage|number|amount|size|price|cost|fee|share|limit|rate)|wie ?viele?|wie (?:lange|hoch|oft|groß|teuer)|combien|cuánt[oa]s?)\b", re.I), "number"),
    (re.compile(r"\b(?:when|what (?:year|date|day|time|month)|which (?:year|date|day|month)|in what year|by what date|wann|quand|cuándo|until when|bis wann)\b", re.I), "date"),
    (re.compile(r"\b(?:where|wo|woher|wohin|où|dónde|what (?:city|country|place|state))\b", re.I), "place"),
    (re.compile(r"\b(?:who|whom|whose|wer|wen|wem|qui|quién)\b", re.I), "name"),
    (re.compile(r"\b(?:why|warum|wieso|weshalb|pourquoi|por qué)\b", re.I), "reason"),
    (re.compile(r"\b(?:which|what are|list|name the|what (?:steps|kinds|types)|welche|quels|quelles|cuáles)\b", re.I), "list"),
    (re.compile(r"^\s*(?:is|are|was|were|do|does|did|can|could|may|must|should|will|would|has|have|am|kann|darf|muss|ist|sind|wird|gibt|puedo|est-ce)\b", re.I), "yes-no"),
]  # fmt: skip
_REASON = re.compile(r"\b(?:because|due to|since|so that|in order to|therefore|as a result|caused|weil|damit|deshalb|car)\b", re.I)  # fmt: skip
_SENTENCELIKE = re.compile(r"[.!?:;]|\w+\s+\w+\s+\w+")


@dataclass(frozen=True, slots=True)
class Candidate:
    source: PackedSource
    unit: Unit
    """Offsets into ``source.text``."""
    terms: Terms
    coverage: float
    """Share of the question's weight that the sentence has, its surroundings helping a little."""
    score: float
    fits_type: bool
    heading: str = ""
    """The nearest heading above it in its passage."""
    cosine: float = 0.0
    """Nearness in meaning to the question; 0.0 where no encoder read it."""


@dataclass(frozen=True, slots=True)
class Extract:
    """Sentences chosen as the answer, in reading order, with the passage numbers they cite."""

    sentences: tuple[str, ...]
    """With a marker behind each, as a model would write it; one that starts a line begins with "\\n"."""
    candidates: tuple[Candidate, ...]


def answer_type(question: str) -> AnswerType:
    for pattern, kind in _TYPES:
        if pattern.search(question):
            return kind
    return "any"


def question_words(question: Terms) -> dict[str, str]:
    """What an answer should be about: each content stem and number of the question, with the word as written."""
    words = {stem: question.words[stem] for stem in question.content}
    for quantity in question.quantities:
        token = question.tokens[quantity.position]
        words.setdefault(token.stem, token.text)
    return words


def question_weights(question: Terms, n_chunks: int, frequency: Mapping[str, int]) -> dict[str, float]:
    """Inverse document frequency of each of the ``question_words``, at least a little for each.

    ``frequency`` is by word as written (the index stems by itself)."""
    return {
        stem: max(0.1, math.log((n_chunks + 1) / (frequency.get(word, 0) + 0.5)))
        for stem, word in question_words(question).items()
    }


def rank(
    question: str,
    sources: Sequence[PackedSource],
    weights: Mapping[str, float],
    embedder: Embedder | None = None,
) -> list[Candidate]:
    """Every quotable unit of the sources, best first. At most one call of the encoder."""
    asked, kind = terms_of(question), answer_type(question)
    total = sum(weights.values()) or 1.0
    top = max((source.score for source in sources), default=0.0) or 1.0
    found: list[Candidate] = []
    for source in sources:
        around = terms_of(plain("\n".join([source.source.title, *source.heading_path]))).stems
        heading: frozenset[str] = frozenset()
        heading_text = ""
        previous: frozenset[str] = frozenset()
        headers = {unit.intro for unit in units(source.text) if unit.kind == "row"}
        for unit in units(source.text):
            shown = plain(source.text[unit.start : unit.end])
            terms = terms_of(shown)
            if (unit.kind == "row" and (unit.start, unit.end) in headers) or is_order_to_the_model(shown):
                continue
            if unit.kind == "heading" or (unit.kind == "sentence" and not _SENTENCELIKE.search(shown)):
                heading, previous, heading_text = terms.stems, frozenset(), shown.strip()
                continue
            nearby = around | heading | previous
            if unit.intro is not None:
                nearby |= terms_of(plain(source.text[slice(*unit.intro)])).stems
            own = sum(w for stem, w in weights.items() if is_in(stem, terms.stems))
            lent = sum(
                w for stem, w in weights.items() if not is_in(stem, terms.stems) and is_in(stem, nearby)
            )
            coverage = (own + _LENT * lent) / total
            fits = _fits(kind, shown, terms, asked)
            passage = source.score / top if top > 0 else 0.0
            length = len(terms.tokens)
            score = coverage + _PASSAGE * passage + (_FITS if fits else 0.0)
            score -= 0.1 if length < 4 else 0.0
            score -= 0.1 * min(1.0, max(0, length - 45) / 60)
            score -= 0.15 if shown.rstrip().endswith("?") else 0.0
            score -= 0.1 if shown.rstrip().endswith(":") else 0.0
            found.append(Candidate(source, unit, terms, coverage, score, fits, heading_text))
            previous = terms.stems if unit.kind == "sentence" else frozenset()
    found.sort(key=_by_score)
    if embedder is not None and found:
        found = _with_meaning(question, found, embedder)
    return found


def extract(question: str, ranked: Sequence[Candidate], weights: Mapping[str, float]) -> Extract:
    """The answer from ranked candidates: one sentence, and more only where they add to it."""
    if not ranked:
        return Extract((), ())
    asked = terms_of(question)
    wanted = set(question_words(asked))
    best = ranked[0]
    whole = _whole_list(best, ranked, wanted)
    if whole:
        return _written(whole)
    chosen = [best]
    covered = {stem for stem in wanted if is_in(stem, best.terms.stems)}
    many = answer_type(question) in ("list", "any", "reason")
    for candidate in ranked[1:12]:
        if len(chosen) == MAX_SENTENCES:
            break
        if any(_same(candidate, other) for other in chosen):
            continue
        new = {stem for stem in wanted - covered if is_in(stem, candidate.terms.stems)}
        gain = sum(weights.get(stem, 1.0) for stem in new) / (sum(weights.values()) or 1.0)
        near = candidate.cosine >= best.cosine - _NEAR_COSINE and candidate.coverage >= _NEAR_COVERAGE
        adds = gain >= _NEW_SHARE and near and candidate.score >= _NEAR_ENOUGH * best.score
        alike = many and candidate.score >= _NEAR_BEST * best.score and _neighbours(candidate, chosen)
        if adds or alike:
            chosen.append(candidate)
            covered |= new
    return _written(chosen)


def _written(chosen: Sequence[Candidate]) -> Extract:
    """In reading order, with what a sentence cannot be understood without."""
    order = {id(candidate): index for index, candidate in enumerate(chosen)}
    first_of: dict[int, int] = {}
    for candidate in chosen:
        first_of.setdefault(candidate.source.number, order[id(candidate)])
    reading = sorted(chosen, key=lambda one: (first_of[one.source.number], one.source.number, one.unit.start))
    parts: list[str] = []
    written: set[tuple[int, int]] = set()
    for candidate in reading:
        source, unit = candidate.source, candidate.unit
        for needed in (*_needed(source, unit), unit):
            key = (source.number, needed.start)
            if key in written:
                continue
            written.add(key)
            parts.append(_shown(source, needed))
    return Extract(tuple(parts), tuple(reading))


def _needed(source: PackedSource, unit: Unit) -> list[Unit]:
    """The sentence before one that opens with a pronoun; the introduction of a list item."""
    pieces = units(source.text)
    at = pieces.index(unit)
    if unit.kind == "item" and unit.intro is not None:
        return [
            piece
            for piece in pieces[:at]
            if (piece.start, piece.end) == unit.intro and piece.kind == "sentence"
        ]
    follows = unit.kind == "sentence" and at > 0 and pieces[at - 1].kind == "sentence"
    if follows and opens_with_pronoun(plain(source.text[unit.start : unit.end])):
        return [pieces[at - 1]]
    return []


def _shown(source: PackedSource, unit: Unit) -> str:
    text = " ".join(plain(source.text[unit.start : unit.end]).split())
    marker = f"[{source.number}]"
    if unit.kind == "row":
        return f"\n- {row_text(source.text, unit)} {marker}"
    if unit.kind == "item":
        return f"\n{text} {marker}" if re.match(r"[-*+•]|\(?\w{1,3}[.)]\s", text) else f"{text} {marker}"
    return f"{text} {marker}"


def _fits(kind: AnswerType, text: str, terms: Terms, asked: Terms) -> bool:
    if kind == "date":
        return bool(terms.dates) or any(quantity.unit in ("year", "clock") for quantity in terms.quantities)
    if kind == "number":
        known = {reading for quantity in asked.quantities for reading in quantity.readings}
        return any(not quantity.readings <= known for quantity in terms.quantities)
    if kind in ("name", "place"):
        return bool(terms.names - asked.stems)
    if kind == "reason":
        return _REASON.search(text) is not None
    return False


def _with_meaning(question: str, found: list[Candidate], embedder: Embedder) -> list[Candidate]:
    """With the encoder's opinion of the best: each is read with its title and headings, as chunks are."""
    head, tail = found[:MAX_CANDIDATES], found[MAX_CANDIDATES:]
    texts = [_in_context(one) for one in head]
    for n_chars in (4 * embedder.max_tokens, embedder.max_tokens - 8):  # one character is at most one token
        try:
            asked = embedder.embed([question], "query")[0]
            similar = embedder.embed([_cut(text, n_chars) for text in texts], "document") @ asked
        except EmbedderError:
            continue
        rescored = [
            replace(one, score=one.score + _COSINE * max(0.0, float(cosine)), cosine=float(cosine))
            for one, cosine in zip(head, similar, strict=True)
        ]
        return [*sorted(rescored, key=_by_score), *tail]
    return found


def _in_context(one: Candidate) -> str:
    source, unit = one.source, one.unit
    above = dict.fromkeys(plain(name) for name in (source.source.title, *source.heading_path, one.heading))
    body = row_text(source.text, unit) if unit.kind == "row" else plain(source.text[unit.start : unit.end])
    if unit.kind == "item" and unit.intro is not None:
        body = f"{plain(source.text[slice(*unit.intro)])} {body}"
    return " › ".join(name for name in above if name) + "\n" + body


def _cut(text: str, n_chars: int) -> str:
    return text if len(text) <= n_chars else text[:n_chars].rpartition(" ")[0] or text[:n_chars]


def _by_score(candidate: Candidate) -> tuple[float, int, int]:
    return (-candidate.score, candidate.source.number, candidate.unit.start)


def _same(one: Candidate, other: Candidate) -> bool:
    smaller = min(len(one.terms.stems), len(other.terms.stems))
    return smaller > 0 and len(one.terms.stems & other.terms.stems) >= _SAME * smaller


def _neighbours(candidate: Candidate, chosen: Sequence[Candidate]) -> bool:
    return any(
        candidate.source.number == other.source.number and abs(candidate.unit.start - other.unit.end) < 400
        for other in chosen
    )


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
