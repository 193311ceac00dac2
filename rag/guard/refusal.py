"""How a chat model says that it has no answer."""

from __future__ import annotations

import re

_UNKNOWN = re.compile(
    r"\b(?:documents?|sources?|context|passages?|texts?|provided information)\b[^.]{0,40}\b(?:don['’]?t|do not|does not|doesn['’]?t|did not)\s+"
    r"(?:\w+\s+){0,2}(?:say|mention|contain|provide|specify|state|include|hold|answer|cover|have|address)"
    r"|\bI (?:don['’]?t|do not) (?:know|have (?:enough |any |that |this )?(?:information|context|details?))"
    r"|\b(?:no|not enough|insufficient) (?:relevant )?information\b|\b(?:is|are) not (?:mentioned|specified|stated|provided|covered|included) in the\b"
    r"|\bI(?:['’]m| am) (?:unable|not able|sorry)|\bI can(?:not|['’]t) (?:answer|find|determine)"
    r"|(?:Dokumente|Quellen) (?:sagen|enthalten|geben)[^.]{0,40}(?:nicht|keine)",
    re.IGNORECASE,
)


def says_unknown(sentence: str) -> bool:
    """Whether a sentence reads like "The documents don't say." A source may say such words too ("filters are
    not included in the warranty"), so ask only of sentences that no source supports."""
    return _UNKNOWN.search(sentence) is not None
