"""Passages of documents that give orders to whoever reads them by machine: they are no evidence of anything.

A list of wordings catches what is common, not what is clever; the fences of the prompt and the verification of
every sentence stand behind it. A text *about* such orders ("attackers write 'ignore all previous instructions'") is
not one, as far as that can be told from the words before it and the quotation marks around it.
"""

from __future__ import annotations

import base64
import binascii
import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from rag.core.text import sentence_spans
from rag.core.types import PackedSource
from rag.guard.orders import EXFILTRATION, ORDERS, QUOTED, TALK, TOLD_OF

LEFT_OUT: Final = "(…)"
_UNSEEN = re.compile("[\u00ad\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufe00-\ufe0f\ufeff]")
_TAGS = re.compile("[\U000e0020-\U000e007e]+")
_SPACED_OUT = re.compile(r"(?<!\S)(?:[^\W\d_] ){5,}[^\W\d_](?!\S)")
_BASE64 = re.compile(r"(?<![A-Za-z0-9+/=_-])[A-Za-z0-9+/_-]{24,2000}={0,2}(?![A-Za-z0-9+/=_-])")
_TOOL_CALL = re.compile(
    r"<\|?(?:tool_call|function_calls?|tool_use|invoke)s?\b[^<>]{0,80}\|?>\s*(?:[{\[]|<)|<function=\w+>|\[TOOL_CALLS\]\s*[\[{]",
    re.IGNORECASE,
)
# Letters of other alphabets that look like ours.
_ALIKE = str.maketrans("аеіоруѕсхһԁԛАЕІОРСХНКМТВΑΒΕΗΙΚΜΝΟΡΤΧο", "aeiopyscxhdqAEIOPCXHKMTBABEHIKMNOPTXo")


@lru_cache(maxsize=4096)
def is_order_to_the_model(sentence: str) -> bool:
    plain = _plain(sentence)
    if any(_is_meant(plain, match) for match in ORDERS.finditer(plain)):
        return True
    if _TOOL_CALL.search(plain) or EXFILTRATION.search(plain):
        return True
    return any(_is_order_in_disguise(match.group()) for match in _BASE64.finditer(plain)) or any(
        ORDERS.search("".join(chr(ord(char) - 0xE0000) for char in match.group()))
        for match in _TAGS.finditer(sentence)
    )


def order_spans(text: str) -> list[tuple[int, int]]:
    """The sentences of a text that are orders to the model; of one that spans several lines, as in a list, only
    those lines that are."""
    found: list[tuple[int, int]] = []
    for start, end in sentence_spans(text):
        if is_order_to_the_model(text[start:end]):
            lines = [
                (start + match.start(), start + match.end())
                for match in re.finditer(r"[^\n]*\S", text[start:end])
                if is_order_to_the_model(match.group())
            ]
            found += lines or [(start, end)]
    return found


def without_orders(text: str) -> str:
    """The text as a model may read it, with "(…)" for each order."""
    pieces, at = [], 0
    for start, end in order_spans(text):
        pieces += [text[at:start], LEFT_OUT]
        at = end
    return "".join([*pieces, text[at:]])


def count_injected(sources: Iterable[PackedSource]) -> int:
    """How many orders to the model the sources hold."""
    return sum(len(order_spans(source.text)) for source in sources)


def _plain(text: str) -> str:
    """As it reads, without what hides a word from a rule: invisible letters, foreign look-alikes, s p a c e s."""
    text = unicodedata.normalize("NFKC", _UNSEEN.sub("", _TAGS.sub("", text)))
    if not text.isascii() and re.search("[A-Za-z]", text):
        text = re.sub(r"\w*[A-Za-z]\w*", lambda match: match.group().translate(_ALIKE), text)
    text = " ".join(re.sub(r"(?<!\w)[*_`~]{1,3}(?=\w)|(?<=\w)[*_`~]{1,3}(?!\w)", "", text).split())
    return _SPACED_OUT.sub(lambda match: match.group().replace(" ", ""), text)


def _is_meant(text: str, match: re.Match[str]) -> bool:
    """Not where it is told of: denied, supposed, said of others, or quoted in a text about such things."""
    if TOLD_OF.search(text, max(0, match.start() - 60), match.start()):
        return False
    for quoted in QUOTED.finditer(text):
        if quoted.start() < match.start() and match.end() <= quoted.end():
            return not TALK.search(text[: quoted.start()] + " " + text[quoted.end() :])
    return True


def _is_order_in_disguise(encoded: str) -> bool:
    bare = encoded.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        decoded = base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return False
    return ORDERS.search(" ".join(decoded.split())) is not None
