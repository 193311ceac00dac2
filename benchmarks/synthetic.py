"""Stores of any size for measuring: real texts and vectors, repeated with noise, written by the product's own code.

A source holds some twenty chunks of a real document. A copy's vectors are the real ones plus noise, so that no
two are equal and near ones stay near. Nothing is encoded but the real texts, once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.sets import SHARED, ingested
from ingest.context import IngestContext
from ingest.identity import content_hash, source_id, text_key
from ingest.prepare import chunker, loader_tag
from ingest.store.catalog import FileRow
from ingest.store.generations import NewGeneration, add_vectors, index_known, put, stored_document
from rag.core.protocols import Vectors
from rag.core.types import Block, BlockKind, ChunkSpan, LoadedDocument
from rag.wiring import Footnote

CORPORA = (SHARED / "squad_half" / "corpus", SHARED / "chroma_chunking" / "corpus")
_CHUNKS_PER_SOURCE = 20
_NOISE = 0.6
"""Length of the noise beside a vector of length 1: cosine to the original about .86."""
_SOURCES_PER_WRITE = 50


@dataclass(frozen=True, slots=True)
class Piece:
    """A real stretch of some twenty chunks: what the copies are made of."""

    name: str
    document: LoadedDocument
    spans: tuple[ChunkSpan, ...]
    vectors: Vectors


def real_pieces() -> list[Piece]:
    found = []
    for corpus in CORPORA:
        with ingested(corpus) as footnote:
            found += list(_pieces_of(footnote))
    return found


def fill(footnote: Footnote, pieces: list[Piece], n_chunks: int, *, seed: int = 0) -> None:
    """Adds copies until the knowledge base has ``n_chunks`` chunks, all of them with vectors."""
    footnote.store.become_writer()
    context = footnote._ingest_context(None, None, None)
    catalog, idx = context.catalog, context.idx
    root = catalog.ensure_root(idx.kb_id, "/synthetic")
    with catalog.reading() as db:
        n = int(db.execute("SELECT count(*) FROM chunk").fetchone()[0])
    number = n  # copies go on where an earlier call ended
    random = np.random.default_rng(seed + n)
    while n < n_chunks:
        with catalog.writing():
            for _ in range(_SOURCES_PER_WRITE):
                if n >= n_chunks:
                    break
                piece = pieces[number % len(pieces)]
                _put(context, root.id, piece, number, _noisy(piece.vectors, random), n_chunks - n)
                n += min(len(piece.spans), n_chunks - n)
                number += 1
    index_known(catalog, idx, context.open_vectors())


def _pieces_of(footnote: Footnote) -> Iterator[Piece]:
    catalog = footnote.store.catalog
    with catalog.reading() as db:
        rows = db.execute("SELECT * FROM generation WHERE state = 'live' ORDER BY uri").fetchall()
        known = {
            row["text_key"]: np.frombuffer(row["data"], dtype="<f4")
            for row in db.execute("SELECT text_key, data FROM vector")
        }
    for row in rows:
        document = stored_document(row)
        spans = chunker(footnote.settings).chunk(document)
        for i in range(0, len(spans), _CHUNKS_PER_SOURCE):
            own = spans[i : i + _CHUNKS_PER_SOURCE]
            start, end = own[0].start, own[-1].end
            part = LoadedDocument(
                document.text[start:end],
                (Block(0, end - start, BlockKind.PARAGRAPH),),
                "text/plain",
                document.title or Path(row["uri"]).stem,
            )
            vectors = np.stack([known[text_key(span.embedding_text)] for span in own])
            yield Piece(Path(row["uri"]).stem, part, tuple(_moved(span, start) for span in own), vectors)


def _moved(span: ChunkSpan, start: int) -> ChunkSpan:
    return ChunkSpan(
        span.start - start,
        span.end - start,
        span.heading_path,
        span.page,
        span.n_tokens,
        span.embedding_text,
    )


def _noisy(vectors: Vectors, random: np.random.Generator) -> Vectors:
    noise = random.standard_normal(vectors.shape, dtype=np.float32)
    noise *= _NOISE / np.linalg.norm(noise, axis=1, keepdims=True)
    moved = vectors + noise
    unit: Vectors = (moved / np.linalg.norm(moved, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _put(
    context: IngestContext, root_id: int, piece: Piece, number: int, vectors: Vectors, most: int
) -> None:
    path = f"part{number % 10}/{piece.name}-{number}.txt"
    spans = [
        ChunkSpan(s.start, s.end, s.heading_path, s.page, s.n_tokens, f"{s.embedding_text} ({number})")
        for s in piece.spans[:most]
    ]
    file = FileRow(
        source_id=source_id(context.tenant, context.knowledge_base, 1, path),
        root_id=root_id,
        path=path,
        size=len(piece.document.text),
        mtime_ns=0,
        content_hash=content_hash(path.encode()),
        state="ok",
        code=None,
        reason=None,
        loader=loader_tag("text/plain"),
    )
    keys = [text_key(span.embedding_text) for span in spans]
    # The vectors first: then no text has to wait for the encoder.
    add_vectors(context.catalog, context.idx, keys, vectors[: len(keys)])
    put(context.catalog, context.idx, NewGeneration(file, piece.document, spans))
