"""Which index a write goes to: the active one, a first one, or one that is being built beside it."""

from __future__ import annotations

from ingest.store.catalog import Catalog, IndexRow
from ingest.store.chunk_index import mismatch
from rag.core.errors import UnknownKnowledgeBase
from rag.core.protocols import Embedder, VectorStore


def index_for_writing(
    catalog: Catalog, tenant: str, knowledge_base: str, embedder: Embedder, pipeline: str
) -> IndexRow:
    """Raises ``FingerprintMismatch`` where the index was built by another pipeline."""
    kb_id = catalog.ensure_kb(tenant, knowledge_base)
    idx = catalog.active_index(kb_id)
    if idx is None:
        return catalog.create_index(
            kb_id, "active", embedder=embedder.fingerprint, pipeline=pipeline, dim=embedder.dim
        )
    if idx.embedder != embedder.fingerprint:
        raise mismatch(knowledge_base, f"the encoder {idx.embedder}", f"the encoder {embedder.fingerprint}")
    if idx.pipeline != pipeline:
        raise mismatch(knowledge_base, "other chunk settings", "new ones")
    return idx


def index_for_reindex(
    catalog: Catalog, tenant: str, knowledge_base: str, embedder: Embedder, pipeline: str
) -> tuple[IndexRow, IndexRow]:
    """(the active index, the one to build). A half-built one of the same pipeline is gone on with."""
    kb_id = catalog.find_kb(tenant, knowledge_base)
    old = catalog.active_index(kb_id)
    if old is None:
        raise UnknownKnowledgeBase(
            f"The knowledge base {knowledge_base} is empty, so there is nothing to reindex; run 'footnote ingest PATH'.",
            knowledge_base=knowledge_base,
        )
    for half in catalog.indexes(kb_id, "building"):
        if (half.embedder, half.pipeline) == (embedder.fingerprint, pipeline):
            return old, half
        catalog.kill_index(half)
    new = catalog.create_index(
        kb_id, "building", embedder=embedder.fingerprint, pipeline=pipeline, dim=embedder.dim
    )
    return old, new


def clear_dead_indexes(catalog: Catalog, kb_id: int, vectors: VectorStore) -> None:
    """What a swap left behind: vectors first, rows last."""
    for dead in catalog.indexes(kb_id, "dead"):
        vectors.drop(catalog.collection(dead))
        catalog.forget_index(dead)
