"""Whether evidence that has a claim's words also speaks of what was asked.

"It is 3 [1]" says nothing without its question, so the question's words are held against the source as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from rag import lexicon
from rag.stems import is_in
from rag.terms import Terms

_QUESTION_SHARE = 0.5
"""Of the question's words, for a claim that hardly has words of its own."""
_BARE_SHARE = 0.75
"""The same, for a claim that is nothing but a number: any number is somewhere."""
_NEW_SHARE = 0.5
"""Of the words that a claim adds to the question."""
_THIN = 1
_DIGIT = re.compile(r"\d")


def off_topic(claim: Terms, have: frozenset[str], passage: frozenset[str], question: Terms) -> str | None:
    """Why the evidence is not about the question, or None.

    ``have``: stems of the evidence and its surroundings; ``passage``: those of all of its source that was packed.
    """
    if not question.content:
        return None
    other = another_one(question.identifiers - claim.identifiers, passage)
    if other is not None:
        return f"the source is about {other[1]}, not {other[0]}"
    new = [
        stem
        for stem in claim.content
        if stem not in question.stems and claim.words[stem] not in lexicon.DISCOURSE
    ]
    if len(new) <= _THIN:
        asked = list(question.content)
        known = sum(is_in(stem, have) for stem in asked)
        is_bare = not new and bool(claim.quantities)
        if known < (_BARE_SHARE if is_bare else _QUESTION_SHARE) * len(asked):
            return "the source does not speak of what was asked"
    if new and not claim.quantities and sum(is_in(stem, have) for stem in new) < _NEW_SHARE * len(new):
        return "what it adds to the question is not in the source"
    return None


def another_one(wanted: Iterable[str], there: frozenset[str]) -> tuple[str, str] | None:
    """(identifier, its sibling that is there instead): D4 where only D2 is, 4.2.9 where only 4.2.2 is.

    None where another of the wanted ones of that shape is there: a comparison is told in several places.
    """
    by_shape: dict[str, list[str]] = {}
    for identifier in sorted(wanted):
        if _DIGIT.search(identifier):
            by_shape.setdefault(_DIGIT.sub("0", identifier), []).append(identifier)
    for shape, identifiers in by_shape.items():
        if any(identifier in there for identifier in identifiers):
            continue
        siblings = sorted(stem for stem in there if _DIGIT.sub("0", stem) == shape)
        if siblings:
            return identifiers[0], siblings[0]
    return None
