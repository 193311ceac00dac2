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
from ingest.store.generations import NewGeneration, bury, put, stored_document
from ingest.store.indexes import clear_dead_indexes
from ingest.vectorize import Vectorizer
from rag.core.reports import SyncEvent, SyncReport


def reindex(context: IngestContext, old: IndexRow) -> SyncReport:
    """``context.idx`` is the new index, in state ``building``."""
    outcomes = Outcomes(time.perf_counter())
    catalog, idx = context.catalog, context.idx
    rows = _files(catalog, old)
    done = _already_built(catalog, old, idx)
    outcomes.n_files = outcomes.n_to_load = len(rows)
    vectorizer = Vectorizer(catalog, idx, context.embedder, context.open_vectors)
    vectorizer.start()
    try:
        for row in rows:
            if context.stop.is_set():
                break
            if row.source_id not in done:
                _copy(context, old, row, outcomes)
                vectorizer.wake(outcomes.n_reused)
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


def _copy(context: IngestContext, old: IndexRow, file: FileRow, outcomes: Outcomes) -> None:
    with context.catalog.reading() as db:
        row = db.execute(
            "SELECT * FROM generation WHERE idx_id = ? AND source_id = ? AND state = 'live'",
            (old.id, file.source_id),
        ).fetchone()
    if row is None:
        return
    if (row["content_hash"], row["loader"]) != (file.content_hash, file.loader):
        # The file's newer version was not finished yet: the next run has to read it again.
        file = replace(file, content_hash=row["content_hash"], loader=row["loader"], mtime_ns=0)
    document = stored_document(row)
    spans = chunker(context.settings).chunk(document)
    n_chunks, n_known = put(context.catalog, context.idx, NewGeneration(file, document, spans))
    outcomes.n_texts += n_chunks - n_known
    outcomes.n_reused += n_known


def _files(catalog: Catalog, old: IndexRow) -> list[FileRow]:
    files = [file for root in catalog.roots(old.kb_id) for file in catalog.files(root.id).values()]
    return [file for file in files if file.state == "ok"]


def _already_built(catalog: Catalog, old: IndexRow, idx: IndexRow) -> set[str]:
    """Sources that an earlier run, which was interrupted, has copied. What has changed or gone since then
    is taken out of the half-built index."""
    versions = "SELECT source_id, content_hash, loader FROM generation WHERE idx_id = ? AND state "
    with catalog.reading() as db:
        wanted = {tuple(row) for row in db.execute(f"{versions} = 'live'", (old.id,))}
        built = {tuple(row) for row in db.execute(f"{versions} <> 'dead'", (idx.id,))}
    stale = [str(source) for source, _, _ in built - wanted]
    if stale:
        bury(catalog, idx, stale)
    return {str(source) for source, _, _ in built & wanted}
