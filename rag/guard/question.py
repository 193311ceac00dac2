"""What counts as a question."""

from __future__ import annotations

import re

from rag.core.errors import InvalidQuestion

# Control characters, surrogates and the invisible marks that reorder or hide text.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


def checked_question(question: str, max_chars: int) -> str:
    """The question without invisible characters and outer white space. Raises ``InvalidQuestion``."""
    if len(question) > max_chars:
        raise InvalidQuestion(
            f"The question has {len(question)} characters and at most {max_chars} are taken; shorten it, or raise "
            "max_question_chars.",
            n_chars=len(question),
            max_chars=max_chars,
        )
    cleaned = _INVISIBLE.sub(" ", question).strip()
    if not any(character.isalnum() for character in cleaned):
        raise InvalidQuestion("The question is empty; ask something in words.", n_chars=len(question))
    return cleaned
