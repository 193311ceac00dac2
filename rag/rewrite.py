"""Makes a follow-up question stand alone: "And how long is it?" needs what "it" was."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rag.core.types import Message
from rag.terms import terms_of

_LEANS = re.compile(
    r"\b(?:it|its|they|them|their|this|that|these|those|there|one|ones|he|she|his|her|him|same|er|sie|es|dies|dieser"
    r"|diese|dieses|dort|dafür|davon|il|elle|eso)\b|^\W*(?:and|but|or|so|also|what about|how about|und|aber|et|y)\b",
    re.IGNORECASE,
)
_MAX_CARRIED = 8
_FEW = 2


def standalone(question: str, history: Sequence[Message]) -> str:
    """The question, with the topic words of the user's earlier questions behind it if it leans on them.

    Deterministic: words are carried over, none are invented. A question that stands alone comes back as it is.
    """
    earlier = [turn.content for turn in history if turn.role == "user" and turn.content.strip()]
    asked = terms_of(question)
    if not earlier or not (_LEANS.search(question) or len(asked.content) <= _FEW):
        return question
    carried: dict[str, str] = {}
    for turn in reversed(earlier[-2:]):
        spoken = terms_of(turn)
        for token in spoken.tokens:
            if token.content and token.stem not in asked.stems and not token.text.isdigit():
                carried.setdefault(token.stem, token.text)
        if len(carried) >= _FEW:
            break
    words = list(carried.values())[:_MAX_CARRIED]
    return f"{question} ({' '.join(words)})" if words else question
