"""Near-duplicates among hits: the same passage in two documents should not take two places."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rag.core.types import Hit

_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r"\d+")
_SHINGLE = 3
_SAME = 0.9
_SHORT_WORDS = 8


def without_near_duplicates(hits: Iterable[Hit], most: int | None = None) -> list[Hit]:
    """Keeps the first (best) of hits whose texts are nearly the same, ``most`` of them.

    Near: the same numbers, and a Jaccard similarity of at least 0.9 over runs of three words (Broder 1997).
    Two versions of a policy with other figures both stay. So do repeated passages of one document: they
    stand in different places, and which of them is meant only their surroundings tell.
    """
    kept: list[Hit] = []
    seen: list[tuple[str, frozenset[str], frozenset[tuple[str, ...]]]] = []
    for hit in hits:
        if len(kept) == most:
            break
        source, numbers = hit.chunk.source_id, frozenset(_NUMBER.findall(hit.chunk.text))
        own = _shingles(hit.chunk.text)
        if not any(source != s and numbers == n and _similar(own, other) for s, n, other in seen):
            kept.append(hit)
            seen.append((source, numbers, own))
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
