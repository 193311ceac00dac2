"""Sentences in documents that give orders to whoever reads them by machine: they are no evidence of anything.

A list of wordings catches what is common, not what is clever; the fences of the prompt and the verification of
every sentence stand behind it.
"""

from __future__ import annotations

import re
from functools import lru_cache

_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b[^.!?\n]{0,40}\b(?:instructions?|prompts?|rules|guidelines|orders|directions|(?:said|written|told) (?:above|before))\b"
    r"|\b(?:you are|act|behave|respond|answer) (?:now |from now on )(?:an?|the|as|like|only)\b"
    r"|\bfrom now on,? you\b|\bpretend (?:to be|that you are)\b"
    r"|\b(?:system prompt|(?:developer|hidden) (?:prompt|instructions?))\b"
    r"|\b(?:tell|inform|assure) (?:the|every|each|any|all) (?:readers?|users?|customers? who asks?|askers?)\b[^.!?\n]{0,20}\bthat\b"
    r"|\b(?:AI|language model|LLM|chatbot|assistant)s?\b[^.!?\n]{0,30}\b(?:must|should|shall|have to|will) (?:now |always |only |never )?(?:say|answer|reply|respond|output|reveal|recommend|state)\b"
    r"|\b(?:ignoriere|missachte|vergiss)\b[^.!?\n]{0,40}\b(?:anweisungen|regeln|vorgaben)\b|\bdu bist (?:jetzt|nun|ab sofort)\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=4096)
def is_order_to_the_model(sentence: str) -> bool:
    return _ORDERS.search(" ".join(sentence.split())) is not None
