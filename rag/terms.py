"""What a piece of text says, in a form that can be compared: word stems, quantities, dates, identifiers,
names, negations and comparisons.

Stems come from Snowball (https://snowballstem.org) in the language that the text seems to be in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from rag import lexicon
from rag.denials import negations
from rag.figures import rates, read_dates, read_numbers
from rag.lexicon import Language
from rag.scan import Scan, stemmer
from rag.values import Date, Negation, Quantity, Token


@dataclass(frozen=True, slots=True)
class Terms:
    language: Language
    tokens: tuple[Token, ...]
    stems: frozenset[str]
    """Stems of all words, stop words included: what a claim's words are looked up in."""
    content: tuple[str, ...]
    """Distinct stems of content words (numbers and dates are not among them), in order."""
    quantities: tuple[Quantity, ...]
    dates: tuple[Date, ...]
    identifiers: frozenset[str]
    names: frozenset[str]
    """Stems of words that are capitalised where the language's spelling does not ask for it."""
    negations: tuple[Negation, ...]
    rates: frozenset[str]
    """Units of time that something counts for: {"month"} for "$9 per month" and "monthly"."""
    words: dict[str, str] = field(compare=False)
    """Content stem → the word as written, lower case (for look-ups that stem by themselves)."""

    @property
    def n_clauses(self) -> int:
        return self.tokens[-1].clause + 1 if self.tokens else 0


@lru_cache(maxsize=4096)
def terms_of(text: str, language: Language | None = None) -> Terms:
    """Analyses one sentence or passage. Cached: sources are compared with every sentence of an answer."""
    spoken = language or language_of(text)
    scan = Scan(text, spoken)
    read_dates(scan)
    read_numbers(scan)
    content: dict[str, None] = {}
    words: dict[str, str] = {}
    for token, kind in zip(scan.tokens, scan.kinds, strict=True):
        if token.content and kind in ("word", "identifier"):
            content.setdefault(token.stem)
            words.setdefault(token.stem, token.text.lower())
    return Terms(
        language=spoken,
        tokens=tuple(scan.tokens),
        stems=frozenset(token.stem for token in scan.tokens),
        content=tuple(content),
        quantities=tuple(scan.quantities),
        dates=tuple(scan.dates),
        identifiers=frozenset(scan.identifiers),
        names=frozenset(name for at, name in scan.names.items() if scan.kinds[at] == "word"),
        negations=tuple(negations(scan)),
        rates=frozenset(rates(scan)),
        words=words,
    )


def language_of(text: str) -> Language:
    """The language whose function words are the most frequent; English where nothing tells."""
    words = re.findall(r"[^\W\d_]+", text[:4000].lower())
    scores = {name: sum(word in marks for word in words) for name, marks in lexicon.LANGUAGE_MARKS.items()}
    best = max(scores, key=lambda name: scores[name])
    return best if scores[best] > scores["english"] else "english"


def stem(word: str, language: Language = "english") -> str:
    return stemmer(language).stemWord(word.lower().replace("’", "'"))  # type: ignore[no-any-return]
