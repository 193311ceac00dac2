"""What a question asks for: its words and their weights, the kind of its answer, its parts."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from rag import measures
from rag.terms import Terms
from rag.values import Quantity

AnswerType: TypeAlias = Literal["date", "number", "name", "place", "yes-no", "list", "reason", "any"]

_TYPES: Final[list[tuple[re.Pattern[str], AnswerType]]] = [
    (re.compile(r"\b(?:how (?:many|much|long|often|old|far|large|big|high|fast|tall|soon|heavy|late|early)|what (?:percentage|number|amount|size|price|cost|fee|share|limit|rate)|what does .{3,60} (?:cost|weigh)|wie ?viele?|wie (?:lange|hoch|oft|groß|teuer|schwer)|combien|cuánt[oa]s?)\b", re.I), "number"),
    (re.compile(r"\b(?:when|what (?:year|date|day|time|month)|which (?:year|date|day|month)|in what year|by what date|wann|quand|cuándo|until when|bis wann)\b", re.I), "date"),
    (re.compile(r"\b(?:where|wo|woher|wohin|où|dónde|what (?:city|country|place|state))\b", re.I), "place"),
    (re.compile(r"\b(?:who|whom|whose|wer|wen|wem|qui|quién)\b", re.I), "name"),
    (re.compile(r"\b(?:why|warum|wieso|weshalb|pourquoi|por qué|cause)\b", re.I), "reason"),
    (re.compile(r"\b(?:which|what are|list|name the|what (?:steps|kinds|types)|welche|quels|quelles|cuáles)\b", re.I), "list"),
    (re.compile(r"^\s*(?:is|are|was|were|do|does|did|can|could|may|must|should|will|would|has|have|am|kann|darf|muss|ist|sind|wird|gibt|puedo|est-ce)\b", re.I), "yes-no"),
]  # fmt: skip
_BY_WHEN = re.compile(
    r"\b(?:by when|until when|until what|how (?:long|often|soon|late|early|old)|when|bis wann|wie (?:lange|oft))\b",
    re.I,
)
_PRICE = re.compile(
    r"\b(?:costs?|prices?|fees?|paid?|pays?|charges?|salary|allowance|budget|bonus|how much|kosten?|kostet|preis)\b",
    re.I,
)
_TIMES: Final = frozenset(
    ["second", "minute", "hour", "day", "week", "month", "quarter", "year", "clock", "millisecond"]
)
_MONEY: Final = frozenset(["usd", "eur", "gbp", "yen", "chf", "cent", "percent"])
_ALIASES: Final = {"pound": "gbp"}
_REASON = re.compile(
    r"\b(?:because|due to|since|so that|in order to|therefore|as a result|caused?|found|the reason|weil|damit|deshalb|car)\b",
    re.I,
)

_INTERROGATIVE: Final = (
    r"(?:what|which|how|who|whom|whose|when|where|why|(?:by|until|since|from|in|to|at|on) (?:what|which|when|how)"
    r"|was|welche[rsnm]?|wie|wann|wer|wo|warum|combien|quand|qui|où|cuánt[oa]s?|cuándo)\b"
)
_AUXILIARY: Final = r"(?:is|are|was|were|do|does|did|can|could|may|must|should|will|would|has|have|am)\b"
_PART_EDGE = re.compile(
    rf"(?<=[?!])\s+|(?<=\w\.)\s+(?=[A-ZÄÖÜ])|,?\s+(?:and|or|und|et|y)\s+(?={_INTERROGATIVE})|:\s+(?={_INTERROGATIVE})",
    re.I,
)
_ASKS = re.compile(rf"\b{_INTERROGATIVE}|^\W*{_AUXILIARY}|\?\s*$", re.I)
MAX_PARTS: Final = 3


def answer_type(question: str) -> AnswerType:
    for pattern, kind in _TYPES:
        if pattern.search(question):
            return kind
    return "any"


def parts_of(question: str) -> list[str]:
    """The questions in a question: "What does it cost, and how long does it last?" holds two.

    What asks nothing ("My kettle shows E-418.") is no part; [question] where it is only one.
    """
    pieces = [piece.strip() for piece in _PART_EDGE.split(question) if piece and piece.strip()]
    asking = [piece for piece in pieces if _ASKS.search(piece) and len(piece.split()) >= 2]
    return asking[:MAX_PARTS] if len(asking) > 1 else [question]


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


def fits(question: str, text: str, terms: Terms, asked: Terms) -> float:
    """How well a sentence holds the kind of thing that is asked for, in [0, 1]."""
    kind = answer_type(question)
    if kind == "date":
        dated = bool(terms.dates) or any(quantity.unit in ("year", "clock") for quantity in terms.quantities)
        return 1.0 if dated or (_BY_WHEN.search(question) and _has_unit(terms, asked, _TIMES)) else 0.0
    if kind == "number":
        if _BY_WHEN.search(question):
            return 1.0 if _has_unit(terms, asked, _TIMES) else 0.3 * bool(_new_quantities(terms, asked))
        if _PRICE.search(question):
            return 1.0 if _has_unit(terms, asked, _MONEY) else 0.5 * bool(_new_quantities(terms, asked))
        return float(bool(_new_quantities(terms, asked)))
    if kind in ("name", "place"):
        return float(bool(terms.names - asked.stems))
    if kind == "reason":
        return float(_REASON.search(text) is not None)
    return 0.0


def means_unit_of(word: str, terms: Terms) -> bool:
    """Whether a word of a question is the unit of a number there: "pounds" of GBP 5, "cost" of any money."""
    if _PRICE.fullmatch(word):
        return any(quantity.unit in _MONEY for quantity in terms.quantities)
    unit = measures.UNITS.get(word)
    return unit is not None and any(
        quantity.unit in (unit, _ALIASES.get(unit)) for quantity in terms.quantities
    )


def says_nothing_new(terms: Terms, asked: Terms) -> bool:
    """Whether a sentence has no word, number or denial that the question has not."""
    return (
        all(stem in asked.stems for stem in terms.content)
        and not _new_quantities(terms, asked)
        and not terms.negations
        and not terms.dates
    )


def _new_quantities(terms: Terms, asked: Terms) -> list[Quantity]:
    known = {reading for quantity in asked.quantities for reading in quantity.readings}
    return [quantity for quantity in terms.quantities if not quantity.readings <= known]


def _has_unit(terms: Terms, asked: Terms, units: frozenset[str]) -> bool:
    return any(quantity.unit in units for quantity in _new_quantities(terms, asked))
