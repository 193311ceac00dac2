"""Whether a quote supports a claim. Deterministic, words only: no model is asked.

Two questions are put. Does the quote *cover* the claim: share of the claim's content words, weighted by how
much they tell, that the quote has too, over the whole claim and over each of its clauses? And does anything
*disagree*: a number, unit, bound, date, identifier, name, negation, opposite, who did it to whom, or which
number belongs to what? One disagreement is enough for ``unsupported``, whatever the coverage.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from rag import lexicon
from rag.core.types import Verdict
from rag.disagree import disagreements
from rag.stems import is_in
from rag.terms import Terms
from rag.values import Token

SUPPORTED_COVERAGE: Final = 0.70
WEAK_COVERAGE: Final = 0.50
SUPPORTED_CLAUSE: Final = 0.50
WEAK_CLAUSE: Final = 0.45
_LIGHT, _PLAIN, _TELLING = 0.35, 1.0, 1.6
_SPLIT = re.compile(
    r"\s*[;:]\s+|\s*,?\s+(?:and|but|while|whereas|although|because|und|aber|während|et|mais|y|pero)\s+|,\s+(?:which|who)\s+|\.\s+"
)


@dataclass(frozen=True, slots=True)
class Support:
    verdict: Verdict
    coverage: float
    """Weighted share of the claim's content words that the evidence has, in [0, 1]."""
    reason: str = ""


def judge(
    claim: Terms, quote: Terms, context: frozenset[str], around: Terms, known: frozenset[str]
) -> Support:
    """``context``: stems that title, headings, table header or list intro supply; ``around``: their terms;
    ``known``: every stem of every source."""
    have = quote.stems | context
    coverage, weakest = _coverage(claim, have)
    if coverage < WEAK_COVERAGE:
        return Support(Verdict.UNSUPPORTED, coverage, "too few of its words are in the source")
    for disagreement in disagreements(claim, quote, around, known):
        return Support(Verdict.UNSUPPORTED, coverage, disagreement)
    if weakest < WEAK_CLAUSE:
        return Support(Verdict.UNSUPPORTED, coverage, "a part of it is not in the source")
    invented = _invented_start(claim, have, known)
    if coverage >= SUPPORTED_COVERAGE and weakest >= SUPPORTED_CLAUSE and not invented:
        return Support(Verdict.SUPPORTED, coverage)
    return Support(Verdict.WEAK, coverage, "the source says it in other words, or only in part")


def clauses(claim: str) -> list[str]:
    """Pieces of a compound sentence, each with enough words to be looked up alone."""
    pieces = [piece.strip() for piece in _SPLIT.split(claim) if piece and piece.strip()]
    merged: list[str] = []
    for piece in pieces:
        if merged and (len(piece.split()) < 4 or len(merged[-1].split()) < 4):
            merged[-1] += " " + piece
        else:
            merged.append(piece)
    return merged


def _coverage(claim: Terms, have: frozenset[str]) -> tuple[float, float]:
    """(coverage of the claim, coverage of its worst clause that holds something to cover)."""
    total = found = 0.0
    per_clause: dict[int, list[float]] = {}
    seen: set[str] = set()
    wanted = set(claim.content)
    for token in claim.tokens:
        if not token.content or token.stem not in wanted:
            continue
        weight = weight_of(token, claim)
        if token.stem in seen:
            weight *= 0.3
        seen.add(token.stem)
        hit = weight if is_in(token.stem, have) else 0.0
        total, found = total + weight, found + hit
        clause = per_clause.setdefault(token.clause, [0.0, 0.0])
        clause[0] += weight
        clause[1] += hit
    for quantity in claim.quantities:  # numbers are held to account one by one; here they only add weight
        clause = per_clause.setdefault(claim.tokens[quantity.position].clause, [0.0, 0.0])
        clause[0] += 0.5
        clause[1] += 0.5
        total, found = total + 0.5, found + 0.5
    if not total:
        return 0.0, 0.0
    weakest = min((hit / all_ for all_, hit in per_clause.values() if all_ >= 1.5 * _PLAIN), default=1.0)
    return found / total, weakest


def weight_of(token: Token, terms: Terms) -> float:
    if token.stem in terms.names or token.stem in terms.identifiers:
        return _TELLING
    return _LIGHT if token.text.lower() in lexicon.LIGHT_WORDS else _PLAIN


def _invented_start(claim: Terms, have: frozenset[str], known: frozenset[str]) -> bool:
    """Whether the claim is about someone or something at its start that no source knows."""
    for token in claim.tokens[:2]:
        if token.content and token.text[:1].isupper() and not is_in(token.stem, have):
            return not is_in(token.stem, known)
    return False
