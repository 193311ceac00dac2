"""Identity is content: the same input gives the same ids, so a second run writes nothing."""

from __future__ import annotations

import hashlib
import json


def content_hash(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=20).hexdigest()


def text_key(embedding_text: str) -> bytes:
    """Names a text for its vector: equal texts, one vector. 16 bytes."""
    return hashlib.blake2b(embedding_text.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def source_id(tenant: str, knowledge_base: str, root_ordinal: int, path: str) -> str:
    return _digest("source", tenant, knowledge_base, root_ordinal, path)


def chunk_id(source: str, start: int, end: int, key: bytes, pipeline: str) -> str:
    """The text's key stands for the chunk's text, its title and its headings."""
    return _digest("chunk", source, start, end, key.hex(), pipeline)


def pipeline_fingerprint(chunker: str, embedder: str) -> str:
    return _digest("pipeline", chunker, embedder)


def _digest(*parts: str | int) -> str:
    return hashlib.blake2b(json.dumps(parts, ensure_ascii=True).encode(), digest_size=16).hexdigest()
