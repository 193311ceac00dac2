"""A question as full-text queries: its words, pairs of words that stand close together, its identifiers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

from rag.lexicon import STOP_WORDS
from rag.terms import language_of

# A word, or several that are joined as in E-417, v2.3.1, AX_100, don't, a/b.
_TOKEN = re.compile(r"\w+(?:[-./_'’:@+]\w+)*")
_HAS_DIGIT = re.compile(r"\d")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# How many words may stand between two words of the question that still belong together.
_NEAR_WORDS = 6
_MAX_TOKENS = 64


@dataclass(frozen=True, slots=True)
class WordQueries:
    """FTS5 query strings; an empty one finds nothing."""

    words: str
    pairs: str
    identifiers: tuple[str, ...]
    """One query for each: codes, part numbers, versions, names_with_underscores, camelCase."""
    content: tuple[str, ...]
    """The question's words without stop words, as it writes them."""


def word_queries(question: str) -> WordQueries:
    """Whatever the question holds, each query is valid FTS5: every token is quoted."""
    tokens = list(dict.fromkeys(_TOKEN.findall(question)))[:_MAX_TOKENS]
    stop = STOP_WORDS[language_of(question)]
    content = [token for token in tokens if token.lower() not in stop] or tokens
    identifiers = [token for token in content if is_identifier(token)]
    pairs = [f"NEAR({_quoted(a)} {_quoted(b)}, {_NEAR_WORDS})" for a, b in pairwise(content)]
    words = [alternative for token in content for alternative in _alternatives(token)]
    return WordQueries(
        _any(map(_quoted, words)), _any(pairs), tuple(map(_quoted, identifiers)), tuple(content)
    )


def is_identifier(token: str) -> bool:
    """Whether a token names one thing exactly: E-417, AX_100, v2.3.1, getUserName, 00-731."""
    joined = any(char in token for char in "-._/:@")
    digits = bool(_HAS_DIGIT.search(token))
    letters = any(char.isalpha() for char in token)
    inner_capital = token[1:] != token[1:].lower() and token != token.upper() and "-" not in token
    return (digits and (letters or joined)) or "_" in token or "@" in token or (inner_capital and letters)


def _alternatives(token: str) -> Iterable[str]:
    """The token as it is, and the words of a camelCase name, which the index holds as one word."""
    yield token
    parts = _CAMEL.split(token)
    if len(parts) > 1:
        yield from (part for part in parts if len(part) > 2)


def _quoted(token: str) -> str:
    return '"' + token.replace('"', '""') + '"'


def _any(queries: Iterable[str]) -> str:
    return " OR ".join(dict.fromkeys(queries))
