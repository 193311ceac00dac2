"""The seams. To add an implementation: one new file and one registry line; its contract suite runs against it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from rag.core.types import (
    Block,
    ChatEvent,
    ChatRequest,
    ChunkSpan,
    Hit,
    LoadedDocument,
    Retrieval,
    Scope,
)

Vectors = NDArray[np.float32]


class Loader(Protocol):
    """Turns the bytes of one file into one canonical text with a block map. Runs in a worker process."""

    media_types: tuple[str, ...]

    def load(self, path: Path, data: bytes, *, passwords: Sequence[str] = ()) -> LoadedDocument:
        """Raises ``LoadError`` (or a subclass) with one sentence for the user."""
        ...


class TokenCounter(Protocol):
    def count(self, text: str) -> int:
        """Tokens of the text, special tokens not included."""
        ...


class ChunkTokenizer(TokenCounter, Protocol):
    """The embedder's own tokenizer, as the chunker needs it."""

    max_tokens: int
    """What the encoder takes at most, special tokens included."""
    n_special: int

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Character span of every token, in order, special tokens left out."""
        ...


class Chunker(Protocol):
    def chunk(self, document: LoadedDocument) -> list[ChunkSpan]: ...


class Embedder(Protocol):
    """Texts to unit vectors."""

    fingerprint: str
    """Hash over model, weights, pooling, normalisation: equal fingerprints, comparable vectors."""
    dim: int
    max_tokens: int

    def embed(self, texts: Sequence[str], kind: Literal["document", "query"]) -> Vectors:
        """float32, shape (n, dim), rows of unit length, in the order of the texts."""
        ...


class VectorStore(Protocol):
    """Vectors by chunk id, one collection for each index of a knowledge base."""

    def upsert(self, collection: str, ids: Sequence[str], vectors: Vectors) -> None: ...

    def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Ids that are not there are passed over."""
        ...

    def search(self, collection: str, vector: Vectors, k: int) -> list[tuple[str, float]]:
        """Up to k (chunk id, cosine in [-1, 1]) for one vector of shape (dim,), best first."""
        ...

    def ids(self, collection: str) -> set[str]: ...

    def get(self, collection: str, ids: Sequence[str]) -> dict[str, Vectors]: ...

    def drop(self, collection: str) -> None: ...

    def close(self) -> None: ...


class ChunkIndex(Protocol):
    """What retrieval asks of the store: everything it returns is live, inside the scope and joined."""

    def search_words(self, scope: Scope, query: str, k: int) -> list[tuple[str, float]]:
        """Up to k (chunk id, BM25 score, higher is better) for an FTS5 query string, best first."""
        ...

    def search_vectors(self, scope: Scope, vector: Vectors, k: int) -> list[tuple[str, float]]:
        """Up to k (chunk id, cosine) that pass the scope's filters, best first."""
        ...

    def hits(self, scope: Scope, scored: Sequence[tuple[str, float]]) -> list[Hit]:
        """Joins ids with their chunks and sources, keeping the order; ids that are not live are dropped."""
        ...

    def vectors(self, scope: Scope, chunk_ids: Sequence[str]) -> dict[str, Vectors]:
        """The stored vector of each chunk that has one, float32 of shape (dim,)."""
        ...

    def source_text(self, scope: Scope, source_id: str) -> str:
        """The canonical text of a live source. Raises ``UnknownSource``."""
        ...

    def source_blocks(self, scope: Scope, source_id: str) -> Sequence[Block]:
        """The block map of a live source's text, in order. Raises ``UnknownSource``."""
        ...

    def document_frequency(self, scope: Scope, terms: Sequence[str]) -> tuple[int, dict[str, int]]:
        """(number of live chunks, chunks that hold each stemmed-by-FTS5 term) for inverse document frequencies."""
        ...

    def pending_vectors(self, scope: Scope) -> int:
        """Live chunks whose vectors are still being made."""
        ...


class Retriever(Protocol):
    def retrieve(self, question: str, scope: Scope, k: int) -> Retrieval: ...


class Reranker(Protocol):
    def rerank(self, question: str, hits: Sequence[Hit]) -> list[Hit]: ...


class ChatModel(Protocol):
    """A chat model, or a wrapper around one: retry, queue, breaker … are all of this shape.

    It belongs to one event loop: the first that it is used in."""

    name: str
    context_window: int

    def stream(self, request: ChatRequest) -> AsyncIterator[ChatEvent]:
        """Deltas, with ``Switched`` between them where another model takes over; ``Usage`` whenever something was
        used up (they add up); one ``Done`` at the end. Raises ``ChatError`` and its subclasses. Closing the iterator
        ends the request upstream."""
        ...

    async def close(self) -> None: ...
