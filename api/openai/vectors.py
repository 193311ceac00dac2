"""Embeddings in OpenAI's shape."""

from __future__ import annotations

import base64
from functools import lru_cache
from typing import Any

import numpy as np

from api.openai.errors import InvalidParameter
from api.openai.names import MODEL, unknown_model
from api.openai.requests import EmbeddingsRequest
from ingest.embed.tokenizer import load_tokenizer
from rag.core.protocols import ChunkTokenizer
from rag.wiring import Footnote


def embeddings(asked: EmbeddingsRequest, footnote: Footnote) -> dict[str, Any]:
    """Raises ``UnknownModel``, ``InvalidParameter``, ``EmbedderError``."""
    settings, embedder = footnote.settings, footnote.embedder
    if asked.model not in (MODEL, settings.embedder_model):
        raise unknown_model(asked.model)
    if asked.dimensions not in (None, embedder.dim):
        raise InvalidParameter(
            f"The vectors of {settings.embedder_model} have {embedder.dim} dimensions; leave dimensions out.",
            param="dimensions",
        )
    texts = asked.texts()
    tokenizer = _tokenizer(settings.embedder, settings.embedder_model)
    n_tokens = [tokenizer.count(text) for text in texts]
    room = embedder.max_tokens - tokenizer.n_special
    for i, n in enumerate(n_tokens):
        if n > room and asked.input_type == "document":
            raise InvalidParameter(
                f"input[{i}] has {n} tokens, and {settings.embedder_model} takes {room}; send it in parts.",
                param=f"input[{i}]",
            )
    vectors = embedder.embed(texts, asked.input_type)
    in_base64 = asked.encoding_format == "base64"
    data = [
        {"object": "embedding", "index": i, "embedding": _base64(row) if in_base64 else row.tolist()}
        for i, row in enumerate(vectors)
    ]
    used = {"prompt_tokens": sum(n_tokens), "total_tokens": sum(n_tokens)}
    return {"object": "list", "data": data, "model": asked.model, "usage": used}


def _base64(row: np.ndarray[Any, np.dtype[np.float32]]) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()


@lru_cache(maxsize=4)
def _tokenizer(embedder: str, model: str) -> ChunkTokenizer:
    return load_tokenizer(embedder, model)
