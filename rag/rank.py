"""Which sentences of the packed sources are nearest to a question.

A sentence is scored by how much of the question's content it has (words weighted by inverse document
frequency), whether it holds the kind of thing asked for (a date for "when"), how good its passage is, and,
where an encoder is at hand, how near it is to the question in meaning.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rag.asked import answer_type, fits, means_unit_of, says_nothing_new
from rag.core.errors import EmbedderError
from rag.core.plain import plain
from rag.core.protocols import Embedder, Vectors
from rag.core.types import PackedSource
from rag.guard.injected import is_order_to_the_model
from rag.passages import Unit, units_of
from rag.stems import is_in
from rag.terms import Terms, terms_of

MAX_CANDIDATES: Final = 24
"""Sentences that the encoder reads at most."""
# Weights of the score; settled on sentences of SQuAD's and the sample corpus' questions that hold the answer.
_LENT = 0.65  # of a word that only the surroundings say
_PASSAGE = 1.0
_FITS = 0.15
_COSINE = 1.5
_NOTHING_NEW = 0.3
_CODES = 0.5  # of the share of the question's codes that it or its surroundings have
_FRAGMENT = 0.1
_CODE = 0.25
_LETTERHEAD = 0.4
_POINTS_ELSEWHERE = 0.2
_ONE_WORD = 0.3
_SENTENCELIKE = re.compile(r"[.!?:;]|\w+\s+\w+\s+\w+")
_WORD = re.compile(r"(?<![\w./\\])[^\W\d_]{2,}(?![\w/\\]|\.\w)")
_GOES_ON = re.compile(r"(?:but|and|or|so|for example|instead|aber|und|oder|sondern)\b", re.IGNORECASE)
_ELSEWHERE = re.compile(
    r"\b(?:next|previous|following|last|later|that|this) (?:section|chapter|page)s?\b|\b(?:see|read) (?:also|more|about|before|later|below|above)\b"
    r"|\b(?:mentioned|described|explained|shown|said|seen) (?:above|below|before|earlier|later)\b|^(?:see|siehe)\b",
    re.IGNORECASE,
)
_ENDS = re.compile(r"[.!?…:;。！？][\"'”’»)*_]*$")
_MAIL_FIELDS = re.compile(r"\b(?:From|Von): .*\b(?:To|Subject|Date|An|Betreff): ", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Candidate:
    source: PackedSource
    unit: Unit
    """Offsets into ``source.text``."""
    text: str
    """As it is read: without markup, a row with the names of its columns."""
    terms: Terms
    around: frozenset[str]
    """Stems of its title, headings, table header, and of the sentence before."""
    penalty: float
    heading: str = ""
    """The nearest heading above it in its passage."""
    coverage: float = 0.0
    """Share of the question's weight that the sentence has, its surroundings helping a little."""
    score: float = 0.0
    fits_type: bool = False
    cosine: float = 0.0
    """Nearness in meaning to the question; 0.0 where no encoder read it."""
    vector: Vectors | None = None


def rank(
    question: str,
    sources: Sequence[PackedSource],
    weights: Mapping[str, float],
    embedder: Embedder | None = None,
    heads: Mapping[int, str] | None = None,
) -> list[Candidate]:
    """Every quotable unit of the sources, best first. At most one call of the encoder. ``weights``: of the
    question's words; ``heads``: see ``rag.passages.heads``."""
    found = [one for source in sources for one in _read(source, heads or {})]
    found = scored(found, question, weights)
    if embedder is not None and found:
        found = _with_meaning(question, found, weights, embedder)
    return found


def scored(
    candidates: Sequence[Candidate], question: str, weights: Mapping[str, float], asked: Vectors | None = None
) -> list[Candidate]:
    """The candidates with their scores for this question, best first. ``asked``: its vector."""
    wanted, is_yes_no = terms_of(question), answer_type(question) == "yes-no"
    total = sum(weights.values()) or 1.0
    top = max((one.source.score for one in candidates), default=0.0)
    found = []
    for one in candidates:
        own = lent = 0.0
        for stem, weight in weights.items():
            if is_in(stem, one.terms.stems):
                own += weight
            elif is_in(stem, one.around) or means_unit_of(wanted.words.get(stem, ""), one.terms):
                lent += weight
        coverage = (own + _LENT * lent) / total
        fit = fits(question, one.text, one.terms, wanted)
        score = coverage + _FITS * fit - one.penalty
        if wanted.identifiers:
            named = wanted.identifiers & (one.terms.stems | one.terms.identifiers | one.around)
            score += _CODES * len(named) / len(wanted.identifiers)
        score += _PASSAGE * one.source.score / top if top > 0 else 0.0
        if not is_yes_no and says_nothing_new(one.terms, wanted):
            score -= _NOTHING_NEW
        cosine = one.cosine
        if asked is not None and one.vector is not None:
            cosine = float(one.vector @ asked)
            score += _COSINE * max(0.0, cosine)
        found.append(replace(one, coverage=coverage, score=score, fits_type=fit == 1.0, cosine=cosine))
    return sorted(found, key=_by_score)


