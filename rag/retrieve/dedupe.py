"""Near-duplicates among hits: the same passage in two files should not take two places."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rag.core.types import Hit

_WORD = re.compile(r"\w+")
_SHINGLE = 3
_SAME = 0.9
_SHORT_WORDS = 8


def without_near_duplicates(hits: Iterable[Hit]) -> list[Hit]:
    """Keeps the first (best) of hits whose texts are nearly the same.

    Near: Jaccard similarity of at least 0.9 over runs of three words (Broder 1997). Numbers count like
    words, so two versions of a policy with different figures in a short text both stay.
    """
    kept: list[Hit] = []
    shingles: list[frozenset[tuple[str, ...]]] = []
    for hit in hits:
        own = _shingles(hit.chunk.text)
        if not any(_similar(own, other) for other in shingles):
            kept.append(hit)
            shingles.append(own)
    return kept


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    if len(words) < _SHORT_WORDS:
        return frozenset([tuple(words)])
    return frozenset(zip(words, words[1:], words[2:], strict=False))


def _similar(one: frozenset[tuple[str, ...]], other: frozenset[tuple[str, ...]]) -> bool:
    small, large = sorted((len(one), len(other)))
    if small < _SAME * large:
        return False
    common = len(one & other)
    return common >= _SAME * (small + large - common)
