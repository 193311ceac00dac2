"""Builds a knowledge base's index anew beside the old one, from the stored texts, and swaps at the end.

Questions are answered from the old index meanwhile. A reindex that was killed goes on where it stopped.
"""

from __future__ import annotations

import time
from dataclasses import replace

from ingest.context import IngestContext
from ingest.outcomes import Outcomes
from ingest.prepare import chunker
from ingest.store.catalog import Catalog, FileRow, IndexRow
from ingest.store.generations import NewGeneration, put, stored_document
from ingest.vectorize import Vectorizer
from rag.core.protocols import VectorStore
from rag.core.reports import SyncEvent, SyncReport


def reindex(context: IngestContext, old: IndexRow) -> SyncReport:
    """``context.idx`` is the new index, in state ``building``."""
    outcomes = Outcomes(time.perf_counter())
    catalog, idx = context.catalog, context.idx
    rows, done = _files(catalog, old), _done(catalog, idx)
    outcomes.n_files = outcomes.n_to_load = len(rows)
    vectorizer = Vectorizer(catalog, idx, context.embedder, context.open_vectors)
    vectorizer.start()
    try:
        for row in rows:
            if context.stop.is_set():
                break
            if row.source_id not in done:
                _copy(context, old, row, outcomes)
                vectorizer.wake()
            outcomes.n_loaded += 1
            context.on_event(outcomes.event("load", vectorizer.stats))
        if context.stop.is_set():
            vectorizer.stop()
        else:
            vectorizer.finish(
                lambda: context.on_event(outcomes.event("embed", vectorizer.stats)), context.stop
            )
    except BaseException:
        vectorizer.stop()
        raise
    if not context.stop.is_set():
        catalog.activate_index(idx)
        clear_dead_indexes(catalog, idx.kb_id, context.open_vectors())
    context.on_event(SyncEvent("done", n_files=len(rows)))
    return outcomes.report(context, vectorizer.stats, interrupted=context.stop.is_set())


def clear_dead_indexes(catalog: Catalog, kb_id: int, vectors: VectorStore) -> None:
    for dead in catalog.indexes(kb_id, "dead"):
        vectors.drop(catalog.collection(dead))
        catalog.forget_index(dead)


def _copy(context: IngestContext, old: IndexRow, file: FileRow, outcomes: Outcomes) -> None:
    with context.catalog.reading() as db:
        row = db.execute(
            "SELECT * FROM generation WHERE idx_id = ? AND source_id = ? AND state = 'live'",
            (old.id, file.source_id),
        ).fetchone()
    if row is None:
        return
    if row["content_hash"] != file.content_hash:
        # The file's newer version was not finished yet: the next run has to read it again.
        file = replace(file, content_hash=row["content_hash"], mtime_ns=0)
    document = stored_document(row)
    spans = chunker(context.settings).chunk(document)
    n_chunks, n_known = put(context.catalog, context.idx, NewGeneration(file, document, spans))
    outcomes.n_texts += n_chunks - n_known
    outcomes.n_reused += n_known


def _files(catalog: Catalog, old: IndexRow) -> list[FileRow]:
    files = [file for root in catalog.roots(old.kb_id) for file in catalog.files(root.id).values()]
    return [file for file in files if file.state == "ok"]


def _done(catalog: Catalog, idx: IndexRow) -> set[str]:
    with catalog.reading() as db:
        rows = db.execute("SELECT source_id FROM generation WHERE idx_id = ? AND state <> 'dead'", (idx.id,))
        return {row["source_id"] for row in rows}