def _read(source: PackedSource, heads: Mapping[int, str]) -> Iterator[Candidate]:
    title = terms_of(plain("\n".join([source.source.title, *source.heading_path]))).stems
    pieces = units_of(source, heads)
    headers = {unit.intro for unit in pieces if unit.kind == "row"}
    previous: frozenset[str] = frozenset()
    short = ""
    for unit in pieces:
        shown = plain(source.text[unit.start : unit.end])
        if unit.kind == "heading" or (unit.kind == "sentence" and not _SENTENCELIKE.search(shown)):
            short, previous = shown.strip(), frozenset()
            continue
        if unit.kind in ("sentence", "item") and not _WORD.search(shown):
            continue  # a path, a rule, an include
        if (unit.kind == "row" and (unit.start, unit.end) in headers) or is_order_to_the_model(shown):
            continue
        text = unit.said or " ".join(shown.split())
        terms = terms_of(text if unit.said else shown)
        heading = "\n".join(dict.fromkeys(filter(None, [short, plain(unit.above)])))
        around = title | terms_of(heading).stems | previous
        if unit.kind == "item" and unit.intro is not None:
            around |= terms_of(plain(source.text[slice(*unit.intro)])).stems
        yield Candidate(
            source, unit, text, terms, around, _penalty(unit, text, terms), short or plain(unit.above)
        )
        previous = terms.stems if unit.kind == "sentence" else frozenset()


def _penalty(unit: Unit, text: str, terms: Terms) -> float:
    n_words = len(terms.tokens)
    penalty = _ONE_WORD if n_words < 2 else 0.1 if n_words < 4 else 0.0
    penalty += _POINTS_ELSEWHERE if unit.kind != "row" and _ELSEWHERE.search(text) else 0.0
    penalty += 0.1 * min(1.0, max(0, n_words - 45) / 60)
    penalty += 0.15 if text.endswith("?") else 0.0
    penalty += _FRAGMENT if _GOES_ON.match(text) else 0.0
    penalty += 0.1 if text.endswith(":") else 0.0
    penalty += _FRAGMENT if unit.kind == "sentence" and not _ENDS.search(text) else 0.0
    penalty += _CODE if unit.kind == "code" else 0.0
    penalty += _LETTERHEAD if unit.kind == "row" and _MAIL_FIELDS.search(text) else 0.0
    return penalty


def _with_meaning(
    question: str, found: list[Candidate], weights: Mapping[str, float], embedder: Embedder
) -> list[Candidate]:
    """With the encoder's opinion of the best: each is read with its title and headings, as chunks are."""
    head, tail = found[:MAX_CANDIDATES], found[MAX_CANDIDATES:]
    texts = [_in_context(one) for one in head]
    for n_chars in (4 * embedder.max_tokens, embedder.max_tokens - 8):  # one character is at most one token
        try:
            asked = embedder.embed([question], "query")[0]
            vectors = embedder.embed([_cut(text, n_chars) for text in texts], "document")
        except EmbedderError:
            continue
        read = [replace(one, vector=vector) for one, vector in zip(head, vectors, strict=True)]
        return [*scored(read, question, weights, asked), *tail]
    return found


def _in_context(one: Candidate) -> str:
    source, unit = one.source, one.unit
    above = dict.fromkeys(plain(name) for name in (source.source.title, *source.heading_path, one.heading))
    body = one.text
    if unit.kind == "item" and unit.intro is not None:
        body = f"{plain(source.text[slice(*unit.intro)])} {body}"
    return " › ".join(" ".join(name.split()) for name in above if name) + "\n" + body


def _cut(text: str, n_chars: int) -> str:
    return text if len(text) <= n_chars else text[:n_chars].rpartition(" ")[0] or text[:n_chars]


def _by_score(candidate: Candidate) -> tuple[float, int, int]:
    return (-candidate.score, candidate.source.number, candidate.unit.start)
