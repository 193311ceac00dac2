"""How many of the question's content words a candidate holds, each weighted by its rarity among the candidates."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache

from rag.lexicon import Language
from rag.scan import stemmer
from rag.terms import language_of, stem

_WORD = re.compile(r"\w+")


def coverage(words: Sequence[str], texts: Mapping[str, str]) -> dict[str, float]:
    """Share in [0, 1] for each text, by its key. ``words``: the question's content words.

    Rarity among the candidates rather than in the whole store: what all candidates share does not tell
    them apart, and it needs no statistics from the index.
    """
    language = language_of(" ".join(words))
    wanted = {stem(part, language) for word in words for part in _WORD.findall(word)}
    if not wanted or not texts:
        return {}
    held = {key: wanted & _stems(text, language) for key, text in texts.items()}
    counts = dict.fromkeys(wanted, 0)
    for stems in held.values():
        for one in stems:
            counts[one] += 1
    weights = {one: math.log(1 + len(texts) / (1 + counts[one])) for one in wanted}
    total = sum(weights.values())
    return {key: sum(weights[one] for one in stems) / total for key, stems in held.items()}


@lru_cache(maxsize=4096)
def _stems(text: str, language: Language) -> frozenset[str]:
    return frozenset(stemmer(language).stemWords(list(set(_WORD.findall(text.lower())))))
